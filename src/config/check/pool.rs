//! `[[pool]]`: its servers and how they are probed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::Check;
use super::address;
use super::value::{self, Choice, Written, either, written};
use crate::config::file::{self, Entry, Field};
use crate::config::report::{Draft, Place};
use crate::config::{Pool, PostgresProbe, Probe, Server, SslMode};
use crate::model::destination::Weight;

/// What services need to know of a pool, so that a service costs the same however many servers there are.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) place: Place,
    /// Whether its servers tell their roles.
    pub(super) knows_roles: bool,
    /// The first server of each family.
    pub(super) v4: Option<Place>,
    pub(super) v6: Option<Place>,
    /// The first server at each port.
    pub(super) ports: BTreeMap<u16, Place>,
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

const SSLMODES: Choice<SslMode> = Choice {
    what: "sslmode",
    words: &[
        ("disable", SslMode::Disable),
        ("prefer", SslMode::Prefer),
        ("require", SslMode::Require),
    ],
    synonyms: &[
        ("allow", "prefer"),
        ("off", "disable"),
        ("on", "require"),
        ("false", "disable"),
        ("true", "require"),
    ],
    not_yet: &["verify-ca", "verify-full"],
};

/// One server, and where its parts stand.
struct Placed {
    server: Server,
    address: Place,
    weight: Place,
}

impl Check<'_> {
    pub(super) fn pool(&mut self, number: usize, entry: &Entry<file::Pool>) -> Pool {
        let (header, file) = (Place::new(number, entry.span()), &entry.get_ref().0);
        let name = self.required_name(number, header, "pool", &file.name);
        let kind = self.probe_kind(number, file.probe.as_ref());
        let servers = self.servers(
            number,
            header,
            name.as_ref().map(|(name, _)| &**name),
            &file.server,
        );
        let probe = match (kind, &file.postgres) {
            (Kind::Postgres, settings) => {
                let none = file::Postgres::default();
                let settings = settings
                    .as_ref()
                    .map_or(&none, |settings| &settings.get_ref().0);
                let probe = self.postgres(number, settings);
                self.source_fits(number, settings, probe.source, &servers);
                Probe::Postgres(Arc::new(probe))
            }
            (Kind::None, settings) => {
                if let Some(settings) = settings {
                    let draft = Draft::new("[pool.postgres] has no effect with probe = \"none\"")
                        .at(Place::new(number, settings.span()), "not used");
                    self.report.warning(draft);
                }
                Probe::None
            }
        };
        let known = known(
            name.as_ref().map_or(header, |(_, place)| *place),
            kind,
            &servers,
        );
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
            servers: servers.into_iter().map(|placed| placed.server).collect(),
        }
    }

    pub(super) fn probe_kind(
        &mut self,
        number: usize,
        own: Option<&Spanned<file::Scalar>>,
    ) -> Kind {
        let default = self.defaults.pool.0.probe.as_ref();
        written(number, own)
            .or_else(|| written(0, default))
            .and_then(|written| value::choice(self.report, written, &KINDS))
            .unwrap_or(Kind::Postgres)
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
        pool: Option<&str>,
        entries: &[Entry<file::Server>],
    ) -> Vec<Placed> {
        if entries.is_empty() {
            let draft =
                Draft::new("a pool without servers").at(header, "no [[pool.server]] beneath it");
            self.report.error(
                draft.help("list its servers: [[pool.server]], name = \"...\", address = \"...\""),
            );
        }
        let mut names: BTreeMap<Box<str>, Place> = BTreeMap::new();
        let mut addresses: BTreeMap<SocketAddr, Place> = BTreeMap::new();
        let mut servers = Vec::with_capacity(entries.len());
        for entry in entries {
            let header = Place::new(number, entry.span());
            let file = &entry.get_ref().0;
            let name = self.required_name(number, header, "server", &file.name);
            let address = self.server_address(number, header, &file.address);
            let weight = either(number, &file.weight, &self.defaults.server.0.weight);
            let weight_at = weight.map_or(header, |weight| weight.place);
            let weight = value::weight(self.report, weight);
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
            servers.push(Placed {
                server: Server {
                    name: name.map_or("".into(), |(name, _)| name),
                    address,
                    weight,
                },
                address: address_at,
                weight: weight_at,
            });
        }
        self.few_servers(header, pool, &servers);
        servers
    }

    fn server_address(
        &mut self,
        number: usize,
        header: Place,
        field: &Field,
    ) -> Option<(SocketAddr, Place)> {
        let Some(written) = written(number, field.as_ref()) else {
            let draft = Draft::new("a server without an address").at(header, "no `address`");
            self.report
                .error(draft.help("give it one: address = \"10.8.0.11:5432\""));
            return None;
        };
        address::socket(self.report, written).map(|address| (address, written.place))
    }

    fn few_servers(&mut self, header: Place, pool: Option<&str>, servers: &[Placed]) {
        let pool = pool.unwrap_or("this one");
        if let [only] = servers {
            let draft = Draft::new(format!(
                "pool {pool} has one server: nothing to fail over to"
            ))
            .at(only.address, "the only one");
            self.report.warning(draft);
        }
        if !servers.is_empty()
            && servers
                .iter()
                .all(|placed| !placed.server.weight.is_usable())
        {
            let draft = Draft::new(format!(
                "every server of pool {pool} has weight 0: none gets new connections"
            ))
            .at(header, "all at weight 0");
            self.report.warning(draft);
        }
    }

    /// The settings of a PostgreSQL probe; where something is refused the default stands in until the check ends.
    pub(super) fn postgres(&mut self, number: usize, own: &file::Postgres) -> PostgresProbe {
        let default = &self.defaults.postgres.0;
        let pick = |own, default| either(number, own, default);
        let before = self.report.errors();
        let pulse = pick(&own.pulse, &default.pulse);
        let suspect_after = pick(&own.suspect_after, &default.suspect_after);
        let lost_after = pick(&own.lost_after, &default.lost_after);
        let admission = pick(&own.admission, &default.admission);
        let (ms, report) = (Duration::from_millis, &mut *self.report);
        let mut probe = PostgresProbe {
            user: "pgvs".into(),
            password_file: None,
            dbname: "postgres".into(),
            sslmode: SslMode::Prefer,
            pulse: value::duration(report, pulse, ms(5)..=ms(5_000), ms(100)),
            suspect_after: value::duration(report, suspect_after, ms(10)..=ms(60_000), ms(300)),
            lost_after: value::duration(report, lost_after, ms(10)..=ms(300_000), ms(1_500)),
            admission: value::duration(report, admission, ms(100)..=ms(60_000), ms(2_000)),
            rise: 3,
            source: None,
        };
        if self.report.errors() == before {
            self.times_fit(&probe, [pulse, suspect_after, lost_after]);
        }
        // PostgreSQL cuts longer names off (NAMEDATALEN).
        if let Some(user) =
            pick(&own.user, &default.user).and_then(|user| value::short(self.report, user, 63))
        {
            probe.user = user;
        }
        if let Some(name) =
            pick(&own.dbname, &default.dbname).and_then(|name| value::short(self.report, name, 63))
        {
            probe.dbname = name;
        }
        let sslmode = pick(&own.sslmode, &default.sslmode);
        if let Some(mode) = sslmode.and_then(|mode| value::choice(self.report, mode, &SSLMODES)) {
            probe.sslmode = mode;
        }
        if let Some(rise) = pick(&own.rise, &default.rise)
            .and_then(|rise| value::number(self.report, rise, 1..=100))
        {
            probe.rise = rise;
        }
        let file = pick(&own.password_file, &default.password_file);
        probe.password_file = file.and_then(|file| self.password_file(file));
        probe.source = pick(&own.source, &default.source).and_then(|source| self.source(source));
        probe
    }

    /// `suspect_after` spans two pulses, so that one lost packet is no evidence; `lost_after` comes later.
    fn times_fit(
        &mut self,
        probe: &PostgresProbe,
        [pulse, suspect, lost]: [Option<Written<'_>>; 3],
    ) {
        let words = value::in_words;
        if probe.suspect_after < probe.pulse.saturating_mul(2)
            && let Some(at) = suspect.or(pulse)
        {
            let draft = Draft::new(format!(
                "suspect_after ({}) is less than two pulses of {}",
                words(probe.suspect_after),
                words(probe.pulse)
            ));
            self.report
                .error(draft.at(at.place, "too close").help(format!(
                    "suspect_after = \"{}\" or more; one late answer is no evidence",
                    words(probe.pulse.saturating_mul(2))
                )));
        }
        if probe.lost_after <= probe.suspect_after
            && let Some(at) = lost.or(suspect)
        {
            let draft = Draft::new(format!(
                "lost_after ({}) is not longer than suspect_after ({})",
                words(probe.lost_after),
                words(probe.suspect_after)
            ));
            self.report.error(
                draft
                    .at(at.place, "too close")
                    .help("a server is suspected before it is lost"),
            );
        }
    }

    fn password_file(&mut self, written: Written<'_>) -> Option<PathBuf> {
        let text = value::text(self.report, written)?;
        let Some(path) = self.sources.beside(written.place.file, text) else {
            let draft = Draft::new("an empty path").at(written.place, "not a path");
            self.report
                .error(draft.help("leave the key out where no password is needed"));
            return None;
        };
        if text.starts_with('~') {
            let draft = Draft::new("`~` is not looked up: a daemon has no home")
                .at(written.place, "not a path");
            self.report
                .error(draft.help("write the whole path, or one relative to this file"));
        } else if let Some(error) = self.host.password_files.get(&path) {
            let draft = Draft::new(error.to_string()).at(written.place, "cannot be used");
            self.report.error(draft.help(error.help()));
        }
        Some(path)
    }

    fn source(&mut self, written: Written<'_>) -> Option<IpAddr> {
        let ip = address::ip(self.report, written)?;
        if self.host.absent.contains(&ip) {
            let draft = Draft::new(format!(
                "{ip} is not an address of this host: no probe can come from it"
            ))
            .at(written.place, "not on this host");
            self.report.warning(draft);
        }
        Some(ip)
    }

    /// A probe cannot come from an address of the other family.
    fn source_fits(
        &mut self,
        number: usize,
        own: &file::Postgres,
        source: Option<IpAddr>,
        servers: &[Placed],
    ) {
        let written = either(number, &own.source, &self.defaults.postgres.0.source);
        let (Some(source), Some(written)) = (source, written) else {
            return;
        };
        let other = servers
            .iter()
            .find(|placed| placed.server.address.is_ipv4() != source.is_ipv4());
        if let Some(other) = other {
            let draft = Draft::new(format!(
                "{} cannot be probed from {source}",
                other.server.address
            ))
            .at(written.place, "one family")
            .at(other.address, "the other");
            self.report
                .error(draft.help("leave `source` out, or make a pool of each family"));
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

fn known(place: Place, kind: Kind, servers: &[Placed]) -> Known {
    let mut known = Known {
        place,
        knows_roles: kind == Kind::Postgres,
        v4: None,
        v6: None,
        ports: BTreeMap::new(),
        differing: None,
        used: false,
    };
    let mut first: Option<(Weight, Place)> = None;
    for Placed {
        server,
        address,
        weight,
    } in servers
    {
        let family = if server.address.is_ipv4() {
            &mut known.v4
        } else {
            &mut known.v6
        };
        family.get_or_insert(*address);
        known.ports.entry(server.address.port()).or_insert(*address);
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
