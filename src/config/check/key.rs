//! What the kernel knows a service by: addresses with their ranges, or firewall marks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::Check;
use super::address;
use super::choices::{FAMILIES, PROTOCOLS};
use super::value::{self, Written, each, written};
use crate::config::file;
use crate::config::range::MAX_ADDRESSES;
use crate::config::report::{Draft, Place};
use crate::model::service::{Family, Protocol, ServiceKey};

/// At most so many virtual services in all.
const MAX_SERVICES: usize = 100_000;

impl Check<'_> {
    /// One key for each address or mark of a service, with its place; none where something about them was refused.
    pub(super) fn keys(
        &mut self,
        number: usize,
        header: Place,
        file: &file::Service,
    ) -> Vec<(ServiceKey, Place)> {
        let before = self.report.refusals();
        let marks = each(number, &file.fwmark);
        let keys = match (&file.address, &file.fwmark) {
            (_, Some(_)) => self.mark_keys(number, file, &marks),
            (Some(_), None) => self.address_keys(number, file),
            (None, None) => Vec::new(),
        };
        if keys.is_empty() && self.report.refusals() == before {
            let draft = Draft::new("a service without an address").at(header, "no `address`");
            self.report.error(draft.help("give it one: address = \"10.9.0.100:5432\""));
        }
        for (key, place) in &keys {
            self.record(*key, *place);
        }
        if self.report.refusals() == before { keys } else { Vec::new() }
    }

    fn mark_keys(
        &mut self,
        number: usize,
        file: &file::Service,
        marks: &[Written<'_>],
    ) -> Vec<(ServiceKey, Place)> {
        let others = [
            (file.address.as_ref().map(toml::Spanned::span), "an address"),
            (file.protocol.as_ref().map(toml::Spanned::span), "a protocol"),
        ];
        for (span, what) in others {
            if let Some(span) = span {
                let draft = Draft::new(format!("a firewall mark beside {what}"))
                    .at(Place::new(number, span), "not with fwmark");
                self.report.error(draft.help(
                    "the packets of a mark have any address and protocol: leave it out, or leave out fwmark",
                ));
            }
        }
        let family = written(number, file.family.as_ref())
            .and_then(|written| value::choice(self.report, written, &FAMILIES))
            .unwrap_or(Family::V4);
        let mut keys = Vec::with_capacity(marks.len());
        for &written in marks {
            let mark = value::number(self.report, written, 1..=u32::MAX);
            keys.extend(mark.map(|mark| (ServiceKey::FwMark { family, mark }, written.place)));
        }
        keys
    }

    fn address_keys(&mut self, number: usize, file: &file::Service) -> Vec<(ServiceKey, Place)> {
        if let Some(family) = written(number, file.family.as_ref()) {
            let draft = Draft::new("family is for firewall marks").at(family.place, "not needed");
            self.report.error(draft.help("leave it out: an address tells its family"));
        }
        let default = &self.defaults.service.0.protocol;
        let protocol = self.word(number, &file.protocol, default, &PROTOCOLS);
        let protocol = protocol.unwrap_or(Protocol::TCP);
        let mut keys = Vec::new();
        for written in each(number, &file.address) {
            let Some(range) = address::range(self.report, written) else {
                continue;
            };
            for address in range.addresses() {
                if keys.len() == MAX_ADDRESSES {
                    let draft =
                        Draft::new(format!("a service of more than {MAX_ADDRESSES} addresses"));
                    let draft = draft.at(written.place, "one too many");
                    self.report.error(
                        draft.help(
                            "make several services of them, or mark the packets and use fwmark",
                        ),
                    );
                    return keys;
                }
                keys.push((ServiceKey::Address { protocol, address }, written.place));
            }
            self.not_a_server(range.addresses(), written.place);
        }
        keys
    }

    /// Connections to a server itself must not become connections to a service.
    fn not_a_server(&mut self, addresses: impl Iterator<Item = SocketAddr>, place: Place) {
        for address in addresses {
            if let Some(server) = self.servers.get(&address) {
                let draft = Draft::new(format!("{address} is both a service and a server"))
                    .at(place, "the service")
                    .at(*server, "the server");
                self.report.error(draft.help("a service needs an address that no server has"));
                return;
            }
        }
    }

    /// Keeps a key; says so if another service has it.
    fn record(&mut self, key: ServiceKey, place: Place) {
        if let ServiceKey::Address { address, .. } = key
            && self.host.absent.contains(&address.ip())
        {
            self.absent.entry(address.ip()).or_insert(place);
        }
        if self.keys.len() == MAX_SERVICES {
            let draft = Draft::new(format!("more than {MAX_SERVICES} virtual services"));
            self.report
                .error(draft.at(place, "one too many").help("what does the range stand for?"));
        }
        let Some(other) = self.keys.insert(key, place) else {
            return;
        };
        let (title, help) = match key {
            ServiceKey::Address { address, .. } => (
                format!("two services are at {address}"),
                "give one of them an address or a port of its own",
            ),
            ServiceKey::FwMark { mark, .. } => (
                format!("two services have the firewall mark {mark}"),
                "give one of them a mark of its own",
            ),
        };
        let draft = Draft::new(title).at(place, "this one");
        let draft = if other == place { draft } else { draft.at(other, "and this one") };
        self.report.error(draft.help(help));
    }

    /// Clients reach a service only where its address is the director's own; said once for each place.
    pub(super) fn addresses_of_this_host(&mut self) {
        let mut places: BTreeMap<Place, Vec<IpAddr>> = BTreeMap::new();
        for (ip, place) in &self.absent {
            places.entry(*place).or_default().push(*ip);
        }
        for (place, absent) in places {
            let [ip, others @ ..] = &*absent else {
                continue;
            };
            let (who, it, length) = match others.len() {
                0 => (format!("{ip} is not an address"), "it", if ip.is_ipv4() { 32 } else { 128 }),
                n => (
                    format!("{ip} and {n} more are not addresses"),
                    "them",
                    if ip.is_ipv4() { 32 } else { 128 },
                ),
            };
            let draft = Draft::new(format!("{who} of this host: no client reaches {it} here"));
            self.report.warning(draft.at(place, "not on this host").help(format!("add {it} to an interface (ip addr add {ip}/{length} dev ...), unless another program does")));
        }
    }
}
