//! What a service should be: its members as decided, and what has left the config as long as it drains.

use std::time::Duration;

use super::event::{Action, Transition};
use super::membership::{Membership, ServiceState};
use super::reconcile::Reconciler;
use super::transaction::Ground;
use crate::config::OnStop;
use crate::model::destination::{Destination, DestinationKey, Thresholds, Weight};
use crate::model::service::ServiceKey;
use crate::model::table::Entry;
use crate::time::Time;

/// How long a destination of a service that has left the config may keep its sessions.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);

/// Whether a service of the config is in the table as it should be, with nothing else in it: then no entry has to be
/// made up to see that.
pub(super) fn is_there(ground: Ground<'_>, key: ServiceKey, have: Option<&Entry>) -> bool {
    let (Some(service), Some(have), None) =
        (ground.membership.services.get(&key), have, ground.stopping)
    else {
        return false;
    };
    let mut count = 0;
    let mut wanted = destinations(ground.membership, service, Some(have));
    let is_as_wanted = wanted.all(|(to, destination)| {
        count += 1;
        have.destinations.get(&to) == Some(&destination)
    });
    is_as_wanted && count == have.destinations.len() && have.service == service.config.service
}

/// The service as it should be; `None`: it should not be there, or it is not ours.
pub(super) fn entry(
    reconciler: &mut Reconciler,
    ground: Ground<'_>,
    key: ServiceKey,
    actions: &mut Vec<Action>,
) -> Option<Entry> {
    let Ground { membership, stopping, now, .. } = ground;
    if stopping == Some(OnStop::Remove) {
        return None;
    }
    let service = membership.services.get(&key);
    let have = ground.have(key);
    let mut wanted = match (service, have) {
        (Some(service), _) => Entry {
            service: service.config.service.clone(),
            destinations: destinations(membership, service, have).collect(),
        },
        (None, Some(have)) if reconciler.memory.owned.contains(&key) => {
            Entry { service: have.service.clone(), destinations: Default::default() }
        }
        // A foreign service is wanted as it is.
        (None, _) => return have.cloned(),
    };
    let timeout = service.map_or(DRAIN_TIMEOUT, |service| service.config.drain_timeout);
    let mut is_draining = false;
    for (&to, destination) in have.iter().flat_map(|have| &have.destinations) {
        if membership.is_member(key, to) {
            continue;
        }
        if reconciler.keeps(key, to, destination, timeout, now, actions) {
            is_draining = true;
            wanted.destinations.insert(to, destination.with_weight(Weight::QUIESCED));
        }
    }
    if service.is_none() && !is_draining {
        return None;
    }
    if stopping == Some(OnStop::Quiesce) {
        for destination in wanted.destinations.values_mut() {
            destination.weight = Weight::QUIESCED;
        }
    }
    Some(wanted)
}

/// The members of a service as they were decided, and its sorry server.
fn destinations<'a>(
    membership: &'a Membership,
    service: &'a ServiceState,
    have: Option<&'a Entry>,
) -> impl Iterator<Item = (DestinationKey, Destination)> + 'a {
    let members = membership.members(service);
    let decided = members.iter().zip(&service.decisions);
    let members = decided.filter_map(move |(member, decision)| {
        let to = service.key_of(member);
        let weight = match decision {
            Some(decision) => decision.weight?,
            None => have?.destinations.get(&to)?.weight,
        };
        Some((to, service.config.destination(member.delivery, member.thresholds, weight)))
    });
    let sorry = service
        .sorry_server()
        .map(|(to, weight)| (to, service.config.destination(None, Thresholds::default(), weight)));
    members.chain(sorry)
}

impl Reconciler {
    /// Drains end without a deletion of ours where the destination is a member again, or gone.
    pub(super) fn forget_drains(&mut self, membership: &Membership) {
        let actual = self.actual.as_ref();
        let is_there =
            |service, to| actual.is_none_or(|table| table.destination(service, to).is_some());
        let before = self.memory.draining.len();
        self.memory
            .draining
            .retain(|&(key, to), _| is_there(key, to) && !membership.is_member(key, to));
        if self.memory.draining.len() != before {
            self.remember();
        }
    }

    /// Whether a destination that is no member stays a while longer: while it has sessions, until its time is up.
    fn keeps(
        &mut self,
        key: ServiceKey,
        to: DestinationKey,
        destination: &Destination,
        timeout: Duration,
        now: Time,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(&deadline) = self.memory.draining.get(&(key, to)) else {
            self.memory.draining.insert((key, to), now.after(timeout));
            self.remember();
            let drain = Transition::Draining { service: key, destination: to, timeout };
            actions.push(Action::Report(drain));
            return true;
        };
        // What has no connections is not counted.
        let active = self.counters.get(&(key, to)).map_or(0, |connections| connections.active);
        let is_quiesced = !destination.weight.is_usable() && self.are_counters_fresh();
        let is_drained = is_quiesced && active == 0;
        if !is_drained && now < deadline {
            return true;
        }
        actions.push(Action::Report(Transition::Drained { service: key, destination: to, active }));
        false
    }
}
