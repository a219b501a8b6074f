//! Names for pools, servers and services, out of what other programs call them or where they stand.
//!
//! Every name that leaves here is one that the config takes: letters, digits and . _ -, at most 64.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::model::service::{Family, Protocol, ServiceKey};

/// The longest name, in bytes.
const LONGEST: usize = 64;

/// What stands between the words of a name.
const SEPARATORS: [char; 5] = ['-', '_', '.', ':', '/'];

/// Names that are taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    all: BTreeSet<String>,
    /// The next number for a name that is taken already.
    next: BTreeMap<String, u32>,
}

impl Taken {
    /// A name like the wanted one that nobody has yet.
    pub(super) fn name(&mut self, wanted: &str) -> String {
        let wanted = sanitized(wanted);
        let next = self.next.entry(wanted.clone()).or_insert(2);
        let mut name = wanted.clone();
        while !self.all.insert(name.clone()) {
            let end = format!("-{next}");
            let kept = wanted.get(..wanted.len().min(LONGEST - end.len())).unwrap_or_default();
            name = format!("{kept}{end}");
            *next = next.saturating_add(1);
        }
        name
    }
}

/// A text with what the config does not take in a name replaced.
pub(super) fn sanitized(text: &str) -> String {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = text.chars().map(|c| if is_fine(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    match name.get(..name.len().min(LONGEST)) {
        None | Some("") => "unnamed".to_owned(),
        Some(name) => name.to_owned(),
    }
}

/// What several names have in common; the other text if that is nothing to go by.
pub(super) fn common(names: &[String], other: &str) -> String {
    let Some((first, rest)) = names.split_first() else {
        return other.to_owned();
    };
    if rest.iter().all(|name| name == first) {
        return first.clone();
    }
    let mut length = first.len();
    for name in rest {
        let same = first.bytes().zip(name.bytes()).take_while(|(one, two)| one == two).count();
        length = length.min(same);
    }
    // Whole words: `db_rw` and `db_ro` are both of `db`.
    let ends = |name: &String| {
        let next = name.get(length..).and_then(|rest| rest.chars().next());
        next.is_none_or(|next| SEPARATORS.contains(&next))
    };
    let mut common = first.get(..length).unwrap_or_default();
    if !names.iter().all(ends) {
        common = common.rfind(SEPARATORS).and_then(|at| common.get(..at)).unwrap_or_default();
    }
    let common = common.trim_end_matches(SEPARATORS);
    if common.len() < 2 || common.parse::<IpAddr>().is_ok() || !common.contains(char::is_alphabetic)
    {
        return other.to_owned();
    }
    common.to_owned()
}

/// The name of a host that has none: its address, with the port where the host alone is not enough.
pub(super) fn host(address: SocketAddr, others: &[SocketAddr]) -> String {
    let is_alone = others.iter().filter(|other| other.ip() == address.ip()).count() < 2;
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("v6-{ip}").replace(':', "-"),
    };
    if is_alone { ip } else { format!("{ip}-{}", address.port()) }
}

/// The name of a service that has none.
pub(super) fn service(key: ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol, address } => {
            let name = format!("{}-{}", host(address, &[]), address.port());
            name + suffix(protocol)
        }
        ServiceKey::FwMark { family: Family::V4, mark } => format!("fwmark-{mark}"),
        ServiceKey::FwMark { family: Family::V6, mark } => format!("fwmark-{mark}-v6"),
    }
}

/// What tells services of one name and several protocols apart.
pub(super) const fn suffix(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::UDP => "-udp",
        Protocol::SCTP => "-sctp",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_becomes_a_name() {
        for (text, name) in [
            ("pg1", "pg1"),
            ("postgres:5432", "postgres-5432"),
            ("_hidden", "hidden"),
            ("", "unnamed"),
            ("***", "unnamed"),
            ("prüfung", "pr-fung"),
        ] {
            assert_eq!(sanitized(text), name);
        }
        assert_eq!(sanitized(&"x".repeat(100)).len(), LONGEST);
    }

    #[test]
    fn no_two_have_one_name() {
        let mut taken = Taken::default();
        let long = "x".repeat(80);
        let names: BTreeSet<_> =
            ["pg", "pg", "pg-2", &long, &long].map(|it| taken.name(it)).into_iter().collect();
        assert_eq!(names.len(), 5);
        assert!(names.iter().all(|name| name.len() <= LONGEST));
    }

    #[test]
    fn a_pool_of_several_users_is_called_by_what_their_names_share() {
        let shared = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
            common(&names, "postgres")
        };
        assert_eq!(shared(&["orders_write", "orders_read"]), "orders");
        assert_eq!(shared(&["db_rw", "db_ro"]), "db");
        assert_eq!(shared(&["orders", "orders-ro"]), "orders");
        assert_eq!(shared(&["pg1", "pg2"]), "postgres");
        assert_eq!(shared(&["primary", "standbys"]), "postgres");
        assert_eq!(shared(&["10.9.0.100-5432", "10.9.0.101-5432"]), "postgres");
        assert_eq!(shared(&["only"]), "only");
        assert_eq!(shared(&[]), "postgres");
    }

    #[test]
    fn a_host_is_called_by_its_address() {
        let [one, two]: [SocketAddr; 2] =
            ["10.0.0.1:1", "10.0.0.1:2"].map(|it| it.parse().unwrap());
        assert_eq!(host(one, &[one]), "10.0.0.1");
        assert_eq!(host(one, &[one, two]), "10.0.0.1-1");
        assert_eq!(host("[::1]:5".parse().unwrap(), &[]), "v6---1");
    }
}
