//! Random tables, saved as `pgvs save` does, imported, checked: the config wants the very same table.
//!
//! Only tables that a config can hold: what it refuses has tests of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use fastrand::Rng;
use pgvs::config::sources::check_text;
use pgvs::config::{Config, Delivery};
use pgvs::import::Format;
use pgvs::model::destination::{
    Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use pgvs::model::saved::Saved;
use pgvs::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};
use pgvs::model::table::{Entry, Table};

use super::{fixture, import_as};

#[test]
fn a_saved_table_becomes_a_config_that_wants_it() {
    let seeds: u64 = std::env::var("IMPORT_TABLES").map_or(100, |it| it.parse().unwrap());
    for seed in 0..seeds {
        let saved = Saved { table: table(&mut Rng::with_seed(seed)), ..Saved::default() };
        let written = pgvs::saved::commands(&saved);
        assert_eq!(written.notes, [""; 0], "seed {seed}");
        let imported = import_as(Format::Ipvsadm, "table", &written.text);
        let text = &written.text;
        assert_eq!(imported.listed, [], "seed {seed}\n{text}\n{}", imported.toml);
        let config = check_text("table", &imported.toml).unwrap().config;
        assert_eq!(wanted(&config), saved.table, "seed {seed}\n{text}\n{}", imported.toml);
    }
}

#[test]
fn keepalived_made_the_table_that_its_config_becomes() {
    let wants = |format, name| {
        let imported = import_as(format, name, &fixture(name));
        assert_eq!(imported.listed, [], "{name}");
        wanted(&check_text(name, &imported.toml).unwrap().config)
    };
    let ours = wants(Format::Keepalived, "keepalived-table.conf");
    let its = wants(Format::Ipvsadm, "keepalived-table.saved");
    assert_eq!(ours, its);
    let services = fixture("keepalived-table.saved").matches("-A ").count();
    assert_eq!(ours.services.len(), services);
}

/// The table that a config wants once every server may serve.
fn wanted(config: &Config) -> Table {
    let mut services = BTreeMap::new();
    for service in &config.services {
        let pool = config.pools.iter().find(|it| it.name == service.pool).unwrap();
        let usual = Delivery { forwarding: service.forwarding, tunnel: service.tunnel };
        let destination = |server: &pgvs::config::Server| {
            let Delivery { forwarding, tunnel } = server.delivery.unwrap_or(usual);
            let (weight, thresholds) = (server.weight, server.thresholds);
            let destination = Destination { forwarding, weight, thresholds, tunnel };
            (DestinationKey(server.address), destination)
        };
        let destinations = pool.servers.iter().map(destination).collect();
        services.insert(service.key, Entry { service: service.service.clone(), destinations });
    }
    Table { services }
}

fn table(dice: &mut Rng) -> Table {
    let mut services = BTreeMap::new();
    for number in 1..dice.u8(2..12) {
        let key = key(dice, number);
        let destinations = (1..dice.u8(2..6)).map(|server| destination(dice, key, server));
        let entry = Entry { destinations: destinations.collect(), service: service(dice, key) };
        services.insert(key, entry);
    }
    Table { services }
}

fn ip(family: Family, network: u8, host: u8) -> std::net::IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, network, 0, host).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, network.into(), 0, 0, 0, 0, host.into()).into(),
    }
}

fn key(dice: &mut Rng, number: u8) -> ServiceKey {
    let family = pick(dice, &[Family::V4, Family::V6]);
    if dice.u8(..5) == 0 {
        return ServiceKey::FwMark { family, mark: number.into() };
    }
    let protocol = pick(dice, &[Protocol::TCP, Protocol::TCP, Protocol::UDP, Protocol::SCTP]);
    let port = pick(dice, &[5432, 6432, 53, 65_535]);
    ServiceKey::Address { protocol, address: SocketAddr::new(ip(family, 9, number), port) }
}

fn service(dice: &mut Rng, key: ServiceKey) -> Service {
    let name = pick(dice, &["rr", "wlc", "wrr", "sh", "mh", "fo", "twos"]);
    let mut service = Service::plain(Scheduler::new(name).unwrap(), key.family());
    let is_open = matches!(
        key,
        ServiceKey::FwMark { .. } | ServiceKey::Address { protocol: Protocol::UDP, .. }
    );
    for flag in [ServiceFlags::SCHED_1, ServiceFlags::SCHED_2, ServiceFlags::SCHED_3] {
        if dice.u8(..3) == 0 {
            service.flags = service.flags.with(flag);
        }
    }
    if dice.bool() {
        service.flags = service.flags.with(ServiceFlags::PERSISTENT);
        service.timeout = dice.u32(1..=31 * 86_400);
        service.netmask = match key.family() {
            Family::V4 => Netmask::V4(Ipv4Addr::from(u32::MAX << dice.u32(..31))),
            Family::V6 => Netmask::V6(dice.u8(1..=128)),
        };
        if is_open && dice.bool() {
            service.persistence_engine = Some("sip".into());
        }
    } else if is_open && dice.bool() {
        service.flags = service.flags.with(ServiceFlags::ONE_PACKET);
    }
    service
}

fn destination(dice: &mut Rng, key: ServiceKey, number: u8) -> (DestinationKey, Destination) {
    let forwarding =
        pick(dice, &[Forwarding::Masquerade, Forwarding::DirectRoute, Forwarding::Tunnel]);
    let port = match (key, forwarding) {
        (ServiceKey::FwMark { .. }, _) => 0,
        (_, Forwarding::Masquerade) => pick(dice, &[5432, 8080]),
        (ServiceKey::Address { address, .. }, _) => address.port(),
    };
    let tunnel = match (forwarding, dice.u8(..4)) {
        (Forwarding::Tunnel, 0) => Tunnel { kind: 1, port: dice.u16(1..), flags: dice.u16(..3) },
        (Forwarding::Tunnel, 1) => Tunnel { kind: 2, port: 0, flags: dice.u16(..2) },
        _ => Tunnel::default(),
    };
    let upper = pick(dice, &[0, 0, 1, 100, 0x7fff_ffff]);
    let destination = Destination {
        forwarding,
        weight: Weight(pick(dice, &[0, 1, 100, 0x7fff_ffff])),
        thresholds: Thresholds { upper, lower: dice.u32(0..=upper) },
        tunnel,
    };
    (DestinationKey(SocketAddr::new(ip(key.family(), 8, number), port)), destination)
}

fn pick<T: Clone>(dice: &mut Rng, from: &[T]) -> T {
    from[dice.usize(..from.len())].clone()
}
