//! One service with its destinations in JSON <-> the nouns.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::model::destination::{
    Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use crate::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};
use crate::model::table::Entry;
use crate::saved::sound;
use crate::saved::word::{Kind, Word};

/// The bits that have words of their own.
const NAMED: ServiceFlags = ServiceFlags(0x3d);

struct ProtocolWord;

impl Kind for ProtocolWord {
    const WHAT: &'static str = "a protocol";
    const NAMES: &'static [(&'static str, u16)] = &[("tcp", 6), ("udp", 17), ("sctp", 132)];
    const MOST: u16 = u16::MAX;
}

struct ForwardingWord;

impl Kind for ForwardingWord {
    const WHAT: &'static str = "a forwarding method";
    const NAMES: &'static [(&'static str, u16)] =
        &[("masq", 0), ("local", 1), ("tun", 2), ("dr", 3), ("bypass", 4)];
    const MOST: u16 = 7;
}

struct TunnelWord;

impl Kind for TunnelWord {
    const WHAT: &'static str = "a kind of tunnel";
    const NAMES: &'static [(&'static str, u16)] = &[("ipip", 0), ("gue", 1), ("gre", 2)];
    const MOST: u16 = 255;
}

struct ChecksumWord;

impl Kind for ChecksumWord {
    const WHAT: &'static str = "a tunnel's checksum";
    const NAMES: &'static [(&'static str, u16)] = &[("none", 0), ("csum", 1), ("remcsum", 2)];
    const MOST: u16 = u16::MAX;
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum FileFamily {
    Ipv4,
    Ipv6,
}

/// A netmask, or a prefix length.
#[derive(Deserialize, Serialize)]
#[serde(untagged, expecting = "a netmask like \"255.255.255.0\", or a prefix length from 1 to 128")]
enum FileMask {
    V4(Ipv4Addr),
    V6(u8),
}

/// A service: either `protocol` and `address`, or `fwmark` and `family`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Word<ProtocolWord>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fwmark: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<FileFamily>,
    scheduler: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scheduler_flags: Vec<String>,
    /// Seconds; there where the service is persistent.
    #[serde(skip_serializing_if = "Option::is_none")]
    persistence_timeout: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistence_netmask: Option<FileMask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pe: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "is_false")]
    ops: bool,
    /// Bits that have no name.
    #[serde(default, skip_serializing_if = "is_zero")]
    other_flags: u32,
    /// A timeout that another program gave a service that is not persistent.
    #[serde(default, skip_serializing_if = "is_zero")]
    unused_timeout: u32,
    destinations: Vec<Server>,
}

/// A destination; what is absent is 0.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Server {
    address: SocketAddr,
    forwarding: Word<ForwardingWord>,
    weight: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    upper_threshold: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    lower_threshold: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<Word<TunnelWord>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel_checksum: Option<Word<ChecksumWord>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_false(it: &bool) -> bool {
    !*it
}

/// The names of a scheduler's own flags, in the order of their bits.
const fn flag_names(scheduler: &str) -> [&'static str; 3] {
    match scheduler.as_bytes() {
        b"sh" => ["sh-fallback", "sh-port", "flag-3"],
        b"mh" => ["mh-fallback", "mh-port", "flag-3"],
        _ => ["flag-1", "flag-2", "flag-3"],
    }
}

const BITS: [ServiceFlags; 3] =
    [ServiceFlags::SCHED_1, ServiceFlags::SCHED_2, ServiceFlags::SCHED_3];

impl One {
    pub(super) fn of(key: ServiceKey, entry: &Entry) -> Self {
        let service = &entry.service;
        let (protocol, address, fwmark, family) = match key {
            ServiceKey::Address { protocol, address } => {
                (Some(Word::new(protocol.0)), Some(address), None, None)
            }
            ServiceKey::FwMark { family, mark } => {
                let family = match family {
                    Family::V4 => FileFamily::Ipv4,
                    Family::V6 => FileFamily::Ipv6,
                };
                (None, None, NonZeroU32::new(mark), Some(family))
            }
        };
        let scheduler = service.scheduler.as_str();
        let flags = BITS.iter().zip(flag_names(scheduler));
        let flags = flags.filter(|(bit, _)| service.flags.contains(**bit));
        let is_persistent = service.flags.contains(ServiceFlags::PERSISTENT);
        let netmask = Some(service.netmask).filter(|it| *it != Netmask::host(key.family()));
        Self {
            protocol,
            address,
            fwmark,
            family,
            scheduler: scheduler.to_owned(),
            scheduler_flags: flags.map(|(_, name)| name.to_owned()).collect(),
            persistence_timeout: is_persistent.then_some(service.timeout),
            persistence_netmask: netmask.map(|it| match it {
                Netmask::V4(mask) => FileMask::V4(mask),
                Netmask::V6(length) => FileMask::V6(length),
            }),
            pe: service.persistence_engine.clone(),
            ops: service.flags.contains(ServiceFlags::ONE_PACKET),
            other_flags: service.flags.without(NAMED).0,
            unused_timeout: if is_persistent { 0 } else { service.timeout },
            destinations: entry.destinations.iter().map(|(&to, it)| Server::of(to, it)).collect(),
        }
    }

    pub(super) fn entry(self) -> Result<(ServiceKey, Entry), String> {
        let key = self.key()?;
        let service = self.service(key)?;
        sound::service(key, &service)?;
        let mut destinations = BTreeMap::new();
        for server in self.destinations {
            let (to, destination) = server.destination();
            sound::destination(key, to, &destination)?;
            if destinations.insert(to, destination).is_some() {
                return Err(format!("destination {to} of service {key} stands twice"));
            }
        }
        Ok((key, Entry { service, destinations }))
    }

    fn key(&self) -> Result<ServiceKey, String> {
        match (&self.protocol, self.address, self.fwmark, self.family) {
            (Some(protocol), Some(address), None, None) => {
                Ok(ServiceKey::Address { protocol: Protocol(protocol.0), address })
            }
            (None, None, Some(mark), Some(family)) => Ok(ServiceKey::FwMark {
                family: match family {
                    FileFamily::Ipv4 => Family::V4,
                    FileFamily::Ipv6 => Family::V6,
                },
                mark: mark.get(),
            }),
            _ => Err("a service has either protocol and address, or fwmark and family".into()),
        }
    }

    fn service(&self, key: ServiceKey) -> Result<Service, String> {
        let name = &self.scheduler;
        let scheduler = Scheduler::new(name)
            .ok_or_else(|| format!("service {key}: {name:?} is no scheduler's name"))?;
        let mut flags = ServiceFlags(self.other_flags).without(ServiceFlags::HASHED);
        if flags.0 != self.other_flags || flags.without(NAMED) != flags {
            return Err(format!(
                "service {key}: other_flags has bits that have a word of their own, or are the kernel's"
            ));
        }
        for word in &self.scheduler_flags {
            let mut known = BITS.iter().zip(flag_names(name));
            let found = known.find(|(_, flag)| flag == word);
            let (bit, _) = found
                .ok_or_else(|| format!("service {key}: {word:?} is no flag of scheduler {name}"))?;
            flags = flags.with(*bit);
        }
        if self.persistence_timeout.is_some() {
            flags = flags.with(ServiceFlags::PERSISTENT);
        }
        if self.ops {
            flags = flags.with(ServiceFlags::ONE_PACKET);
        }
        if self.persistence_timeout.is_some() && self.unused_timeout != 0 {
            return Err(format!("service {key}: unused_timeout beside persistence_timeout"));
        }
        Ok(Service {
            scheduler,
            flags,
            timeout: self.persistence_timeout.unwrap_or(self.unused_timeout),
            netmask: match self.persistence_netmask {
                None => Netmask::host(key.family()),
                Some(FileMask::V4(mask)) => Netmask::V4(mask),
                Some(FileMask::V6(length)) => Netmask::V6(length),
            },
            persistence_engine: self.pe.clone(),
        })
    }
}

impl Server {
    fn of(to: DestinationKey, destination: &Destination) -> Self {
        let Destination { forwarding, weight, thresholds, tunnel } = *destination;
        let is_tunnel = forwarding == Forwarding::Tunnel;
        Self {
            address: to.0,
            forwarding: Word::new(match forwarding {
                Forwarding::Masquerade => 0,
                Forwarding::Local => 1,
                Forwarding::Tunnel => 2,
                Forwarding::DirectRoute => 3,
                Forwarding::Other(number) => number.into(),
            }),
            weight: weight.0,
            upper_threshold: thresholds.upper,
            lower_threshold: thresholds.lower,
            tunnel: (is_tunnel || tunnel.kind != 0).then(|| Word::new(tunnel.kind.into())),
            tunnel_port: (tunnel.port != 0).then_some(tunnel.port),
            tunnel_checksum: (tunnel.flags != 0).then(|| Word::new(tunnel.flags)),
        }
    }

    fn destination(self) -> (DestinationKey, Destination) {
        let small = |number: u16| u8::try_from(number).unwrap_or(u8::MAX);
        let destination = Destination {
            forwarding: match self.forwarding.0 {
                0 => Forwarding::Masquerade,
                1 => Forwarding::Local,
                2 => Forwarding::Tunnel,
                3 => Forwarding::DirectRoute,
                other => Forwarding::Other(small(other)),
            },
            weight: Weight(self.weight),
            thresholds: Thresholds { upper: self.upper_threshold, lower: self.lower_threshold },
            tunnel: Tunnel {
                kind: self.tunnel.map_or(0, |it| small(it.0)),
                port: self.tunnel_port.unwrap_or(0),
                flags: self.tunnel_checksum.map_or(0, |it| it.0),
            },
        };
        (DestinationKey(self.address), destination)
    }
}
