//! `[[service]]`: virtual services and who may serve them.

use std::time::Duration;

use super::Check;
use super::choices::{ON_DOWN, PROTOCOLS, TARGETS};
use super::delivery::Fields;
use super::quorum::ServiceAt;
use super::value::{self, Choice, either, written};
use crate::config::file::{self, Entry, Field};
use crate::config::report::{Draft, Place};
use crate::config::words;
use crate::config::{Delivery, OnDown, Target, VirtualService};
use crate::model::service::ServiceKey;

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Check<'_> {
    /// Reads `[defaults.service]` by itself.
    pub(super) fn service_defaults(&mut self) {
        let file = &self.defaults.service.0;
        self.word(0, &None, &file.protocol, &PROTOCOLS);
        self.scheduling_defaults();
        self.delivery_defaults();
        self.word(0, &None, &file.target, &TARGETS);
        self.word(0, &None, &file.on_down, &ON_DOWN);
        self.drain_timeout(0, &None);
        self.source_nat_default();
    }

    /// One virtual service for each address or mark; none if it lacks what nothing can stand in for.
    pub(super) fn service(
        &mut self,
        number: usize,
        entry: &Entry<file::Service>,
    ) -> Vec<VirtualService> {
        let (header, file) = (Place::new(number, entry.span()), &entry.get_ref().0);
        let default = &self.defaults.service.0;
        let name = self.service_name(number, header, &file.name);
        let keys = self.keys(number, header, file);
        let own = Fields::of_service(file);
        let delivery = self.delivery(number, own, Fields::of_defaults(default));
        let on_down = self.word(number, &file.on_down, &default.on_down, &ON_DOWN);
        let drain_timeout = self.drain_timeout(number, &file.drain_timeout);
        let pool = self.service_pool(number, header, &file.pool);
        let target = self.target(number, header, file, pool.as_deref());
        let scheduling = self.scheduling(number, file, pool.as_deref(), target, &keys);
        let (Some(pool), Some(Delivery { forwarding, tunnel })) = (pool, delivery) else {
            return Vec::new();
        };
        let before = self.report.refusals();
        for key in &keys {
            // One server that is out of reach is out of every address's reach.
            if self.report.refusals() == before {
                self.reachable(*key, forwarding, &pool);
            }
        }
        let at = ServiceAt { number, keys: &keys, forwarding };
        let quorum = self.quorum(at, file, Some(&pool), target);
        let (Some(name), Some(target), Some(scheduling)) = (name, target, scheduling) else {
            return Vec::new();
        };
        let nats = self.source_nats(number, &file.source_nat, forwarding, &keys);
        let service = |(&(key, _), source_nat): (&(ServiceKey, Place), _)| VirtualService {
            name: name.clone(),
            shares_name: keys.len() > 1,
            key,
            service: scheduling.service(key.family()),
            forwarding,
            tunnel,
            pool: pool.clone(),
            target,
            on_down: on_down.unwrap_or(OnDown::Cut),
            drain_timeout,
            source_nat,
            quorum: quorum.clone(),
        };
        keys.iter().zip(nats).map(service).collect()
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

    /// One of a key's words, else the default's; `None` if neither says anything that is accepted.
    pub(super) fn word<T: Copy>(
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
}
