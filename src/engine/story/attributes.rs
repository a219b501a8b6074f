//! Everything about services and destinations besides weights: it arrives, it stays, and it is restored.

use std::fmt::Write as _;

use super::*;
use crate::config::Delivery;
use crate::model::destination::{Destination, Weight};
use crate::model::service::{Netmask, ServiceFlags};
use crate::model::table::Entry;

const GUE: Tunnel = Tunnel { kind: Tunnel::GUE, port: 6080, flags: Tunnel::CHECKSUM };
const LIMITS: Thresholds = Thresholds { upper: 100, lower: 80 };

/// The stories' config with something of every kind: pg2 limited, pg3 behind a tunnel, readers kept at their servers.
fn decorated() -> Config {
    let mut config = orders();
    config.pools[0].servers[1].thresholds = LIMITS;
    let own = Delivery { forwarding: Forwarding::Tunnel, tunnel: GUE };
    config.pools[0].servers[2].delivery = Some(own);
    config.services[0].forwarding = Forwarding::DirectRoute;
    config.services[1].service = Service {
        scheduler: Scheduler::new("sh").unwrap(),
        flags: ServiceFlags::SCHED_1.with(ServiceFlags::PERSISTENT),
        timeout: 300,
        netmask: Netmask::V4("255.255.255.0".parse().unwrap()),
        persistence_engine: None,
    };
    config
}

fn all() -> [(u32, Observation); 3] {
    [(1, primary(1)), (2, standby()), (3, standby())]
}

const fn destination(
    forwarding: Forwarding,
    weight: u32,
    thresholds: Thresholds,
    tunnel: Tunnel,
) -> Destination {
    Destination { forwarding, weight: Weight(weight), thresholds, tunnel }
}

const NONE: Thresholds = Thresholds { upper: 0, lower: 0 };
const PLAIN: Tunnel = Tunnel { kind: 0, port: 0, flags: 0 };

/// A service as its config describes it, with these weights.
fn expected(config: &Config, place: usize, weights: [Option<u32>; 3]) -> Entry {
    let service = &config.services[place];
    let members = config.pools[0].servers.iter().zip(weights);
    let destinations = members.filter_map(|(server, weight)| {
        let to = service.destination_key(server.address, server.delivery);
        let weight = Weight(weight?);
        Some((to, service.destination(server.delivery, server.thresholds, weight)))
    });
    Entry { service: service.service.clone(), destinations: destinations.collect() }
}

#[test]
fn every_attribute_of_the_config_arrives() {
    let world = World::settled_with(decorated());
    let masq = Forwarding::Masquerade;
    let (rw, ro) = (&world.table.services[&RW], &world.table.services[&RO]);
    assert_eq!(ro.service, decorated().services[1].service);
    assert_eq!(ro.destinations[&pg(1)], destination(masq, 0, NONE, PLAIN));
    assert_eq!(ro.destinations[&pg(2)], destination(masq, 100, LIMITS, PLAIN));
    assert_eq!(ro.destinations[&pg(3)], destination(Forwarding::Tunnel, 100, NONE, GUE));
    let direct = Forwarding::DirectRoute;
    assert_eq!(rw.destinations[&pg(1)], destination(direct, 100, NONE, PLAIN));
    assert_eq!(rw.destinations[&pg(3)], destination(Forwarding::Tunnel, 0, NONE, GUE));
}

#[test]
fn an_edit_of_one_attribute_is_one_change_and_everything_else_stays() {
    type Edit = fn(&mut Config);
    let edits: [(Edit, &[&str]); 8] = [
        (|it| it.services[1].service.scheduler = Scheduler::new("mh").unwrap(), &["ro mh"]),
        (|it| it.services[1].service.flags = ServiceFlags::PERSISTENT, &["ro sh"]),
        (|it| it.services[1].service.timeout = 60, &["ro sh"]),
        (|it| it.services[1].service.netmask = Netmask::host(Family::V4), &["ro sh"]),
        (|it| it.pools[0].servers[1].thresholds.upper = 200, &["rw pg2 0", "ro pg2 100"]),
        (|it| it.pools[0].servers[1].thresholds.lower = 0, &["rw pg2 0", "ro pg2 100"]),
        (
            |it| {
                it.pools[0].servers[2].delivery = Some(Delivery {
                    forwarding: Forwarding::Tunnel,
                    tunnel: Tunnel { port: 6081, ..GUE },
                });
            },
            &["rw pg3 0", "ro pg3 100"],
        ),
        (|it| it.services[1].forwarding = Forwarding::DirectRoute, &["ro pg1 0", "ro pg2 100"]),
    ];
    for (edit, lines) in edits {
        let mut world = World::settled_with(decorated());
        let mut config = decorated();
        edit(&mut config);
        world.step(Event::Reload(Arc::new(config.clone())));
        world.expect(lines);
        let rw = expected(&config, 0, [Some(100), Some(0), Some(0)]);
        let ro = expected(&config, 1, [Some(0), Some(100), Some(100)]);
        assert_eq!((&world.table.services[&RW], &world.table.services[&RO]), (&rw, &ro));
    }
}

#[test]
fn a_weight_that_changes_by_reload_or_by_health_takes_nothing_else_along() {
    let mut world = World::settled_with(decorated());
    let mut config = decorated();
    config.pools[0].servers[1].weight = Weight(50);
    world.step(Event::Reload(Arc::new(config.clone())));
    world.expect(&["ro pg2 50"]);
    world.lives(400, &[(1, primary(1)), (3, standby())]);
    world.expect(&["ro pg2 0"]);
    assert_eq!(world.table.services[&RO], expected(&config, 1, [Some(0), Some(0), Some(100)]));
    world.lives(1_000, &all());
    world.expect(&["ro pg2 50"]);
    assert_eq!(world.table.services[&RO], expected(&config, 1, [Some(0), Some(50), Some(100)]));
    assert_eq!(world.table.services[&RW], expected(&config, 0, [Some(100), Some(0), Some(0)]));
}

#[test]
fn what_has_left_the_config_drains_with_everything_it_had() {
    let mut world = World::settled_with(decorated());
    world.has_sessions(RO, pg(3), 1);
    let mut config = decorated();
    config.pools[0].servers.remove(2);
    world.step(Event::Reload(Arc::new(config)));
    let left = destination(Forwarding::Tunnel, 0, NONE, GUE);
    assert_eq!(world.table.services[&RO].destinations[&pg(3)], left);
}

#[test]
fn whatever_another_program_sets_is_restored_and_told() {
    let world = World::settled_with(decorated());
    let before = world.table.clone();
    let ro = &before.services[&RO];
    let of = |number| ro.destinations[&pg(number)];
    let service = |edit: fn(&mut Service)| {
        let mut service = ro.service.clone();
        edit(&mut service);
        Op::EditService(RO, service)
    };
    let limits = Thresholds { upper: 7, lower: 0 };
    let port = Tunnel { port: 7, ..GUE };
    let flags = Tunnel { flags: 0, ..GUE };
    let edits = [
        (service(|it| it.flags = it.flags.without(ServiceFlags::SCHED_1)), "scheduler, flags"),
        (service(|it| it.timeout = 1), "scheduler, flags"),
        (service(|it| it.persistence_engine = Some("sip".into())), "scheduler, flags"),
        (Op::EditDestination(RO, pg(2), Destination { thresholds: limits, ..of(2) }), "options"),
        (Op::EditDestination(RO, pg(3), Destination { tunnel: port, ..of(3) }), "options"),
        (Op::EditDestination(RO, pg(3), Destination { tunnel: flags, ..of(3) }), "options"),
        (
            Op::EditDestination(RO, pg(2), Destination { forwarding: Forwarding::Local, ..of(2) }),
            "options",
        ),
    ];
    for (op, told) in edits {
        let mut world = World::settled_with(decorated());
        world.intrudes(&op);
        assert_ne!(world.table, before);
        world.lives(1_000, &all());
        assert_eq!(world.table, before, "{op}");
        assert!(world.was_told(told) && world.was_told("restored"), "{op}");
    }
}

/// /proc/net/ip_vs for services that hold TCP over IPv4 and no persistence.
fn list(table: &Table) -> String {
    let mut text = String::from("IP Virtual Server version 1.2.1 (size=4096)\n");
    text.push_str("Prot LocalAddress:Port Scheduler Flags\n");
    text.push_str("  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n");
    let hex = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", u32::from(*v4.ip()), v4.port()),
        SocketAddr::V6(_) => panic!("an IPv4 address"),
    };
    for (key, entry) in &table.services {
        let ServiceKey::Address { address, .. } = key else { panic!("an address") };
        writeln!(text, "TCP  {} {} ", hex(*address), entry.service.scheduler).unwrap();
        for (to, it) in &entry.destinations {
            writeln!(text, "  -> {}      Masq    {:<6} 0          0", hex(to.0), it.weight)
                .unwrap();
        }
    }
    text
}

#[test]
fn what_the_cheap_list_does_not_show_is_restored_with_the_next_full_read() {
    let mut config = orders();
    config.pools[0].servers[1].thresholds = LIMITS;
    let mut world = World::settled_with(config);
    world.cheap_list = Some(|table| ProcTable::parse(&list(table)).unwrap());
    let before = world.table.clone();
    let old = before.services[&RO].destinations[&pg(2)];
    let limits = Thresholds { upper: 7, lower: 0 };
    world.lives(1_000, &all());
    world.intrudes(&Op::EditDestination(RO, pg(2), Destination { thresholds: limits, ..old }));
    world.lives(5_000, &all());
    assert_ne!(world.table, before, "the list cannot show it");
    world.lives(30_000, &all());
    assert_eq!(world.table, before);
}

#[test]
fn a_scheduler_that_the_kernel_lacks_takes_nothing_away() {
    let mut world = World::settled();
    world.lacks_scheduler = Some("twos");
    let mut config = orders();
    config.services[1].service.scheduler = Scheduler::new("twos").unwrap();
    config.pools[0].servers[1].weight = Weight(50);
    let key = ServiceKey::tcp("10.9.0.102:5432".parse().unwrap());
    let new = VirtualService { name: "new".into(), key, ..config.services[1].clone() };
    config.services.push(new);
    world.step(Event::Reload(Arc::new(config)));
    world.lives(2_000, &all());
    assert_eq!(world.table.services[&RO].service.scheduler.as_str(), "wlc");
    assert_eq!(world.weights(RO), [Some(0), Some(50), Some(100)]);
    assert!(!world.table.services.contains_key(&key));
    assert!(world.was_told("refused to edit service TCP 10.9.0.101:5432 twos"));
    assert!(world.was_told("refused to add service TCP 10.9.0.102:5432 twos"));
    // Failover goes on, and the module is loaded one day.
    world.lives(400, &[(1, primary(1)), (3, standby())]);
    assert_eq!(world.weights(RO), [Some(0), Some(0), Some(100)]);
    world.lacks_scheduler = None;
    world.lives(61_000, &all());
    assert_eq!(world.table.services[&RO].service.scheduler.as_str(), "twos");
    assert_eq!(world.table.services[&key].destinations.len(), 3);
}

#[test]
fn members_without_a_port_of_their_own_are_members() {
    let mut config = orders();
    let all_ports = ServiceKey::tcp("10.9.0.101:0".parse().unwrap());
    config.services[1].key = all_ports;
    config.services[1].forwarding = Forwarding::DirectRoute;
    let mut world = World::settled_with(config.clone());
    assert_eq!(
        world.table.services[&all_ports],
        expected(&config, 1, [Some(0), Some(100), Some(100)])
    );
    let ports: Vec<u16> =
        world.table.services[&all_ports].destinations.keys().map(|to| to.0.port()).collect();
    assert_eq!(ports, [0, 0, 0]);
    world.lives(400, &[(1, primary(1)), (3, standby())]);
    assert_eq!(
        world.table.services[&all_ports],
        expected(&config, 1, [Some(0), Some(0), Some(100)])
    );
    // Hard evidence: it is deleted, and returns when it answers again.
    for _ in 0..3 {
        world.hears(2, refused());
    }
    world.lives(3_000, &[(1, primary(1)), (3, standby())]);
    assert_eq!(world.table.services[&all_ports], expected(&config, 1, [Some(0), None, Some(100)]));
    world.lives(3_000, &all());
    assert_eq!(
        world.table.services[&all_ports],
        expected(&config, 1, [Some(0), Some(100), Some(100)])
    );
    // A restart finds everything as it should be.
    world.forget();
    let mut world = world.restarted(config);
    for (number, word) in all() {
        world.hears(number, word);
    }
    world.lives(5_000, &all());
    world.expect(&[]);
}
