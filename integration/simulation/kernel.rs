//! The simulated kernel: a table with its error numbers, connections, and the trash of what was deleted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use pgvs::model::destination::{Connections, Destination, DestinationKey, Forwarding};
use pgvs::model::op::{Errno, Op};
use pgvs::model::service::{Netmask, Service, ServiceFlags, ServiceKey};
use pgvs::model::table::{Counters, Entry, Table};

use crate::settings::Settings;
use crate::world::{At, MS};

/// Schedulers whose modules the simulated kernel has.
pub(crate) const SCHEDULERS: [&str; 5] = ["rr", "wrr", "lc", "wlc", "sh"];

/// Ticks per second of the simulated kernel.
const HZ: u32 = 250;

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
    /// What is set beside the table.
    pub(crate) settings: Settings,
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
        match op {
            Op::AddService(key, service) => {
                known(service)?;
                if self.services.contains_key(key) {
                    return Err(Errno::EEXIST);
                }
                let service =
                    SimService { service: service.clone(), destinations: BTreeMap::new() };
                self.services.insert(*key, service);
            }
            Op::EditService(key, service) => {
                known(service)?;
                self.services.get_mut(key).ok_or(Errno::ESRCH)?.service = service.clone();
            }
            Op::DeleteService(key) => {
                let service = self.services.remove(key).ok_or(Errno::ESRCH)?;
                for (to, gone) in service.destinations {
                    let trash = Trash { sessions: gone.sessions, flushed_at: now + flush, author };
                    self.trash.insert((*key, to), trash);
                }
            }
            Op::AddDestination(key, to, destination) => {
                let service = self.services.get_mut(key).ok_or(Errno::ESRCH)?;
                acceptable(*to, destination)?;
                if service.destinations.contains_key(to) {
                    return Err(Errno::EEXIST);
                }
                let revived = self.trash.remove(&(*key, *to));
                let sessions = revived.map(|trash| trash.sessions).unwrap_or_default();
                let new = SimDestination { destination: *destination, sessions, author };
                service.destinations.insert(*to, new);
            }
            Op::EditDestination(key, to, destination) => {
                let service = self.services.get_mut(key).ok_or(Errno::ESRCH)?;
                acceptable(*to, destination)?;
                let old = service.destinations.get_mut(to).ok_or(Errno::ENOENT)?;
                old.destination = *destination;
                old.author = author;
            }
            Op::DeleteDestination(key, to) => {
                let service = self.services.get_mut(key).ok_or(Errno::ESRCH)?;
                let gone = service.destinations.remove(to).ok_or(Errno::ENOENT)?;
                let trash = Trash { sessions: gone.sessions, flushed_at: now + flush, author };
                self.trash.insert((*key, *to), trash);
            }
        }
        Ok(())
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
            match key {
                ServiceKey::Address { address, .. } => {
                    write!(text, "TCP  {} {scheduler} ", hex(*address)).unwrap();
                }
                ServiceKey::FwMark { mark, .. } => {
                    write!(text, "FWM  {mark:08X} {scheduler} ").unwrap();
                }
            }
            if service.service.flags.contains(ServiceFlags::PERSISTENT) {
                let mask = match service.service.netmask {
                    Netmask::V4(mask) => u32::from(mask),
                    Netmask::V6(length) => u32::from(length).swap_bytes(),
                };
                write!(text, "persistent {} {mask:08X}", service.service.timeout * HZ).unwrap();
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
                writeln!(text, "  -> {to}      {forward:<7} {weight:<6} {active:<10} {:<10}", 1)
                    .unwrap();
            }
        }
        text
    }
}

impl SimDestination {
    pub(crate) fn active(&self, now: At) -> u32 {
        u32::try_from(self.sessions.iter().filter(|&&end| end > now).count()).unwrap()
    }
}

impl SimService {
    pub(crate) fn entry(&self) -> Entry {
        let destinations = self.destinations.iter().map(|(&to, it)| (to, it.destination));
        Entry { service: self.service.clone(), destinations: destinations.collect() }
    }
}

fn known(service: &Service) -> Result<(), Errno> {
    let name = service.scheduler.as_str();
    SCHEDULERS.contains(&name).then_some(()).ok_or(Errno::ENOENT)
}

fn acceptable(to: DestinationKey, destination: &Destination) -> Result<(), Errno> {
    if to.0.ip().is_multicast() || to.0.ip().is_unspecified() {
        return Err(Errno::EINVAL);
    }
    let limits = destination.thresholds;
    if i32::try_from(destination.weight.0).is_err() || limits.lower > limits.upper {
        return Err(Errno::ERANGE);
    }
    Ok(())
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

/// So long the kernel needs at most to flush the connections of what was deleted.
pub(crate) const FLUSH_LIMIT: At = 200 * MS;
