//! The difference between a service as it is and as it should be, in the order that keeps it serving.

use crate::model::destination::{Destination, DestinationKey, Weight};
use crate::model::op::Op;
use crate::model::service::ServiceKey;
use crate::model::table::Entry;

/// In which order the destinations of a service change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Adds and raises first, then lowers and removals: no fewer usable destinations on the way than at either end.
    MakeBeforeBreak,
    /// What falls is acknowledged before anything that rises is sent: never two writers.
    BreakBeforeMake,
}

/// What has to be done to one service, in steps that may not share a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Everything for the next transaction but what follows.
    pub ops: Vec<Op>,
    /// Whether a further plan is needed after these have been acknowledged.
    pub is_partial: bool,
    /// An edit of the service itself; each waits for the kernel's RCU grace period, so it comes last and alone.
    pub scheduler: Option<Op>,
}

/// The difference of one service: `None` stands for a service that is not there.
pub fn diff(key: ServiceKey, have: Option<&Entry>, want: Option<&Entry>, order: Order) -> Plan {
    match (have, want) {
        (None, None) => Plan::default(),
        (Some(_), None) => Plan { ops: vec![Op::DeleteService(key)], ..Plan::default() },
        (None, Some(want)) => {
            let mut ops = vec![Op::AddService(key, want.service.clone())];
            ops.extend(want.destinations.iter().map(|(&to, &d)| Op::AddDestination(key, to, d)));
            Plan { ops, ..Plan::default() }
        }
        (Some(have), Some(want)) => {
            let mut plan = destinations(key, have, want, order);
            if have.service != want.service {
                plan.scheduler = Some(Op::EditService(key, want.service.clone()));
            }
            plan
        }
    }
}

fn destinations(key: ServiceKey, have: &Entry, want: &Entry, order: Order) -> Plan {
    let (mut make, mut unmake) = (Vec::new(), Vec::new());
    for (&to, &new) in &want.destinations {
        match have.destinations.get(&to) {
            // A quiesced newcomer makes nothing usable, but it must be there before anything refers to it.
            None => make.push(Op::AddDestination(key, to, new)),
            Some(old) if *old == new => (),
            Some(old) if falls(old, new.weight) => {
                unmake.push(Op::EditDestination(key, to, new));
            }
            Some(_) => make.push(Op::EditDestination(key, to, new)),
        }
    }
    let gone = have.destinations.keys().filter(|to| !want.destinations.contains_key(to));
    unmake.extend(gone.map(|&to| Op::DeleteDestination(key, to)));
    match order {
        Order::MakeBeforeBreak => {
            make.append(&mut unmake);
            Plan { ops: make, ..Plan::default() }
        }
        Order::BreakBeforeMake if breaks(&unmake, have) && makes(&make, have) => {
            Plan { ops: unmake, is_partial: true, scheduler: None }
        }
        Order::BreakBeforeMake => {
            unmake.append(&mut make);
            Plan { ops: unmake, ..Plan::default() }
        }
    }
}

const fn falls(old: &Destination, new: Weight) -> bool {
    new.0 < old.weight.0
}

/// Whether any of these takes weight from a destination that has some.
fn breaks(ops: &[Op], have: &Entry) -> bool {
    ops.iter().any(|op| usable_before(op, have))
}

/// Whether any of these makes a destination usable that is not.
fn makes(ops: &[Op], have: &Entry) -> bool {
    ops.iter().any(|op| match op {
        Op::AddDestination(_, _, new) | Op::EditDestination(_, _, new) => {
            new.weight.is_usable() && !usable_before(op, have)
        }
        Op::AddService(..)
        | Op::EditService(..)
        | Op::DeleteService(_)
        | Op::DeleteDestination(..) => false,
    })
}

fn usable_before(op: &Op, have: &Entry) -> bool {
    destination_of(op)
        .and_then(|to| have.destinations.get(&to))
        .is_some_and(|old| old.weight.is_usable())
}

/// The destination that a change concerns, if it concerns one.
pub const fn destination_of(op: &Op) -> Option<DestinationKey> {
    match op {
        Op::AddDestination(_, to, _)
        | Op::EditDestination(_, to, _)
        | Op::DeleteDestination(_, to) => Some(*to),
        Op::AddService(..) | Op::EditService(..) | Op::DeleteService(_) => None,
    }
}

/// Applies an acknowledged change to our picture of the table.
pub fn apply(table: &mut crate::model::table::Table, op: &Op) {
    match op {
        Op::AddService(key, service) => {
            let entry = Entry { service: service.clone(), destinations: Default::default() };
            table.services.insert(*key, entry);
        }
        Op::EditService(key, service) => {
            if let Some(entry) = table.services.get_mut(key) {
                entry.service = service.clone();
            }
        }
        Op::DeleteService(key) => {
            table.services.remove(key);
        }
        Op::AddDestination(key, to, destination) | Op::EditDestination(key, to, destination) => {
            if let Some(entry) = table.services.get_mut(key) {
                entry.destinations.insert(*to, *destination);
            }
        }
        Op::DeleteDestination(key, to) => {
            if let Some(entry) = table.services.get_mut(key) {
                entry.destinations.remove(to);
            }
        }
    }
}
