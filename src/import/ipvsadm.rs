//! A saved table of ipvsadm, or of `pgvs save`, read by ipvsadm's own grammar.
//!
//! A line is carried over as a whole, or listed with what ipvsadm would have said.

use std::net::SocketAddr;

use super::ledger::{Place, Report, Statement};
use super::plan::{Key, Plan, Pool, Postgres, Server, Service, Value};
use super::{Around, Reading, guess, names};
use crate::ipvsadm::args::{self, Change, Command};
use crate::ipvsadm::restore;
use crate::model::destination::{Destination, Forwarding, Tunnel};
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::op::Op;
use crate::model::service::{
    Family, Netmask, Protocol, Service as Scheduling, ServiceFlags, ServiceKey,
};

/// A service of the table with its destinations.
struct Entry {
    key: ServiceKey,
    scheduling: Scheduling,
    place: Place,
    destinations: Vec<(SocketAddr, Destination, Place)>,
}

/// Reads a saved table.
pub(super) fn read(name: &str, text: &str, around: Around<'_>) -> Reading {
    let mut reading = Reading { files: vec![name.to_owned()], ..Reading::default() };
    let mut entries = Vec::new();
    for (line, number) in text.split('\n').zip(1..) {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let Some(words) = restore::lines(line).next() else {
            continue;
        };
        let statement = Statement::new(Place { file: 0, line: number }, words.clone());
        let read = args::parse("ipvsadm", &words, around.names);
        match read {
            Ok(command) => take(command, &statement, &mut entries, &mut reading),
            Err(refused) => reading
                .report
                .hand(&statement, format!("ipvsadm does not take it: {}", refused.text.trim())),
        }
        reading.statements.push(statement);
    }
    for entry in entries {
        assemble(entry, &mut reading.plan, &mut reading.report);
    }
    reading
}

fn take(command: Command, statement: &Statement, entries: &mut Vec<Entry>, reading: &mut Reading) {
    let place = statement.place;
    let report = &mut reading.report;
    match command {
        Command::Change(Change::Op(Op::AddService(key, scheduling))) => {
            if entries.iter().any(|it| it.key == key) {
                return report.hand(statement, "this service stands in the table already");
            }
            entries.push(Entry { key, scheduling, place, destinations: Vec::new() });
        }
        Command::Change(Change::Op(Op::AddDestination(key, to, destination))) => {
            let Some(entry) = entries.iter_mut().find(|it| it.key == key) else {
                return report.hand(statement, "no line before it makes this service");
            };
            if entry.destinations.iter().any(|(it, ..)| *it == to.0) {
                return report.hand(statement, "this server stands in the service already");
            }
            entry.destinations.push((to.0, destination, place));
        }
        Command::Change(Change::Timeouts(timeouts)) => {
            if !reading.plan.kernel.is_empty() {
                return report.hand(statement, "timeouts are set by a line before it");
            }
            reading.plan.kernel.extend(self::timeouts(timeouts, statement.place, &reading.files));
        }
        Command::Change(Change::StartDaemon(daemon)) => {
            let keys = sync_daemon(&daemon);
            let same = |(_, known): &(Place, Vec<Key>)| known.first() == keys.first();
            if reading.plan.sync_daemons.iter().any(same) {
                return report.hand(statement, "a line before it starts one of this role");
            }
            reading.plan.sync_daemons.push((place, keys));
        }
        Command::Change(Change::Flush) => {
            return report
                .lost(statement, "a reload changes what differs, nothing is emptied first");
        }
        Command::Change(Change::Op(_) | Change::Zero(_) | Change::StopDaemon(_)) => {
            return report
                .hand(statement, "it changes a table; only what builds one is carried over");
        }
        Command::Help
        | Command::Version
        | Command::List(..)
        | Command::Save(_)
        | Command::Restore => {
            return report.lost(statement, "it says nothing about the table");
        }
    }
    statement.take_all();
}

/// The timeouts that are set; 0 leaves the kernel's.
pub(super) fn timeouts(timeouts: Timeouts, place: Place, files: &[String]) -> Vec<Key> {
    let from = files.get(place.file).map(|name| format!("{name}:{}", place.line));
    let key = |name, seconds| {
        let key = Key::text(name, in_words(seconds)).because(from.clone().unwrap_or_default());
        (seconds > 0).then_some(key)
    };
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    [key("tcp_timeout", tcp), key("tcp_fin_timeout", tcp_fin), key("udp_timeout", udp)]
        .into_iter()
        .flatten()
        .collect()
}

/// Seconds as the config writes them.
pub(super) fn in_words(seconds: u32) -> String {
    let duration = std::time::Duration::from_secs(seconds.into());
    humantime::format_duration(duration).to_string().replace(' ', "")
}

pub(super) fn sync_daemon(daemon: &SyncDaemon) -> Vec<Key> {
    let role = match daemon.role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    };
    let mut keys = vec![
        Key::text("role", role),
        Key::text("interface", &*daemon.interface),
        Key::number("sync_id", daemon.sync_id),
    ];
    keys.extend(daemon.group.map(|group| Key::text("group", group.to_string())));
    let numbers = [
        ("port", daemon.port.map(u32::from)),
        ("ttl", daemon.ttl.map(u32::from)),
        ("max_length", daemon.max_length.map(u32::from)),
    ];
    let given = numbers.into_iter().filter_map(|(name, number)| Some((name, number?)));
    keys.extend(
        given.filter(|(_, number)| *number > 0).map(|(name, number)| Key::number(name, number)),
    );
    keys
}

/// One service with its pool.
fn assemble(entry: Entry, plan: &mut Plan, report: &mut Report) {
    let Entry { key, scheduling, place, destinations } = entry;
    let name = names::service(key);
    if destinations.is_empty() {
        let line = Statement::new(place, vec![format!("service {name}")]);
        return report.hand(&line, "a service without servers, which a config cannot hold");
    }
    let common = destinations.first().map(|(_, first, _)| Way::of(first));
    let is_mixed = destinations.iter().any(|(_, it, _)| Some(Way::of(it)) != common);
    let addresses: Vec<SocketAddr> = destinations.iter().map(|(address, ..)| *address).collect();
    let mut servers = Vec::new();
    for (address, destination, place) in &destinations {
        let mut keys = vec![Key::number("weight", destination.weight.0)];
        keys.extend(thresholds(destination.thresholds.upper, destination.thresholds.lower));
        if is_mixed {
            keys.extend(Way::of(destination).keys());
        }
        let name = names::host(*address, &addresses);
        let (address, why) = (*address, String::new());
        servers.push(Server { name, address, keys, why, places: vec![*place] });
    }
    let is_tcp = matches!(
        key,
        ServiceKey::Address { protocol: Protocol::TCP, .. } | ServiceKey::FwMark { .. }
    );
    let is_postgres = is_tcp && guess::is_postgres(servers.iter().map(|it| it.address), []);
    let pool = Pool {
        called: vec![name.clone()],
        probe: is_postgres.then(Postgres::default),
        servers,
        places: vec![place],
        ..Pool::default()
    };
    let mut keys = identity(key);
    keys.extend(self::scheduling(&scheduling));
    keys.extend(common.iter().filter(|_| !is_mixed).flat_map(|way| way.keys()));
    let target = Key::text("target", "any");
    keys.extend(
        is_postgres.then(|| target.because("who may serve; or primary, standby, prefer-standby")),
    );
    let pool = plan.pool(pool);
    plan.services.push(Service { name, pool, keys, places: vec![place], said: Vec::new() });
}

pub(super) fn thresholds(upper: u32, lower: u32) -> Vec<Key> {
    let keys = [("upper_threshold", upper), ("lower_threshold", lower)];
    keys.into_iter().filter(|(_, it)| *it > 0).map(|(name, it)| Key::number(name, it)).collect()
}

/// What a service is for.
pub(super) fn identity(key: ServiceKey) -> Vec<Key> {
    match key {
        ServiceKey::Address { protocol, address } => {
            let mut keys = vec![Key::text("address", address.to_string())];
            keys.extend(self::protocol(protocol));
            keys
        }
        ServiceKey::FwMark { family, mark } => {
            let mut keys = vec![Key::number("fwmark", mark)];
            keys.extend((family == Family::V6).then(|| Key::text("family", "ipv6")));
            keys
        }
    }
}

/// The protocol, unless it is TCP.
pub(super) fn protocol(protocol: Protocol) -> Option<Key> {
    match protocol {
        Protocol::UDP => Some(Key::text("protocol", "udp")),
        Protocol::SCTP => Some(Key::text("protocol", "sctp")),
        _ => None,
    }
}

fn scheduling(service: &Scheduling) -> Vec<Key> {
    let scheduler = service.scheduler.as_str();
    let mut keys = vec![Key::text("scheduler", scheduler)];
    let hashes = matches!(scheduler, "sh" | "mh");
    let flags: Vec<String> = [ServiceFlags::SCHED_1, ServiceFlags::SCHED_2, ServiceFlags::SCHED_3]
        .into_iter()
        .zip(["fallback", "port", ""])
        .zip(["flag-1", "flag-2", "flag-3"])
        .filter(|((flag, _), _)| service.flags.contains(*flag))
        .map(|((_, own), plain)| match own {
            own if hashes && !own.is_empty() => format!("{scheduler}-{own}"),
            _ => plain.to_owned(),
        })
        .collect();
    // Without the key pgvs sets the fallback flag of a hash.
    if hashes || !flags.is_empty() {
        keys.push(Key::new("scheduler_flags", Value::Words(flags)));
    }
    if service.flags.contains(ServiceFlags::PERSISTENT) {
        keys.push(Key::text("persistence_timeout", in_words(service.timeout)));
        keys.extend(netmask(service.netmask));
        keys.extend(service.persistence_engine.as_deref().map(|it| Key::text("pe", it)));
    }
    keys.extend(service.flags.contains(ServiceFlags::ONE_PACKET).then(|| Key::truth("ops")));
    keys
}

/// The netmask, unless it tells every client apart.
fn netmask(mask: Netmask) -> Option<Key> {
    match mask {
        Netmask::V4(mask) if mask.is_broadcast() => None,
        Netmask::V6(128) => None,
        Netmask::V4(mask) => Some(Key::text("persistence_netmask", mask.to_string())),
        Netmask::V6(length) => Some(Key::number("persistence_netmask", length.into())),
    }
}

/// How packets reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) forwarding: Forwarding,
    pub(super) tunnel: Tunnel,
}

impl Way {
    fn of(destination: &Destination) -> Self {
        Self { forwarding: destination.forwarding, tunnel: destination.tunnel }
    }

    /// It as keys of a service or a server.
    pub(super) fn keys(&self) -> Vec<Key> {
        let word = match self.forwarding {
            Forwarding::Masquerade => "masq",
            Forwarding::Tunnel => "tun",
            Forwarding::DirectRoute | Forwarding::Local | Forwarding::Other(_) => "dr",
        };
        let mut keys = vec![Key::text("forwarding", word)];
        if self.forwarding == Forwarding::Tunnel && self.tunnel != Tunnel::default() {
            let kind = match self.tunnel.kind {
                1 => "gue",
                2 => "gre",
                _ => "ipip",
            };
            keys.push(Key::text("tunnel", kind));
            keys.extend(
                (self.tunnel.port > 0).then(|| Key::number("tunnel_port", self.tunnel.port.into())),
            );
            let checksum = match self.tunnel.flags {
                1 => Some("csum"),
                2 => Some("remcsum"),
                _ => None,
            };
            keys.extend(checksum.map(|it| Key::text("tunnel_checksum", it)));
        }
        keys
    }
}
