//! Addresses as other programs write them, and what stands in for those that only a name server or the operator knows.
//!
//! A stand-in is an address of documentation (RFC 5737, RFC 3849): the result can be checked, and reaches nobody.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Around;
use crate::ipvsadm::values::Names;
use crate::model::service::Family;

/// Where something is, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// An IP address, and a port if one is written.
    At(IpAddr, Port),
    /// Every address of the director.
    Anywhere(Port),
    /// A host's name.
    Host(String, Port),
    /// A socket of the file system, a variable and the like.
    Other,
}

/// A port as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    None,
    One(u16),
    /// From the first to the last.
    Range(u16, u16),
    /// So much more or less than the service's.
    Shift(i32),
}

/// `10.0.0.1:5432`, `[::1]:5432`, `::1:5432` (the last part is the port), `*:5432`, `host:5432`, `10.0.0.1`.
pub(super) fn haproxy(text: &str) -> Written {
    let bare =
        ["ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"].iter().find_map(|it| text.strip_prefix(it));
    let text = bare.unwrap_or(text);
    if text.is_empty() || text.contains(['/', '@', '$', '%', ' ', ',']) {
        return Written::Other;
    }
    let (host, port) = match text.rsplit_once(':') {
        None => (text, Port::None),
        // `[::1]` alone.
        Some(_) if text.ends_with(']') => (text, Port::None),
        Some((host, port)) => match parsed_port(port) {
            Some(port) => (host, port),
            None => return Written::Other,
        },
    };
    let inner = host.trim_start_matches('[').trim_end_matches(']');
    match (inner, inner.parse::<IpAddr>()) {
        ("" | "*", _) => Written::Anywhere(port),
        (_, Ok(ip)) if ip.is_unspecified() => Written::Anywhere(port),
        (_, Ok(ip)) => Written::At(ip, port),
        (name, Err(_)) if is_host(name) => Written::Host(name.to_owned(), port),
        _ => Written::Other,
    }
}

fn parsed_port(text: &str) -> Option<Port> {
    if text.is_empty() {
        return Some(Port::None);
    }
    if text.starts_with(['+', '-']) {
        return text.parse().ok().map(Port::Shift);
    }
    match text.split_once('-') {
        Some((first, last)) => Some(Port::Range(first.parse().ok()?, last.parse().ok()?)),
        None => text.parse().ok().filter(|port| *port > 0).map(Port::One),
    }
}

fn is_host(name: &str) -> bool {
    name.contains(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// A host's address, and a word on where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) ip: IpAddr,
    pub(super) why: String,
    /// Whether somebody has to correct it.
    pub(super) is_stand_in: bool,
}

/// The addresses of hosts: looked up where that is allowed, stand-ins elsewhere.
pub(super) struct Hosts<'a> {
    names: &'a dyn Names,
    own: &'a [IpAddr],
    known: RefCell<BTreeMap<String, IpAddr>>,
}

/// Stand-ins of hosts, by number: 192.0.2.0/24, then 198.51.100.0/24 and 203.0.113.0/24.
const NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];
/// The first stand-in of a host; those before it are the director's own.
const FIRST: usize = 11;
const PER_NETWORK: usize = 244;

impl<'a> Hosts<'a> {
    pub(super) fn new(around: Around<'a>) -> Self {
        Self { names: around.names, own: around.addresses, known: RefCell::new(BTreeMap::new()) }
    }

    /// The address of a host; `None` when there are more hosts than stand-ins.
    pub(super) fn of(&self, name: &str) -> Option<Found> {
        if let Some(ip) = self.names.host(name) {
            let why = format!("{name}, looked up");
            return Some(Found { ip: ip.into(), why, is_stand_in: false });
        }
        let mut known = self.known.borrow_mut();
        let next = stand_in(known.len());
        let ip = match known.get(name) {
            Some(ip) => *ip,
            None => *known.entry(name.to_owned()).or_insert(next?),
        };
        Some(Found { ip, why: format!("stands in for {name}"), is_stand_in: true })
    }

    /// The director's own address of a family.
    pub(super) fn own(&self, family: Family) -> Found {
        if let Some(ip) = self.own.iter().find(|ip| Family::of(**ip) == family) {
            return Found { ip: *ip, why: "given by --address".to_owned(), is_stand_in: false };
        }
        let ip = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        };
        Found { ip, why: "stands in for this director's own address".to_owned(), is_stand_in: true }
    }
}

fn stand_in(number: usize) -> Option<IpAddr> {
    let [a, b, c] = *NETWORKS.get(number / PER_NETWORK)?;
    let last = u8::try_from(number % PER_NETWORK + FIRST).ok()?;
    Some(Ipv4Addr::new(a, b, c, last).into())
}

/// An address with the port that is written, or the one of the service in front of it.
pub(super) fn with_port(ip: IpAddr, port: Port, service: Option<u16>) -> Option<SocketAddr> {
    let port = match port {
        Port::One(port) => port,
        Port::None => service?,
        Port::Shift(by) => u16::try_from(i32::from(service?).checked_add(by)?).ok()?,
        Port::Range(..) => return None,
    };
    (port > 0).then(|| SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_haproxy_reads_them() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (text, written) in [
            ("10.0.0.1:5432", Written::At(ip("10.0.0.1"), Port::One(5432))),
            ("10.0.0.1", Written::At(ip("10.0.0.1"), Port::None)),
            ("ipv4@10.0.0.1:1", Written::At(ip("10.0.0.1"), Port::One(1))),
            ("[2001:db8::1]:5432", Written::At(ip("2001:db8::1"), Port::One(5432))),
            ("2001:db8::1:5432", Written::At(ip("2001:db8::1"), Port::One(5432))),
            ("[2001:db8::1]", Written::At(ip("2001:db8::1"), Port::None)),
            ("*:5000", Written::Anywhere(Port::One(5000))),
            (":5000", Written::Anywhere(Port::One(5000))),
            ("0.0.0.0:5000", Written::Anywhere(Port::One(5000))),
            (":::5000", Written::Anywhere(Port::One(5000))),
            ("[::]:5000", Written::Anywhere(Port::One(5000))),
            ("10.0.0.1:5000-5002", Written::At(ip("10.0.0.1"), Port::Range(5000, 5002))),
            ("10.0.0.1:+1000", Written::At(ip("10.0.0.1"), Port::Shift(1000))),
            ("pg1.example.com:5432", Written::Host("pg1.example.com".into(), Port::One(5432))),
            ("/run/pg.sock", Written::Other),
            ("unix@/run/pg.sock", Written::Other),
            ("${PG1}:5432", Written::Other),
            ("10.0.0.1:0", Written::Other),
            ("10.0.0.1:http", Written::Other),
            ("10.0.0.300:5432", Written::Other),
        ] {
            assert_eq!(haproxy(text), written, "{text}");
        }
    }

    #[test]
    fn stand_ins_differ_until_they_end() {
        let all: std::collections::BTreeSet<_> = (0..3 * PER_NETWORK).map(stand_in).collect();
        assert_eq!(all.len(), 3 * PER_NETWORK);
        assert_eq!(stand_in(0), Some("192.0.2.11".parse().unwrap()));
        assert_eq!(stand_in(3 * PER_NETWORK), None);
    }
}
