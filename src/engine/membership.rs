//! Who belongs to what: pools with their members, services, and one probe for each server and probe setting.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::{Cluster, View};
use super::event::Action;
use super::evidence::{Pace, ProbeId};
use super::health::{Health, Verdict};
use super::policy::{Adopted, Decision, Reason};
use super::quorum::Count;
use crate::config::{Config, Delivery, OnDown, PostgresProbe, Probe, Target, VirtualService};
use crate::model::destination::{DestinationKey, Thresholds, Weight};
use crate::model::server::ServerId;
use crate::model::service::ServiceKey;
use crate::model::table::Table;
use crate::time::Time;

/// So long a server keeps the weight that the kernel has without a verdict of its own.
pub(super) const ADOPT_TIMEOUT: Duration = Duration::from_secs(3);

/// So long the kernel needs at most to flush the connections of a deleted destination (200 ms were measured).
const FLUSH: Duration = Duration::from_secs(1);

/// A pool as the engine works with it.
#[derive(Clone, Debug)]
pub(super) struct PoolState {
    pub(super) name: Box<str>,
    pub(super) members: Vec<Member>,
    /// Whether its servers count as up before they have answered.
    pub(super) starts_up: bool,
    /// The services of the pool.
    pub(super) services: Vec<ServiceKey>,
    pub(super) cluster: Cluster,
    /// The last decision about the writer, and the verdicts that it was taken from.
    pub(super) view: View,
    pub(super) verdicts: Vec<Verdict>,
    /// Whether a service of the pool for the primary has no usable writer.
    pub(super) is_hurried: bool,
}

/// A server in a pool.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Box<str>,
    pub(super) address: SocketAddr,
    pub(super) weight: Weight,
    pub(super) thresholds: Thresholds,
    /// How packets reach it, where that is not what its services say.
    pub(super) delivery: Option<Delivery>,
    /// Whether it serves only where no other server is left.
    pub(super) is_backup: bool,
    /// Its probe; `None`: it is not probed.
    pub(super) probe: Option<ProbeId>,
}

/// A service of the config as the engine works with it; the lists follow the pool's members.
#[derive(Clone, Debug)]
pub(super) struct ServiceState {
    pub(super) config: VirtualService,
    /// The place of its pool.
    pub(super) pool: usize,
    /// `None`: not decided yet.
    pub(super) decisions: Vec<Option<Decision>>,
    pub(super) adopted: Vec<Option<Adopted>>,
    pub(super) cuts: Vec<Option<Cut>>,
    /// The member that last had weight in a service for the primary.
    pub(super) last_writer: Option<usize>,
    /// How many servers may serve, where somebody wants to know.
    pub(super) count: Count,
    /// Whether it is the first of its name: of several addresses one speaks for all.
    pub(super) is_first: bool,
}

impl ServiceState {
    /// What the kernel knows a member by in this service.
    pub(super) fn key_of(&self, member: &Member) -> DestinationKey {
        self.config.destination_key(member.address, member.delivery)
    }

    /// The member that the kernel knows by this in this service.
    fn place_of(&self, members: &[Member], to: DestinationKey) -> Option<usize> {
        members.iter().position(|member| self.key_of(member) == to)
    }
}

/// The sessions of a destination are being cut: it is deleted, and may not return before they are flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is still in the table.
    Wanted,
    /// The kernel has acknowledged the deletion.
    Since(Time),
}

/// A probe as the engine works with it.
#[derive(Clone, Debug)]
pub(super) struct ProbeState {
    pub(super) address: SocketAddr,
    pub(super) settings: Arc<PostgresProbe>,
    pub(super) health: Health,
    /// The places of the pools that share it.
    pub(super) pools: Vec<usize>,
    pub(super) pace: Pace,
}

/// Everything that follows from the config, with what was learnt about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Membership {
    pub(super) pools: Vec<PoolState>,
    pub(super) services: BTreeMap<ServiceKey, ServiceState>,
    pub(super) probes: BTreeMap<ProbeId, ProbeState>,
    /// The probes of each address.
    probes_at: BTreeMap<SocketAddr, Vec<ProbeId>>,
    /// The services with a cut under way.
    pub(super) cutting: BTreeSet<ServiceKey>,
    /// Whether a cut was begun, or the table read anew, since the cuts were looked at.
    pub(super) are_cuts_new: bool,
    /// When the next cut has had its time, or sooner.
    cut_due: Option<Time>,
    /// Whether servers that have not been heard since the start, or since the config names them, may yet speak.
    pub(super) is_waiting: bool,
    /// Whether a service is for the primary.
    pub(super) has_writers: bool,
    next_probe: u32,
}

impl Membership {
    /// The members of a service.
    pub(super) fn members(&self, service: &ServiceState) -> &[Member] {
        self.pools.get(service.pool).map_or(&[], |pool| &pool.members)
    }

    /// Whether a destination is a member of a service, or its sorry server.
    pub(super) fn is_member(&self, service: ServiceKey, to: DestinationKey) -> bool {
        let Some(service) = self.services.get(&service) else {
            return false;
        };
        service.place_of(self.members(service), to).is_some()
            || service.sorry_server().is_some_and(|(sorry, _)| sorry == to)
    }

    /// The kernel has deleted a destination: if it is a member it stays away until its sessions are flushed.
    pub(super) fn cut_acknowledged(&mut self, key: ServiceKey, to: DestinationKey, now: Time) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let pool = self.pools.get(service.pool);
        let place = pool.and_then(|pool| service.place_of(&pool.members, to));
        let Some(place) = place else { return };
        let Some(cut) = service.cuts.get_mut(place) else {
            return;
        };
        // The cut may have been called off while the kernel was at it.
        if cut.replace(Cut::Since(now)).is_none()
            && let Some(decision) = service.decisions.get_mut(place)
        {
            *decision = Some(Decision { weight: None, reason: Reason::Cut });
        }
        self.cutting.insert(key);
        let due = now.after(FLUSH);
        self.cut_due = Some(self.cut_due.map_or(due, |earlier| earlier.min(due)));
    }

    /// When the next cut has had its time.
    pub(super) const fn cut_deadline(&self) -> Option<Time> {
        self.cut_due
    }

    /// The cuts, or what they are compared with, have changed.
    pub(super) const fn look_at_cuts(&mut self) {
        self.are_cuts_new = true;
    }

    /// Ends the cuts that have had their time; names the pools that are to be decided anew.
    pub(super) fn release_cuts(&mut self, actual: Option<&Table>, now: Time) -> BTreeSet<usize> {
        let mut pools = BTreeSet::new();
        // One server may be cut out of ten thousand services, and this is asked for at every step.
        let is_new = std::mem::take(&mut self.are_cuts_new);
        if !is_new && self.cut_due.is_none_or(|due| now < due) {
            return pools;
        }
        self.cut_due = None;
        for key in std::mem::take(&mut self.cutting) {
            let Some(service) = self.services.get_mut(&key) else {
                continue;
            };
            let Some(pool) = self.pools.get(service.pool) else {
                continue;
            };
            let config = &service.config;
            for (cut, member) in service.cuts.iter_mut().zip(&pool.members) {
                let to = config.destination_key(member.address, member.delivery);
                *cut = match *cut {
                    Some(Cut::Since(at)) if at.after(FLUSH) <= now => {
                        pools.insert(service.pool);
                        None
                    }
                    // It is gone without our doing, or was never there.
                    Some(Cut::Wanted)
                        if actual.is_some_and(|it| it.destination(key, to).is_none()) =>
                    {
                        Some(Cut::Since(now))
                    }
                    other => other,
                };
                if let Some(Cut::Since(at)) = *cut {
                    let due = at.after(FLUSH);
                    self.cut_due = Some(self.cut_due.map_or(due, |earlier| earlier.min(due)));
                }
            }
            if service.cuts.iter().any(Option::is_some) {
                self.cutting.insert(key);
            }
        }
        pools
    }

    /// The servers that share a probe.
    pub(super) fn servers_of(&self, probe: ProbeId) -> Vec<ServerId> {
        let pools = self.probes.get(&probe).map(|probe| probe.pools.clone()).unwrap_or_default();
        let mut servers = Vec::new();
        for place in pools {
            let Some(pool) = self.pools.get(place) else {
                continue;
            };
            let of_probe = pool.members.iter().filter(|member| member.probe == Some(probe));
            servers.extend(
                of_probe
                    .map(|member| ServerId { pool: pool.name.clone(), name: member.name.clone() }),
            );
        }
        servers
    }

    /// Puts another config in force, keeps what was learnt about what stays, and starts and stops probes.
    pub(super) fn reload(&mut self, config: &Config, now: Time, actions: &mut Vec<Action>) {
        let old = std::mem::take(self);
        self.next_probe = old.next_probe;
        self.cutting = old.cutting.clone();
        (self.are_cuts_new, self.cut_due) = (true, old.cut_due);
        self.is_waiting = true;
        self.has_writers = config.services.iter().any(|it| it.target == Target::Primary);
        for (place, pool) in config.pools.iter().enumerate() {
            let members = pool
                .servers
                .iter()
                .map(|server| Member {
                    name: server.name.clone(),
                    address: server.address,
                    weight: server.weight,
                    thresholds: server.thresholds,
                    delivery: server.delivery,
                    is_backup: server.is_backup,
                    probe: match &pool.probe {
                        Probe::None => None,
                        Probe::Postgres(settings) => {
                            Some(self.probe(server.address, settings, place, &old, now, actions))
                        }
                    },
                })
                .collect();
            self.pools.push(PoolState {
                name: pool.name.clone(),
                members,
                starts_up: !pool.alpha,
                services: Vec::new(),
                cluster: Cluster::default(),
                view: View::default(),
                verdicts: Vec::new(),
                is_hurried: false,
            });
        }
        let places: BTreeMap<Box<str>, usize> =
            self.pools.iter().enumerate().map(|(place, pool)| (pool.name.clone(), place)).collect();
        let mut names = BTreeSet::new();
        for service in &config.services {
            let is_first = names.insert(&*service.name);
            // `check` refuses a service whose pool does not exist.
            if let Some(&place) = places.get(&service.pool) {
                self.add_service(service, (place, is_first), &old);
            }
        }
        let places: BTreeMap<&str, &PoolState> =
            old.pools.iter().map(|pool| (&*pool.name, pool)).collect();
        for pool in &mut self.pools {
            if let Some(before) = places.get(&*pool.name) {
                pool.inherit(before);
            }
        }
        let kept = |id| self.probes.contains_key(id);
        actions.extend(old.probes.keys().filter(|id| !kept(id)).map(|&id| Action::StopProbe(id)));
    }

    /// The probe for an address with these settings: one that the config has named before, the one that has been
    /// running, or a new one. A new one that only asks differently inherits what the old one knew.
    fn probe(
        &mut self,
        address: SocketAddr,
        settings: &Arc<PostgresProbe>,
        pool: usize,
        old: &Self,
        now: Time,
        actions: &mut Vec<Action>,
    ) -> ProbeId {
        if let Some(id) = self.probe_at(address, settings)
            && let Some(probe) = self.probes.get_mut(&id)
        {
            probe.pools.push(pool);
            return id;
        }
        let running = old.probe_at(address, settings);
        if let Some((id, probe)) = running.and_then(|id| Some((id, old.probes.get(&id)?))) {
            self.add_probe(id, ProbeState { pools: vec![pool], ..probe.clone() });
            return id;
        }
        let id = ProbeId(self.next_probe);
        self.next_probe = self.next_probe.wrapping_add(1);
        let silence_from = now.after(ADOPT_TIMEOUT.saturating_sub(settings.suspect_after));
        let other = old.probes_at.get(&address).and_then(|ids| old.probes.get(ids.first()?));
        let health = match other {
            Some(probe) => {
                let mut health = probe.health.clone();
                health.forgive(silence_from);
                health
            }
            None => Health::new(silence_from),
        };
        let settings = Arc::clone(settings);
        actions.push(Action::StartProbe { probe: id, address, settings: Arc::clone(&settings) });
        let probe = ProbeState { address, settings, health, pools: vec![pool], pace: Pace::Normal };
        self.add_probe(id, probe);
        id
    }

    fn add_probe(&mut self, id: ProbeId, probe: ProbeState) {
        self.probes_at.entry(probe.address).or_default().push(id);
        self.probes.insert(id, probe);
    }

    /// The probe of an address that asks with these settings.
    fn probe_at(&self, address: SocketAddr, settings: &Arc<PostgresProbe>) -> Option<ProbeId> {
        let same =
            |id: &&ProbeId| self.probes.get(*id).is_some_and(|probe| probe.settings == *settings);
        self.probes_at.get(&address)?.iter().find(same).copied()
    }

    fn add_service(
        &mut self,
        config: &VirtualService,
        (place, is_first): (usize, bool),
        old: &Self,
    ) {
        let Some(pool) = self.pools.get_mut(place) else {
            return;
        };
        pool.services.push(config.key);
        let before = old.services.get(&config.key);
        let was = |member: &Member| {
            let service = before?;
            let of_old =
                old.members(service).iter().position(|old| old.address == member.address)?;
            Some((service, of_old))
        };
        fn kept<T: Copy>(list: &[Option<T>], place: usize) -> Option<T> {
            list.get(place).copied().flatten()
        }
        let count = pool.members.len();
        let mut decisions = Vec::with_capacity(count);
        let mut adopted = Vec::with_capacity(count);
        let mut cuts = Vec::with_capacity(count);
        for member in &pool.members {
            let was = was(member);
            decisions.push(was.and_then(|(service, place)| kept(&service.decisions, place)));
            adopted.push(was.and_then(|(service, place)| kept(&service.adopted, place)));
            // What is held is not deleted, so a cut that has not begun would never end.
            let is_held = |cut: &Cut| config.on_down == OnDown::Hold && *cut == Cut::Wanted;
            let cut = was.and_then(|(service, place)| kept(&service.cuts, place));
            cuts.push(cut.filter(|cut| !is_held(cut)));
        }
        let last_writer = before.and_then(|service| {
            let address = old.members(service).get(service.last_writer?)?.address;
            pool.members.iter().position(|member| member.address == address)
        });
        let state = ServiceState {
            config: config.clone(),
            pool: place,
            decisions,
            adopted,
            cuts,
            last_writer,
            count: before.map(|service| service.count).unwrap_or_default(),
            is_first,
        };
        self.services.insert(config.key, state);
    }
}

impl PoolState {
    /// Keeps who was the writer, if it is still a member.
    fn inherit(&mut self, pool: &Self) {
        let moved = |place: Option<usize>| {
            let address = pool.members.get(place?)?.address;
            self.members.iter().position(|member| member.address == address)
        };
        let incumbent = moved(pool.cluster.incumbent);
        let writer = moved(pool.view.writer);
        self.is_hurried = pool.is_hurried;
        self.cluster = pool.cluster.with_incumbent(incumbent);
        self.view = View { writer, standings: Vec::new() };
    }
}
