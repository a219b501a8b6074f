//! The simulated kernel: a table with its error numbers, connections, and the trash of what was deleted.
//!
//! The lab includes this file as well and holds it against a real kernel, so it knows nothing of the world around.

#[path = "kernel/rules.rs"]
mod rules;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use pgvs::model::destination::{Connections, Destination, DestinationKey, Forwarding};
use pgvs::model::op::{Errno, Op};
use pgvs::model::service::{Netmask, Protocol, Service, ServiceFlags, ServiceKey};
use pgvs::model::table::{Counters, Entry, Table};

pub(crate) use rules::{Build, SCHEDULERS, found_by};

/// Microseconds since the simulation began.
pub(crate) type At = u64;

/// So long the kernel needs at most to flush the connections of what was deleted.
pub(crate) const FLUSH_LIMIT: At = 200_000;

/// Who last wrote a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    Daemon,
    Intruder,
}

#[derive(Clone, Debug)]
pub(crate) struct SimDestination {
    pub(crate) destination: Destination,
    /// When each of its connections ends.
    pub(crate) sessions: Vec<At>,
    pub(crate) author: Author,
}

#[derive(Clone, Debug)]
pub(crate) struct SimService {
    pub(crate) service: Service,
    /// The persistence timeout as the kernel keeps it.
    ticks: u32,
    pub(crate) destinations: BTreeMap<DestinationKey, SimDestination>,
}

/// A deleted destination whose connections still stand.
#[derive(Clone, Debug)]
pub(crate) struct Trash {
    sessions: Vec<At>,
    flushed_at: At,
    pub(crate) author: Author,
}

impl Trash {
    /// Whether sessions would come to life again with their destination.
    pub(crate) fn is_unflushed(&self, now: At) -> bool {
        self.flushed_at > now && self.sessions.iter().any(|&end| end > now)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Kernel {
    pub(crate) services: BTreeMap<ServiceKey, SimService>,
    pub(crate) trash: BTreeMap<(ServiceKey, DestinationKey), Trash>,
    /// Every change is refused with this number.
    pub(crate) refuses: Option<Errno>,
    pub(crate) build: Build,
}

impl Kernel {
    pub(crate) fn usable(&self, key: ServiceKey) -> Vec<DestinationKey> {
        let service = self.services.get(&key);
        let all = service.iter().flat_map(|service| &service.destinations);
        all.filter(|(_, it)| it.destination.weight.is_usable()).map(|(&to, _)| to).collect()
    }

    /// Carries out one change as the kernel does (`do_ip_vs_set_ctl` and its generic netlink twin).
    pub(crate) fn carry_out(
        &mut self,
        op: &Op,
        author: Author,
        flush: At,
        now: At,
    ) -> Result<(), Errno> {
        if let Some(errno) = self.refuses.filter(|_| author == Author::Daemon) {
            return Err(errno);
        }
        self.trash.retain(|_, trash| trash.flushed_at > now);
        let key = found_by(op.service());
        match op {
            Op::AddService(_, service) => self.add(key, service),
            Op::EditService(_, service) => {
                rules::readable(service)?;
                let old = self.services.get_mut(&key).ok_or(Errno::ESRCH)?;
                (old.service, old.ticks) = self.build.service(key, service)?;
                Ok(())
            }
            Op::DeleteService(_) => {
                let service = self.services.remove(&key).ok_or(Errno::ESRCH)?;
                for (to, gone) in service.destinations {
                    let trash = Trash { sessions: gone.sessions, flushed_at: now + flush, author };
                    self.trash.insert((key, to), trash);
                }
                Ok(())
            }
            Op::AddDestination(_, to, destination) => {
                self.add_destination(key, *to, *destination, author)
            }
            Op::EditDestination(_, to, destination) => {
                let service = self.services.get_mut(&key).ok_or(Errno::ESRCH)?;
                self.build.family(key, *to, destination)?;
                self.build.numbers(destination)?;
                let old = service.destinations.get_mut(to).ok_or(Errno::ENOENT)?;
                old.destination = *destination;
                old.author = author;
                Ok(())
            }
            Op::DeleteDestination(_, to) => {
                let service = self.services.get_mut(&key).ok_or(Errno::ESRCH)?;
                let gone = service.destinations.remove(to).ok_or(Errno::ENOENT)?;
                let trash = Trash { sessions: gone.sessions, flushed_at: now + flush, author };
                self.trash.insert((key, *to), trash);
                Ok(())
            }
        }
    }

    fn add(&mut self, key: ServiceKey, service: &Service) -> Result<(), Errno> {
        rules::readable(service)?;
        if self.services.contains_key(&key) {
            return Err(Errno::EEXIST);
        }
        let (service, ticks) = self.build.service(key, service)?;
        self.services.insert(key, SimService { service, ticks, destinations: BTreeMap::new() });
        Ok(())
    }

    fn add_destination(
        &mut self,
        key: ServiceKey,
        to: DestinationKey,
        destination: Destination,
        author: Author,
    ) -> Result<(), Errno> {
        let service = self.services.get_mut(&key).ok_or(Errno::ESRCH)?;
        self.build.family(key, to, &destination)?;
        self.build.numbers(&destination)?;
        if service.destinations.contains_key(&to) {
            return Err(Errno::EEXIST);
        }
        let revived = self.trash.remove(&(key, to));
        if revived.is_none() {
            self.build.place(to)?;
        }
        let sessions = revived.map(|trash| trash.sessions).unwrap_or_default();
        service.destinations.insert(to, SimDestination { destination, sessions, author });
        Ok(())
    }

    /// `ipvsadm -C`.
    pub(crate) fn flush(&mut self, author: Author, flush: At, now: At) {
        for key in self.services.keys().copied().collect::<Vec<_>>() {
            self.carry_out(&Op::DeleteService(key), author, flush, now).unwrap_or_default();
        }
    }

    pub(crate) fn table(&self) -> Table {
        let services = self.services.iter().map(|(&key, service)| (key, service.entry()));
        Table { services: services.collect() }
    }

    pub(crate) fn counters(&self, now: At) -> Counters {
        let mut counters = Counters::new();
        for (&key, service) in &self.services {
            for (&to, destination) in &service.destinations {
                let active = destination.active(now);
                counters.insert((key, to), Connections { active, inactive: 1, persistent: 0 });
            }
        }
        counters
    }

    /// /proc/net/ip_vs, letter by letter (`ip_vs_info_seq_show`).
    pub(crate) fn list(&self, now: At) -> String {
        let mut text = String::from(
            "IP Virtual Server version 1.2.1 (size=4096)\n\
             Prot LocalAddress:Port Scheduler Flags\n  \
             -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n",
        );
        for (key, service) in &self.services {
            let scheduler = &service.service.scheduler;
            let flags = service.service.flags;
            let ops = if flags.contains(ServiceFlags::ONE_PACKET) { "ops " } else { "" };
            match key {
                ServiceKey::Address { protocol, address: SocketAddr::V4(v4) } => {
                    let (name, address) = (protocol_name(*protocol), hex((*v4).into()));
                    text.push_str(&format!("{name}  {address} {scheduler} {ops} "));
                }
                ServiceKey::Address { protocol, address: SocketAddr::V6(v6) } => {
                    let (name, address) = (protocol_name(*protocol), hex((*v6).into()));
                    text.push_str(&format!("{name}  {address} {scheduler} "));
                }
                ServiceKey::FwMark { mark, .. } => {
                    text.push_str(&format!("FWM  {mark:08X} {scheduler} {ops}"));
                }
            }
            if flags.contains(ServiceFlags::PERSISTENT) {
                let mask = match service.service.netmask {
                    Netmask::V4(mask) => u32::from(mask),
                    Netmask::V6(length) => u32::from(length).swap_bytes(),
                };
                let ticks = service.ticks.cast_signed();
                text.push_str(&format!("persistent {ticks} {mask:08X}"));
            }
            text.push('\n');
            for (to, it) in &service.destinations {
                let forward = match it.destination.forwarding {
                    Forwarding::DirectRoute => "Route",
                    Forwarding::Tunnel => "Tunnel",
                    Forwarding::Local => "Local",
                    Forwarding::Masquerade | Forwarding::Other(_) => "Masq",
                };
                let (weight, active) = (it.destination.weight.0, it.active(now));
                let to = hex(to.0);
                text.push_str(&format!(
                    "  -> {to}      {forward:<7} {weight:<6} {active:<10} {:<10}\n",
                    1
                ));
            }
        }
        text
    }
}

impl SimDestination {
    pub(crate) fn active(&self, now: At) -> u32 {
        u32::try_from(self.sessions.iter().filter(|&&end| end > now).count()).unwrap_or(u32::MAX)
    }
}

impl SimService {
    pub(crate) fn entry(&self) -> Entry {
        let destinations = self.destinations.iter().map(|(&to, it)| (to, it.destination));
        Entry { service: self.service.clone(), destinations: destinations.collect() }
    }
}

/// `ip_vs_proto_name`.
fn protocol_name(protocol: Protocol) -> String {
    match protocol {
        Protocol(0) => "IP".into(),
        Protocol(1) => "ICMP".into(),
        Protocol::TCP => "TCP".into(),
        Protocol::UDP => "UDP".into(),
        Protocol(58) => "ICMPv6".into(),
        Protocol::SCTP => "SCTP".into(),
        Protocol(other) => format!("IP_{other}"),
    }
}

fn hex(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", u32::from(*v4.ip()), v4.port()),
        SocketAddr::V6(v6) => {
            let groups = v6.ip().segments().map(|group| format!("{group:04x}"));
            format!("[{}]:{:04X}", groups.join(":"), v6.port())
        }
    }
}
