//! Addresses as keepalived writes them: an IP address and a port apart, ranges, and the like of groups.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::super::ledger::Statement;
use crate::model::service::Family;

/// A real server's or sorry server's address; `port` is the service's, which holds where none is written.
pub(super) fn socket(statement: &Statement, at: usize, port: u16) -> Option<SocketAddr> {
    let ip: IpAddr = statement.word(at).parse().ok()?;
    let port = match statement.word(at + 1) {
        "" => port,
        written => written.parse().ok()?,
    };
    Some(SocketAddr::new(ip, port))
}

/// A virtual address, or a range of them, as the config writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Virtual {
    pub(super) family: Family,
    pub(super) port: u16,
    pub(super) texts: Vec<String>,
}

/// `IP [PORT]`, `10.0.0.1-10 [PORT]`, `10.0.0.250-10.0.1.9 [PORT]`, `10.0.0.8/29 [PORT]`.
pub(super) fn virtual_address(statement: &Statement, at: usize) -> Option<Virtual> {
    let port: u16 = match statement.word(at + 1) {
        "" => 0,
        written => written.parse().ok()?,
    };
    let (first, last) = ends(statement.word(at))?;
    let texts = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            ranges_v4(first, last)?.into_iter().map(|range| format!("{range}:{port}")).collect()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            vec![format!("[{}]:{port}", range_v6(first, last)?)]
        }
        _ => return None,
    };
    Some(Virtual { family: Family::of(first), port, texts })
}

/// The first and the last address.
fn ends(text: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((ip, length)) = text.split_once('/') {
        return network(ip.parse().ok()?, length.parse().ok()?);
    }
    let Some((first, last)) = text.split_once('-') else {
        let ip = text.parse().ok()?;
        return Some((ip, ip));
    };
    let first: IpAddr = first.parse().ok()?;
    let last = match (first, last.parse::<IpAddr>()) {
        (_, Ok(last)) => last,
        (IpAddr::V4(first), Err(_)) => {
            let [a, b, c, _] = first.octets();
            Ipv4Addr::new(a, b, c, last.parse().ok()?).into()
        }
        (IpAddr::V6(first), Err(_)) => {
            let part = u128::from(u16::from_str_radix(last, 16).ok()?);
            Ipv6Addr::from(u128::from(first) & !0xffff | part).into()
        }
    };
    Some((first, last))
}

/// The addresses of a small network.
fn network(ip: IpAddr, length: u32) -> Option<(IpAddr, IpAddr)> {
    match ip {
        IpAddr::V4(ip) if (20..=32).contains(&length) => {
            let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
            let ip = u32::from(ip);
            Some((Ipv4Addr::from(ip & !hosts).into(), Ipv4Addr::from(ip | hosts).into()))
        }
        IpAddr::V6(ip) if (112..=128).contains(&length) => {
            let hosts = u128::MAX.checked_shr(length).unwrap_or(0);
            let ip = u128::from(ip);
            Some((Ipv6Addr::from(ip & !hosts).into(), Ipv6Addr::from(ip | hosts).into()))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// Ranges that each stay within the last part; `None` if there are too many or none.
fn ranges_v4(first: Ipv4Addr, last: Ipv4Addr) -> Option<Vec<Range4>> {
    let (mut from, last) = (u32::from(first), u32::from(last));
    if last.checked_sub(from)? >= 4096 {
        return None;
    }
    let mut ranges = Vec::new();
    while from <= last {
        let end = (from | 0xff).min(last);
        ranges.push(Range4(from.into(), end.into()));
        let Some(next) = end.checked_add(1) else {
            break;
        };
        from = next;
    }
    Some(ranges)
}

struct Range4(Ipv4Addr, Ipv4Addr);

impl std::fmt::Display for Range4 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [.., last] = self.1.octets();
        match self.0 == self.1 {
            true => write!(f, "{}", self.0),
            false => write!(f, "{}-{last}", self.0),
        }
    }
}

fn range_v6(first: Ipv6Addr, last: Ipv6Addr) -> Option<String> {
    let [.., end] = last.segments();
    let is_near = u128::from(first) >> 16 == u128::from(last) >> 16 && first <= last;
    let text = if first == last { first.to_string() } else { format!("{first}-{end:x}") };
    is_near.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::super::ledger::Place;
    use super::*;

    #[test]
    fn ranges_are_written_as_the_config_has_them() {
        for (text, expected) in [
            ("10.0.0.1 80", Some("10.0.0.1:80")),
            ("10.0.0.1", Some("10.0.0.1:0")),
            ("10.0.0.1-10 80", Some("10.0.0.1-10:80")),
            ("10.0.0.250-10.0.1.9 80", Some("10.0.0.250-255:80, 10.0.1.0-9:80")),
            ("10.0.0.8/29 80", Some("10.0.0.8-15:80")),
            ("10.0.0.8/32 80", Some("10.0.0.8:80")),
            ("2001:db8::10-1f 80", Some("[2001:db8::10-1f]:80")),
            ("2001:db8::10/124 80", Some("[2001:db8::10-1f]:80")),
            ("10.0.0.10-1 80", None),
            ("10.0.0.0/8 80", None),
            ("10.0.0.1 x", None),
            ("255.255.255.255-255 1", Some("255.255.255.255:1")),
            ("vip 80", None),
        ] {
            let words = text.split(' ').map(String::from).collect();
            let statement = Statement::new(Place { file: 0, line: 1 }, words);
            let seen = virtual_address(&statement, 0).map(|it| it.texts.join(", "));
            assert_eq!(seen.as_deref(), expected, "{text}");
        }
    }
}
