//! The engine's one entrance and one exit: an event in, actions out, and the moment of the next deadline.

use std::sync::Arc;
use std::time::Duration;

use super::decide;
use super::event::{Action, Event, Transition};
use super::evidence::{Observation, Pace, ProbeId};
use super::freeze::Freeze;
use super::membership::{ADOPT_TIMEOUT, Membership};
use super::memory::{Memory, Pause};
use super::reconcile::Reconciler;
use crate::config::{Config, OnStop, Target};
use crate::model::destination::Weight;
use crate::model::service::ServiceKey;
use crate::time::Time;

/// A step that comes so much later than its deadline says that the process was stopped or starved.
const LATE: Duration = Duration::from_millis(100);

/// So soon silence is looked at again where it could not be decided yet.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// So often silence is looked at even if none can have lasted long enough.
const LISTEN_EVERY: Duration = Duration::from_millis(500);

/// Everything that the engine knows.
#[derive(Clone, Debug)]
pub struct Controller {
    pub(super) config: Arc<Config>,
    pub(super) membership: Membership,
    pub(super) reconciler: Reconciler,
    pub(super) freeze: Freeze,
    /// Whether soft evidence was ignored in the last decisions.
    is_frozen: bool,
    /// When silence is looked at next.
    listen_at: Time,
    /// Until then servers that have not been heard may yet speak.
    wait_until: Time,
    /// What `next_deadline` said last.
    promised: Option<Time>,
    /// How the daemon is to end, once it is to end.
    pub(super) stopping: Option<OnStop>,
    /// Actions from outside of a step.
    pending: Vec<Action>,
}

impl Controller {
    /// An engine for a config and what was remembered; its first step starts the probes and reads the kernel.
    pub fn new(config: Arc<Config>, memory: Memory, now: Time) -> Self {
        let mut controller = Self {
            membership: Membership::default(),
            reconciler: Reconciler::new(memory),
            freeze: Freeze::new(config.director.freeze_timeout),
            is_frozen: false,
            listen_at: now,
            wait_until: now.after(ADOPT_TIMEOUT),
            promised: None,
            stopping: None,
            pending: Vec::new(),
            config: Arc::clone(&config),
        };
        let mut actions = Vec::new();
        controller.membership.reload(&config, now, &mut actions);
        controller.reconciler.recall_writers(&mut controller.membership);
        controller.reconciler.want_settings(&config, None, now);
        controller.pending = actions;
        controller
    }

    /// Takes one event and says what to do about it.
    pub fn step(&mut self, event: Event, now: Time) -> Vec<Action> {
        let mut actions = std::mem::take(&mut self.pending);
        self.forgive_lateness(now, &mut actions);
        self.learn(event, now, &mut actions);
        self.listen(now, &mut actions);
        self.expire(now, &mut actions);
        self.reconciler.reconcile(&mut self.membership, self.stopping, now, &mut actions);
        self.promised = self.next_deadline();
        actions
    }

    /// When `step` wants to be called again even if nothing happens.
    pub fn next_deadline(&self) -> Option<Time> {
        if !self.pending.is_empty() {
            return Some(Time::ZERO);
        }
        let listen = (!self.membership.probes.is_empty()).then_some(self.listen_at);
        let pause = self.reconciler.memory.paused.and_then(|pause| pause.until);
        let wait = self.membership.is_waiting.then_some(self.wait_until);
        [listen, wait, pause, self.freeze.until(), self.reconciler.deadline(&self.membership)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether nothing is written to the kernel on the operator's word.
    pub const fn is_paused(&self) -> bool {
        self.reconciler.memory.paused.is_some()
    }

    /// The only place where what happened outside changes what we know.
    fn learn(&mut self, event: Event, now: Time, actions: &mut Vec<Action>) {
        match event {
            Event::Tick => (),
            Event::Probe { probe, at, observation } => {
                self.observed(probe, (at.min(now), now), &observation, actions);
            }
            Event::Dumped(table, counters) => {
                let membership = &mut self.membership;
                if self.reconciler.dumped(membership, table, counters, now, actions) {
                    self.decide_all(actions);
                }
            }
            Event::Checked(list) => self.reconciler.checked(&list, now),
            Event::Applied(results) => {
                self.reconciler.applied(&mut self.membership, results, now, actions);
            }
            Event::KernelFailed(why) => self.reconciler.failed(why, now, actions),
            Event::SettingsRead(result) => self.reconciler.settings_read(result, now, actions),
            Event::SettingsApplied(results) => {
                self.reconciler.settings.applied(results, now, actions);
            }
            Event::StateSaved(result) => self.reconciler.saved(result, now, actions),
            Event::Reload(config) => self.reload(&config, now, actions),
            Event::Pause(until) => {
                self.reconciler.memory.paused = Some(Pause { until });
                self.reconciler.remember();
                actions.push(Action::Report(Transition::Paused));
            }
            Event::Resume => self.resume(actions),
            Event::Stop => {
                self.stopping = Some(self.config.director.on_stop);
                let config = Arc::clone(&self.config);
                self.reconciler.want_settings(&config, self.stopping, now);
                self.reconciler.look_at_everything(&self.membership);
            }
        }
    }

    fn reload(&mut self, config: &Arc<Config>, now: Time, actions: &mut Vec<Action>) {
        self.config = Arc::clone(config);
        self.membership.reload(config, now, actions);
        self.reconciler.recall_writers(&mut self.membership);
        self.wait_until = now.after(ADOPT_TIMEOUT);
        self.freeze.set_timeout(config.director.freeze_timeout);
        self.reconciler.want_settings(config, self.stopping, now);
        self.reconciler.adopt_new(&mut self.membership, false);
        self.decide_all(actions);
        self.reconciler.forget_drains(&self.membership);
        self.reconciler.look_at_everything(&self.membership);
        self.listen_at = now;
        actions.push(Action::Report(Transition::Reloaded));
    }

    fn resume(&mut self, actions: &mut Vec<Action>) {
        if self.reconciler.memory.paused.take().is_some() {
            self.reconciler.remember();
            self.reconciler.look_at_everything(&self.membership);
            actions.push(Action::Report(Transition::Resumed));
        }
    }

    fn observed(
        &mut self,
        id: ProbeId,
        (at, now): (Time, Time),
        observation: &Observation,
        actions: &mut Vec<Action>,
    ) {
        // A report of a probe that was stopped meanwhile concerns nobody.
        let Some(probe) = self.membership.probes.get_mut(&id) else {
            return;
        };
        let before = probe.health.verdict();
        let misconfigured = probe.health.misconfigured().map(str::to_owned);
        probe.health.learn(observation, at, &probe.settings);
        if let Some(again) = probe.health.ask_again() {
            self.listen_at = self.listen_at.min(again);
        }
        if probe.health.take_hang_up() {
            actions.push(Action::HangUp(id));
        }
        let was_frozen = self.freeze.is_on();
        self.freeze.heard(observation, actions);
        if was_frozen && !self.freeze.is_on() {
            self.thaw(now, actions);
        }
        self.follow_freeze(actions);
        let Some(probe) = self.membership.probes.get(&id) else {
            return;
        };
        if probe.health.misconfigured() != misconfigured.as_deref() {
            self.report_misconfigured(id, actions);
        }
        if before != self.membership.probes.get(&id).map_or(before, |p| p.health.verdict()) {
            self.verdict_changed(id, before.condition, actions);
        }
    }

    fn report_misconfigured(&self, id: ProbeId, actions: &mut Vec<Action>) {
        let Some(probe) = self.membership.probes.get(&id) else {
            return;
        };
        let what: Option<Box<str>> = probe.health.misconfigured().map(Into::into);
        for server in self.membership.servers_of(id) {
            let what = what.clone();
            actions.push(Action::Report(Transition::Misconfigured { server, what }));
        }
    }

    fn verdict_changed(
        &mut self,
        id: ProbeId,
        from: super::health::Condition,
        actions: &mut Vec<Action>,
    ) {
        let Some(probe) = self.membership.probes.get(&id) else {
            return;
        };
        let to = probe.health.verdict().condition;
        if from != to {
            let cause: Option<Box<str>> =
                probe.health.last_failure().map(|(_, what)| what.into()).filter(|_| to.is_bad());
            for server in self.membership.servers_of(id) {
                let cause = cause.clone();
                actions.push(Action::Report(Transition::Condition { server, from, to, cause }));
            }
        }
        let pools = self.membership.probes.get(&id).map(|probe| probe.pools.clone());
        for place in pools.into_iter().flatten() {
            self.decide(place, actions);
        }
    }

    /// A freeze has ended: nobody is blamed for the silence that it ignored.
    fn thaw(&mut self, now: Time, actions: &mut Vec<Action>) {
        let mut changed = Vec::new();
        for (&id, probe) in &mut self.membership.probes {
            let before = probe.health.verdict();
            probe.health.absolve(now);
            if probe.health.verdict() != before {
                changed.push((id, before.condition));
            }
        }
        self.listen_at = now;
        for (id, from) in changed {
            self.verdict_changed(id, from, actions);
        }
    }

    /// Decides everything anew where soft evidence begins or ceases to count.
    fn follow_freeze(&mut self, actions: &mut Vec<Action>) {
        let is_frozen = self.freeze.is_on() || self.freeze.withholds();
        if std::mem::replace(&mut self.is_frozen, is_frozen) != is_frozen {
            self.decide_all(actions);
        }
    }

    fn decide(&mut self, place: usize, actions: &mut Vec<Action>) {
        // Before the kernel's table has been read there is nothing to compare a decision with.
        if !self.reconciler.is_adopted() {
            return;
        }
        let mut dirty = Vec::new();
        let around = (self.is_frozen, self.reconciler.actual.as_ref());
        decide::pool(&mut self.membership, place, around, &mut dirty, actions);
        if let Some(pool) = self.membership.pools.get(place) {
            self.reconciler.remember_writer(pool);
        }
        self.reconciler.look_at(dirty);
        self.set_pace(place, actions);
    }

    fn decide_all(&mut self, actions: &mut Vec<Action>) {
        for place in 0..self.membership.pools.len() {
            self.decide(place, actions);
        }
    }

    /// While a service has no usable writer its candidates are asked more often.
    fn set_pace(&mut self, place: usize, actions: &mut Vec<Action>) {
        let Some(pool) = self.membership.pools.get(place) else {
            return;
        };
        let lacks_writer = |key: &ServiceKey| {
            self.membership.services.get(key).is_some_and(|service| {
                service.config.target == Target::Primary
                    && !service
                        .decisions
                        .iter()
                        .flatten()
                        .any(|decision| decision.weight.is_some_and(Weight::is_usable))
            })
        };
        let is_hurried = pool.services.iter().any(lacks_writer);
        let probes: Vec<_> = pool.members.iter().filter_map(|member| member.probe).collect();
        if let Some(pool) = self.membership.pools.get_mut(place) {
            pool.is_hurried = is_hurried;
        }
        let Membership { pools, probes: all, .. } = &mut self.membership;
        for id in probes {
            let Some(probe) = all.get_mut(&id) else { continue };
            let is_hurried = |&place: &usize| pools.get(place).is_some_and(|pool| pool.is_hurried);
            let pace =
                if probe.pools.iter().any(is_hurried) { Pace::Hurried } else { Pace::Normal };
            if std::mem::replace(&mut probe.pace, pace) != pace {
                actions.push(Action::Pace(id, pace));
            }
        }
    }

    /// A late loop blames nobody: what nobody listened to was not silence.
    fn forgive_lateness(&mut self, now: Time, actions: &mut Vec<Action>) {
        let Some(by) = self.promised.map(|promised| now.since(promised)).filter(|by| *by > LATE)
        else {
            return;
        };
        if self.membership.probes.is_empty() {
            return;
        }
        for probe in self.membership.probes.values_mut() {
            probe.health.forgive(now);
        }
        self.listen_at = now;
        self.wait_until = now.after(ADOPT_TIMEOUT);
        actions.push(Action::Report(Transition::Late(by)));
    }

    /// Draws the conclusions from silence that has lasted until `now`.
    fn listen(&mut self, now: Time, actions: &mut Vec<Action>) {
        let is_thawing = self.freeze.until().is_some_and(|until| until <= now);
        if now < self.listen_at && !is_thawing {
            return;
        }
        let freeze = &mut self.freeze;
        freeze.listen(
            self.membership.probes.values().map(|p| (&p.health, &*p.settings)),
            now,
            actions,
        );
        if is_thawing {
            self.thaw(now, actions);
        }
        self.follow_freeze(actions);
        let witnesses: Vec<bool> = self
            .membership
            .pools
            .iter()
            .map(|pool| pool.verdicts.iter().any(|verdict| verdict.has_answered()))
            .collect();
        let mut changed = Vec::new();
        let mut next = None::<Time>;
        for (&id, probe) in &mut self.membership.probes {
            let has_witness =
                probe.pools.iter().any(|&pool| witnesses.get(pool).copied().unwrap_or(false));
            let before = probe.health.verdict();
            let may_judge = probe.health.has_verdict() || has_witness;
            if may_judge && probe.health.listen(now, &probe.settings, self.freeze.is_on()) {
                actions.push(Action::ProbeNow(id));
            }
            if probe.health.verdict() != before {
                changed.push((id, before.condition));
            }
            if probe.health.take_ask_again(now) {
                actions.push(Action::ProbeNow(id));
            }
            let deadline = probe.health.deadline(&probe.settings);
            for due in deadline.into_iter().chain(probe.health.ask_again()) {
                let due = if due <= now { now.after(LOOK_AGAIN) } else { due };
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        // Now and then in any case: how late a step comes is seen by its deadline only.
        let latest = now.after(LISTEN_EVERY);
        self.listen_at = next.map_or(latest, |next| next.min(latest));
        for (id, from) in changed {
            self.verdict_changed(id, from, actions);
        }
    }

    /// Ends what has a term of its own.
    fn expire(&mut self, now: Time, actions: &mut Vec<Action>) {
        let is_over = |pause: &Pause| pause.until.is_some_and(|until| until <= now);
        if self.reconciler.memory.paused.as_ref().is_some_and(is_over) {
            self.resume(actions);
        }
        if self.wait_until <= now && std::mem::take(&mut self.membership.is_waiting) {
            self.decide_all(actions);
        }
        for place in self.reconciler.release_cuts(&mut self.membership, now) {
            self.decide(place, actions);
        }
    }
}
