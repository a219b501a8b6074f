//! The kernel's IPVS table as the scenarios compare it, and the text of /proc/net/ip_vs read into it.
//! Independent of the library's own nouns and parsers on purpose.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, anyhow, bail};

/// What a virtual service is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A protocol (6 is TCP), an address and a port.
    Address(u16, SocketAddr),
    /// A firewall mark.
    Mark(u32),
}

impl Key {
    /// The TCP service at an address.
    pub(crate) const fn tcp(address: SocketAddr) -> Self {
        Self::Address(6, address)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(_, address) => write!(f, "{address}"),
            Self::Mark(mark) => write!(f, "mark {mark}"),
        }
    }
}

/// A real server's record in one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The share of new connections; 0 takes none.
    pub(crate) weight: u32,
    /// As ipvsadm and /proc name it: Masq, Route, Tunnel, Local.
    pub(crate) forwarding: String,
    /// Established and opening connections.
    pub(crate) active: u32,
    /// The others that the kernel still remembers.
    pub(crate) inactive: u32,
}

/// One virtual service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Service {
    /// The scheduler's name.
    pub(crate) scheduler: String,
    /// Its destinations.
    pub(crate) destinations: BTreeMap<SocketAddr, Destination>,
}

/// A whole table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table(pub(crate) BTreeMap<Key, Service>);

impl Table {
    /// Reads the text of /proc/net/ip_vs.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut table = Self::default();
        let mut key = None;
        for line in text.lines().skip(3) {
            let words: Vec<_> = line.split_whitespace().collect();
            let read = || format!("/proc/net/ip_vs: {line:?}");
            match words[..] {
                ["->", address, forwarding, weight, active, inactive] => {
                    let service = key.and_then(|key| table.0.get_mut(&key)).with_context(read)?;
                    let destination = Destination {
                        weight: weight.parse().with_context(read)?,
                        forwarding: forwarding.to_owned(),
                        active: active.parse().with_context(read)?,
                        inactive: inactive.parse().with_context(read)?,
                    };
                    service
                        .destinations
                        .insert(hex_address(address).with_context(read)?, destination);
                }
                ["FWM", mark, scheduler, ..] => {
                    let mark = u32::from_str_radix(mark, 16).with_context(read)?;
                    key = Some(Key::Mark(mark));
                    table.insert(key, scheduler);
                }
                [protocol, address, scheduler, ..] => {
                    let number = match protocol {
                        "TCP" => 6,
                        "UDP" => 17,
                        "SCTP" => 132,
                        _ => bail!(read()),
                    };
                    key = Some(Key::Address(number, hex_address(address).with_context(read)?));
                    table.insert(key, scheduler);
                }
                _ => bail!(read()),
            }
        }
        Ok(table)
    }

    fn insert(&mut self, key: Option<Key>, scheduler: &str) {
        let service = Service { scheduler: scheduler.to_owned(), destinations: BTreeMap::new() };
        self.0.extend(key.map(|key| (key, service)));
    }

    /// The weight of a destination, if it stands there.
    pub(crate) fn weight(&self, key: Key, server: SocketAddr) -> Option<u32> {
        Some(self.0.get(&key)?.destinations.get(&server)?.weight)
    }

    /// The destinations of a service that take new connections.
    pub(crate) fn usable(&self, key: Key) -> Vec<SocketAddr> {
        let destinations = self.0.get(&key).into_iter().flat_map(|service| &service.destinations);
        destinations.filter(|(_, d)| d.weight > 0).map(|(&address, _)| address).collect()
    }

    /// The same table without its connection counters, for comparisons while clients work.
    pub(crate) fn without_counters(&self) -> Self {
        let mut table = self.clone();
        for service in table.0.values_mut() {
            for destination in service.destinations.values_mut() {
                (destination.active, destination.inactive) = (0, 0);
            }
        }
        table
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, service) in &self.0 {
            writeln!(f, "{key} {}", service.scheduler)?;
            for (address, d) in &service.destinations {
                writeln!(
                    f,
                    "  -> {address} {} weight {}, {} active",
                    d.forwarding, d.weight, d.active
                )?;
            }
        }
        Ok(())
    }
}

/// `0A090064:1538` or `[fd00:0009:...:0100]:1538`.
fn hex_address(text: &str) -> Result<SocketAddr> {
    let (address, port) = text.rsplit_once(':').ok_or_else(|| anyhow!("{text}: no port"))?;
    let address = match address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(six) => IpAddr::V6(six.parse::<Ipv6Addr>()?),
        None => IpAddr::V4(Ipv4Addr::from_bits(u32::from_str_radix(address, 16)?)),
    };
    Ok(SocketAddr::new(address, u16::from_str_radix(port, 16)?))
}
