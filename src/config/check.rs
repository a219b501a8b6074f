//! Files -> [`Config`]: every rule about what they mean, all findings at once.
//!
//! Pure. Syntax and unknown keys are settled before; what the kernel alone can know is left to the kernel.

mod address;
mod choices;
mod delivery;
mod director;
mod kernel;
mod key;
mod nat;
mod persistence;
mod pool;
mod postgres;
mod quorum;
mod scheduling;
mod server;
mod service;
mod sync;
mod value;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::Config;
use super::file::Defaults;
use super::outside::HostView;
use super::report::{Draft, Place, Report};
use super::sources::Sources;
use crate::model::service::ServiceKey;

/// What the rules look at, and what they know so far.
struct Check<'a> {
    sources: &'a Sources,
    host: &'a HostView,
    report: &'a mut Report,
    defaults: &'a Defaults,
    /// Pools by name.
    pools: BTreeMap<Box<str>, pool::Known>,
    /// Services by name.
    services: BTreeMap<Box<str>, Place>,
    /// Services by what the kernel knows them by.
    keys: BTreeMap<ServiceKey, Place>,
    /// The first server at each address.
    servers: BTreeMap<SocketAddr, Place>,
    /// Addresses that were said to be absent, each once.
    absent: BTreeMap<IpAddr, Place>,
    /// The first persistent service.
    persistent: Option<Place>,
    /// The first service with a server of the other address family, and that server.
    mixed: Option<(Place, Place)>,
    /// Where conntrack is switched off, which full NAT needs.
    no_conntrack: Option<Place>,
    /// The first sync daemon.
    sync_daemon_at: Option<Place>,
}

/// Checks the files; `None`, or any error in the report, means that they are refused.
pub(super) fn check(sources: &Sources, host: &HostView, report: &mut Report) -> Option<Config> {
    let main = sources.main()?;
    let none = Defaults::default();
    let mut check = Check {
        sources,
        host,
        report,
        defaults: main.defaults.as_ref().map_or(&none, |defaults| &defaults.get_ref().0),
        pools: BTreeMap::new(),
        services: BTreeMap::new(),
        servers: BTreeMap::new(),
        absent: BTreeMap::new(),
        keys: BTreeMap::new(),
        persistent: None,
        mixed: None,
        no_conntrack: None,
        sync_daemon_at: None,
    };
    check.only_in_the_main_file();
    let director = check.director(main);
    let kernel = check.kernel(main);
    check.defaults();

    let mut pools = Vec::new();
    for (number, file) in sources.files() {
        pools.extend(file.pool.iter().map(|pool| check.pool(number, pool)));
    }
    let mut services = Vec::new();
    for (number, file) in sources.files() {
        services.extend(file.service.iter().flat_map(|service| check.service(number, service)));
    }
    check.persistence_ends_with_weight(kernel.manage);
    check.sync_beside_mixed();
    check.addresses_of_this_host();
    check.unused_pools();
    if services.is_empty() && check.report.errors() == 0 {
        check.report.warning(
            Draft::new("no services: nothing would be programmed")
                .at(Place::new(0, 0..0), "no [[service]] here or in an included file")
                .help("see config/pgvs.toml for every key"),
        );
    }
    Some(Config { director, kernel, pools, services })
}

impl Check<'_> {
    /// Settings of the whole director stand in one place, so that nobody has to look for them.
    fn only_in_the_main_file(&mut self) {
        for (number, file) in self.sources.files().skip(1) {
            let sync_daemon = file.sync_daemon.first().map(toml::Spanned::span);
            let tables: [(&str, Option<Range<usize>>); 5] = [
                ("include", file.include.as_ref().map(toml::Spanned::span)),
                ("[director]", file.director.as_ref().map(toml::Spanned::span)),
                ("[kernel]", file.kernel.as_ref().map(toml::Spanned::span)),
                ("[[sync_daemon]]", sync_daemon),
                ("[defaults]", file.defaults.as_ref().map(toml::Spanned::span)),
            ];
            for (what, span) in tables {
                if let Some(span) = span {
                    let draft = Draft::new(format!("{what} stands in an included file"))
                        .at(Place::new(number, span), "only in the main file")
                        .help("included files hold [[pool]] and [[service]] tables");
                    self.report.error(draft);
                }
            }
        }
    }

    /// Reads the defaults once by themselves: a mistake in one that everybody overrides is a mistake.
    fn defaults(&mut self) {
        let none = super::file::Table::default();
        self.probe_kind(0, None);
        value::boolean(self.report, value::written(0, self.defaults.pool.0.alpha.as_ref()), true);
        self.postgres(0, &none.0);
        self.server_defaults();
        self.service_defaults();
    }

    /// Records a name; says so if it is taken.
    fn taken(&mut self, what: &str, name: &str, place: Place, other: Place) {
        self.report.error(
            Draft::new(format!("two {what} are named \"{name}\""))
                .at(place, "this one")
                .at(other, "and this one")
                .help("rename one of them, or remove it"),
        );
    }
}
