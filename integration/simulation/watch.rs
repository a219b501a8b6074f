//! What must hold whatever happens: what is checked before, during and after every transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pgvs::config::{Target, VirtualService};
use pgvs::engine::event::Event;
use pgvs::engine::table::destination_of;
use pgvs::model::destination::DestinationKey;
use pgvs::model::op::{Errno, Op};
use pgvs::model::service::ServiceKey;
use pgvs::model::table::Entry;

use crate::daemon::micros;
use crate::heard::Ears;
use crate::jobs::Job;
use crate::kernel::Author;
use crate::setup;
use crate::world::{At, MS, SECOND, World};

/// Another program's change is repaired within so long.
const REPAIR: At = 1_500 * MS;

/// What the checks remember.
#[derive(Default)]
pub(crate) struct Watch {
    /// Counts changes of the table by others.
    pub(crate) writes_of_others: u64,
    /// When others changed a service.
    others: BTreeMap<ServiceKey, Vec<At>>,
    /// Until then checks that need calm are left out.
    pub(crate) disturbed_until: At,
    /// Services that were ever in the config; every other is foreign.
    ours: BTreeSet<ServiceKey>,
    /// The foreign services as their owners left them.
    pub(crate) foreign: BTreeMap<ServiceKey, Entry>,
    /// Destinations that are no members, with the moment from which they may be deleted.
    left: BTreeMap<(ServiceKey, DestinationKey), At>,
    /// Since when a service for the primary has had two usable destinations without an excuse.
    doubles: BTreeMap<ServiceKey, At>,
    /// For each service of the transaction under way: the fewest usable destinations at either end.
    floors: BTreeMap<ServiceKey, usize>,
    /// When another config came into force, or a pause ended.
    pub(crate) reloaded: At,
    /// The services for the primary when it was decided.
    writers: BTreeSet<ServiceKey>,
    pub(crate) ears: Ears,
}

/// Where a service stood before a change.
pub(crate) struct Before {
    usable: Vec<DestinationKey>,
    sessions: BTreeMap<DestinationKey, u32>,
    unflushed: bool,
}

impl World {
    pub(crate) fn in_force(&self, key: ServiceKey) -> Option<&VirtualService> {
        self.daemon.as_ref()?.config.services.iter().find(|service| service.key == key)
    }

    pub(crate) fn is_member(&self, key: ServiceKey, to: DestinationKey) -> bool {
        let config = self.daemon.as_ref().map(|daemon| &daemon.config);
        let (Some(service), Some(config)) = (self.in_force(key), config) else { return false };
        let pool = config.pool(&service.pool);
        pool.is_some_and(|pool| {
            pool.servers.iter().any(|server| setup::key_in(service, server) == to)
        }) || self.sorry_server(key) == Some(to)
    }

    pub(crate) fn watch_start(&mut self) {
        // What the state file says of the writers holds for the new daemon as if it had seen them.
        let writers = self.disk.memory.writers.iter();
        let newest = writers.filter_map(|(pool, last)| Some((pool.clone(), last.timeline?)));
        let newest = newest.collect();
        self.watch.ears = Ears::default();
        self.watch.ears.newest = newest;
        self.watch_disturbed(self.now + 4 * SECOND);
        self.watch.floors.clear();
        self.watch_config();
    }

    pub(crate) fn watch_stopped(&mut self) {
        self.watch_disturbed(self.now + SECOND);
    }

    pub(crate) fn watch_late(&mut self, by: Duration) {
        let by = u64::try_from(by.as_micros()).unwrap();
        self.watch_disturbed(self.now + by.min(SECOND));
        self.watch.ears.disturbed();
    }

    /// Calm is needed for some checks; there is none until then.
    pub(crate) fn watch_disturbed(&mut self, until: At) {
        self.watch.disturbed_until = self.watch.disturbed_until.max(until);
    }

    /// Another config is in force: who has left it, and until when may it stay at most?
    fn watch_config(&mut self) {
        let config = std::sync::Arc::clone(&self.daemon.as_ref().unwrap().config);
        self.watch.ours.extend(config.services.iter().map(|service| service.key));
        let mut left = BTreeMap::new();
        for (&key, service) in &self.kernel.services {
            let timeout =
                self.in_force(key).map_or(Duration::from_secs(300), |it| it.drain_timeout);
            let deadline = self.now + u64::try_from(timeout.as_micros()).unwrap();
            for &to in service.destinations.keys().filter(|&&to| !self.is_member(key, to)) {
                // What is on its way to the kernel was decided while it was a member.
                let is_going = self.is_under_way(&Op::DeleteDestination(key, to));
                let earlier = self.watch.left.get(&(key, to)).copied();
                let earlier = earlier.or(is_going.then_some(self.now));
                left.insert((key, to), earlier.map_or(deadline, |earlier| earlier.min(deadline)));
            }
        }
        self.watch.left = left;
    }

    fn is_under_way(&self, op: &Op) -> bool {
        match self.daemon.as_ref().and_then(|daemon| daemon.job.as_ref()) {
            Some(Job::Apply { ops, .. }) => ops.contains(op),
            Some(Job::Dump { .. } | Job::Check) | None => false,
        }
    }

    pub(crate) fn watch_event(&mut self, event: &Event) {
        match event {
            Event::Reload(config) => {
                self.daemon.as_mut().unwrap().config = std::sync::Arc::clone(config);
                self.note("reload".into());
                self.watch.reloaded = self.now;
                self.watch.ears.disturbed();
                self.watch.ears.inherit(config);
                self.watch_config();
            }
            Event::Pause(until) => {
                let base = self.daemon.as_ref().unwrap().base;
                let until = until.map_or(At::MAX, |until| base + micros(until));
                self.daemon.as_mut().unwrap().paused_until = until;
            }
            Event::Resume => {
                self.daemon.as_mut().unwrap().paused_until = 0;
                self.watch.reloaded = self.now;
            }
            Event::Stop => self.daemon.as_mut().unwrap().is_stopping = true,
            Event::Probe { probe, at, observation } => {
                let probers = &self.daemon.as_ref().unwrap().probers;
                let Some(prober) = probers.get(probe) else { return };
                let (address, settings) = (prober.address, std::sync::Arc::clone(&prober.settings));
                self.watch.ears.hear(address, &settings, *at, observation);
                if self.watch.ears.is_news(address, observation) {
                    self.note(format!("probe of {address}: {observation:?}"));
                }
            }
            Event::Dumped(table, _) => {
                self.watch.ears.adopted.get_or_insert_with(|| table.clone());
            }
            Event::KernelFailed(why) => self.note(format!("kernel failed: {why}")),
            Event::Tick
            | Event::Checked(_)
            | Event::Applied(_)
            | Event::SettingsRead(_)
            | Event::SettingsApplied(_)
            | Event::StateSaved(_) => (),
        }
        self.watch_doubles();
    }

    /// Another program changed a service.
    pub(crate) fn watch_other(&mut self, key: ServiceKey) {
        self.watch.writes_of_others += 1;
        self.watch.ears.disturbed();
        self.watch.floors.remove(&key);
        let now = self.now;
        self.watch.others.entry(key).or_default().push(now);
        let there: Option<Vec<_>> = self.kernel.services.get(&key).map(|service| {
            service.destinations.keys().copied().filter(|&to| !self.is_member(key, to)).collect()
        });
        for to in there.unwrap_or_default() {
            self.leaves(key, to);
        }
    }

    /// A destination that is no member may be deleted when its time is up.
    fn leaves(&mut self, key: ServiceKey, to: DestinationKey) {
        let timeout = self.in_force(key).map_or(Duration::ZERO, |it| it.drain_timeout);
        let deadline = self.now + u64::try_from(timeout.as_micros()).unwrap();
        self.watch.left.entry((key, to)).or_insert(deadline);
    }

    pub(crate) fn others_wrote_since(&self, key: ServiceKey, at: At) -> usize {
        let writes = self.watch.others.get(&key);
        writes.map_or(0, |writes| writes.iter().filter(|&&write| write >= at).count())
    }

    /// Two usable destinations in a service for the primary stay only as long as there is an excuse.
    fn watch_doubles(&mut self) {
        let daemon = self.daemon.as_ref().unwrap();
        let is_hindered = self.now < self.watch.disturbed_until
            || self.now < daemon.paused_until
            || daemon.is_stopping
            || daemon.stall.is_some()
            || self.troubles.is_kernel_troubled(self.now);
        let config = std::sync::Arc::clone(&daemon.config);
        for service in config.services.iter().filter(|it| it.target == Target::Primary) {
            let usable = self.kernel.usable(service.key);
            let often = self.others_wrote_since(service.key, self.now.saturating_sub(70 * SECOND));
            let is_unheard = usable.iter().any(|&to| !self.is_heard(service.key, to));
            if usable.len() < 2 || is_hindered || often > 5 || is_unheard {
                self.watch.doubles.remove(&service.key);
                continue;
            }
            let since = *self.watch.doubles.entry(service.key).or_insert(self.now);
            if self.now - since > REPAIR {
                self.fail(&format!("{} has had two writers for 1.5 s: {usable:?}", service.key));
            }
        }
    }

    /// A transaction has been decided: judged by what the engine had heard.
    pub(crate) fn watch_decision(&mut self, ops: &[Op]) {
        let daemon = self.daemon.as_ref().unwrap();
        if self.now < daemon.paused_until {
            self.fail("a transaction while paused");
        }
        let is_scheduler = |op: &&Op| matches!(op, Op::EditService(..));
        if ops.iter().filter(is_scheduler).count() > 0 && ops.len() != 1 {
            self.fail("the edit of a scheduler shares its transaction");
        }
        let mut after = self.kernel.clone();
        after.refuses = None;
        for op in ops {
            // What the kernel will refuse leaves no trace here either.
            after.carry_out(op, Author::Daemon, 0, self.now).unwrap_or_default();
        }
        let keys: BTreeSet<_> = ops.iter().map(Op::service).collect();
        let is_writer =
            |key: &ServiceKey| self.in_force(*key).is_some_and(|it| it.target == Target::Primary);
        self.watch.writers = keys.iter().copied().filter(is_writer).collect();
        self.watch.floors.clear();
        for key in keys {
            let (old, new) = (self.kernel.usable(key), after.usable(key));
            if self.others_wrote_since(key, self.now.saturating_sub(2 * SECOND)) > 0 {
                continue;
            }
            let is_writer = self.in_force(key).is_some_and(|it| it.target == Target::Primary);
            let falls = old.iter().any(|to| !new.contains(to));
            if is_writer && falls && new.iter().any(|to| !old.contains(to)) {
                self.fail(&format!(
                    "a writer's fall and another one's rise in one transaction: {key}"
                ));
            }
            if !is_writer && self.in_force(key).is_some() {
                self.watch.floors.insert(key, old.len().min(new.len()));
            }
            self.judge_fall(key, &old, &new);
            self.judge_rise(key, &old, &new);
            self.judge_order(key, &new);
            self.judge_sorry_server(key, &old, &new);
        }
    }

    pub(crate) fn watch_before(&self, op: &Op) -> Before {
        let key = op.service();
        let sessions = self.kernel.services.get(&key).map(|service| {
            service.destinations.iter().map(|(&to, it)| (to, it.active(self.now))).collect()
        });
        let trash = destination_of(op).and_then(|to| self.kernel.trash.get(&(key, to)));
        let unflushed = trash
            .is_some_and(|trash| trash.author == Author::Daemon && trash.is_unflushed(self.now));
        // A daemon does not know what the one before it deleted a moment ago.
        let is_old = self.daemon.as_ref().is_some_and(|daemon| daemon.base + SECOND > self.now);
        Before {
            usable: self.kernel.usable(key),
            sessions: sessions.unwrap_or_default(),
            unflushed: unflushed && !is_old && !self.troubles.is_kernel_flaky,
        }
    }

    /// What must hold after every single change by the daemon.
    pub(crate) fn watch_after(&mut self, op: &Op, result: Result<(), Errno>, before: &Before) {
        let key = op.service();
        if !self.watch.ours.contains(&key) {
            self.fail(&format!("touched a foreign service: {op}"));
        }
        if result.is_err() {
            self.watch.floors.remove(&key);
            return;
        }
        let usable = self.kernel.usable(key);
        if let Some(&floor) = self.watch.floors.get(&key)
            && usable.len() < floor
        {
            self.fail(&format!("fewer usable destinations on the way ({op}) than at either end"));
        }
        self.watch_writers(key, op, before, &usable);
        match op {
            // A killed daemon's last transaction is carried out without it.
            Op::AddService(..) => {
                let durable = self.daemon.as_ref().map(|daemon| daemon.durable.contains(&key));
                if durable == Some(false) {
                    self.fail(&format!("{op}, and no state file says that it is ours"));
                }
            }
            Op::DeleteDestination(_, to) => self.watch_deletion(key, *to, before),
            Op::DeleteService(_) => {
                for &to in before.sessions.keys() {
                    self.watch_deletion(key, to, before);
                }
            }
            Op::AddDestination(..) if before.unflushed => {
                self.fail(&format!("{op}, and its old sessions are not flushed"));
            }
            // It left the config while the kernel was at it.
            Op::AddDestination(_, to, _) if !self.is_member(key, *to) => self.leaves(key, *to),
            Op::AddDestination(..) | Op::EditDestination(..) | Op::EditService(..) => (),
        }
    }

    /// Never two writers by our doing.
    fn watch_writers(&self, key: ServiceKey, op: &Op, before: &Before, usable: &[DestinationKey]) {
        let is_writer = self.watch.writers.contains(&key);
        let Some(raised) = destination_of(op).filter(|to| usable.contains(to)) else {
            return;
        };
        if !is_writer || before.usable.contains(&raised) {
            return;
        }
        let destinations = &self.kernel.services[&key].destinations;
        let other =
            usable.iter().find(|&&to| to != raised && destinations[&to].author == Author::Daemon);
        if let Some(other) = other {
            self.fail(&format!("two writers: {raised} was raised beside {other} in {key}"));
        }
    }

    /// Who has left the config keeps its sessions until its time is up.
    fn watch_deletion(&mut self, key: ServiceKey, to: DestinationKey, before: &Before) {
        let deadline = self.watch.left.remove(&(key, to));
        let Some(daemon) = &self.daemon else { return };
        if self.is_member(key, to) || daemon.is_stopping {
            return;
        }
        let active = before.sessions.get(&to).copied().unwrap_or(0);
        let was_written = self.others_wrote_since(key, self.now.saturating_sub(2 * SECOND)) > 0;
        if active > 0 && !was_written && deadline.is_none_or(|deadline| self.now < deadline) {
            self.fail(&format!(
                "{to} of {key} was deleted with {active} sessions, before its time"
            ));
        }
    }
}
