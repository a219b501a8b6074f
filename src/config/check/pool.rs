//! `[[pool]]`: its servers and how they are probed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use toml::Spanned;

use super::Check;
use super::address::{self, ZeroPort};
use super::delivery::Reach;
use super::value::{self, Choice, either, written};
use crate::config::file::{self, Entry, Field};
use crate::config::report::{Draft, Place};
use crate::config::{Pool, Probe, Server};
use crate::model::destination::{Forwarding, Weight};

/// What services need to know of a pool, so that a service costs the same however many servers there are.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) place: Place,
    /// Whether its servers tell their roles; `None` if its probe was refused.
    pub(super) knows_roles: Option<bool>,
    /// Where it says that its servers count as up before they have answered.
    pub(super) starts_up: Option<Place>,
    /// Every server's address.
    pub(super) members: BTreeMap<SocketAddr, Place>,
    /// How many servers may get weight at once: those that are no backups, or the backups.
    pub(super) able: usize,
    /// Its servers by how they want to be reached themselves; `None`: as the service says.
    pub(super) reach: BTreeMap<Option<Forwarding>, Reach>,
    /// Two servers at one address, which differ in the port.
    pub(super) twins: Option<(Place, Place)>,
    /// Two servers whose weights differ, neither of them 0.
    pub(super) differing: Option<(Place, Place)>,
    /// Whether a service names it.
    pub(super) used: bool,
}

/// What the word of `probe` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    Postgres,
}

const KINDS: Choice<Kind> = Choice {
    what: "probe",
    words: &[("postgres", Kind::Postgres), ("none", Kind::None)],
    synonyms: &[
        ("postgresql", "postgres"),
        ("pgsql", "postgres"),
        ("pgsql-check", "postgres"),
        ("pg", "postgres"),
        ("off", "none"),
        ("", "none"),
    ],
    not_yet: &["tcp", "http", "exec"],
};

/// One server, and where its parts stand.
pub(super) struct Placed {
    pub(super) server: Server,
    pub(super) address: Place,
    weight: Place,
}

/// The addresses of a pool's servers.
#[derive(Default)]
struct Addresses {
    sockets: BTreeMap<SocketAddr, Place>,
    hosts: BTreeMap<IpAddr, Place>,
}

impl Addresses {
    /// Takes one more; the place of one that is the same, where port 0 is every port.
    fn insert(&mut self, address: SocketAddr, place: Place) -> Option<Place> {
        let all_ports = self.sockets.get(&SocketAddr::new(address.ip(), 0)).copied();
        let host = self.hosts.insert(address.ip(), place);
        let same = self.sockets.insert(address, place);
        same.or(all_ports).or(host.filter(|_| address.port() == 0))
    }
}

impl Check<'_> {
    pub(super) fn pool(&mut self, number: usize, entry: &Entry<file::Pool>) -> Pool {
        let (header, file) = (Place::new(number, entry.span()), &entry.get_ref().0);
        let name = self.required_name(number, header, "pool", &file.name);
        let kind = self.probe_kind(number, file.probe.as_ref());
        let (servers, addresses) = self.servers(number, header, kind, &file.server);
        // Where a server was refused, what the others make up is unknown.
        if servers.len() == file.server.len() {
            self.few_servers(header, name.as_ref().map(|(name, _)| &**name), &servers);
        }
        let probe = match (kind, &file.postgres) {
            (Some(Kind::Postgres), settings) => {
                let none = file::Postgres::default();
                let settings = settings.as_ref().map_or(&none, |settings| &settings.get_ref().0);
                let probe = self.postgres(number, settings);
                self.source_fits(number, settings, probe.source, &servers);
                Probe::Postgres(Arc::new(probe))
            }
            (Some(Kind::None), settings) => {
                if let Some(settings) = settings {
                    let draft = Draft::new("[pool.postgres] has no effect with probe = \"none\"")
                        .at(Place::new(number, settings.span()), "not used");
                    self.report.warning(draft);
                }
                Probe::None
            }
            (None, _) => Probe::None,
        };
        let (alpha, starts_up) = self.alpha(number, file, kind);
        let mut known = known(name.as_ref().map_or(header, |(_, place)| *place), kind, &servers);
        known.members = addresses.sockets;
        known.starts_up = starts_up;
        if let Some((name, place)) = &name {
            match self.pools.get(name).map(|other| other.place) {
                Some(other) => self.taken("pools", name, *place, other),
                None => {
                    self.pools.insert(name.clone(), known);
                }
            }
        }
        Pool {
            name: name.map_or("".into(), |(name, _)| name),
            probe,
            alpha,
            servers: servers.into_iter().map(|placed| placed.server).collect(),
        }
    }

    /// What `probe` says; `None` if that was refused.
    pub(super) fn probe_kind(
        &mut self,
        number: usize,
        own: Option<&Spanned<file::Scalar>>,
    ) -> Option<Kind> {
        let default = self.defaults.pool.0.probe.as_ref();
        match written(number, own).or_else(|| written(0, default)) {
            Some(written) => value::choice(self.report, written, &KINDS),
            None => Some(Kind::Postgres),
        }
    }

    /// Whether servers count as down until they have answered, and where it stands that they do not.
    fn alpha(
        &mut self,
        number: usize,
        file: &file::Pool,
        kind: Option<Kind>,
    ) -> (bool, Option<Place>) {
        let own = written(number, file.alpha.as_ref());
        let written = either(number, &file.alpha, &self.defaults.pool.0.alpha);
        let alpha = value::boolean(self.report, written, true);
        if let (Some(Kind::None), Some(own)) = (kind, own) {
            let draft = Draft::new("alpha has no effect with probe = \"none\"")
                .at(own.place, "not used")
                .help("servers that are not probed count as up from the start; remove the key");
            self.report.warning(draft);
        }
        (alpha, written.filter(|_| !alpha).map(|written| written.place))
    }

    /// The name of a table that needs one, and its place.
    pub(super) fn required_name(
        &mut self,
        number: usize,
        header: Place,
        what: &str,
        field: &Field,
    ) -> Option<(Box<str>, Place)> {
        let Some(written) = written(number, field.as_ref()) else {
            let draft = Draft::new(format!("a {what} without a name")).at(header, "no `name`");
            self.report.error(draft.help("give it one: name = \"...\""));
            return None;
        };
        value::name(self.report, written).map(|name| (name, written.place))
    }

    fn servers(
        &mut self,
        number: usize,
        header: Place,
        kind: Option<Kind>,
        entries: &[Entry<file::Server>],
    ) -> (Vec<Placed>, Addresses) {
        if entries.is_empty() {
            let draft =
                Draft::new("a pool without servers").at(header, "no [[pool.server]] beneath it");
            self.report.error(
                draft.help("list its servers: [[pool.server]], name = \"...\", address = \"...\""),
            );
        }
        let mut names: BTreeMap<Box<str>, Place> = BTreeMap::new();
        let mut addresses = Addresses::default();
        let mut servers = Vec::with_capacity(entries.len());
        for entry in entries {
            let header = Place::new(number, entry.span());
            let file = &entry.get_ref().0;
            let name = self.required_name(number, header, "server", &file.name);
            let address = self.server_address(number, header, kind, &file.address);
            let thresholds = self.thresholds(number, file);
            let delivery = self.server_delivery(number, file);
            let weight = either(number, &file.weight, &self.defaults.server.0.weight);
            let weight_at = weight.map_or(header, |weight| weight.place);
            let weight = value::weight(self.report, weight);
            let is_backup =
                value::boolean(self.report, written(number, file.backup.as_ref()), false);
            if let Some((name, place)) = &name {
                match names.get(name) {
                    Some(other) => self.taken("servers of the pool", name, *place, *other),
                    None => drop(names.insert(name.clone(), *place)),
                }
            }
            let Some((address, address_at)) = address else {
                continue;
            };
            if let Some(other) = addresses.insert(address, address_at) {
                let draft = Draft::new(format!("two servers of the pool are at {address}"))
                    .at(address_at, "this one")
                    .at(other, "and this one");
                self.report.error(draft.help("remove one of them"));
            }
            self.servers.entry(address).or_insert(address_at);
            let name = name.map_or("".into(), |(name, _)| name);
            let server = Server { name, address, weight, thresholds, delivery, is_backup };
            servers.push(Placed { server, address: address_at, weight: weight_at });
        }
        (servers, addresses)
    }

    fn server_address(
        &mut self,
        number: usize,
        header: Place,
        kind: Option<Kind>,
        field: &Field,
    ) -> Option<(SocketAddr, Place)> {
        let Some(written) = written(number, field.as_ref()) else {
            let draft = Draft::new("a server without an address").at(header, "no `address`");
            self.report.error(draft.help("give it one: address = \"10.8.0.11:5432\""));
            return None;
        };
        // A probe has to know where PostgreSQL listens.
        let zero = match kind {
            Some(Kind::Postgres) => ZeroPort::Refused,
            Some(Kind::None) | None => ZeroPort::Accepted,
        };
        address::socket(self.report, written, zero).map(|address| (address, written.place))
    }

    fn few_servers(&mut self, header: Place, pool: Option<&str>, servers: &[Placed]) {
        let pool = pool.unwrap_or("this one");
        if let [only] = servers {
            let draft = Draft::new(format!("pool {pool} has one server: nothing to fail over to"))
                .at(only.address, "the only one");
            self.report.warning(draft);
        }
        if !servers.is_empty() && servers.iter().all(|placed| !placed.server.weight.is_usable()) {
            let draft = Draft::new(format!(
                "every server of pool {pool} has weight 0: none gets new connections"
            ))
            .at(header, "all at weight 0");
            self.report.warning(draft);
        }
        if !servers.is_empty() && servers.iter().all(|placed| placed.server.is_backup) {
            let draft = Draft::new(format!("every server of pool {pool} is a backup"))
                .at(header, "of none")
                .help("leave `backup` out: they serve as if it were not there");
            self.report.warning(draft);
        }
    }

    /// Pools that nothing uses are probed for nothing.
    pub(super) fn unused_pools(&mut self) {
        if self.report.errors() > 0 {
            return;
        }
        for (name, pool) in &self.pools {
            if !pool.used {
                let draft = Draft::new(format!("pool {name} is used by no service"))
                    .at(pool.place, "not used");
                self.report.warning(draft);
            }
        }
    }
}

fn known(place: Place, kind: Option<Kind>, servers: &[Placed]) -> Known {
    let mut known = Known {
        place,
        knows_roles: kind.map(|kind| kind == Kind::Postgres),
        starts_up: None,
        members: BTreeMap::new(),
        able: able(servers),
        reach: BTreeMap::new(),
        twins: None,
        differing: None,
        used: false,
    };
    let mut first: Option<(Weight, Place)> = None;
    let mut hosts: BTreeMap<IpAddr, Place> = BTreeMap::new();
    for Placed { server, address, weight } in servers {
        let own = server.delivery.map(|delivery| delivery.forwarding);
        known.reach.entry(own).or_default().add(server.address, *address);
        if let Some(other) = hosts.insert(server.address.ip(), *address) {
            known.twins.get_or_insert((other, *address));
        }
        match first {
            None if server.weight.is_usable() => first = Some((server.weight, *weight)),
            Some((other, at)) if server.weight.is_usable() && other != server.weight => {
                known.differing.get_or_insert((at, *weight));
            }
            _ => (),
        }
    }
    known
}

/// How many servers may get weight at once.
fn able(servers: &[Placed]) -> usize {
    let usable = servers.iter().filter(|placed| placed.server.weight.is_usable());
    let (backups, others): (Vec<_>, Vec<_>) = usable.partition(|placed| placed.server.is_backup);
    backups.len().max(others.len())
}
