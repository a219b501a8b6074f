//! One line of /proc/net/ip_vs, read from its bytes without a copy: a table of 100,000 destinations has as many.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Persistence, ProcDestination, ProcKey, ProcService, SchedulerName};
use crate::model::destination::{DestinationKey, Forwarding, Weight};
use crate::model::service::{Protocol, ServiceKey};

/// What a line says.
pub(super) enum Line {
    /// One of the three titles.
    Head,
    /// A service; its destinations follow.
    Service(ProcService),
    /// A destination of the service above it.
    Destination(ProcDestination),
}

impl Line {
    /// `None`: not understood.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        if let Some(rest) = text.strip_prefix(b"  -> ") {
            if rest.starts_with(b"RemoteAddress:Port") {
                return Some(Self::Head);
            }
            return ProcDestination::read(&mut Words(rest)).map(Self::Destination);
        }
        if text.starts_with(b"IP Virtual Server") || text.starts_with(b"Prot ") {
            return Some(Self::Head);
        }
        ProcService::read(&mut Words(text)).map(Self::Service)
    }
}

/// What stands between blanks.
struct Words<'a>(&'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // Nothing below a blank is printed, so that one comparison is enough.
        let start = self.0.iter().position(|byte| *byte > b' ')?;
        let (_, rest) = self.0.split_at(start);
        let end = rest.iter().position(|byte| *byte <= b' ').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.0 = rest;
        Some(word)
    }
}

impl ProcService {
    fn read(words: &mut Words<'_>) -> Option<Self> {
        let protocol = words.next()?;
        let address = words.next()?;
        let key = if protocol == b"FWM" {
            ProcKey::FwMark(hexadecimal(address)?)
        } else {
            ProcKey::Known(ServiceKey::Address {
                protocol: protocol_of(protocol)?,
                address: address_of(address)?,
            })
        };
        let scheduler = SchedulerName::new(std::str::from_utf8(words.next()?).ok()?)?;
        let mut one_packet = false;
        let mut persistence = None;
        while let Some(word) = words.next() {
            match word {
                b"ops" => one_packet = true,
                b"persistent" => {
                    persistence = Some(Persistence {
                        jiffies: signed(words.next()?)?.cast_unsigned(),
                        mask: hexadecimal(words.next()?)?,
                    });
                }
                _ => return None,
            }
        }
        Some(Self { key, scheduler, one_packet, persistence, end: 0 })
    }
}

impl ProcDestination {
    fn read(words: &mut Words<'_>) -> Option<Self> {
        let key = DestinationKey(address_of(words.next()?)?);
        let forwarding = match words.next()? {
            b"Masq" => Forwarding::Masquerade,
            b"Local" => Forwarding::Local,
            b"Tunnel" => Forwarding::Tunnel,
            b"Route" => Forwarding::DirectRoute,
            _ => return None,
        };
        let mut number = || decimal(words.next()?);
        Some(Self {
            key,
            forwarding,
            weight: Weight(number()?),
            active: number()?,
            inactive: number()?,
        })
    }
}

/// The names of `ip_vs_proto_name`.
fn protocol_of(name: &[u8]) -> Option<Protocol> {
    match name {
        b"TCP" => Some(Protocol::TCP),
        b"UDP" => Some(Protocol::UDP),
        b"SCTP" => Some(Protocol::SCTP),
        b"IP" => Some(Protocol(0)),
        b"ICMP" => Some(Protocol(1)),
        b"ICMPv6" => Some(Protocol(58)),
        _ => decimal(name.strip_prefix(b"IP_")?)?.try_into().ok().map(Protocol),
    }
}

/// `0A000001:1538` or `[2001:0db8:0000:0000:0000:0000:0000:0001]:1538`, all in hexadecimal.
fn address_of(text: &[u8]) -> Option<SocketAddr> {
    // From its end: an IPv6 address has colons of its own.
    let colon = text.iter().rposition(|byte| *byte == b':')?;
    let (address, port) = text.split_at(colon);
    let port = hexadecimal(port.get(1..)?)?.try_into().ok()?;
    if let Some(address) = address.strip_prefix(b"[") {
        let address = std::str::from_utf8(address.strip_suffix(b"]")?).ok()?;
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(SocketAddr::new(address.into(), port));
    }
    Some(SocketAddr::new(Ipv4Addr::from(hexadecimal(address)?).into(), port))
}

/// One to eight digits.
fn hexadecimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    digits.iter().try_fold(0, |number, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'F' => digit - b'A' + 10,
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u32::from(digit))
    })
}

/// Digits, perhaps behind a minus.
fn signed(digits: &[u8]) -> Option<i32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Digits that fit.
fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, &digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}
