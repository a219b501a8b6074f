//! The values of options as C's library reads them: numbers by strtol, addresses by inet_aton and inet_pton.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::service::Protocol;

/// Names of hosts and services, which somebody outside knows. Nobody needs to: then there are none.
pub trait Names {
    /// The first IPv4 address of a host.
    fn host(&self, name: &str) -> Option<Ipv4Addr>;
    /// The port of a service.
    fn port(&self, name: &str, protocol: Protocol) -> Option<u16>;
    /// The name of a host.
    fn host_name(&self, address: IpAddr) -> Option<String>;
    /// The name of a port.
    fn port_name(&self, port: u16, protocol: Protocol) -> Option<String>;
}

/// Nobody knows any name.
#[derive(Clone, Copy, Debug)]
pub struct NoNames;

impl Names for NoNames {
    fn host(&self, _: &str) -> Option<Ipv4Addr> {
        None
    }

    fn port(&self, _: &str, _: Protocol) -> Option<u16> {
        None
    }

    fn host_name(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn port_name(&self, _: u16, _: Protocol) -> Option<String> {
        None
    }
}

/// An address as an option names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: IpAddr,
    /// `None` where none was written.
    pub(super) port: Option<u16>,
}

const BLANKS: [char; 6] = [' ', '\t', '\n', '\u{b}', '\u{c}', '\r'];

/// A whole decimal number between two others, blanks and a sign in front of it allowed.
pub(super) fn number(text: &str, least: u32, most: u32) -> Option<u32> {
    let text = text.trim_start_matches(BLANKS);
    let digits = text.strip_prefix('+').or_else(|| text.strip_prefix('-')).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = text.parse().ok()?;
    u32::try_from(number).ok().filter(|number| (least..=most).contains(number))
}

/// The number that a text begins with, 0 if it begins with none.
pub(super) fn leading_number(text: &str) -> i64 {
    let text = text.trim_start_matches(BLANKS);
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let digits = text.get(..end).unwrap_or_default();
    let number: i64 = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(i64::MAX) };
    if negative { -number } else { number }
}

/// `10.0.0.1`, `10.1`, `0xa000001`, each part in C's notation; what stands behind a blank is not read.
pub(super) fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let text = text.split(BLANKS).next().filter(|it| !it.is_empty())?;
    let parts: Vec<u32> = text.split('.').map(c_number).collect::<Option<_>>()?;
    let (last, bytes) = parts.split_last()?;
    if bytes.len() > 3 || bytes.iter().any(|byte| *byte > 255) {
        return None;
    }
    let free = 32 - 8 * u32::try_from(bytes.len()).ok()?;
    if free < 32 && last >> free != 0 {
        return None;
    }
    let high = bytes.iter().zip([24, 16, 8]).fold(0, |sum, (byte, shift)| sum | byte << shift);
    Some(Ipv4Addr::from(high | last))
}

/// Decimal, `0` octal, `0x` hexadecimal, as strtoul reads them.
fn c_number(text: &str) -> Option<u32> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let (digits, base) = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (lower.as_str(), 10),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    u32::from_str_radix(digits, base).ok()
}

/// `host`, `host:port`, `[v6]:port`, `v6`; `None` if it is no address or no port.
pub(super) fn place(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<Place> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (host, bracketed) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            (host, Some(behind.strip_prefix(':')?))
        }
        None => (text, None),
    };
    if let Ok(v6) = host.parse::<Ipv6Addr>() {
        let port = match bracketed {
            Some(port) => Some(self::port(port, protocol, names)?),
            None => None,
        };
        return Some(Place { address: v6.into(), port });
    }
    // What stands behind the brackets is not read where they hold no IPv6 address.
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host, None),
    };
    let address = ipv4(host).or_else(|| names.host(host))?;
    let port = match port {
        Some(port) => Some(self::port(port, protocol, names)?),
        None => None,
    };
    Some(Place { address: address.into(), port })
}

fn port(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<u16> {
    let number = number(text, 0, u32::from(u16::MAX)).and_then(|it| u16::try_from(it).ok());
    number.or_else(|| names.port(text, protocol?))
}

/// A firewall mark.
pub(super) fn mark(text: &str) -> Option<u32> {
    number(text, 1, u32::MAX)
}
