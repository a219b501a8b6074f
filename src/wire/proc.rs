//! /proc/net/ip_vs: the table as text, ten times cheaper to read than over netlink, and less of it.
//!
//! It lacks thresholds, tunnels, persistence engines and scheduler flags, it does not tell the family of a
//! firewall mark, and it gives timeouts in jiffies. So it can say that a table differs, not what it is.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::model::destination::{Connections, Destination, DestinationKey, Forwarding, Weight};
use crate::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};
use crate::model::table::{Counters, Entry, Table};

/// Ticks per second that kernels of servers are built with (`CONFIG_HZ`).
const TICKS: [u32; 4] = [100, 250, 300, 1000];

/// A line of /proc/net/ip_vs that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not understood: {text}")]
pub struct ProcError {
    /// The line's number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// What /proc/net/ip_vs shows, in the kernel's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcTable {
    services: Vec<ProcService>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ProcService {
    key: ProcKey,
    scheduler: Scheduler,
    one_packet: bool,
    persistence: Option<Persistence>,
    destinations: Vec<ProcDestination>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProcKey {
    Known(ServiceKey),
    /// A firewall mark of either family.
    FwMark(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Persistence {
    /// Kept in 32 bits without a sign, and shown with one: 31 days are negative at 1000 ticks a second.
    jiffies: u32,
    /// The netmask's number with its bytes turned round, whatever the family.
    mask: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProcDestination {
    key: DestinationKey,
    /// Methods without a name are shown as masquerading.
    forwarding: Forwarding,
    weight: Weight,
    connections: Connections,
}

impl ProcTable {
    /// Reads the whole file.
    pub fn parse(text: &str) -> Result<Self, ProcError> {
        let mut services: Vec<ProcService> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let understood = if line.starts_with("IP Virtual Server")
                || line.starts_with("Prot ")
                || line.starts_with("  -> RemoteAddress:Port")
            {
                Some(())
            } else if let Some(rest) = line.strip_prefix("  -> ") {
                let service = services.last_mut();
                service.and_then(|service| {
                    service.destinations.push(ProcDestination::parse(rest)?);
                    Some(())
                })
            } else {
                ProcService::parse(line).map(|service| services.push(service))
            };
            understood.ok_or_else(|| ProcError { line: number + 1, text: line.into() })?;
        }
        Ok(Self { services })
    }

    /// The services that are not the same here and in `table`, as far as this file can tell.
    pub fn differences(&self, table: &Table) -> Vec<ServiceKey> {
        let ticks = self.ticks(table);
        let mut seen = BTreeSet::new();
        let mut different = BTreeSet::new();
        for (key, service) in self.with_keys(table) {
            let entry = table.services.get(&key);
            let same = entry.is_some_and(|entry| service.shows(entry, ticks));
            if !seen.insert(key) || !same {
                different.insert(key);
            }
        }
        let vanished = table.services.keys().filter(|key| !seen.contains(key));
        different.extend(vanished.copied());
        different.into_iter().collect()
    }

    /// The connections of every destination; `table` tells the family of a firewall mark.
    pub fn counters(&self, table: &Table) -> Counters {
        let of_service = |(key, service): (ServiceKey, &ProcService)| {
            let counted = |it: &ProcDestination| ((key, it.key), it.connections);
            service.destinations.iter().map(counted).collect::<Vec<_>>()
        };
        let services = self.with_keys(table);
        services.into_iter().flat_map(of_service).collect()
    }

    /// The services with their keys, where `table` helps to tell the families of firewall marks.
    fn with_keys(&self, table: &Table) -> Vec<(ServiceKey, &ProcService)> {
        let mut claimed = BTreeSet::new();
        for service in &self.services {
            claimed.extend(service.own_key());
        }
        let ticks = self.ticks(table);
        let mut keys = Vec::with_capacity(self.services.len());
        for service in &self.services {
            let key = service.own_key().unwrap_or_else(|| {
                let key = service.likely_key(table, &claimed, ticks);
                claimed.insert(key);
                key
            });
            keys.push((key, service));
        }
        keys
    }

    /// The kernel's ticks per second: those by which most timeouts agree with `table`.
    fn ticks(&self, table: &Table) -> u32 {
        let agreeing = |&ticks: &u32| {
            let agrees = |service: &&ProcService| {
                let seconds = service.persistence.map(|it| it.seconds(ticks));
                let entries = service.possible_keys();
                let mut entries = entries.iter().filter_map(|key| table.services.get(key));
                entries.any(|it| seconds == Some(it.service.timeout))
            };
            let persistent = self.services.iter().filter(|it| it.persistence.is_some());
            persistent.filter(agrees).count()
        };
        let [first, ..] = TICKS;
        TICKS.into_iter().max_by_key(agreeing).unwrap_or(first)
    }
}

impl ProcService {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let protocol = words.next()?;
        let address = words.next()?;
        let key = if protocol == "FWM" {
            ProcKey::FwMark(u32::from_str_radix(address, 16).ok()?)
        } else {
            ProcKey::Known(ServiceKey::Address {
                protocol: parse_protocol(protocol)?,
                address: parse_address(address)?,
            })
        };
        let scheduler = Scheduler::new(words.next()?)?;
        let mut one_packet = false;
        let mut persistence = None;
        while let Some(word) = words.next() {
            match word {
                "ops" => one_packet = true,
                "persistent" => {
                    persistence = Some(Persistence {
                        jiffies: words.next()?.parse::<i32>().ok()?.cast_unsigned(),
                        mask: u32::from_str_radix(words.next()?, 16).ok()?,
                    });
                }
                _ => return None,
            }
        }
        Some(Self { key, scheduler, one_packet, persistence, destinations: Vec::new() })
    }

    /// The key as far as the file itself tells it: the family of a firewall mark is that of its destinations,
    /// except for tunnels, which may lead to the other one.
    fn own_key(&self) -> Option<ServiceKey> {
        match self.key {
            ProcKey::Known(key) => Some(key),
            ProcKey::FwMark(mark) => {
                let mut telling = self.destinations.iter();
                let telling = telling.find(|it| it.forwarding != Forwarding::Tunnel)?;
                let family = Family::of(telling.key.0.ip());
                Some(ServiceKey::FwMark { family, mark })
            }
        }
    }

    /// The key, or both that a firewall mark may mean.
    fn possible_keys(&self) -> [ServiceKey; 2] {
        match self.key {
            ProcKey::Known(key) => [key, key],
            ProcKey::FwMark(mark) => {
                [Family::V4, Family::V6].map(|family| ServiceKey::FwMark { family, mark })
            }
        }
    }

    /// Among the keys that `table` has and no other line claims: the one with the same content, else any,
    /// else IPv4.
    fn likely_key(&self, table: &Table, claimed: &BTreeSet<ServiceKey>, ticks: u32) -> ServiceKey {
        let keys = self.possible_keys();
        let free = || keys.iter().filter(|key| !claimed.contains(key));
        let entry = |key: &ServiceKey| table.services.get(key);
        let equal = free().find(|key| entry(key).is_some_and(|it| self.shows(it, ticks)));
        let there = || free().find(|key| entry(key).is_some());
        let [v4, _] = keys;
        *equal.or_else(there).or_else(|| free().next()).unwrap_or(&v4)
    }

    /// Whether `entry` would be shown like this.
    fn shows(&self, entry: &Entry, ticks: u32) -> bool {
        self.scheduler == entry.service.scheduler
            && self.shows_flags(&entry.service)
            && self.shows_persistence(&entry.service, ticks)
            && self.destinations.len() == entry.destinations.len()
            && self.destinations.iter().all(|shown| {
                let destination = entry.destinations.get(&shown.key);
                destination.is_some_and(|it| shown.shows(it))
            })
    }

    fn shows_persistence(&self, service: &Service, ticks: u32) -> bool {
        let is_persistent = service.flags.contains(ServiceFlags::PERSISTENT);
        match self.persistence {
            None => !is_persistent,
            Some(shown) => {
                is_persistent
                    && shown.seconds(ticks) == service.timeout
                    && shown.mask == shown_mask(service.netmask)
            }
        }
    }

    /// The kernel leaves `ops` out for IPv6 addresses.
    fn shows_flags(&self, service: &Service) -> bool {
        let hidden = matches!(self.key, ProcKey::Known(key) if key.family() == Family::V6);
        hidden || self.one_packet == service.flags.contains(ServiceFlags::ONE_PACKET)
    }
}

impl ProcDestination {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let key = DestinationKey(parse_address(words.next()?)?);
        let forwarding = match words.next()? {
            "Masq" => Forwarding::Masquerade,
            "Local" => Forwarding::Local,
            "Tunnel" => Forwarding::Tunnel,
            "Route" => Forwarding::DirectRoute,
            _ => return None,
        };
        let mut number = || words.next()?.parse::<u32>().ok();
        Some(Self {
            key,
            forwarding,
            weight: Weight(number()?),
            connections: Connections { active: number()?, inactive: number()?, persistent: 0 },
        })
    }

    fn shows(&self, destination: &Destination) -> bool {
        let forwarding = match destination.forwarding {
            Forwarding::Other(_) => Forwarding::Masquerade,
            Forwarding::Masquerade
            | Forwarding::Local
            | Forwarding::Tunnel
            | Forwarding::DirectRoute => destination.forwarding,
        };
        self.forwarding == forwarding && self.weight == destination.weight
    }
}

impl Persistence {
    /// The timeout as a dump gives it.
    const fn seconds(self, ticks: u32) -> u32 {
        self.jiffies / ticks
    }
}

fn shown_mask(netmask: Netmask) -> u32 {
    match netmask {
        Netmask::V4(mask) => u32::from(mask),
        // The kernel turns the number round as if it were a mask in network order.
        Netmask::V6(length) => u32::from_be_bytes(u32::from(length).to_ne_bytes()),
    }
}

/// The names of `ip_vs_proto_name`.
fn parse_protocol(name: &str) -> Option<Protocol> {
    match name {
        "TCP" => Some(Protocol::TCP),
        "UDP" => Some(Protocol::UDP),
        "SCTP" => Some(Protocol::SCTP),
        "IP" => Some(Protocol(0)),
        "ICMP" => Some(Protocol(1)),
        "ICMPv6" => Some(Protocol(58)),
        _ => name.strip_prefix("IP_")?.parse().ok().map(Protocol),
    }
}

/// `0A000001:1538` or `[2001:0db8:0000:0000:0000:0000:0000:0001]:1538`, all in hexadecimal.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let port = |text| u16::from_str_radix(text, 16).ok();
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once("]:")?;
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(SocketAddr::new(address.into(), port(rest)?));
    }
    let (address, rest) = text.split_once(':')?;
    let address = Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?);
    Some(SocketAddr::new(address.into(), port(rest)?))
}

#[cfg(test)]
mod tests;
