//! Whether enough servers of a service are left, with hysteresis, and what follows: who serves, and who is told.
//!
//! keepalived.conf(5) `quorum`, `hysteresis`, `sorry_server`; servers are counted here, not weights.

use super::event::{Action, Command, Transition};
use super::health::Verdict;
use super::membership::ServiceState;
use super::policy::{self, Decided};
use crate::config::{Quorum, VirtualService};
use crate::model::destination::{Destination, DestinationKey, Weight};
use crate::model::table::Entry;

/// The weight of a sorry server that serves. It serves alone, so that any would do; keepalived's is 1.
const ALONE: Weight = Weight(1);

/// Whether a service has its quorum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Too many servers have not been heard yet.
    #[default]
    Undecided,
    /// It has.
    Gained,
    /// It has not.
    Lost,
}

/// What is remembered of a service's quorum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) standing: Standing,
    /// What the operator was told last; once after each start, even if nothing changed.
    told: Standing,
    /// How many servers may serve.
    pub(super) able: u32,
}

impl Standing {
    /// What follows where `able` servers may serve and as many as `awaited` further ones may yet say that they do.
    fn after(self, able: u32, awaited: u32, quorum: &Quorum) -> Self {
        let hoped = able.saturating_add(awaited);
        let is_under = |limit: u32| hoped < limit.max(1);
        match self {
            Self::Undecided if able >= quorum.servers => Self::Gained,
            Self::Undecided if is_under(quorum.servers) => Self::Lost,
            Self::Gained if is_under(quorum.servers.saturating_sub(quorum.hysteresis)) => {
                Self::Lost
            }
            Self::Lost if able >= quorum.servers.saturating_add(quorum.hysteresis) => Self::Gained,
            Self::Undecided | Self::Gained | Self::Lost => self,
        }
    }
}

impl Count {
    /// Takes over what the kernel's table shows of it: a sorry server that serves says that the quorum was lost.
    pub(super) fn adopt(&mut self, config: &VirtualService, found: &Entry) {
        let is_open = self.standing == Standing::Undecided;
        let Some(quorum) = config.quorum.as_ref().filter(|_| is_open) else {
            return;
        };
        let is_usable = |it: &Destination| it.weight.is_usable();
        let sorry = quorum.sorry_server.map(|address| config.destination_key(address, None));
        if sorry.and_then(|to| found.destinations.get(&to)).is_some_and(is_usable) {
            self.standing = Standing::Lost;
        } else if found.destinations.values().any(is_usable) {
            self.standing = Standing::Gained;
        }
    }
}

/// Counts who may serve, tells and runs what a change asks for, and lets the sorry server serve where it is its turn.
/// Says whether that has changed.
pub(super) fn count(
    service: &mut ServiceState,
    verdicts: &[Verdict],
    is_waiting: bool,
    decided: &mut Decided,
    actions: &mut Vec<Action>,
) -> bool {
    let Some(quorum) = &service.config.quorum else {
        return false;
    };
    let is_awaited = |(verdict, decision): (&Verdict, &policy::Decision)| {
        is_waiting && verdict.is_awaited() && !decision.weight.is_some_and(Weight::is_usable)
    };
    let awaited = verdicts.iter().zip(&decided.decisions).filter(|it| is_awaited(*it)).count();
    let awaited = u32::try_from(awaited).unwrap_or(u32::MAX);
    let is_anybody_awaited = is_waiting && verdicts.iter().any(Verdict::is_awaited);
    let before = service.count.standing;
    let standing = before.after(decided.able, awaited, quorum);
    service.count.able = decided.able;
    service.count.standing = standing;
    let is_due = before != standing || !is_anybody_awaited;
    if is_due && standing != service.count.told {
        service.count.told = standing;
        if service.is_first {
            tell(service, quorum, actions);
        }
    }
    if standing == Standing::Lost && quorum.sorry_server.is_some() {
        policy::yield_to_sorry_server(decided, quorum.servers);
    }
    before != standing && quorum.sorry_server.is_some()
}

fn tell(service: &ServiceState, quorum: &Quorum, actions: &mut Vec<Action>) {
    let is_gained = service.count.standing == Standing::Gained;
    let able = service.count.able;
    actions.push(Action::Report(Transition::Quorum {
        service: service.config.name.clone(),
        is_gained,
        able,
        needed: quorum.servers,
        sorry_server: quorum.sorry_server,
    }));
    let argv = if is_gained { &quorum.up } else { &quorum.down };
    if let Some(argv) = argv {
        actions.push(Action::Run(Command {
            service: service.config.name.clone(),
            key: service.config.key,
            argv: argv.clone(),
            is_gained,
            able,
            needed: quorum.servers,
        }));
    }
}

impl ServiceState {
    /// The sorry server's destination, and whether it is the one that serves.
    pub(super) fn sorry_server(&self) -> Option<(DestinationKey, Weight)> {
        let address = self.config.quorum.as_ref()?.sorry_server?;
        let is_serving = self.count.standing == Standing::Lost;
        let weight = if is_serving { ALONE } else { Weight::QUIESCED };
        Some((self.config.destination_key(address, None), weight))
    }
}
