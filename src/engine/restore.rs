//! What leads from the IPVS as it is to the one of a file, in an order that leaves no service without a server.
//!
//! Nothing of the daemon's knowledge goes in but the services that it owns: those are not removed.

use std::collections::BTreeSet;

use super::controller::Controller;
use super::table::{self, Order};
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::op::Op;
use crate::model::saved::Saved;
use crate::model::service::ServiceKey;

/// What is to be done, step by step: each is acknowledged before the next is begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restore {
    /// The timeouts to be set.
    pub timeouts: Option<Timeouts>,
    /// What adds and raises.
    pub make: Vec<Op>,
    /// What lowers and removes; whole services last.
    pub unmake: Vec<Op>,
    /// What starts, and what has to stop for it.
    pub daemons: Vec<DaemonChange>,
    /// Edits of services themselves: each may wait for the kernel's RCU grace period, so they come last, one by one.
    pub services: Vec<Op>,
    /// Services that are not in the file, and stay since the daemon owns them.
    pub kept: Vec<ServiceKey>,
}

/// A change of the connection-sync daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonChange {
    /// It runs otherwise than the file has it.
    Stop(SyncRole),
    /// As the file has it.
    Start(SyncDaemon),
}

impl Restore {
    /// The difference of two; of what `want` says nothing of (timeouts, a sync daemon's role), nothing is changed.
    pub fn new(have: &Saved, want: &Saved, owned: &BTreeSet<ServiceKey>) -> Self {
        let mut restore = Self {
            timeouts: want.timeouts.filter(|wanted| {
                let had = have.timeouts.unwrap_or(Timeouts { tcp: 0, tcp_fin: 0, udp: 0 });
                // In a change, 0 leaves what is there.
                let differs = |wanted, had| wanted != 0 && wanted != had;
                differs(wanted.tcp, had.tcp)
                    || differs(wanted.tcp_fin, had.tcp_fin)
                    || differs(wanted.udp, had.udp)
            }),
            ..Self::default()
        };
        for (&key, wanted) in &want.table.services {
            let had = have.table.services.get(&key);
            let plan = table::diff(key, had, Some(wanted), Order::MakeBeforeBreak);
            let (unmake, make): (Vec<_>, Vec<_>) =
                plan.ops.into_iter().partition(|op| lessens(op, have));
            restore.make.extend(make);
            restore.unmake.extend(unmake);
            restore.services.extend(plan.scheduler);
        }
        for &key in have.table.services.keys() {
            if want.table.services.contains_key(&key) {
                continue;
            }
            match owned.contains(&key) {
                true => restore.kept.push(key),
                false => restore.unmake.push(Op::DeleteService(key)),
            }
        }
        for wanted in &want.daemons {
            let had = have.daemons.iter().find(|it| it.role == wanted.role);
            if had.is_some_and(|had| wanted.is_met_by(had)) {
                continue;
            }
            restore.daemons.extend(had.map(|had| DaemonChange::Stop(had.role)));
            restore.daemons.push(DaemonChange::Start(wanted.clone()));
        }
        restore
    }

    /// Whether nothing is to be done.
    pub const fn is_empty(&self) -> bool {
        self.timeouts.is_none()
            && self.make.is_empty()
            && self.unmake.is_empty()
            && self.daemons.is_empty()
            && self.services.is_empty()
    }

    /// The changes of the table in their order.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.make.iter().chain(&self.unmake).chain(&self.services)
    }

    /// Those of these services that would be changed.
    pub fn touched(&self, owned: &BTreeSet<ServiceKey>) -> BTreeSet<ServiceKey> {
        self.ops().map(Op::service).filter(|key| owned.contains(key)).collect()
    }
}

impl Controller {
    /// The services that are ours: those of the config, and those that wait for their removal.
    pub fn owned(&self) -> BTreeSet<ServiceKey> {
        let configured = self.membership.services.keys();
        configured.chain(&self.reconciler.memory.owned).copied().collect()
    }
}

/// Whether a service has less after this change.
fn lessens(op: &Op, have: &Saved) -> bool {
    match op {
        Op::DeleteService(_) | Op::DeleteDestination(..) => true,
        Op::EditDestination(key, to, new) => {
            have.table.destination(*key, *to).is_some_and(|old| new.weight < old.weight)
        }
        Op::AddService(..) | Op::EditService(..) | Op::AddDestination(..) => false,
    }
}

#[cfg(test)]
mod tests;
