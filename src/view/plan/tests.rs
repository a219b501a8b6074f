//! Rendered text, with a config as the operator writes it.

use super::*;
use crate::config::sources::check_text;
use crate::model::destination::{Destination, Forwarding, Thresholds, Weight};
use crate::model::service::{Family, Scheduler, Service, ServiceFlags};
use crate::model::table::Entry;

const CONFIG: &str = r#"
[[pool]]
name = "orders"
probe = "none"
[[pool.server]]
name = "pg1"
address = "10.8.0.11:5432"
[[pool.server]]
name = "pg2"
address = "10.8.0.12:5432"
[[service]]
name = "orders-rw"
address = "10.9.0.100:5432"
pool = "orders"
target = "any"
"#;

fn key(address: &str) -> ServiceKey {
    ServiceKey::tcp(address.parse().unwrap())
}

fn to(address: &str) -> DestinationKey {
    DestinationKey(address.parse().unwrap())
}

fn masq(weight: u32) -> Destination {
    Destination::plain(Forwarding::Masquerade, Weight(weight))
}

fn wlc() -> Service {
    Service::plain(Scheduler::new("wlc").unwrap(), Family::V4)
}

#[test]
fn changes_are_shown_by_name_with_what_was_before() {
    let config = check_text("pgvs.toml", CONFIG).unwrap().config;
    let (ours, old) = (key("10.9.0.100:5432"), key("10.9.0.101:5432"));
    let persistent = Service { flags: ServiceFlags::PERSISTENT, timeout: 300, ..wlc() };
    let entry = |destinations: &[(DestinationKey, Destination)]| Entry {
        service: wlc(),
        destinations: destinations.iter().copied().collect(),
    };
    let table = Table {
        services: [
            (ours, entry(&[(to("10.8.0.11:5432"), masq(100)), (to("10.8.0.13:5432"), masq(0))])),
            (old, entry(&[])),
        ]
        .into(),
    };
    let ops = [
        Op::AddDestination(ours, to("10.8.0.12:5432"), masq(0)),
        Op::EditDestination(ours, to("10.8.0.12:5432"), masq(7)),
        Op::EditDestination(
            ours,
            to("10.8.0.11:5432"),
            Destination {
                thresholds: Thresholds { upper: 100, lower: 0 },
                ..Destination::plain(Forwarding::DirectRoute, Weight(50))
            },
        ),
        Op::DeleteDestination(ours, to("10.8.0.13:5432")),
        Op::EditService(ours, persistent),
        Op::DeleteService(old),
        Op::AddService(old, wlc()),
    ];
    let expected = "\
+ orders-rw (TCP 10.9.0.100:5432): pg2 (10.8.0.12:5432) weight 0, Masq
~ orders-rw (TCP 10.9.0.100:5432): pg2 (10.8.0.12:5432) weight 0 -> 7
~ orders-rw (TCP 10.9.0.100:5432): pg1 (10.8.0.11:5432) weight 100 -> 50, Masq -> Route, upper threshold 0 -> 100
- orders-rw (TCP 10.9.0.100:5432): 10.8.0.13:5432
~ service orders-rw (TCP 10.9.0.100:5432): wlc -> wlc, persistent for 300 s
- service TCP 10.9.0.101:5432
+ service TCP 10.9.0.101:5432: wlc
2 to add, 3 to change, 2 to delete
";
    assert_eq!(text(&config, &table, &Ahead { ops: ops.into(), settings: Vec::new() }), expected);
}

#[test]
fn nothing_to_change_is_said() {
    let config = check_text("pgvs.toml", CONFIG).unwrap().config;
    assert_eq!(text(&config, &Table::default(), &Ahead::default()), "nothing to change\n");
}
