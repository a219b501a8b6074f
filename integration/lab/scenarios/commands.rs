//! Random commands for the kernel from a seed, many of them unacceptable: few keys, so that they meet each other,
//! and every kind of value on both sides of every limit.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use pgvs::model::destination::{
    Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use pgvs::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use pgvs::model::op::Op;
use pgvs::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};

use crate::simulated::SCHEDULERS;

/// One request that is no change of a single service.
#[derive(Clone, Debug)]
pub(crate) enum Other {
    Flush,
    Zero(Option<ServiceKey>),
    SetTimeouts(Timeouts),
    StartDaemon(SyncDaemon),
    StopDaemon(SyncRole),
}

/// The broadcast address of the director's front network.
pub(crate) const BROADCAST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 255);

const V4: [[u8; 4]; 3] = [[10, 9, 0, 100], [10, 9, 0, 101], [192, 168, 7, 7]];
const V6: [&str; 2] = ["fd00:9::100", "2001:db8::1"];

const TO_V4: [[u8; 4]; 5] =
    [[10, 8, 0, 11], [10, 8, 0, 12], [203, 0, 113, 9], [127, 0, 0, 1], [240, 0, 0, 1]];
const NOWHERE_V4: [[u8; 4]; 5] =
    [[0, 0, 0, 0], [0, 1, 2, 3], [224, 0, 0, 5], [255, 255, 255, 255], [10, 9, 0, 255]];
const TO_V6: [&str; 5] = ["fd00:8::11", "2001:db8::9", "::1", "fec0::1", "::10.8.0.11"];
const NOWHERE_V6: [&str; 4] = ["::", "ff02::1", "fe80::1", "::ffff:10.8.0.11"];

/// One change: of ten some six are acceptable.
pub(crate) fn op(dice: &mut fastrand::Rng) -> Op {
    let key = service_key(dice);
    match dice.u8(..100) {
        ..22 => Op::AddService(key, service(dice, key)),
        // Another scheduler costs the kernel a tenth of a second.
        22..26 => Op::EditService(key, service(dice, key)),
        26..36 => Op::DeleteService(key),
        36..72 => {
            let to = destination_key(dice, key);
            Op::AddDestination(key, to, destination(dice, key, to))
        }
        72..90 => {
            let to = destination_key(dice, key);
            Op::EditDestination(key, to, destination(dice, key, to))
        }
        _ => Op::DeleteDestination(key, destination_key(dice, key)),
    }
}

/// One of the other requests.
pub(crate) fn other(dice: &mut fastrand::Rng) -> Other {
    let role = if dice.bool() { SyncRole::Master } else { SyncRole::Backup };
    match dice.u8(..20) {
        0 => Other::Flush,
        1..4 => Other::Zero((dice.u8(..4) > 0).then(|| service_key(dice))),
        4..9 => Other::SetTimeouts(Timeouts {
            tcp: timeout(dice),
            tcp_fin: timeout(dice),
            udp: timeout(dice),
        }),
        9..14 => Other::StartDaemon(daemon(dice, role)),
        _ => Other::StopDaemon(role),
    }
}

fn timeout(dice: &mut fastrand::Rng) -> u32 {
    let limit = 0x7fff_ffff / 250;
    pick(dice, &[0, 0, 0, 1, 900, 7500, limit, limit, limit + 1, 1 << 31, u32::MAX])
}

fn daemon(dice: &mut fastrand::Rng, role: SyncRole) -> SyncDaemon {
    let mut daemon = SyncDaemon::new(role);
    daemon.interface = pick(dice, &["front", "front", "front", "back", "nosuch"]).into();
    daemon.sync_id = pick(dice, &[0, 7, 255]);
    daemon.max_length = pick(dice, &[None, None, Some(1), Some(1000), Some(1400), Some(65_535)]);
    daemon.port = pick(dice, &[None, None, Some(8848), Some(1234)]);
    daemon.ttl = pick(dice, &[None, Some(1), Some(255)]);
    let groups = ["224.0.0.81", "239.1.2.3", "224.0.0.81", "239.1.2.3", "10.9.0.1", "fd00::1"];
    daemon.group = dice.bool().then(|| ip(pick(dice, &groups)));
    daemon
}

fn service_key(dice: &mut fastrand::Rng) -> ServiceKey {
    let is_v4 = dice.u8(..3) > 0;
    if dice.u8(..5) == 0 {
        let family = if is_v4 { Family::V4 } else { Family::V6 };
        return ServiceKey::FwMark { family, mark: pick(dice, &[1, 2, 7, u32::MAX, 0]) };
    }
    let address = if is_v4 { IpAddr::from(pick(dice, &V4)) } else { ip(pick(dice, &V6)) };
    let protocol = match dice.u8(..20) {
        ..10 => Protocol::TCP,
        10..15 => Protocol::UDP,
        15..19 => Protocol::SCTP,
        _ => Protocol(pick(dice, &[0, 1, 50, 58])),
    };
    let address = SocketAddr::new(address, pick(dice, &[5432, 5432, 80, 0]));
    ServiceKey::Address { protocol, address }
}

fn service(dice: &mut fastrand::Rng, key: ServiceKey) -> Service {
    let all = ServiceFlags(0x3d);
    let flags = match dice.u8(..10) {
        0 => ServiceFlags(dice.u32(..)),
        1..6 => ServiceFlags(dice.u32(..) & all.0),
        _ => ServiceFlags::default(),
    };
    // A module that is not there is asked for each time, which takes its time.
    let scheduler = match dice.u8(..40) {
        0 => "nosuch",
        1 => "none",
        _ => pick(dice, &SCHEDULERS),
    };
    let engine = match dice.u8(..40) {
        0 => Some("nosuch"),
        1 => Some(""),
        2 => Some("a-name-of-17-byte"),
        3..8 => Some("sip"),
        _ => None,
    };
    Service {
        scheduler: Scheduler::new(scheduler).unwrap_or_else(|| unreachable!()),
        flags,
        timeout: pick(dice, &[0, 0, 1, 300, 2_678_400, 8_589_935, 20_000_000, u32::MAX]),
        netmask: match (key.family(), dice.bool()) {
            (family, true) => Netmask::host(family),
            (Family::V4, _) => Netmask::V4(Ipv4Addr::from(dice.u32(..))),
            (Family::V6, _) => Netmask::V6(pick(dice, &[0, 1, 64, 127, 128, 129, 255])),
        },
        persistence_engine: engine.map(Into::into),
    }
}

fn destination_key(dice: &mut fastrand::Rng, service: ServiceKey) -> DestinationKey {
    let is_v4 = (service.family() == Family::V4) != (dice.u8(..6) == 0);
    let is_good = dice.u8(..15) > 0;
    let address = match (is_v4, is_good) {
        (true, true) => IpAddr::from(pick(dice, &TO_V4)),
        (true, false) => IpAddr::from(pick(dice, &NOWHERE_V4)),
        (false, true) => ip(pick(dice, &TO_V6)),
        (false, false) => ip(pick(dice, &NOWHERE_V6)),
    };
    DestinationKey(SocketAddr::new(address, pick(dice, &[5432, 0])))
}

fn destination(dice: &mut fastrand::Rng, service: ServiceKey, to: DestinationKey) -> Destination {
    use Forwarding::{DirectRoute, Local, Masquerade, Other, Tunnel as Tunnelled};
    let all = [Masquerade, Local, Tunnelled, DirectRoute, Other(4), Other(5), Other(6), Other(7)];
    let is_mixed = Family::of(to.0.ip()) != service.family();
    let forwarding = if is_mixed && dice.u8(..4) > 0 { Tunnelled } else { pick(dice, &all) };
    let upper = pick(dice, &[0, 0, 5, 100, 0x7fff_ffff, 1 << 31, u32::MAX]);
    let lower = if dice.bool() { 0 } else { pick(dice, &[1, 5, 101, 0x7fff_ffff, u32::MAX]) };
    let weights = [0, 1, 1, 7, 100, 65_535, 65_536, 0x7fff_ffff, 1 << 31, u32::MAX];
    let kind = pick(dice, &[0, 0, 0, 1, 2, 3, 255]);
    Destination {
        forwarding,
        weight: Weight(pick(dice, &weights)),
        thresholds: Thresholds { upper, lower: if dice.bool() { lower.min(upper) } else { lower } },
        tunnel: Tunnel {
            kind,
            port: pick(dice, &[0, 6080, 6080, 65_535]),
            flags: pick(dice, &[0, 0, 1, 2, 3, u16::MAX]),
        },
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| unreachable!("{text}"))
}

fn pick<T: Copy>(dice: &mut fastrand::Rng, from: &[T]) -> T {
    from[dice.usize(..from.len())]
}
