//! What a `virtual_server` is for: an address, a firewall mark, or a group of both; and the services that become of it.

use std::collections::BTreeMap;

use super::super::ipvsadm::protocol;
use super::super::ledger::{Place, Report, Statement};
use super::super::names;
use super::super::plan::{Key, Plan, Service, Value};
use super::address::{self, Virtual};
use crate::model::service::{Family, Protocol, ServiceKey};

/// What a virtual server is for.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pub(super) name: String,
    v4: Vec<String>,
    v6: Vec<String>,
    marks_v4: Vec<u32>,
    marks_v6: Vec<u32>,
    pub(super) port: u16,
    places: Vec<Place>,
}

impl Identity {
    fn add(&mut self, address: Virtual) {
        self.port = address.port;
        match address.family {
            Family::V4 => self.v4.extend(address.texts),
            Family::V6 => self.v6.extend(address.texts),
        }
    }
}

/// One service for the addresses of each family, and one for the marks of each.
pub(super) fn write(
    identity: Identity,
    protocol: Protocol,
    pool: usize,
    keys: &[Key],
    plan: &mut Plan,
) {
    let Identity { name, v4, v6, marks_v4, marks_v6, places, .. } = identity;
    let list = |mut texts: Vec<String>| match (texts.len(), texts.pop()) {
        (1, Some(only)) => Value::Text(only),
        (_, last) => Value::Words(texts.into_iter().chain(last).collect()),
    };
    let marks = |mut marks: Vec<u32>| match (marks.len(), marks.pop()) {
        (1, Some(only)) => Value::Number(only),
        (_, last) => Value::Numbers(marks.into_iter().chain(last).collect()),
    };
    let has_addresses = !v4.is_empty() || !v6.is_empty();
    let mut parts = Vec::new();
    for (texts, suffix) in [(v4, ""), (v6, "-v6")] {
        if !texts.is_empty() {
            let mut identity = vec![Key::new("address", list(texts))];
            identity.extend(self::protocol(protocol));
            let suffix = if parts.is_empty() { "" } else { suffix };
            parts.push((format!("{suffix}{}", names::suffix(protocol)), identity));
        }
    }
    for (numbers, family) in [(marks_v4, Family::V4), (marks_v6, Family::V6)] {
        if !numbers.is_empty() {
            let mut identity = vec![Key::new("fwmark", marks(numbers))];
            identity.extend((family == Family::V6).then(|| Key::text("family", "ipv6")));
            let suffix = match (has_addresses, parts.is_empty(), family) {
                (true, _, Family::V4) => "-fwmark",
                (true, _, Family::V6) => "-fwmark-v6",
                (false, false, _) => "-v6",
                (false, true, _) => "",
            };
            parts.push((suffix.to_owned(), identity));
        }
    }
    for (suffix, identity) in parts {
        let keys = identity.into_iter().chain(keys.iter().cloned()).collect();
        let (name, places) = (format!("{name}{suffix}"), places.clone());
        plan.services.push(Service { name, pool, keys, places, said: Vec::new() });
    }
}

pub(super) fn identity(
    line: &Statement,
    groups: &BTreeMap<&str, &Statement>,
    report: &mut Report,
) -> Option<Identity> {
    let mut identity = Identity { places: vec![line.place], ..Identity::default() };
    let no = |report: &mut Report, why: &str| {
        report.hand(line, why);
        None
    };
    match &*line.word(1).to_ascii_lowercase() {
        "group" => {
            let Some(group) = groups.get(line.word(2)) else {
                return no(report, "no virtual_server_group has this name");
            };
            group.take_words(0..2);
            identity.name = line.word(2).to_owned();
            identity.places.push(group.place);
            let family = family_of_marks(line);
            group.block.iter().for_each(|it| member(it, family, &mut identity, report));
            let is_empty = identity.v4.is_empty() && identity.v6.is_empty();
            if is_empty && identity.marks_v4.is_empty() && identity.marks_v6.is_empty() {
                return no(report, "its group holds nothing that could be carried over");
            }
        }
        "fwmark" => {
            let Some(mark) = line.word(2).parse().ok().filter(|it| *it > 0) else {
                return no(report, "not a firewall mark: 1 to 4294967295");
            };
            let family = family_of_marks(line);
            identity.name = names::service(ServiceKey::FwMark { family, mark });
            match family {
                Family::V4 => identity.marks_v4.push(mark),
                Family::V6 => identity.marks_v6.push(mark),
            }
        }
        _ => {
            let Some(address) = address::virtual_address(line, 1) else {
                return no(report, "not an IP address and a port: write a [[service]] for it");
            };
            let text = address.texts.first().cloned().unwrap_or_default();
            let key = text
                .parse()
                .ok()
                .map(|address| ServiceKey::Address { protocol: Protocol::TCP, address });
            identity.name = key.map_or(text, names::service);
            identity.add(address);
        }
    }
    Some(identity)
}

/// A line of a group; `family` is that of marks that name none.
fn member(line: &Statement, family: Family, identity: &mut Identity, report: &mut Report) {
    if line.keyword() == "fwmark" {
        let Some(mark) = line.word(1).parse().ok().filter(|it| *it > 0) else {
            return report.hand(line, "not a firewall mark: 1 to 4294967295");
        };
        line.take_words(0..3);
        match (line.word(2), family) {
            ("inet6", _) | ("", Family::V6) => identity.marks_v6.push(mark),
            _ => identity.marks_v4.push(mark),
        }
        return;
    }
    match address::virtual_address(line, 0) {
        Some(address) => {
            line.take_words(0..2);
            identity.add(address);
        }
        None => report.hand(
            line,
            "not an address, a range or a mark: write it as `address` of the [[service]]",
        ),
    }
}

/// Marked packets are of the family of the real servers, unless `ip_family` says so.
fn family_of_marks(line: &Statement) -> Family {
    if let Some(family) = line.last("ip_family") {
        let is_v6 = family.word(1) == "inet6";
        if is_v6 || family.word(1) == "inet" {
            family.take_words(0..2);
            return if is_v6 { Family::V6 } else { Family::V4 };
        }
    }
    let first = line.block.iter().find(|it| it.keyword() == "real_server");
    match first.is_some_and(|it| it.word(1).contains(':')) {
        true => Family::V6,
        false => Family::V4,
    }
}

/// Marks have no protocol; where an address has none written, TCP is what nearly everybody means.
pub(super) fn protocol_of(line: &Statement, report: &mut Report) -> Protocol {
    let Some(protocol) = line.last("protocol") else {
        if line.keyword() == "virtual_server" && line.word(1) != "fwmark" {
            let why = "no protocol: TCP is written, though keepalived 2 takes it for UDP";
            report.note(line, &format!("virtual_server {} {}", line.word(1), line.word(2)), why);
        }
        return Protocol::TCP;
    };
    let known = match &*protocol.word(1).to_ascii_uppercase() {
        "TCP" => Protocol::TCP,
        "UDP" => Protocol::UDP,
        "SCTP" => Protocol::SCTP,
        _ => return Protocol::TCP,
    };
    protocol.take_words(0..2);
    known
}
