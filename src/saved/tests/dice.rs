//! Whatever a kernel can hold, from a seed: the odd more often than in life.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use fastrand::Rng;

use crate::model::destination::{
    Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::saved::Saved;
use crate::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};
use crate::model::table::Entry;

pub(super) fn saved(seed: u64, services: usize) -> Saved {
    let dice = &mut Rng::with_seed(seed);
    let mut saved = Saved::default();
    if dice.bool() {
        let most = if dice.u8(0..32) == 0 { u32::MAX } else { 2_678_401 };
        let mut seconds = || dice.u32(1..most);
        let (tcp, tcp_fin, udp) = (seconds(), seconds(), seconds());
        saved.timeouts = Some(Timeouts { tcp, tcp_fin, udp });
    }
    let has_daemons = dice.u8(0..4) == 0;
    for role in [SyncRole::Master, SyncRole::Backup] {
        if has_daemons && dice.bool() {
            saved.daemons.push(daemon(dice, role));
        }
    }
    for _ in 0..services {
        let key = service_key(dice);
        let service = service(dice, key);
        let destinations = (0..dice.usize(0..5)).map(|_| destination(dice, key, !has_daemons));
        let entry = Entry { service, destinations: destinations.collect() };
        saved.table.services.insert(key, entry);
    }
    saved
}

fn daemon(dice: &mut Rng, role: SyncRole) -> SyncDaemon {
    SyncDaemon {
        role,
        interface: pick(dice, &["eth0", "-odd", "bond0.1000"]).into(),
        sync_id: dice.u32(0..256),
        max_length: dice.bool().then(|| dice.u16(1..65_507)),
        group: pick(dice, &[None, "224.0.0.81".parse().ok(), "ff02::81".parse().ok()]),
        port: dice.bool().then(|| dice.u16(1..)),
        ttl: dice.bool().then(|| dice.u8(1..)),
    }
}

fn service_key(dice: &mut Rng) -> ServiceKey {
    let family = pick(dice, &[Family::V4, Family::V6]);
    if dice.u8(0..4) == 0 {
        return ServiceKey::FwMark { family, mark: pick(dice, &[1, 7, u32::MAX]) };
    }
    let protocol = pick(dice, &[6, 6, 17, 17, 132, 50]);
    let address = address(dice, family);
    ServiceKey::Address { protocol: Protocol(protocol), address }
}

fn service(dice: &mut Rng, key: ServiceKey) -> Service {
    let mut flags = 0;
    for bit in [0x1, 0x4, 0x8, 0x10, 0x20] {
        flags |= if dice.bool() { bit } else { 0 };
    }
    if dice.u8(0..32) == 0 {
        flags |= 0x8000_0000;
    }
    let is_persistent = flags & 1 != 0;
    let odd = dice.u8(0..32) == 0;
    Service {
        scheduler: Scheduler::new(pick(dice, &["wlc", "sh", "mh", "none"])).unwrap(),
        flags: ServiceFlags(flags),
        timeout: match (is_persistent, odd) {
            (true, false) => dice.u32(1..=2_678_400),
            (false, false) => 0,
            (_, true) => pick(dice, &[0, 1, u32::MAX]),
        },
        netmask: match (key.family(), dice.bool()) {
            (family, true) => Netmask::host(family),
            (Family::V4, _) => Netmask::V4(Ipv4Addr::from(dice.u32(..))),
            (Family::V6, _) => Netmask::V6(dice.u8(1..=128)),
        },
        persistence_engine: dice.bool().then(|| "sip".into()),
    }
}

fn destination(
    dice: &mut Rng,
    service: ServiceKey,
    may_be_mixed: bool,
) -> (DestinationKey, Destination) {
    let other = match service.family() {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    };
    let is_mixed = may_be_mixed && dice.u8(0..4) == 0;
    let mut at = address(dice, if is_mixed { other } else { service.family() });
    if let ServiceKey::Address { address, .. } = service
        && dice.u8(0..4) != 0
    {
        at.set_port(address.port());
    }
    let methods = [
        Forwarding::Masquerade,
        Forwarding::DirectRoute,
        Forwarding::Tunnel,
        Forwarding::Local,
        Forwarding::Other(4),
        Forwarding::Other(7),
    ];
    let forwarding = if is_mixed { Forwarding::Tunnel } else { pick(dice, &methods) };
    let upper = pick(dice, &[0, 1, 100, 0x7fff_ffff, u32::MAX]);
    let kind = pick(dice, &[0, 1, 2, 3]);
    let has_tunnel = forwarding == Forwarding::Tunnel || dice.u8(0..16) == 0;
    let tunnel = Tunnel {
        kind,
        port: if kind == 1 { dice.u16(1..) } else { pick(dice, &[0, 0, 9]) },
        flags: pick(dice, &[0, 1, 2, 3]),
    };
    let destination = Destination {
        forwarding,
        weight: Weight(pick(dice, &[0, 1, 65_536, 0x7fff_ffff])),
        thresholds: Thresholds { upper, lower: dice.u32(0..=upper) },
        tunnel: if has_tunnel { tunnel } else { Tunnel::default() },
    };
    (DestinationKey(at), destination)
}

fn address(dice: &mut Rng, family: Family) -> SocketAddr {
    let port = pick(dice, &[0, 80, 5432, 65_535]);
    match family {
        Family::V4 => SocketAddr::new(Ipv4Addr::new(10, dice.u8(..), 0, 1).into(), port),
        Family::V6 => {
            let high = pick(dice, &[0x2001, 0xfd00]);
            let ip = Ipv6Addr::new(high, dice.u16(..), 0, 0, 0, 0, 0, dice.u16(..));
            let mapped = Ipv4Addr::new(10, 0, 0, dice.u8(..)).to_ipv6_mapped();
            SocketAddr::new(pick(dice, &[ip, ip, mapped]).into(), port)
        }
    }
}

fn pick<T: Clone>(dice: &mut Rng, from: &[T]) -> T {
    from[dice.usize(..from.len())].clone()
}
