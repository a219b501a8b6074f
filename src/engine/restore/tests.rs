use std::collections::BTreeMap;

use super::*;
use crate::model::destination::{Destination, DestinationKey, Forwarding, Thresholds, Weight};
use crate::model::service::{Family, Scheduler, Service};
use crate::model::table::{Entry, Table};

fn key(number: u8) -> ServiceKey {
    ServiceKey::tcp(([10, 9, 0, number], 5432).into())
}

fn at(number: u8) -> DestinationKey {
    DestinationKey(([10, 8, 0, number], 5432).into())
}

fn saved(dice: &mut fastrand::Rng) -> Saved {
    let mut table = Table::default();
    for number in 1..=4 {
        if dice.bool() {
            continue;
        }
        let scheduler = Scheduler::new(["rr", "wlc"][dice.usize(..2)]).unwrap();
        let mut destinations = BTreeMap::new();
        for number in 1..=4 {
            let weight = Weight([0, 1, 100][dice.usize(..3)]);
            let thresholds = Thresholds { upper: dice.u32(..2), lower: 0 };
            let plain = Destination::plain(Forwarding::Masquerade, weight);
            if dice.bool() {
                destinations.insert(at(number), Destination { thresholds, ..plain });
            }
        }
        let service = Service::plain(scheduler, Family::V4);
        table.services.insert(key(number), Entry { service, destinations });
    }
    Saved { table, ..Saved::default() }
}

fn usable(table: &Table, key: ServiceKey) -> usize {
    let entry = table.services.get(&key);
    let all = entry.into_iter().flat_map(|entry| entry.destinations.values());
    all.filter(|it| it.weight.is_usable()).count()
}

#[test]
fn a_restore_arrives_is_quiet_then_and_leaves_no_service_with_less_on_the_way() {
    let (mut restored, mut edits) = (0, 0);
    for seed in 0..5_000 {
        let dice = &mut fastrand::Rng::with_seed(seed);
        let (have, want) = (saved(dice), saved(dice));
        let restore = Restore::new(&have, &want, &BTreeSet::new());
        let mut table = have.table.clone();
        for op in restore.ops() {
            table::apply(&mut table, op);
            for number in 1..=4 {
                let key = key(number);
                if !want.table.services.contains_key(&key)
                    || !have.table.services.contains_key(&key)
                {
                    continue;
                }
                let least = usable(&have.table, key).min(usable(&want.table, key));
                assert!(usable(&table, key) >= least, "seed {seed}: {key} after {op}");
            }
        }
        assert_eq!(table, want.table, "seed {seed}");
        let again = Restore::new(&want, &want, &BTreeSet::new());
        assert!(again.is_empty(), "seed {seed}: {again:?}");
        restored += restore.ops().count();
        edits += restore.services.len();
    }
    assert!(restored > 20_000 && edits > 1_000, "{restored} changes, {edits} of services");
}

#[test]
fn services_of_the_daemon_are_not_removed_and_changes_of_them_are_told() {
    let mut dice = fastrand::Rng::with_seed(4);
    let mut have = saved(&mut dice);
    let service = Service::plain(Scheduler::new("rr").unwrap(), Family::V4);
    let entry = Entry { service, destinations: BTreeMap::new() };
    have.table.services = (1..=3).map(|number| (key(number), entry.clone())).collect();
    let mut want = have.clone();
    want.table.services.remove(&key(1));
    want.table.services.remove(&key(3));
    let owned = BTreeSet::from([key(1), key(2), key(9)]);
    let restore = Restore::new(&have, &want, &owned);
    assert_eq!(restore.kept, [key(1)]);
    assert_eq!(restore.unmake, [Op::DeleteService(key(3))]);
    assert!(restore.touched(&owned).is_empty(), "equal services are not touched");
    let weight = Destination::plain(Forwarding::Masquerade, Weight(1));
    want.table.services.get_mut(&key(2)).unwrap().destinations.insert(at(1), weight);
    let restore = Restore::new(&have, &want, &owned);
    assert_eq!(restore.touched(&owned), BTreeSet::from([key(2)]));
}

#[test]
fn timeouts_and_sync_daemons_change_only_where_the_file_has_them() {
    let running = |role, interface: &str| SyncDaemon {
        interface: interface.into(),
        max_length: Some(1472),
        group: Some("224.0.0.81".parse().unwrap()),
        ..SyncDaemon::new(role)
    };
    let wanted =
        |role, interface: &str| SyncDaemon { interface: interface.into(), ..SyncDaemon::new(role) };
    let have = Saved {
        timeouts: Some(Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }),
        daemons: vec![running(SyncRole::Master, "eth0"), running(SyncRole::Backup, "eth0")],
        ..Saved::default()
    };
    let plan = |want: &Saved| Restore::new(&have, want, &BTreeSet::new());
    assert!(plan(&Saved::default()).is_empty(), "nothing is said of either");
    let same = Saved {
        timeouts: Some(Timeouts { tcp: 900, tcp_fin: 0, udp: 0 }),
        daemons: vec![wanted(SyncRole::Master, "eth0")],
        ..Saved::default()
    };
    assert!(plan(&same).is_empty(), "what is not said is as it is");
    let other = Saved {
        timeouts: Some(Timeouts { tcp: 7500, tcp_fin: 0, udp: 0 }),
        daemons: vec![wanted(SyncRole::Backup, "eth1")],
        ..Saved::default()
    };
    let restore = plan(&other);
    assert_eq!(restore.timeouts, other.timeouts);
    let start = DaemonChange::Start(wanted(SyncRole::Backup, "eth1"));
    assert_eq!(restore.daemons, [DaemonChange::Stop(SyncRole::Backup), start]);
    let mut longer = wanted(SyncRole::Master, "eth0");
    longer.max_length = Some(1024);
    let want = Saved { daemons: vec![longer], ..Saved::default() };
    assert_eq!(plan(&want).daemons.len(), 2, "what is said counts");
}
