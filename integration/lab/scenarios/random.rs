//! Random tables that a kernel accepts, from a seed: every family, protocol, method, flag and limit.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use pgvs::model::destination::{
    Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use pgvs::model::op::Op;
use pgvs::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};
use pgvs::model::table::{Entry, Table};

const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];

/// A table of about that many services with up to twelve destinations each.
pub(crate) fn table(dice: &mut fastrand::Rng, services: usize) -> Table {
    let mut table = Table::default();
    for _ in 0..services {
        let key = service_key(dice);
        let entry = entry(dice, key);
        table.services.insert(key, entry);
    }
    table
}

/// Another table that shares most keys with this one but not what stands under them.
pub(crate) fn changed(dice: &mut fastrand::Rng, table: &Table) -> Table {
    let mut changed = table.clone();
    for (key, to) in &mut changed.services {
        if dice.bool() {
            to.service = service(dice, *key);
        }
        for (at, destination) in &mut to.destinations {
            if dice.bool() {
                *destination = self::destination(dice, key.family(), *at);
            }
        }
        if dice.u8(..) < 64 {
            to.destinations.pop_first();
        }
        if dice.u8(..) < 64 {
            let at = destination_key(dice, *key);
            to.destinations.insert(at, destination(dice, key.family(), at));
        }
    }
    if dice.bool() {
        changed.services.pop_first();
    }
    changed
}

/// The changes that lead from one table to another, in an order that the kernel takes; not the engine's diff.
pub(crate) fn ops(from: &Table, to: &Table) -> Vec<Op> {
    let mut ops = Vec::new();
    for (&key, had) in &from.services {
        let Some(has) = to.services.get(&key) else {
            ops.push(Op::DeleteService(key));
            continue;
        };
        if had.service != has.service {
            ops.push(Op::EditService(key, has.service.clone()));
        }
        let gone = had.destinations.keys();
        let gone = gone.filter(|at| !has.destinations.contains_key(at));
        ops.extend(gone.map(|at| Op::DeleteDestination(key, *at)));
    }
    for (&key, has) in &to.services {
        let had = from.services.get(&key);
        if had.is_none() {
            ops.push(Op::AddService(key, has.service.clone()));
        }
        for (&at, &destination) in &has.destinations {
            match had.and_then(|had| had.destinations.get(&at)) {
                None => ops.push(Op::AddDestination(key, at, destination)),
                Some(old) if *old != destination => {
                    ops.push(Op::EditDestination(key, at, destination));
                }
                Some(_) => (),
            }
        }
    }
    ops
}

fn service_key(dice: &mut fastrand::Rng) -> ServiceKey {
    if dice.u8(..) < 40 {
        return ServiceKey::FwMark { family: family(dice), mark: dice.u32(1..) };
    }
    let protocols = [Protocol::TCP, Protocol::TCP, Protocol::UDP, Protocol::SCTP, Protocol(50)];
    let protocol = *pick(dice, &protocols);
    let family = family(dice);
    ServiceKey::Address { protocol, address: address(dice, family) }
}

fn entry(dice: &mut fastrand::Rng, key: ServiceKey) -> Entry {
    let mut entry = Entry { service: service(dice, key), destinations: [].into() };
    for _ in 0..dice.u8(..12) {
        let at = destination_key(dice, key);
        let destination = destination(dice, key.family(), at);
        entry.destinations.insert(at, destination);
    }
    entry
}

fn service(dice: &mut fastrand::Rng, key: ServiceKey) -> Service {
    let mut flags = ServiceFlags(dice.u32(..) & 0x3c);
    let persistent = dice.bool();
    if persistent {
        flags = flags.with(ServiceFlags::PERSISTENT);
    }
    let is_udp = matches!(key, ServiceKey::Address { protocol: Protocol::UDP, .. });
    Service {
        scheduler: Scheduler::new(SCHEDULERS[dice.usize(..SCHEDULERS.len())])
            .unwrap_or_else(|| unreachable!()),
        flags,
        timeout: if persistent { dice.u32(1..2_000_000) } else { 0 },
        netmask: match (key.family(), dice.bool()) {
            (family, true) => Netmask::host(family),
            (Family::V4, _) => Netmask::V4(Ipv4Addr::from(u32::MAX << dice.u32(0..32))),
            (Family::V6, _) => Netmask::V6(dice.u8(1..=128)),
        },
        persistence_engine: (dice.u8(..) < if is_udp { 128 } else { 20 }).then(|| "sip".into()),
    }
}

/// Only tunnels lead to the other family; those come only where [`destination`] makes them tunnels.
fn destination_key(dice: &mut fastrand::Rng, service: ServiceKey) -> DestinationKey {
    let family = match (service.family(), dice.u8(..) < 30) {
        (Family::V4, true) => Family::V6,
        (Family::V6, true) => Family::V4,
        (same, false) => same,
    };
    DestinationKey(address(dice, family))
}

fn destination(dice: &mut fastrand::Rng, service: Family, at: DestinationKey) -> Destination {
    let upper = if dice.bool() { 0 } else { dice.u32(..100_000) };
    let kind = dice.u8(..3);
    let forwarding =
        [Forwarding::Masquerade, Forwarding::Local, Forwarding::Tunnel, Forwarding::DirectRoute];
    Destination {
        forwarding: if Family::of(at.0.ip()) == service {
            *pick(dice, &forwarding)
        } else {
            Forwarding::Tunnel
        },
        weight: Weight(*pick(dice, &[0, 1, 2, 7, 100, 65_535, 65_536, Weight::MAX.0])),
        thresholds: Thresholds { upper, lower: dice.u32(..=upper) },
        tunnel: Tunnel {
            kind,
            port: if kind == 1 { dice.u16(1..) } else { 0 },
            flags: u16::from(dice.u8(..3)),
        },
    }
}

/// Far apart and close together, on both sides of where ipvsadm's comparison wraps.
fn address(dice: &mut fastrand::Rng, family: Family) -> SocketAddr {
    let port = *pick(dice, &[1, 5432, 5433, 6432, 65_535]);
    let low = dice.u8(1..20);
    match family {
        Family::V4 => {
            let first = *pick(dice, &[10, 100, 172, 192, 203]);
            SocketAddr::new(Ipv4Addr::new(first, dice.u8(1..250), 0, low).into(), port)
        }
        Family::V6 => {
            let first = *pick(dice, &[0x2001, 0x2a00, 0x3fff, 0xfd00, 0xfdff]);
            let third = u16::from(dice.u8(..2));
            let ip = Ipv6Addr::new(first, third, 0, 0, 0, dice.u16(..3), 0, low.into());
            SocketAddr::new(ip.into(), port)
        }
    }
}

fn family(dice: &mut fastrand::Rng) -> Family {
    if dice.bool() { Family::V4 } else { Family::V6 }
}

fn pick<'a, T>(dice: &mut fastrand::Rng, from: &'a [T]) -> &'a T {
    &from[dice.usize(..from.len())]
}
