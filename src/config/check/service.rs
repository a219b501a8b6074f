//! `[[service]]`: virtual services and who may serve them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Check;
use super::address;
use super::choices::{FORWARDINGS, Habit, ON_DOWN, PROTOCOLS, SCHEDULERS, TARGETS};
use super::pool::Known;
use super::quorum::ServiceAt;
use super::value::{self, Choice, Written, either, written};
use crate::config::file::{self, Entry, Field};
use crate::config::report::{Draft, Place};
use crate::config::words;
use crate::config::{OnDown, Target, VirtualService};
use crate::model::destination::Forwarding;
use crate::model::service::{Family, Protocol, Scheduler, Service, ServiceFlags, ServiceKey};

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Check<'_> {
    /// Reads `[defaults.service]` by itself.
    pub(super) fn service_defaults(&mut self) {
        let file = &self.defaults.service.0;
        self.word(0, &None, &file.protocol, &PROTOCOLS);
        self.word(0, &None, &file.scheduler, &SCHEDULERS);
        self.word(0, &None, &file.forwarding, &FORWARDINGS);
        self.word(0, &None, &file.target, &TARGETS);
        self.word(0, &None, &file.on_down, &ON_DOWN);
        self.drain_timeout(0, &None);
        self.source_nat_default();
    }

    /// One service; `None` if it lacks what nothing can stand in for.
    pub(super) fn service(
        &mut self,
        number: usize,
        entry: &Entry<file::Service>,
        keys: &mut BTreeMap<ServiceKey, Place>,
    ) -> Option<VirtualService> {
        let (header, file) = (Place::new(number, entry.span()), &entry.get_ref().0);
        let default = &self.defaults.service.0;
        let name = self.service_name(number, header, &file.name);
        let protocol = self.word(number, &file.protocol, &default.protocol, &PROTOCOLS);
        let address = self.service_address(number, header, &file.address);
        let forwarding = self.word(number, &file.forwarding, &default.forwarding, &FORWARDINGS);
        let forwarding = forwarding.unwrap_or(Forwarding::Masquerade);
        let on_down = self.word(number, &file.on_down, &default.on_down, &ON_DOWN);
        let drain_timeout = self.drain_timeout(number, &file.drain_timeout);
        let pool = self.service_pool(number, header, &file.pool);
        let target = self.target(number, header, file, pool.as_deref());
        let scheduler = self.scheduler(number, &file.scheduler, pool.as_deref(), target);
        let (address, address_at) = address?;
        let key = ServiceKey::Address { protocol: protocol.unwrap_or(Protocol::TCP), address };
        if let Some(other) = keys.insert(key, address_at) {
            let draft = Draft::new(format!("two services are at {address}"))
                .at(address_at, "this one")
                .at(other, "and this one");
            self.report.error(draft.help("give one of them an address or a port of its own"));
        }
        if let Some(known) = pool.as_ref().and_then(|pool| self.pools.get(pool)) {
            let problem = unreachable_server(address, address_at, forwarding, known);
            problem.into_iter().for_each(|draft| self.report.error(draft));
        }
        let at = ServiceAt { number, address, address_at, forwarding };
        let quorum = self.quorum(at, file, pool.as_deref(), target);
        let (scheduler, flags) = scheduler?;
        let mut service = Service::plain(scheduler, Family::of(address.ip()));
        service.flags = flags;
        Some(VirtualService {
            name: name?,
            key,
            service,
            forwarding,
            pool: pool?,
            target: target?,
            on_down: on_down.unwrap_or(OnDown::Cut),
            drain_timeout,
            source_nat: self.source_nat(number, &file.source_nat, forwarding, key),
            quorum,
        })
    }

    fn service_name(&mut self, number: usize, header: Place, field: &Field) -> Option<Box<str>> {
        let (name, place) = self.required_name(number, header, "service", field)?;
        match self.services.get(&name) {
            Some(other) => {
                let other = *other;
                self.taken("services", &name, place, other);
            }
            None => drop(self.services.insert(name.clone(), place)),
        }
        Some(name)
    }

    fn service_address(
        &mut self,
        number: usize,
        header: Place,
        field: &Field,
    ) -> Option<(SocketAddr, Place)> {
        let Some(written) = written(number, field.as_ref()) else {
            let draft = Draft::new("a service without an address").at(header, "no `address`");
            self.report.error(draft.help("give it one: address = \"10.9.0.100:5432\""));
            return None;
        };
        let address = address::socket(self.report, written)?;
        if let Some(server) = self.servers.get(&address) {
            let draft = Draft::new(format!("{address} is both a service and a server"))
                .at(written.place, "the service")
                .at(*server, "the server");
            self.report.error(draft.help("a service needs an address that no server has"));
        }
        if self.host.absent.contains(&address.ip()) {
            self.absent.entry(address.ip()).or_insert(written.place);
        }
        Some((address, written.place))
    }

    fn service_pool(&mut self, number: usize, header: Place, field: &Field) -> Option<Box<str>> {
        let Some(written) = written(number, field.as_ref()) else {
            let draft = Draft::new("a service without a pool").at(header, "no `pool`");
            self.report.error(draft.help("name its servers: pool = \"...\""));
            return None;
        };
        let name = value::text(self.report, written)?;
        if let Some(known) = self.pools.get_mut(name) {
            known.used = true;
            return Some(name.into());
        }
        let near = if self.report.is_full() {
            None
        } else {
            words::nearest(name, self.pools.keys().map(|name| &**name))
        };
        let draft = Draft::new(format!("no pool is named {name:?}")).at(written.place, "unknown");
        self.report.error(match near {
            Some(near) => draft.help(format!("did you mean \"{near}\"?")),
            None => draft.help("write a [[pool]] of that name"),
        });
        None
    }

    /// Who may serve: said by the operator where servers have roles, since nothing else is safe to guess.
    fn target(
        &mut self,
        number: usize,
        header: Place,
        file: &file::Service,
        pool: Option<&str>,
    ) -> Option<Target> {
        let written = either(number, &file.target, &self.defaults.service.0.target);
        let known = pool.and_then(|pool| self.pools.get(pool));
        let Some(written) = written else {
            if known.is_some_and(|known| known.knows_roles == Some(true)) {
                let draft = Draft::new("a service without a target").at(header, "no `target`");
                self.report.error(
                    draft.help("say who may serve: primary, standby, prefer-standby or any"),
                );
                return None;
            }
            return Some(Target::Any);
        };
        let roleless =
            known.filter(|known| known.knows_roles == Some(false)).map(|known| known.place);
        let target = value::choice(self.report, written, &TARGETS)?;
        if let (Some(pool), Target::Primary | Target::Standby | Target::PreferStandby) =
            (roleless, target)
        {
            let draft = Draft::new("a target needs roles, and probe = \"none\" knows none")
                .at(written.place, "needs roles")
                .at(pool, "this pool is not probed");
            self.report
                .error(draft.help("write target = \"any\", or probe = \"postgres\" in the pool"));
        }
        let starts_up = known.and_then(|known| known.starts_up);
        if let (Some(alpha), Target::Primary | Target::Standby | Target::PreferStandby) =
            (starts_up, target)
        {
            let draft = Draft::new("a server has no role before it has answered")
                .at(written.place, "needs roles")
                .at(alpha, "counts servers as up before that");
            self.report.error(
                draft.help("leave `alpha` out of the pool, or make a pool for this service alone"),
            );
        }
        Some(target)
    }

    fn scheduler(
        &mut self,
        number: usize,
        own: &Field,
        pool: Option<&str>,
        target: Option<Target>,
    ) -> Option<(Scheduler, ServiceFlags)> {
        let Some(written) = either(number, own, &self.defaults.service.0.scheduler) else {
            return Some((Scheduler::new("wlc")?, ServiceFlags::default()));
        };
        let habit = value::choice(self.report, written, &SCHEDULERS)?;
        let name = value::text(self.report, written)?;
        // A writer is one server: whatever the scheduler, it gets everything.
        if target != Some(Target::Primary) {
            let known = pool.and_then(|pool| self.pools.get(pool));
            let surprise = surprise(name, habit, written, known);
            surprise.into_iter().for_each(|draft| self.report.warning(draft));
        }
        let flags = match habit {
            // Without it clients of a quiesced server are refused.
            Habit::Hashes => ServiceFlags::SCHED_1,
            Habit::Weighs | Habit::Ignores | Habit::ByDestination => ServiceFlags::default(),
        };
        Some((Scheduler::new(name)?, flags))
    }

    fn word<T: Copy>(
        &mut self,
        number: usize,
        own: &Field,
        default: &Field,
        words: &Choice<T>,
    ) -> Option<T> {
        either(number, own, default).and_then(|written| value::choice(self.report, written, words))
    }

    fn drain_timeout(&mut self, number: usize, own: &Field) -> Duration {
        let written = either(number, own, &self.defaults.service.0.drain_timeout);
        value::duration(self.report, written, Duration::ZERO..=DAY, Duration::from_secs(300))
    }

    /// Clients reach a service only where its address is the director's own; said once for each address.
    pub(super) fn addresses_of_this_host(&mut self) {
        for (ip, place) in &self.absent {
            let draft = Draft::new(format!(
                "{ip} is not an address of this host: no client reaches it here"
            ))
            .at(*place, "not on this host");
            let length = if ip.is_ipv4() { 32 } else { 128 };
            self.report.warning(draft.help(format!("add it to an interface (ip addr add {ip}/{length} dev ...), unless another program does")));
        }
    }
}

/// What will surprise about a scheduler.
fn surprise(
    name: &str,
    habit: Habit,
    written: Written<'_>,
    known: Option<&Known>,
) -> Option<Draft> {
    match (habit, known.and_then(|known| known.differing)) {
        (Habit::ByDestination, _) => Some(
            Draft::new(format!("scheduler {name} chooses by the address that clients ask for"))
                .at(written.place, "the same for all clients")
                .help("it is made for caches; write wlc, or sh to keep a client at its server"),
        ),
        (Habit::Ignores, Some((one, other))) => Some(
            Draft::new(format!("scheduler {name} ignores weights"))
                .at(written.place, "ignores weights")
                .at(one, "one weight")
                .at(other, "and another")
                .help(format!("write w{name}")),
        ),
        (Habit::Ignores, None) | (Habit::Weighs | Habit::Hashes, _) => None,
    }
}

/// A server that the kernel could not reach from this service the way that is asked for.
fn unreachable_server(
    service: SocketAddr,
    service_at: Place,
    forwarding: Forwarding,
    known: &Known,
) -> Option<Draft> {
    let other_family = if service.is_ipv4() { known.v6 } else { known.v4 };
    let rewrites_ports = matches!(forwarding, Forwarding::Masquerade);
    // The kernel carries the other family in tunnels only.
    if let (Some(server), false) = (other_family, matches!(forwarding, Forwarding::Tunnel)) {
        return Some(
            Draft::new(format!(
                "{service} cannot be forwarded to a server of the other address family"
            ))
            .at(service_at, "one family")
            .at(server, "the other")
            .help("make a pool and a service of each family"),
        );
    }
    let other_port = known.ports.iter().find(|(port, _)| **port != service.port());
    match other_port {
        Some((port, server)) if !rewrites_ports => Some(
            Draft::new(format!(
                "dr and tun keep the port: {} cannot become {port}",
                service.port()
            ))
            .at(service_at, "the service's port")
            .at(*server, "the server's port")
            .help("use one port for both, or forwarding = \"masq\""),
        ),
        _ => None,
    }
}
