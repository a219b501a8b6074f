//! /proc/net/ip_vs: the table as text, ten times cheaper to read than over netlink, and less of it.
//!
//! It lacks thresholds, tunnels, persistence engines and scheduler flags, it does not tell the family of a
//! firewall mark, and it gives timeouts in jiffies. So it can say that a table differs, not what it is.

mod line;

use std::collections::BTreeSet;

use self::line::Line;
use crate::model::destination::{Connections, Destination, DestinationKey, Forwarding, Weight};
use crate::model::service::{Family, Netmask, Scheduler, Service, ServiceFlags, ServiceKey};
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
///
/// It is read twice a second, so it is two plain lists: nothing in it is allocated by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcTable {
    services: Vec<ProcService>,
    /// Those of all services one behind the other.
    destinations: Vec<ProcDestination>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProcService {
    key: ProcKey,
    scheduler: SchedulerName,
    one_packet: bool,
    persistence: Option<Persistence>,
    /// Where its destinations end in the list of all; they begin where those of the service before it end.
    end: usize,
}

/// A scheduler's name, with zeros behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SchedulerName([u8; Scheduler::MAX_LEN]);

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
    active: u32,
    inactive: u32,
}

/// A service with its destinations.
#[derive(Clone, Copy, Debug)]
struct Listed<'a> {
    service: &'a ProcService,
    destinations: &'a [ProcDestination],
}

/// How much there is in a list; the next one is most likely as long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    services: usize,
    destinations: usize,
}

/// Reads the file piece by piece, as the kernel hands it out.
#[derive(Debug, Default)]
pub struct ProcReader {
    table: ProcTable,
    /// The beginning of a line whose end is in the next piece.
    rest: Vec<u8>,
    lines: usize,
}

impl ProcReader {
    /// A reader with room for so much.
    pub fn with_room(room: Room) -> Self {
        let table = ProcTable {
            services: Vec::with_capacity(room.services),
            destinations: Vec::with_capacity(room.destinations),
        };
        Self { table, ..Self::default() }
    }

    /// Takes the next piece, which may end anywhere.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), ProcError> {
        let mut piece = piece;
        if !self.rest.is_empty() {
            let Some(end) = piece.iter().position(|byte| *byte == b'\n') else {
                self.rest.extend_from_slice(piece);
                return Ok(());
            };
            let (head, tail) = piece.split_at(end);
            self.rest.extend_from_slice(head);
            let line = std::mem::take(&mut self.rest);
            self.line(&line)?;
            piece = tail.get(1..).unwrap_or_default();
        }
        let mut lines = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            if lines.peek().is_none() {
                self.rest.extend_from_slice(line);
            } else {
                self.line(line)?;
            }
        }
        Ok(())
    }

    /// The file is at its end.
    pub fn finish(mut self) -> Result<ProcTable, ProcError> {
        if !self.rest.is_empty() {
            let line = std::mem::take(&mut self.rest);
            self.line(&line)?;
        }
        Ok(self.table)
    }

    fn line(&mut self, text: &[u8]) -> Result<(), ProcError> {
        self.lines += 1;
        let ProcTable { services, destinations } = &mut self.table;
        let is_understood = match Line::read(text) {
            Some(Line::Head) => true,
            Some(Line::Service(service)) => {
                services.push(ProcService { end: destinations.len(), ..service });
                true
            }
            Some(Line::Destination(destination)) => match services.last_mut() {
                Some(service) => {
                    destinations.push(destination);
                    service.end = destinations.len();
                    true
                }
                None => false,
            },
            None => false,
        };
        if is_understood {
            return Ok(());
        }
        Err(ProcError { line: self.lines, text: String::from_utf8_lossy(text).into_owned() })
    }
}

impl ProcTable {
    /// Reads the whole file.
    pub fn parse(text: &str) -> Result<Self, ProcError> {
        let mut reader = ProcReader::default();
        reader.take(text.as_bytes())?;
        reader.finish()
    }

    /// How long it is.
    pub const fn room(&self) -> Room {
        Room { services: self.services.len(), destinations: self.destinations.len() }
    }

    /// Each service with its destinations.
    fn listed(&self) -> impl Iterator<Item = Listed<'_>> {
        let mut start = 0;
        self.services.iter().map(move |service| {
            let destinations = self.destinations.get(start..service.end).unwrap_or_default();
            start = service.end;
            Listed { service, destinations }
        })
    }

    /// The services that are not the same here and in `table`, as far as this file can tell.
    pub fn differences(&self, table: &Table) -> Vec<ServiceKey> {
        let ticks = self.ticks(table);
        let mut seen: Vec<ServiceKey> = Vec::with_capacity(self.services.len());
        let mut different = BTreeSet::new();
        for (key, listed) in self.with_keys(table, ticks) {
            let entry = table.services.get(&key);
            if !entry.is_some_and(|entry| listed.shows(entry, ticks)) {
                different.insert(key);
            }
            seen.push(key);
        }
        // Both in order, so that what is missing or doubled is found in one walk.
        seen.sort_unstable();
        different.extend(seen.windows(2).filter_map(|pair| match pair {
            [first, second] if first == second => Some(*first),
            _ => None,
        }));
        let mut seen = seen.into_iter().peekable();
        for key in table.services.keys() {
            while seen.next_if(|it| it < key).is_some() {}
            if seen.peek() != Some(key) {
                different.insert(*key);
            }
        }
        different.into_iter().collect()
    }

    /// The connections of every destination that has some; `table` tells the family of a firewall mark.
    pub fn counters(&self, table: &Table) -> Counters {
        let is_busy = |it: &ProcDestination| it.active != 0 || it.inactive != 0;
        if !self.destinations.iter().any(is_busy) {
            return Counters::new();
        }
        let mut counters = Vec::new();
        for (key, listed) in self.with_keys(table, self.ticks(table)) {
            let busy = listed.destinations.iter().filter(|it| is_busy(it));
            counters.extend(busy.map(|it| {
                let connections =
                    Connections { active: it.active, inactive: it.inactive, persistent: 0 };
                ((key, it.key), connections)
            }));
        }
        counters.into_iter().collect()
    }

    /// The services with their keys, where `table` helps to tell the families of firewall marks.
    fn with_keys<'a>(
        &'a self,
        table: &'a Table,
        ticks: u32,
    ) -> impl Iterator<Item = (ServiceKey, Listed<'a>)> {
        let is_mark = |it: &Listed<'_>| matches!(it.service.key, ProcKey::FwMark(_));
        let marks = self.listed().filter(is_mark);
        let mut claimed: BTreeSet<_> = marks.filter_map(Listed::own_key).collect();
        self.listed().map(move |listed| {
            let key = listed.own_key().unwrap_or_else(|| {
                let key = listed.likely_key(table, &claimed, ticks);
                claimed.insert(key);
                key
            });
            (key, listed)
        })
    }

    /// The kernel's ticks per second: those by which most timeouts agree with `table`.
    fn ticks(&self, table: &Table) -> u32 {
        let [first, ..] = TICKS;
        let is_persistent = |it: &&ProcService| it.persistence.is_some();
        if !self.services.iter().any(|it| is_persistent(&it)) {
            return first;
        }
        let agreeing = |&ticks: &u32| {
            let agrees = |service: &&ProcService| {
                let seconds = service.persistence.map(|it| it.seconds(ticks));
                let entries = service.possible_keys();
                let mut entries = entries.iter().filter_map(|key| table.services.get(key));
                entries.any(|it| seconds == Some(it.service.timeout))
            };
            self.services.iter().filter(is_persistent).filter(agrees).count()
        };
        TICKS.into_iter().max_by_key(agreeing).unwrap_or(first)
    }
}

impl ProcService {
    /// The key, or both that a firewall mark may mean.
    fn possible_keys(&self) -> [ServiceKey; 2] {
        match self.key {
            ProcKey::Known(key) => [key, key],
            ProcKey::FwMark(mark) => {
                [Family::V4, Family::V6].map(|family| ServiceKey::FwMark { family, mark })
            }
        }
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

impl Listed<'_> {
    /// The key as far as the file itself tells it: the family of a firewall mark is that of its destinations,
    /// except for tunnels, which may lead to the other one.
    fn own_key(self) -> Option<ServiceKey> {
        match self.service.key {
            ProcKey::Known(key) => Some(key),
            ProcKey::FwMark(mark) => {
                let mut telling = self.destinations.iter();
                let telling = telling.find(|it| it.forwarding != Forwarding::Tunnel)?;
                let family = Family::of(telling.key.0.ip());
                Some(ServiceKey::FwMark { family, mark })
            }
        }
    }

    /// Among the keys that `table` has and no other line claims: the one with the same content, else any,
    /// else IPv4.
    fn likely_key(self, table: &Table, claimed: &BTreeSet<ServiceKey>, ticks: u32) -> ServiceKey {
        let keys = self.service.possible_keys();
        let free = || keys.iter().filter(|key| !claimed.contains(key));
        let entry = |key: &ServiceKey| table.services.get(key);
        let equal = free().find(|key| entry(key).is_some_and(|it| self.shows(it, ticks)));
        let there = || free().find(|key| entry(key).is_some());
        let [v4, _] = keys;
        *equal.or_else(there).or_else(|| free().next()).unwrap_or(&v4)
    }

    /// Whether `entry` would be shown like this.
    fn shows(self, entry: &Entry, ticks: u32) -> bool {
        let Self { service, destinations } = self;
        service.scheduler.is(&entry.service.scheduler)
            && service.shows_flags(&entry.service)
            && service.shows_persistence(&entry.service, ticks)
            && destinations.len() == entry.destinations.len()
            && destinations.iter().all(|shown| {
                let destination = entry.destinations.get(&shown.key);
                destination.is_some_and(|it| shown.shows(it))
            })
    }
}

impl SchedulerName {
    fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; Scheduler::MAX_LEN];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self(bytes))
    }

    fn is(self, scheduler: &Scheduler) -> bool {
        Self::new(scheduler.as_str()) == Some(self)
    }
}

impl ProcDestination {
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

#[cfg(test)]
mod tests;
