//! The file of a real kernel and tables around it.

use std::net::{Ipv4Addr, SocketAddr};

use super::*;

/// Something done to a service or to its destination.
type Change = fn(&mut Entry, DestinationKey);

const GOLDEN: &str = include_str!("../../../integration/golden/ipvsadm.txt");

#[test]
fn the_golden_file_agrees_with_the_table_that_made_it() {
    let proc = golden();
    assert_eq!(proc.differences(&golden_table()), []);
}

#[test]
fn destinations_without_connections_are_not_counted() {
    assert_eq!(golden().counters(&golden_table()), Counters::new());
}

#[test]
fn it_does_not_matter_where_the_kernel_breaks_the_file() {
    let text = golden_text();
    let whole = golden();
    for length in [1, 2, 7, 50, 64, 99] {
        let mut reader = ProcReader::default();
        for piece in text.as_bytes().chunks(length) {
            reader.take(piece).unwrap();
        }
        assert_eq!(reader.finish().unwrap(), whole, "pieces of {length}");
    }
}

#[test]
fn connections_are_read() {
    let text =
        "TCP  0A000001:1538 rr \n  -> 0A050505:1538      Masq    1      17         4         \n";
    let counters = ProcTable::parse(text).unwrap().counters(&Table::default());
    let connections: Vec<_> = counters.into_values().collect();
    assert_eq!(connections, [Connections { active: 17, inactive: 4, persistent: 0 }]);
}

#[test]
fn whatever_the_file_shows_is_compared() {
    let v4 = ServiceKey::tcp("10.0.0.1:5432".parse().unwrap());
    let server = DestinationKey("10.5.5.5:5432".parse().unwrap());
    let changes: [(&str, Change); 8] = [
        ("scheduler", |it, _| it.service.scheduler = Scheduler::new("rr").unwrap()),
        ("ops", |it, _| it.service.flags = ServiceFlags::PERSISTENT.with(ServiceFlags::ONE_PACKET)),
        ("persistence", |it, _| it.service.flags = ServiceFlags::default()),
        ("timeout", |it, _| it.service.timeout = 301),
        ("mask", |it, _| it.service.netmask = Netmask::V4("255.255.255.0".parse().unwrap())),
        ("weight", |it, key| it.destinations.get_mut(&key).unwrap().weight = Weight(2)),
        ("method", |it, key| {
            it.destinations.get_mut(&key).unwrap().forwarding = Forwarding::Tunnel;
        }),
        ("absence", |it, key| {
            it.destinations.remove(&key);
        }),
    ];
    for (what, change) in changes {
        let mut table = golden_table();
        change(table.services.get_mut(&v4).unwrap(), server);
        assert_eq!(golden().differences(&table), [v4], "{what}");
    }
}

#[test]
fn services_that_only_one_side_has_are_differences() {
    let mut table = golden_table();
    let mark = ServiceKey::FwMark { family: Family::V4, mark: 7 };
    let entry = table.services.remove(&mark).unwrap();
    assert_eq!(golden().differences(&table), [mark]);
    let other = ServiceKey::FwMark { family: Family::V6, mark: 8 };
    table.services.insert(mark, entry.clone());
    table.services.insert(other, entry);
    assert_eq!(golden().differences(&table), [other]);
}

#[test]
fn a_firewall_mark_has_the_family_of_its_destinations_or_of_the_table() {
    let v6 = ServiceKey::FwMark { family: Family::V6, mark: 3 };
    let mut table = Table::default();
    let mut service = Service::plain(Scheduler::new("mh").unwrap(), Family::V6);
    service.flags = ServiceFlags::PERSISTENT;
    service.timeout = 60;
    service.netmask = Netmask::V6(64);
    let entry = Entry { service, destinations: [].into() };
    table.services.insert(v6, entry);
    let bare = "FWM  00000003 mh persistent 15000 40000000\n";
    assert_eq!(ProcTable::parse(bare).unwrap().differences(&table), []);

    let key = DestinationKey("[2001:db8::5]:0".parse().unwrap());
    let route = Destination::plain(Forwarding::DirectRoute, Weight(1));
    let entry = table.services.get_mut(&v6).unwrap();
    entry.destinations.insert(key, route);
    let text = format!(
        "{bare}  -> [2001:0db8:0000:0000:0000:0000:0000:0005]:0000      Route   1      1          0\n"
    );
    let proc = ProcTable::parse(&text).unwrap();
    assert_eq!(proc.differences(&table), []);
    assert_eq!(proc.differences(&Table::default()), [v6]);
    assert!(proc.counters(&Table::default()).contains_key(&(v6, key)));
}

#[test]
fn the_same_mark_of_both_families_is_told_apart_by_content() {
    let key = |family| ServiceKey::FwMark { family, mark: 3 };
    let entry = |family, scheduler| Entry {
        service: Service::plain(Scheduler::new(scheduler).unwrap(), family),
        destinations: [].into(),
    };
    let mut table = Table::default();
    table.services.insert(key(Family::V4), entry(Family::V4, "rr"));
    table.services.insert(key(Family::V6), entry(Family::V6, "wlc"));
    for text in
        ["FWM  00000003 rr \nFWM  00000003 wlc \n", "FWM  00000003 wlc \nFWM  00000003 rr \n"]
    {
        assert_eq!(ProcTable::parse(text).unwrap().differences(&table), []);
    }
    let text = "FWM  00000003 rr \nFWM  00000003 sh \n";
    let differences = ProcTable::parse(text).unwrap().differences(&table);
    assert_eq!(differences, [key(Family::V6)]);
}

#[test]
fn a_timeout_that_the_kernel_shows_as_negative_is_the_one_that_it_keeps() {
    let key = ServiceKey::tcp("10.0.0.1:80".parse().unwrap());
    let mut service = Service::plain(Scheduler::new("rr").unwrap(), Family::V4);
    service.flags = ServiceFlags::PERSISTENT;
    // 31 days, the longest that ipvsadm takes, at 1000 ticks a second.
    service.timeout = 2_678_400;
    let entry = Entry { service, destinations: [].into() };
    let table = Table { services: [(key, entry)].into() };
    let text = "TCP  0A000001:0050 rr  persistent -1616567296 FFFFFFFF\n";
    assert_eq!(ProcTable::parse(text).unwrap().differences(&table), []);
}

#[test]
fn the_unit_of_timeouts_is_found_out_from_most_of_them() {
    let mut table = Table::default();
    let mut text = String::new();
    for port in 1..=5_u16 {
        let key = ServiceKey::tcp(SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), port));
        let mut service = Service::plain(Scheduler::new("rr").unwrap(), Family::V4);
        service.flags = ServiceFlags::PERSISTENT;
        service.timeout = 300;
        let entry = Entry { service, destinations: [].into() };
        table.services.insert(key, entry);
        let jiffies = if port == 4 { 30_000 } else { 75_000 };
        text += &format!("TCP  0A000001:{port:04X} rr  persistent {jiffies} FFFFFFFF\n");
    }
    let differences = ProcTable::parse(&text).unwrap().differences(&table);
    assert_eq!(differences, [ServiceKey::tcp("10.0.0.1:4".parse().unwrap())]);
}

#[test]
fn lines_that_are_not_understood_are_errors_with_their_number() {
    for bad in [
        "  -> 0A050505:1538      Masq    1      0          0         ",
        "TCP  0A000001:1538",
        "TCP  0A000001 rr",
        "TCP  0A000001:1538 rr surprise",
        "XYZ  0A000001:1538 rr",
        "nonsense",
    ] {
        let error = ProcTable::parse(&format!("Prot LocalAddress:Port\n{bad}")).unwrap_err();
        assert_eq!(error.line, 2, "{bad}");
    }
}

#[test]
fn every_prefix_of_the_golden_file_is_a_shorter_table_or_an_error() {
    let text = golden_text();
    let whole = ProcTable::parse(&text).unwrap();
    for length in 0..text.trim_end().len() {
        if let Ok(table) = ProcTable::parse(&text[..length]) {
            assert_ne!(table, whole, "{length}");
        }
    }
}

#[test]
fn a_hundred_thousand_destinations_are_compared() {
    let mut table = Table::default();
    let mut text = String::new();
    for service in 0..10_000_u32 {
        let [_, _, high, low] = service.to_be_bytes();
        let vip = Ipv4Addr::new(10, 1, high, low);
        let mut entry = Entry {
            service: Service::plain(Scheduler::new("rr").unwrap(), Family::V4),
            destinations: [].into(),
        };
        text += &format!("TCP  {:08X}:1538 rr  \n", u32::from(vip));
        for server in 0..10 {
            let ip = Ipv4Addr::new(10, 2, low, server);
            let destination = Destination::plain(Forwarding::Masquerade, Weight(service));
            let key = DestinationKey(SocketAddr::new(ip.into(), 5432));
            entry.destinations.insert(key, destination);
            let ip = u32::from(ip);
            text +=
                &format!("  -> {ip:08X}:1538      Masq    {service:<6} 1          2         \n");
        }
        let key = ServiceKey::tcp(SocketAddr::new(vip.into(), 5432));
        table.services.insert(key, entry);
    }
    let proc = ProcTable::parse(&text).unwrap();
    assert_eq!(proc.differences(&table), []);
    assert_eq!(proc.counters(&table).len(), 100_000);
}

fn golden() -> ProcTable {
    ProcTable::parse(&golden_text()).unwrap()
}

/// The part of the file between its title and the next file, with the marks of line ends taken off.
fn golden_text() -> String {
    let (_, rest) = GOLDEN.split_once("=== proc\n").unwrap();
    let (text, _) = rest.split_once("   Total Incoming").unwrap();
    text.replace("$\n", "\n")
}

fn golden_table() -> Table {
    let mut table = Table::default();
    let masq = Destination::plain(Forwarding::Masquerade, Weight(1));
    let mut add = |key: ServiceKey, scheduler, timeout, destination: Option<&str>| {
        let mut service = Service::plain(Scheduler::new(scheduler).unwrap(), key.family());
        if timeout > 0 {
            service.flags = ServiceFlags::PERSISTENT;
            service.timeout = timeout;
        }
        let destinations = destination.map(|key| (DestinationKey(key.parse().unwrap()), masq));
        let entry = Entry { service, destinations: destinations.into_iter().collect() };
        table.services.insert(key, entry);
    };
    let v4 = ServiceKey::tcp("10.0.0.1:5432".parse().unwrap());
    add(v4, "wlc", 300, Some("10.5.5.5:5432"));
    let v6 = ServiceKey::tcp("[2001:db8::1]:5432".parse().unwrap());
    add(v6, "rr", 0, Some("[2001:db8::abcd]:5432"));
    let mark = ServiceKey::FwMark { family: Family::V4, mark: 7 };
    add(mark, "rr", 10, None);
    table
}
