//! Properties of the difference of two tables, over thousands of generated ones.

use fastrand::Rng;
use pgvs::engine::table::{self, Order, Plan, diff};
use pgvs::model::destination::{Destination, DestinationKey, Forwarding, Weight};
use pgvs::model::op::Op;
use pgvs::model::service::{Family, Scheduler, Service, ServiceKey};
use pgvs::model::table::{Entry, Table};

use crate::setup::{key, pick};

const CASES: u64 = 20_000;

fn entry(rng: &mut Rng) -> Option<Entry> {
    if rng.u8(0..10) == 0 {
        return None;
    }
    let scheduler = Scheduler::new(pick(rng, &["rr", "wlc", "sh"])).unwrap();
    let service = Service::plain(scheduler, Family::V4);
    let mut destinations = std::collections::BTreeMap::new();
    for number in 1..=6_u8 {
        if rng.bool() {
            let forwarding = pick(rng, &[Forwarding::Masquerade, Forwarding::DirectRoute]);
            let weight = Weight(pick(rng, &[0, 0, 1, 50, 100]));
            let to = DestinationKey(std::net::SocketAddr::from(([10, 8, 0, number], 5432)));
            destinations.insert(to, Destination::plain(forwarding, weight));
        }
    }
    Some(Entry { service, destinations })
}

fn usable(table: &Table, key: ServiceKey) -> Vec<DestinationKey> {
    let entry = table.services.get(&key);
    let all = entry.iter().flat_map(|entry| &entry.destinations);
    all.filter(|(_, it)| it.weight.is_usable()).map(|(&to, _)| to).collect()
}

fn table(key: ServiceKey, entry: Option<Entry>) -> Table {
    Table { services: entry.into_iter().map(|entry| (key, entry)).collect() }
}

/// Every transaction until nothing is left to do, as the reconciler takes them.
fn transactions(have: &Table, want: Option<&Entry>, order: Order) -> Vec<Vec<Op>> {
    let key = key(1);
    let mut now = have.clone();
    let mut sent = Vec::new();
    loop {
        let Plan { ops, is_partial, scheduler } = diff(key, now.services.get(&key), want, order);
        assert!(!(is_partial && ops.is_empty()), "nothing to do, and yet not all");
        let ops = if ops.is_empty() { scheduler.into_iter().collect() } else { ops };
        if ops.is_empty() {
            assert_eq!(now.services.get(&key), want, "what was wanted is not what is there");
            return sent;
        }
        for op in &ops {
            table::apply(&mut now, op);
        }
        sent.push(ops);
        assert!(sent.len() < 5, "no end: {sent:?}");
    }
}

#[test]
fn every_difference_leads_to_what_is_wanted_and_then_to_nothing() {
    let mut rng = Rng::with_seed(1);
    for _ in 0..CASES {
        let (have, want) = (table(key(1), entry(&mut rng)), entry(&mut rng));
        for order in [Order::MakeBeforeBreak, Order::BreakBeforeMake] {
            let sent = transactions(&have, want.as_ref(), order);
            assert_eq!(sent.is_empty(), have.services.get(&key(1)) == want.as_ref());
        }
    }
}

#[test]
fn on_the_way_no_service_has_fewer_usable_destinations_than_at_either_end() {
    let mut rng = Rng::with_seed(2);
    for _ in 0..CASES {
        let (mut now, want) = (table(key(1), entry(&mut rng)), entry(&mut rng));
        let end = usable(&table(key(1), want.clone()), key(1)).len();
        let floor = usable(&now, key(1)).len().min(end);
        let all = transactions(&now, want.as_ref(), Order::MakeBeforeBreak);
        for op in all.iter().flatten() {
            table::apply(&mut now, op);
            assert!(usable(&now, key(1)).len() >= floor, "{op} of {all:?}");
        }
    }
}

#[test]
fn a_writers_fall_and_another_ones_rise_are_never_sent_together() {
    let mut rng = Rng::with_seed(3);
    for _ in 0..CASES {
        let (mut now, want) = (table(key(1), entry(&mut rng)), entry(&mut rng));
        for ops in transactions(&now, want.as_ref(), Order::BreakBeforeMake) {
            let before = usable(&now, key(1));
            for op in &ops {
                table::apply(&mut now, op);
            }
            let after = usable(&now, key(1));
            let falls = before.iter().any(|to| !after.contains(to));
            let rises = after.iter().any(|to| !before.contains(to));
            assert!(!(falls && rises), "{before:?} became {after:?} by {ops:?}");
        }
    }
}

#[test]
fn with_one_writer_at_either_end_there_are_never_two() {
    let mut rng = Rng::with_seed(4);
    let keep_one = |entry: &mut Entry, rng: &mut Rng| {
        let kept = rng.usize(0..6);
        for (place, it) in entry.destinations.values_mut().enumerate() {
            it.weight = if place == kept { Weight(100) } else { Weight::QUIESCED };
        }
    };
    for _ in 0..CASES {
        let (Some(mut have), Some(mut want)) = (entry(&mut rng), entry(&mut rng)) else {
            continue;
        };
        keep_one(&mut have, &mut rng);
        keep_one(&mut want, &mut rng);
        let mut now = table(key(1), Some(have));
        for op in transactions(&now, Some(&want), Order::BreakBeforeMake).iter().flatten() {
            table::apply(&mut now, op);
            assert!(usable(&now, key(1)).len() < 2, "two writers after {op}");
        }
    }
}

#[test]
fn the_edit_of_a_scheduler_stands_apart_from_all_else() {
    let mut rng = Rng::with_seed(5);
    for _ in 0..CASES {
        let (have, want) = (table(key(1), entry(&mut rng)), entry(&mut rng));
        for ops in transactions(&have, want.as_ref(), Order::MakeBeforeBreak) {
            let edits = ops.iter().filter(|op| matches!(op, Op::EditService(..))).count();
            assert!(edits == 0 || ops.len() == 1, "{ops:?}");
        }
    }
}
