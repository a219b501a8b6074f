//! What the engine knows, as one value for people and programs; its shape in JSON is the schema of `status --json`.

mod quorum;

use serde::Serialize;

use super::controller::Controller;
use super::membership::{Member, PoolState, ServiceState};
use super::policy::Decision;
use crate::model::destination::DestinationKey;
use crate::model::postgres::Role;
use crate::model::table::Counters;
use crate::time::Time;
use crate::wire::refusal::Refusal;
pub use quorum::QuorumStatus;

/// Everything at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Whether everything wanted is in the kernel and no service is without a server.
    pub healthy: bool,
    /// Whether nothing is written to the kernel on the operator's word.
    pub paused: bool,
    /// Seconds for which it stays paused; absent without an end.
    pub paused_for: Option<u64>,
    /// What needs the operator's eye, in words.
    pub alarms: Vec<String>,
    /// Our services, in the config's order.
    pub services: Vec<ServiceStatus>,
    /// The servers of the pools, in the config's order.
    pub servers: Vec<ServerStatus>,
    /// Services in the kernel that are not ours, and are never touched.
    pub foreign: Vec<String>,
}

/// A service of the config.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Protocol, address and port.
    pub address: String,
    /// Its scheduler.
    pub scheduler: String,
    /// Its pool.
    pub pool: String,
    /// Which servers may serve.
    pub target: &'static str,
    /// Whether any destination takes new connections.
    pub serving: bool,
    /// How many servers it needs and has; absent: nobody counts.
    pub quorum: Option<QuorumStatus>,
    /// Its destinations: the members first, then the sorry server, then what drains.
    pub destinations: Vec<DestinationStatus>,
}

/// What a destination is to its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// A server of its pool.
    Member,
    /// A server of its pool that serves only where no other is left.
    Backup,
    /// It serves alone where the quorum is lost.
    Sorry,
    /// No member any more.
    Leaving,
}

/// A destination of a service of the config.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationStatus {
    /// What it is to the service.
    pub part: Part,
    /// The server's name; absent where it is no member.
    pub server: Option<String>,
    /// Address and port.
    pub address: String,
    /// The weight in the kernel; absent: not in the table.
    pub weight: Option<u32>,
    /// The weight that is wanted; absent: not in the table.
    pub wanted: Option<u32>,
    /// Why.
    pub reason: String,
    /// Connections that are established or in the handshake.
    pub active: u32,
    /// Connections that are closing.
    pub inactive: u32,
}

/// A server of a pool.
#[derive(Clone, Debug, Serialize)]
pub struct ServerStatus {
    /// `pool/name`.
    pub server: String,
    /// Address and port.
    pub address: String,
    /// The verdict of its probe; absent where it is not probed.
    pub condition: Option<String>,
    /// `primary` or `standby`, as it said last.
    pub role: Option<String>,
    /// The timeline of a primary.
    pub timeline: Option<u32>,
    /// The identity of its cluster.
    pub system_identifier: Option<String>,
    /// Whether it is the writer of its pool.
    pub writer: bool,
    /// Milliseconds since PostgreSQL last said anything; absent: never.
    pub answered_ms_ago: Option<u64>,
    /// What its probe reported last when it failed, with the seconds since.
    pub last_failure: Option<(String, u64)>,
}

impl Controller {
    /// Everything as it stands at `now`.
    pub fn status(&self, now: Time) -> Status {
        let services: Vec<_> = self
            .config
            .services
            .iter()
            .filter_map(|config| self.membership.services.get(&config.key))
            .map(|service| self.service_status(service))
            .collect();
        let servers = self.membership.pools.iter().flat_map(|pool| {
            pool.members
                .iter()
                .enumerate()
                .map(|(place, member)| self.server_status(pool, place, member, now))
        });
        let alarms = self.alarms();
        let foreign = self.reconciler.foreign(&self.membership);
        let pause = self.reconciler.memory.paused;
        Status {
            healthy: alarms.is_empty()
                && self.reconciler.is_adopted()
                && services.iter().all(|service| service.serving && !service.has_lost_quorum()),
            paused: pause.is_some(),
            paused_for: pause.and_then(|p| p.until).map(|until| until.since(now).as_secs()),
            alarms,
            foreign: foreign.into_iter().flatten().map(ToString::to_string).collect(),
            servers: servers.collect(),
            services,
        }
    }

    fn service_status(&self, service: &ServiceState) -> ServiceStatus {
        let key = service.config.key;
        let actual = self.reconciler.actual.as_ref().and_then(|table| table.services.get(&key));
        let counters = &self.reconciler.counters;
        let weight_of = |to| Some(actual?.destinations.get(&to)?.weight.0);
        let members = self.membership.members(service);
        let mut destinations: Vec<_> = members
            .iter()
            .zip(&service.decisions)
            .map(|(member, decision)| {
                let weight = weight_of(service.key_of(member));
                destination(service, member, *decision, weight, counters)
            })
            .collect();
        let sorry = service.sorry_server().map(|(to, wanted)| DestinationStatus {
            part: Part::Sorry,
            server: None,
            address: to.to_string(),
            weight: weight_of(to),
            wanted: Some(wanted.0),
            reason: quorum::sorry_reason(service),
            active: connections(counters, service, to).0,
            inactive: connections(counters, service, to).1,
        });
        destinations.extend(sorry);
        let leaving = actual.into_iter().flat_map(|entry| &entry.destinations);
        destinations.extend(leaving.filter(|(to, _)| !self.membership.is_member(key, **to)).map(
            |(&to, found)| DestinationStatus {
                part: Part::Leaving,
                server: None,
                address: to.to_string(),
                weight: Some(found.weight.0),
                wanted: Some(0),
                reason: "no member: draining".to_owned(),
                active: connections(counters, service, to).0,
                inactive: connections(counters, service, to).1,
            },
        ));
        ServiceStatus {
            name: service.config.name.to_string(),
            address: key.to_string(),
            scheduler: service.config.service.scheduler.to_string(),
            pool: service.config.pool.to_string(),
            target: service.config.target.as_str(),
            serving: destinations.iter().any(|it| it.weight.is_some_and(|weight| weight > 0)),
            quorum: quorum::quorum(service),
            destinations,
        }
    }

    fn server_status(
        &self,
        pool: &PoolState,
        place: usize,
        member: &Member,
        now: Time,
    ) -> ServerStatus {
        let probe = member.probe.and_then(|id| self.membership.probes.get(&id));
        let verdict = probe.map(|probe| probe.health.verdict());
        let facts = verdict.and_then(|verdict| verdict.facts);
        ServerStatus {
            server: format!("{}/{}", pool.name, member.name),
            address: member.address.to_string(),
            condition: verdict.map(|verdict| verdict.condition.to_string()),
            role: facts.map(|facts| facts.role.to_string()),
            timeline: facts.and_then(|facts| facts.timeline).map(|timeline| timeline.0),
            system_identifier: facts
                .and_then(|facts| facts.system_identifier)
                .map(|identifier| identifier.to_string()),
            writer: pool.view.writer == Some(place),
            answered_ms_ago: probe
                .and_then(|probe| probe.health.heard())
                .map(|heard| millis(now.since(heard))),
            last_failure: probe.and_then(|probe| {
                let (at, what) = probe.health.last_failure()?;
                Some((what.to_owned(), now.since(at).as_secs()))
            }),
        }
    }

    /// What needs the operator's eye.
    fn alarms(&self) -> Vec<String> {
        let mut alarms = Vec::new();
        if let Some(why) = &self.reconciler.last_failure {
            alarms.push(why.to_string());
        }
        if let Some(why) = &self.reconciler.save_failure {
            alarms.push(why.to_string());
        }
        alarms.extend(self.reconciler.settings.alarms());
        if self.freeze.is_on() {
            alarms.push("all servers fell silent at once: soft evidence is ignored".to_owned());
        }
        for (&id, probe) in &self.membership.probes {
            if let Some(what) = probe.health.misconfigured() {
                let servers = self.membership.servers_of(id);
                let names: Vec<_> = servers.iter().map(ToString::to_string).collect();
                alarms.push(format!("the probe of {} cannot see more: {what}", names.join(", ")));
            }
        }
        for pool in &self.membership.pools {
            alarms.extend(pool_alarms(pool));
        }
        alarms.extend(self.membership.services.values().filter_map(quorum::alarm));
        let refused = self.reconciler.strikes.lasting();
        alarms.extend(
            refused.map(|(op, errno)| {
                format!("the kernel keeps refusing to {}", Refusal { op, errno })
            }),
        );
        let slowed = self.reconciler.guard.slowed();
        alarms.extend(slowed.map(|key| format!("another program keeps writing {key}")));
        alarms
    }
}

/// What is odd about the roles of a pool's servers.
fn pool_alarms(pool: &PoolState) -> Vec<String> {
    use super::cluster::Standing;
    let named = |wanted: Standing| {
        let places = pool.view.standings.iter().zip(&pool.members);
        let names =
            places.filter(|(standing, _)| **standing == wanted).map(|(_, member)| &*member.name);
        names.collect::<Vec<_>>().join(", ")
    };
    let mut alarms = Vec::new();
    let others = named(Standing::OtherWriter);
    if !others.is_empty() {
        let writer = named(Standing::Writer);
        alarms.push(format!(
            "pool {}: {others} claims to be a primary beside {writer}: stop it or rewind it",
            pool.name
        ));
    }
    let outdated = named(Standing::Outdated);
    if let Some(timeline) = pool.cluster.timeline
        && !outdated.is_empty()
    {
        alarms.push(format!(
            "pool {}: {outdated} is a primary on an older timeline than {timeline}, the last writer's: stop it or rewind it; if it was restored on purpose, give the pool another name",
            pool.name
        ));
    }
    let foreign = named(Standing::Foreign);
    if !foreign.is_empty() {
        alarms.push(format!("pool {}: {foreign} belongs to another cluster", pool.name));
    }
    let is_read_only = |member: usize| {
        let facts = pool.verdicts.get(member)?.facts?;
        (facts.role == Role::Primary && facts.read_only == Some(true)).then_some(())
    };
    if let Some(place) = pool.view.writer
        && is_read_only(place).is_some()
    {
        alarms.push(format!(
            "pool {}: {} is the primary and default_transaction_read_only is on",
            pool.name,
            named(Standing::Writer)
        ));
    }
    if !pool.verdicts.is_empty() && !pool.verdicts.iter().any(|verdict| verdict.has_answered()) {
        alarms.push(format!("pool {}: no server has answered: weights stay as found", pool.name));
    }
    alarms
}

fn destination(
    service: &ServiceState,
    member: &Member,
    decision: Option<Decision>,
    weight: Option<u32>,
    counters: &Counters,
) -> DestinationStatus {
    let (active, inactive) = connections(counters, service, service.key_of(member));
    DestinationStatus {
        part: if member.is_backup { Part::Backup } else { Part::Member },
        server: Some(member.name.to_string()),
        address: service.key_of(member).to_string(),
        weight,
        wanted: decision.and_then(|decision| decision.weight).map(|weight| weight.0),
        reason: decision.map_or_else(
            || "the kernel's table has not been read".to_owned(),
            |decision| decision.reason.to_string(),
        ),
        active,
        inactive,
    }
}

fn connections(counters: &Counters, service: &ServiceState, to: DestinationKey) -> (u32, u32) {
    counters
        .get(&(service.config.key, to))
        .map_or((0, 0), |connections| (connections.active, connections.inactive))
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
