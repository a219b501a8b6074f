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

#[test]
fn what_is_set_beside_the_table_stands_first_and_is_counted() {
    use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
    use crate::model::setting::{NftTable, Setting, Sysctl, SysctlValue};
    let config = check_text("pgvs.toml", CONFIG).unwrap().config;
    let sysctl = |value| Setting::Sysctl(Sysctl::CONNTRACK, SysctlValue::new(value));
    let timeouts = |tcp| Setting::Timeouts(Timeouts { tcp, ..Timeouts::NONE });
    let daemon = SyncDaemon { interface: "eth0".into(), ..SyncDaemon::new(SyncRole::Backup) };
    let settings = vec![
        (Some(sysctl("0")), sysctl("1")),
        (Some(timeouts(900)), timeouts(7500)),
        (
            Some(Setting::Daemon(SyncRole::Backup, Some(daemon))),
            Setting::Daemon(SyncRole::Backup, None),
        ),
        (
            Some(Setting::SourceNat(NftTable::default())),
            Setting::SourceNat(NftTable::new("table inet pgvs {\nmeta l4proto 6 masquerade\n}")),
        ),
    ];
    let expected = "~ net.ipv4.vs.conntrack: 0 -> 1
~ timeouts: tcp 900 s -> tcp 7500 s
- backup sync daemon on eth0 with id 0
+ rules for full NAT of 1 service (nft table inet pgvs)
1 to add, 2 to change, 1 to delete
";
    let ahead = Ahead { ops: Vec::new(), settings };
    assert_eq!(text(&config, &Table::default(), &ahead), expected);
}
