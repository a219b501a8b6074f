//! Names of hosts and ports for ipvsadm's language: /etc/hosts, /etc/services, and DNS within a second in all.
//!
//! What is not known in time stays a number; nothing here waits longer than it says.

mod dns;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::ipvsadm::values::Names;
use crate::model::service::Protocol;

/// All questions for the names of addresses take no longer than this together.
const NAMES: Duration = Duration::from_secs(1);
/// The address of a name that somebody typed is worth waiting for.
const ADDRESS: Duration = Duration::from_secs(10);

/// The system's names, read when they are first needed.
#[derive(Debug)]
pub struct SystemNames {
    hosts: String,
    services: String,
    known: RefCell<BTreeMap<IpAddr, Option<String>>>,
    /// How much of [`NAMES`] is left.
    left: RefCell<Duration>,
}

impl SystemNames {
    /// Those of /etc; a file that is not there knows no names.
    pub fn new() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::of(read("/etc/hosts"), read("/etc/services"))
    }

    fn of(hosts: String, services: String) -> Self {
        let known = RefCell::new(BTreeMap::new());
        Self { hosts, services, known, left: RefCell::new(NAMES) }
    }

    fn ask_dns(&self, address: IpAddr) -> Option<String> {
        let left = *self.left.borrow();
        let start = Instant::now();
        let name = dns::name(address, left);
        *self.left.borrow_mut() = left.saturating_sub(start.elapsed());
        name
    }
}

impl Default for SystemNames {
    fn default() -> Self {
        Self::new()
    }
}

impl Names for SystemNames {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        let mut lines = entries(&self.hosts);
        let listed = lines.find_map(|words| {
            let (address, names) = words.split_first()?;
            let address: Ipv4Addr = address.parse().ok()?;
            names.iter().any(|it| it.eq_ignore_ascii_case(name)).then_some(address)
        });
        listed.or_else(|| resolve(name))
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        let mut lines = services(&self.services, protocol);
        lines.find_map(|(port, names)| names.contains(&name).then_some(port))
    }

    fn host_name(&self, address: IpAddr) -> Option<String> {
        if let Some(known) = self.known.borrow().get(&address) {
            return known.clone();
        }
        let mut lines = entries(&self.hosts);
        let listed = lines.find_map(|words| {
            let is_it = words.first()?.parse() == Ok(address);
            words.get(1).filter(|_| is_it).map(|name| (*name).into())
        });
        let name = listed.or_else(|| self.ask_dns(address));
        self.known.borrow_mut().insert(address, name.clone());
        name
    }

    fn port_name(&self, port: u16, protocol: Protocol) -> Option<String> {
        let mut lines = services(&self.services, protocol);
        lines.find_map(|(number, names)| {
            names.first().filter(|_| number == port).map(|name| (*name).into())
        })
    }
}

/// The words of each line, without comments.
fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.map(|line| line.split_ascii_whitespace().collect())
}

/// The ports of a protocol with their names, the official one first.
fn services(text: &str, protocol: Protocol) -> impl Iterator<Item = (u16, Vec<&str>)> {
    let wanted = match protocol {
        Protocol::TCP => "tcp",
        Protocol::UDP => "udp",
        Protocol::SCTP => "sctp",
        Protocol(_) => "no protocol that has ports",
    };
    entries(text).filter_map(move |words| {
        let (name, rest) = words.split_first()?;
        let (port, aliases) = rest.split_first()?;
        let (port, protocol) = port.split_once('/')?;
        let names = std::iter::once(*name).chain(aliases.iter().copied()).collect();
        (protocol == wanted).then_some((port.parse().ok()?, names))
    })
}

/// The system's own resolver, on a thread of its own since it cannot be hurried.
fn resolve(name: &str) -> Option<Ipv4Addr> {
    if name.is_empty() {
        return None;
    }
    let (sender, answer) = channel();
    let name = name.to_owned();
    let builder = std::thread::Builder::new().name("resolver".into());
    let started = builder.spawn(move || {
        let addresses = (name.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody listens any more after the deadline.
        drop(sender.send(addresses.unwrap_or_default()));
    });
    started.ok()?;
    let addresses = answer.recv_timeout(ADDRESS).ok()?;
    addresses.iter().find_map(|address| match address {
        SocketAddr::V4(v4) => Some(*v4.ip()),
        SocketAddr::V6(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str =
        "127.0.0.1 localhost\n# 10.0.0.1 not\n10.0.0.1\tpg1.example pg1 # one\n::1 six\n";
    const SERVICES: &str = "domain 53/tcp\ndomain 53/udp\npostgresql 5432/tcp postgres # both\n";

    #[test]
    fn files_are_read_in_both_directions() {
        let names = SystemNames::of(HOSTS.into(), SERVICES.into());
        assert_eq!(names.host("PG1"), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(names.host_name("10.0.0.1".parse().unwrap()).unwrap(), "pg1.example");
        assert_eq!(names.host_name("::1".parse().unwrap()).unwrap(), "six");
        assert_eq!(names.port("postgres", Protocol::TCP), Some(5432));
        assert_eq!(names.port("postgres", Protocol::UDP), None);
        assert_eq!(names.port_name(53, Protocol::UDP).unwrap(), "domain");
        assert_eq!(names.port_name(53, Protocol::SCTP), None);
        assert_eq!(names.port_name(5432, Protocol::TCP).unwrap(), "postgresql");
    }
}
