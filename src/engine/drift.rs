//! What other programs did to our services between two reads, and how patiently it is repaired.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::{Action, Drift, Transition};
use crate::model::destination::{Destination, DestinationKey};
use crate::model::service::ServiceKey;
use crate::model::table::Entry;
use crate::time::Time;

/// So many repairs of one service in a minute are made at once; more are made every [`SLOW`].
const PATIENCE: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
const SLOW: Duration = Duration::from_secs(10);

/// The repairs of the last minute, by service.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    repairs: BTreeMap<ServiceKey, Vec<Time>>,
    slowed: BTreeMap<ServiceKey, Time>,
}

impl Guard {
    /// Notes that a service was found changed.
    pub(super) fn found(&mut self, key: ServiceKey, now: Time, actions: &mut Vec<Action>) {
        let times = self.repairs.entry(key).or_default();
        times.retain(|&at| now.since(at) < WINDOW);
        times.push(now);
        if times.len() > PATIENCE && !self.slowed.contains_key(&key) {
            self.slowed.insert(key, now.after(SLOW));
            actions.push(Action::Report(Transition::DriftSlowed(key)));
        }
    }

    /// Whether the repair of a service has to wait.
    pub(super) fn is_slowed(&self, key: ServiceKey, now: Time) -> bool {
        self.slowed.get(&key).is_some_and(|&until| now < until)
    }

    /// Services that are slowed down.
    pub(super) fn slowed(&self) -> impl Iterator<Item = ServiceKey> + '_ {
        self.slowed.keys().copied()
    }

    /// Lets a service go before its time is up.
    pub(super) fn let_go(&mut self, key: ServiceKey) {
        self.slowed.remove(&key);
    }

    /// The next moment at which a repair may be made.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.slowed.values().min().copied()
    }

    /// Lets those go whose time is up; their services are to be looked at again.
    pub(super) fn release(&mut self, now: Time) -> Vec<ServiceKey> {
        let due: Vec<_> =
            self.slowed.iter().filter(|&(_, &until)| until <= now).map(|(&key, _)| key).collect();
        for key in &due {
            self.slowed.remove(key);
        }
        due
    }
}

/// What is different in a service of ours, from what we left to what was found.
pub(super) fn compare(
    key: ServiceKey,
    left: &Entry,
    found: Option<&Entry>,
    is_member: impl Fn(DestinationKey) -> bool,
) -> Vec<Transition> {
    let say = |destination, what| Transition::Drift { service: key, destination, what };
    let Some(found) = found else {
        return vec![say(None, Drift::ServiceGone)];
    };
    let mut drifts = Vec::new();
    if found.service != left.service {
        drifts.push(say(None, Drift::ServiceEdited));
    }
    for (&to, old) in &left.destinations {
        match found.destinations.get(&to) {
            None if is_member(to) => drifts.push(say(Some(to), Drift::DestinationGone)),
            Some(new) if new != old => drifts.push(say(Some(to), edited(old, new))),
            None | Some(_) => (),
        }
    }
    let added = found.destinations.keys().filter(|to| !left.destinations.contains_key(to));
    drifts.extend(added.map(|&to| say(Some(to), Drift::DestinationAdded)));
    drifts
}

fn edited(old: &Destination, new: &Destination) -> Drift {
    if old.with_weight(new.weight) == *new {
        Drift::WeightSet(new.weight)
    } else {
        Drift::DestinationEdited
    }
}
