//! The list against what ipvsadm 1.31 printed of a real kernel's table.

use super::*;
use std::net::{IpAddr, Ipv4Addr};

use crate::ipvsadm::save::save;
use crate::ipvsadm::values::NoNames;
use crate::model::destination::{
    Connections, Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use crate::model::kernel::{Rate, Version};
use crate::model::service::{Family, Protocol, Scheduler};

const GOLDEN: &str = include_str!("../../../integration/golden/ipvsadm.txt");

#[test]
fn the_golden_table_is_listed_byte_for_byte() {
    assert_eq!(plain(&golden_table()), golden("ipvsadm -Ln"));
}

#[test]
fn every_format_is_ipvsadms_byte_for_byte() {
    let format = |columns| Format { columns, numeric: true, ..Format::default() };
    let exact = Format { exact: true, ..format(Columns::Stats) };
    let unsorted = Format { unsorted: true, ..format(Columns::Plain) };
    for (options, format) in [
        ("--stats", format(Columns::Stats)),
        ("--rate", format(Columns::Rate)),
        ("--thresholds", format(Columns::Thresholds)),
        ("--persistent-conn", format(Columns::Persistent)),
        ("--tun-info", format(Columns::Tunnel)),
        ("--stats --exact", exact),
        ("--nosort", unsorted),
    ] {
        let text = list(Some(INFO), &golden_table(), format, &NoNames);
        assert_eq!(text, golden(&format!("ipvsadm -Ln {options}")));
    }
}

#[test]
fn names_stand_where_there_are_any() {
    let text = list(Some(INFO), &golden_table(), Format::default(), &Ports);
    assert_eq!(text, golden("ipvsadm -L"));
    assert_eq!(save(&golden_table(), Format::default(), &Ports), golden("ipvsadm -S"));
}

#[test]
fn the_table_is_saved_as_ipvsadm_saves_it() {
    let numeric = Format { numeric: true, ..Format::default() };
    assert_eq!(save(&golden_table(), numeric, &NoNames), golden("ipvsadm -Sn"));
}

#[test]
fn one_service_is_listed_without_the_first_line() {
    let numeric = Format { numeric: true, ..Format::default() };
    let mut table = golden_table();
    let text = list(None, &[table.swap_remove(1)], numeric, &NoNames);
    assert_eq!(text, golden("single service").split_once("$ ").unwrap().0);
}

#[test]
fn a_destinations_counters_wrap_and_a_services_do_not() {
    let traffic = Traffic {
        connections: 1 << 32,
        packets_in: (1 << 32) + 7,
        bytes_in: 1 << 32,
        ..Traffic::default()
    };
    let mut table = golden_table();
    let mut service = table.swap_remove(6);
    service.traffic = Some(traffic);
    service.destinations[0].traffic = Some(traffic);
    let format = Format { columns: Columns::Stats, numeric: true, ..Format::default() };
    let text = list(None, &[service], format, &NoNames);
    let lines: Vec<_> = text.lines().skip(2).collect();
    assert_eq!(
        lines,
        [
            "FWM  7                               4294M    4294M        0    4294M        0",
            "  -> 10.5.5.5:0                          0        7        0    4294M        0",
        ]
    );
}

#[test]
fn our_own_list_has_true_counters_and_marks_without_a_sign() {
    let traffic = Traffic {
        connections: 1 << 32,
        packets_in: (1 << 32) + 7,
        rate: Rate { bytes_in: 1 << 33, ..Rate::default() },
        ..Traffic::default()
    };
    let mut service = golden_table().swap_remove(6);
    service.key = ServiceKey::FwMark { family: Family::V6, mark: u32::MAX };
    service.traffic = Some(traffic);
    service.destinations[0].traffic = Some(traffic);
    let wide = Format { numeric: true, exact: true, wide: true, ..Format::default() };
    let lines = |columns| {
        let text = list(None, &[service.clone()], Format { columns, ..wide }, &NoNames);
        text.lines().skip(2).map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(Columns::Stats),
        [
            "FWM  4294967295 IPv6              4294967296 4294967303        0        0        0",
            "  -> 10.5.5.5:0                   4294967296 4294967303        0        0        0",
        ]
    );
    assert_eq!(
        lines(Columns::Rate)[1],
        "  -> 10.5.5.5:0                          0        0        0 8589934592        0"
    );
}

#[test]
fn the_order_of_the_kernel_does_not_show() {
    let mut table = golden_table();
    for _ in 0..table.len() {
        table.rotate_left(1);
        for service in &mut table {
            service.destinations.reverse();
        }
        let text = plain(&table);
        let services = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with("  "));
            lines.map(String::from).collect()
        };
        assert_eq!(services(&text), services(&golden("ipvsadm -Ln")));
    }
}

#[test]
fn an_empty_table_has_only_a_title() {
    let text = plain(&[]);
    let golden = golden("ipvsadm -Ln");
    let title: Vec<_> = golden.lines().take(3).collect();
    assert_eq!(text, title.join("\n") + "\n");
}

#[test]
fn a_persistence_engine_and_large_numbers_are_shown() {
    let mut service = service(tcp("10.0.0.1:5432"), "rr", &[]);
    service.service.flags = ServiceFlags::PERSISTENT.with(ServiceFlags::ONE_PACKET);
    service.service.timeout = 2_678_400;
    service.service.persistence_engine = Some("sip".into());
    service.destinations = vec![ListedDestination {
        key: DestinationKey("10.0.0.2:65535".parse().unwrap()),
        destination: Destination::plain(Forwarding::Local, Weight::MAX),
        connections: Connections { active: u32::MAX, inactive: 12_345_678, persistent: 9 },
        traffic: None,
    }];
    let text = plain(&[service]);
    let lines: Vec<_> = text.lines().skip(3).collect();
    assert_eq!(
        lines,
        [
            "TCP  10.0.0.1:5432 rr persistent 2678400 pe sip ops",
            "  -> 10.0.0.2:65535               Local   2147483647 4294967295 12345678  ",
        ]
    );
}

/// The names of the machine on which the golden file was made.
struct Ports;

impl Names for Ports {
    fn host(&self, _: &str) -> Option<Ipv4Addr> {
        None
    }

    fn port(&self, _: &str, _: Protocol) -> Option<u16> {
        None
    }

    fn host_name(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn port_name(&self, port: u16, protocol: Protocol) -> Option<String> {
        match (port, protocol) {
            (5432, Protocol::TCP) => Some("postgresql".into()),
            (53, Protocol::UDP) => Some("domain".into()),
            _ => None,
        }
    }
}

const INFO: IpvsInfo = IpvsInfo { version: Version(0x01_02_01), table_size: 4096 };

fn plain(services: &[ListedService]) -> String {
    let numeric = Format { numeric: true, ..Format::default() };
    list(Some(INFO), services, numeric, &NoNames)
}

/// The output of a command in the golden file, with the marks of line ends taken off.
fn golden(command: &str) -> String {
    let (_, rest) = GOLDEN.split_once(&format!("=== {command}\n")).unwrap();
    let (text, _) = rest.split_once("===").unwrap();
    text.replace("|\n", "\n").replace("$\n", "\n")
}

/// The table that the golden file's commands built, in the kernel's order (`--nosort`).
fn golden_table() -> Vec<ListedService> {
    let persistent = |mut listed: ListedService, timeout, netmask| {
        let flags = listed.service.flags.with(ServiceFlags::PERSISTENT);
        listed.service.flags = flags;
        (listed.service.timeout, listed.service.netmask) = (timeout, netmask);
        listed
    };
    let flagged = |mut listed: ListedService, flags| {
        listed.service.flags = listed.service.flags.with(flags);
        listed
    };
    let address = |protocol, address: &str| ServiceKey::Address {
        protocol,
        address: address.parse().unwrap(),
    };
    let mark = |family, mark| ServiceKey::FwMark { family, mark };
    let (masq, route, tunnel) =
        (Forwarding::Masquerade, Forwarding::DirectRoute, Forwarding::Tunnel);
    let net24 = Netmask::V4("255.255.255.0".parse().unwrap());
    let both = ServiceFlags::SCHED_1.with(ServiceFlags::SCHED_2);
    vec![
        flagged(
            service(address(Protocol::UDP, "10.0.0.1:53"), "rr", &[]),
            ServiceFlags::ONE_PACKET,
        ),
        persistent(
            service(
                tcp("10.0.0.1:5432"),
                "wlc",
                &[("10.0.0.254:5432", route, 1), ("10.5.5.5:5432", route, 65535)],
            ),
            300,
            net24,
        ),
        service(
            tcp("192.168.0.1:5432"),
            "wrr",
            &[
                ("[2001:db8::77]:5432", tunnel, 2),
                ("192.168.6.9:5432", tunnel, 1),
                ("192.168.6.8:5432", tunnel, 1),
                ("192.168.6.7:5432", tunnel, 1),
                ("192.168.6.6:5432", tunnel, 0),
                ("10.5.5.5:6432", masq, 1),
                ("192.168.5.5:5432", masq, 3),
            ],
        ),
        service(address(Protocol::SCTP, "10.0.0.9:5000"), "rr", &[]),
        service(tcp("[2001:db8::1]:5432"), "sed", &[("[2001:db8::abcd]:5432", masq, 2)]),
        flagged(
            persistent(service(mark(Family::V6, 3), "mh", &[]), 60, Netmask::V6(64)),
            ServiceFlags::SCHED_2,
        ),
        flagged(service(mark(Family::V4, 7), "sh", &[("10.5.5.5:0", route, 1)]), both),
    ]
}

fn service(
    key: ServiceKey,
    scheduler: &str,
    destinations: &[(&str, Forwarding, u32)],
) -> ListedService {
    // Limits and tunnels by address, as the golden file's commands have them.
    let tunnel = |address: &str| match address {
        "192.168.6.7:5432" => Tunnel { kind: 1, port: 6080, flags: words::CHECKSUM },
        "192.168.6.8:5432" => Tunnel { kind: 2, port: 0, flags: words::NO_CHECKSUM },
        "192.168.6.9:5432" => Tunnel { kind: 1, port: 6081, flags: words::REMOTE_CHECKSUM },
        _ => Tunnel::default(),
    };
    let thresholds = |address: &str| match address {
        "192.168.5.5:5432" => Thresholds { upper: 100, lower: 50 },
        _ => Thresholds::default(),
    };
    let listed = destinations.iter().map(|(address, forwarding, weight)| ListedDestination {
        key: DestinationKey(address.parse().unwrap()),
        destination: Destination {
            forwarding: *forwarding,
            weight: Weight(*weight),
            thresholds: thresholds(address),
            tunnel: tunnel(address),
        },
        connections: Connections::default(),
        traffic: None,
    });
    ListedService {
        key,
        service: Service::plain(Scheduler::new(scheduler).unwrap(), key.family()),
        traffic: None,
        destinations: listed.collect(),
    }
}

fn tcp(address: &str) -> ServiceKey {
    ServiceKey::tcp(address.parse().unwrap())
}
