//! Configurations: one to begin with, and what an operator may change in it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use pgvs::config::{
    Config, Delivery, Director, KernelSettings, OnDown, OnStop, Pool, PostgresProbe, Probe, Quorum,
    Server, SslMode, Target, VirtualService,
};
use pgvs::model::destination::{DestinationKey, Forwarding, Thresholds, Tunnel, Weight};
use pgvs::model::service::{Family, Scheduler, Service, ServiceFlags, ServiceKey};

use crate::kernel::SCHEDULERS;

/// Limits of connections; the simulated kernel keeps them and heeds none.
const LIMITS: [Thresholds; 3] = [
    Thresholds { upper: 0, lower: 0 },
    Thresholds { upper: 100, lower: 0 },
    Thresholds { upper: 100, lower: 50 },
];

pub(crate) fn probe(pulse: u64) -> PostgresProbe {
    PostgresProbe {
        user: "pgvs".into(),
        password_file: None,
        dbname: "postgres".into(),
        sslmode: SslMode::Prefer,
        pulse: Duration::from_millis(pulse),
        suspect_after: Duration::from_millis(pulse * 3),
        lost_after: Duration::from_millis(1500),
        admission: Duration::from_secs(2),
        rise: 3,
        fall: 1,
        source: None,
    }
}

pub(crate) fn server(cluster: u8, number: u8, weight: u32) -> Server {
    Server {
        name: format!("pg{number}").into(),
        address: SocketAddr::from(([10, 8, cluster, number], 5432)),
        weight: Weight(weight),
        thresholds: Thresholds::default(),
        delivery: None,
        is_backup: false,
    }
}

/// The key of the service with that number: mostly addresses, one firewall mark, one of IPv6.
pub(crate) fn key(number: u8) -> ServiceKey {
    match number {
        5 => ServiceKey::FwMark { family: Family::V4, mark: 5 },
        n => ServiceKey::tcp(SocketAddr::from(([10, 9, 0, 100 + n], 5432))),
    }
}

/// What the kernel knows a server by in a service.
pub(crate) fn key_in(service: &VirtualService, server: &Server) -> DestinationKey {
    service.destination_key(server.address, server.delivery)
}

/// How packets may reach servers: every port is 5432, so that any way will do.
fn any_delivery(rng: &mut Rng) -> Delivery {
    let forwarding =
        pick(rng, &[Forwarding::Masquerade, Forwarding::DirectRoute, Forwarding::Tunnel]);
    let mut tunnel = Tunnel::default();
    if forwarding == Forwarding::Tunnel && rng.bool() {
        let port = pick(rng, &[6080, 6081]);
        tunnel = Tunnel { kind: Tunnel::GUE, port, flags: rng.u16(0..3) };
    }
    Delivery { forwarding, tunnel }
}

/// Services that the daemon is never told of.
pub(crate) fn foreign(number: u8) -> ServiceKey {
    ServiceKey::tcp(SocketAddr::from(([10, 77, 0, number], 80)))
}

pub(crate) fn service(number: u8, pool: &str, target: Target) -> VirtualService {
    let key = key(number);
    let scheduler = Scheduler::new("wlc").unwrap();
    VirtualService {
        name: format!("s{number}").into(),
        shares_name: false,
        key,
        service: Service::plain(scheduler, key.family()),
        forwarding: Forwarding::Masquerade,
        tunnel: Tunnel::default(),
        pool: pool.into(),
        target,
        on_down: OnDown::Cut,
        drain_timeout: Duration::from_secs(5),
        source_nat: None,
        quorum: None,
    }
}

pub(crate) fn config(pools: Vec<Pool>, services: Vec<VirtualService>) -> Config {
    Config {
        director: Director {
            name: None,
            state_dir: PathBuf::new(),
            control_socket: PathBuf::new(),
            on_stop: OnStop::Leave,
            freeze_timeout: Duration::from_secs(10),
        },
        kernel: KernelSettings::default(),
        pools,
        services,
    }
}

const TARGETS: [Target; 4] = [Target::Primary, Target::Standby, Target::PreferStandby, Target::Any];

/// A configuration of one to three pools.
pub(crate) fn random(rng: &mut Rng) -> Config {
    let mut pools = Vec::new();
    let mut services = Vec::new();
    let mut next_key = 1;
    for (place, name) in ["orders", "stock", "static"].into_iter().enumerate() {
        if place > 0 && rng.u8(0..3) > 0 {
            continue;
        }
        // The second pool sometimes shares servers, and so probes, with the first.
        let cluster = u8::from(place == 1 && rng.bool());
        let fall = pick(rng, &[1, 1, 1, 2, 3]);
        let kind = match place {
            2 => Probe::None,
            _ => Probe::Postgres(Arc::new(PostgresProbe { fall, ..probe(100) })),
        };
        let servers = (1..=rng.u8(1..=5))
            .map(|number| Server { is_backup: rng.u8(0..5) == 0, ..server(cluster, number, 100) });
        let servers = servers.collect();
        for _ in 0..rng.u8(1..=3) {
            let target = if place == 2 { Target::Any } else { pick_target(rng, place) };
            let mut service = service(next_key, name, target);
            service.on_down = if rng.u8(0..4) == 0 { OnDown::Hold } else { OnDown::Cut };
            service.drain_timeout = Duration::from_secs(rng.u64(3..15));
            service.quorum = quorum(rng);
            services.push(service);
            next_key += 1;
        }
        let alpha = rng.bool();
        pools.push(Pool { name: name.into(), probe: kind, alpha, servers });
    }
    let mut config = config(pools, services);
    keep_alpha(&mut config);
    config.director.on_stop = pick(rng, &[OnStop::Leave, OnStop::Quiesce, OnStop::Remove]);
    config
}

/// Two services of three count nobody; some have a sorry server, which is never a server of a pool.
fn quorum(rng: &mut Rng) -> Option<Quorum> {
    let servers = rng.u32(1..=3);
    let quorum = Quorum {
        servers,
        hysteresis: rng.u32(0..servers),
        sorry_server: (rng.u8(0..4) > 0)
            .then(|| SocketAddr::from(([10, 8, 9, rng.u8(1..=2)], 5432))),
        up: Some(["/up"].map(Box::from).into()),
        down: Some(["/down"].map(Box::from).into()),
    };
    (rng.u8(0..3) == 0).then_some(quorum)
}

/// Servers start as up only where no service needs to know their role.
fn keep_alpha(config: &mut Config) {
    let Config { pools, services, .. } = config;
    for pool in pools {
        let mut own = services.iter().filter(|service| service.pool == pool.name);
        pool.alpha |= own.any(|service| service.target != Target::Any);
    }
}

fn pick_target(rng: &mut Rng, place: usize) -> Target {
    if place == 0 && rng.bool() { Target::Primary } else { pick(rng, &TARGETS) }
}

pub(crate) fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(0..from.len())]
}

/// What an operator may change; the result is as valid as what `check` lets through.
pub(crate) fn edit(config: &Config, rng: &mut Rng) -> Config {
    let mut config = config.clone();
    let pool = rng.usize(0..config.pools.len());
    match rng.u8(0..15) {
        0..3 => edit_server(&mut config.pools[pool], rng),
        3 | 4 => add_server(&mut config.pools[pool], rng),
        5 | 6 if config.pools[pool].servers.len() > 1 => {
            let servers = &mut config.pools[pool].servers;
            servers.remove(rng.usize(0..servers.len()));
        }
        7 => {
            if let Some(number) = (1..10).find(|&n| config.services.iter().all(|s| s.key != key(n)))
            {
                let pool = config.pools[pool].clone();
                let target =
                    if pool.probe == Probe::None { Target::Any } else { pick(rng, &TARGETS) };
                config.services.push(service(number, &pool.name, target));
            }
        }
        8 if config.services.len() > 1 => {
            config.services.remove(rng.usize(0..config.services.len()));
        }
        9 => {
            let service = &mut any_service(&mut config, rng).service;
            service.scheduler = Scheduler::new(pick(rng, &SCHEDULERS)).unwrap();
            service.flags = pick(rng, &[ServiceFlags::default(), ServiceFlags::SCHED_1]);
            if rng.bool() {
                service.flags = service.flags.with(ServiceFlags::PERSISTENT);
                service.timeout = 300;
            }
        }
        10 => {
            if let Probe::Postgres(_) = config.pools[pool].probe {
                let name = config.pools[pool].name.clone();
                let target = pick(rng, &TARGETS);
                for service in config.services.iter_mut().filter(|it| it.pool == name) {
                    service.target = target;
                }
            }
        }
        11 => any_service(&mut config, rng).quorum = quorum(rng),
        12 => config.pools[pool].alpha = !config.pools[pool].alpha,
        13 => {
            if let Probe::Postgres(old) = &config.pools[pool].probe {
                let pulse = if old.pulse.as_millis() == 100 { 50 } else { 100 };
                let fall = old.fall;
                config.pools[pool].probe =
                    Probe::Postgres(Arc::new(PostgresProbe { fall, ..probe(pulse) }));
            }
        }
        _ => {
            let service = any_service(&mut config, rng);
            let Delivery { forwarding, tunnel } = any_delivery(rng);
            (service.forwarding, service.tunnel) = (forwarding, tunnel);
            service.on_down = pick(rng, &[OnDown::Cut, OnDown::Hold]);
        }
    }
    keep_alpha(&mut config);
    config
}

fn edit_server(pool: &mut Pool, rng: &mut Rng) {
    let server = rng.usize(0..pool.servers.len());
    let server = &mut pool.servers[server];
    match rng.u8(0..6) {
        4 | 5 => server.is_backup = !server.is_backup,
        0 => server.thresholds = pick(rng, &LIMITS),
        1 => server.delivery = rng.bool().then(|| any_delivery(rng)),
        _ => server.weight = Weight(pick(rng, &[0, 1, 50, 100, 200])),
    }
}

fn any_service<'a>(config: &'a mut Config, rng: &mut Rng) -> &'a mut VirtualService {
    let place = rng.usize(0..config.services.len());
    &mut config.services[place]
}

fn add_server(pool: &mut Pool, rng: &mut Rng) {
    let SocketAddr::V4(of) = pool.servers[0].address else { return };
    let [_, _, cluster, _] = of.ip().octets();
    let new = server(cluster, rng.u8(1..=6), 100);
    if pool.servers.iter().all(|old| old.address != new.address) {
        pool.servers.insert(rng.usize(0..=pool.servers.len()), new);
    }
}
