//! One kernel transaction at a time: what is wanted against what was read, until nothing is left to do.
//!
//! No flag remembers what the kernel has: `actual` is what was read or acknowledged, and void after any doubt.

mod saving;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::drift::{self, Guard};
use super::event::{Action, Transition};
use super::membership::Membership;
use super::memory::Memory;
use super::settings::Settings;
use super::strikes::Strikes;
use super::table;
use crate::config::OnStop;
use crate::model::destination::DestinationKey;
use crate::model::op::{Errno, Op};
use crate::model::service::ServiceKey;
use crate::model::table::{Counters, Table};
use crate::time::Time;
use crate::wire::proc::ProcTable;

/// Another program's changes are seen within this time.
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// What the cheap list does not show is read this often.
const DUMP_EVERY: Duration = Duration::from_secs(30);
/// At most so many changes by other programs are told from one read.
const TELL: usize = 20;

/// Where we stand with the kernel: there is never more than one request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// The table has to be read before anything else, not before the given moment.
    Unknown(Time),
    /// It is being read.
    Dumping,
    /// Nothing is under way.
    Ready,
    /// The cheap list is being read.
    Checking,
    /// A transaction is being carried out.
    Applying,
}

/// The side of the engine that faces the kernel.
#[derive(Clone, Debug)]
pub(super) struct Reconciler {
    pub(super) memory: Memory,
    is_memory_dirty: bool,
    is_saving: bool,
    /// When the state file is tried again after it could not be written.
    save_again: Option<Time>,
    /// The services in the state file, as far as it could be written.
    saved: BTreeSet<ServiceKey>,
    kernel: Kernel,
    /// The table as read and acknowledged; `None` while in doubt.
    pub(super) actual: Option<Table>,
    pub(super) counters: Counters,
    /// Whether the counters were read after the last change.
    are_counters_fresh: bool,
    /// Services to be looked at.
    pub(super) dirty: BTreeSet<ServiceKey>,
    check_at: Time,
    dump_at: Time,
    pub(super) strikes: Strikes,
    pub(super) guard: Guard,
    pub(super) settings: Settings,
    failures: u32,
    pub(super) last_failure: Option<Box<str>>,
    pub(super) save_failure: Option<Box<str>>,
    is_settled: bool,
    is_adopted: bool,
    has_stopped: bool,
}

impl Reconciler {
    pub(super) fn new(memory: Memory) -> Self {
        Self {
            settings: Settings::new(),
            saved: memory.owned.clone(),
            memory,
            is_memory_dirty: false,
            is_saving: false,
            save_again: None,
            kernel: Kernel::Unknown(Time::ZERO),
            actual: None,
            counters: Counters::new(),
            are_counters_fresh: false,
            dirty: BTreeSet::new(),
            check_at: Time::ZERO,
            dump_at: Time::ZERO,
            strikes: Strikes::default(),
            guard: Guard::default(),
            failures: 0,
            last_failure: None,
            save_failure: None,
            is_settled: false,
            is_adopted: false,
            has_stopped: false,
        }
    }

    /// Whether the kernel's table has been read since the start.
    pub(super) const fn is_adopted(&self) -> bool {
        self.is_adopted
    }

    /// Whether the counters were read after the last change.
    pub(super) const fn are_counters_fresh(&self) -> bool {
        self.are_counters_fresh
    }

    /// The state file is to be written.
    pub(super) const fn remember(&mut self) {
        self.is_memory_dirty = true;
    }

    /// These services may have to change by a decision: that waits for no slow repair and no second attempt.
    pub(super) fn look_at(&mut self, keys: Vec<ServiceKey>) {
        self.is_settled &= keys.is_empty();
        for key in &keys {
            self.guard.let_go(*key);
            self.strikes.let_go(*key);
        }
        self.dirty.extend(keys);
    }

    /// Every service of ours may have to change, and every service of the config is ours.
    pub(super) fn look_at_everything(&mut self, membership: &Membership) {
        for &key in membership.services.keys() {
            self.is_memory_dirty |= self.memory.owned.insert(key);
        }
        self.dirty.extend(&self.memory.owned);
        self.is_settled = false;
    }

    /// Takes a full read of the table; says whether it was the first one.
    pub(super) fn dumped(
        &mut self,
        membership: &mut Membership,
        table: Table,
        counters: Counters,
        now: Time,
        actions: &mut Vec<Action>,
    ) -> bool {
        self.kernel = Kernel::Ready;
        self.check_at = now.after(CHECK_EVERY);
        self.dump_at = now.after(DUMP_EVERY);
        self.failures = 0;
        if self.last_failure.take().is_some() {
            let is_there = |key: &&ServiceKey| table.services.contains_key(key);
            let ours = self.memory.owned.len();
            let found = self.memory.owned.iter().filter(is_there).count();
            actions.push(Action::Report(Transition::KernelAnswers { found, ours }));
        }
        self.counters = counters;
        self.are_counters_fresh = true;
        if let Some(left) = self.actual.take() {
            self.tell_drift(membership, &left, &table, now, actions);
        }
        self.actual = Some(table);
        membership.look_at_cuts();
        self.forget_drains(membership);
        self.look_at_everything(membership);
        if std::mem::replace(&mut self.is_adopted, true) {
            return false;
        }
        self.adopt(membership, actions);
        true
    }

    /// Tells what other programs did to services of ours since we last left them.
    fn tell_drift(
        &mut self,
        membership: &Membership,
        left: &Table,
        found: &Table,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let mut told = 0;
        for (&key, entry) in &left.services {
            if !membership.services.contains_key(&key) && !self.memory.owned.contains(&key) {
                continue;
            }
            let is_member = |to| membership.is_member(key, to);
            let drifts = drift::compare(key, entry, found.services.get(&key), is_member);
            if !drifts.is_empty() {
                self.guard.found(key, now, actions);
            }
            for drift in drifts {
                told += 1;
                if told <= TELL {
                    actions.push(Action::Report(drift));
                }
            }
        }
    }

    /// Takes the cheap list: what differs leads to a full read.
    pub(super) fn checked(&mut self, list: &ProcTable, now: Time) {
        self.kernel = Kernel::Ready;
        self.check_at = now.after(CHECK_EVERY);
        let Some(actual) = &self.actual else {
            self.kernel = Kernel::Unknown(now);
            return;
        };
        self.counters = list.counters(actual);
        self.are_counters_fresh = true;
        let differs = list.differences(actual).iter().any(|key| self.memory.owned.contains(key));
        if differs {
            self.kernel = Kernel::Unknown(now);
        }
        self.dirty.extend(self.memory.draining.keys().map(|&(key, _)| key));
    }

    /// Takes the acknowledgement of a transaction, change by change.
    pub(super) fn applied(
        &mut self,
        membership: &mut Membership,
        results: Vec<(Op, Result<(), Errno>)>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        self.kernel = Kernel::Ready;
        self.check_at = now;
        self.are_counters_fresh = false;
        membership.look_at_cuts();
        let mut refused = BTreeSet::new();
        for (op, result) in results {
            let key = op.service();
            match result {
                Ok(()) => self.acknowledged(membership, &op, now),
                Err(errno) => {
                    let is_first = refused.insert(key);
                    if is_first && self.strikes.add(op.clone(), errno, now) {
                        actions.push(Action::Report(Transition::OpRefused(op, errno)));
                    }
                    self.dirty.insert(key);
                }
            }
        }
        if !refused.is_empty() {
            // Whatever the number was, our picture of the table was not true.
            self.actual = None;
            self.kernel = Kernel::Unknown(now);
        }
    }

    fn acknowledged(&mut self, membership: &mut Membership, op: &Op, now: Time) {
        if let Some(actual) = &mut self.actual {
            table::apply(actual, op);
        }
        let key = op.service();
        self.strikes.forget(key);
        match op {
            Op::DeleteService(_) => {
                if !membership.services.contains_key(&key) {
                    self.memory.owned.remove(&key);
                }
                while let Some((&gone, _)) = self.memory.draining.range(first_of(key)..).next()
                    && gone.0 == key
                {
                    self.memory.draining.remove(&gone);
                }
                self.is_memory_dirty = true;
            }
            Op::DeleteDestination(_, to) => {
                self.is_memory_dirty |= self.memory.draining.remove(&(key, *to)).is_some();
                membership.cut_acknowledged(key, *to, now);
            }
            Op::AddService(..)
            | Op::EditService(..)
            | Op::AddDestination(..)
            | Op::EditDestination(..) => (),
        }
    }

    /// A read or a transaction ended without a result: nothing is known.
    pub(super) fn failed(&mut self, why: Box<str>, now: Time, actions: &mut Vec<Action>) {
        let wait = if self.failures == 0 { Duration::ZERO } else { Duration::from_secs(1) };
        self.failures = self.failures.saturating_add(1);
        self.kernel = Kernel::Unknown(now.after(wait));
        self.actual = None;
        if self.last_failure.as_ref() != Some(&why) {
            actions.push(Action::Report(Transition::KernelFailed(why.clone())));
        }
        self.last_failure = Some(why);
    }

    /// Ends the cuts that the kernel has had time to carry out; names the pools to be decided anew.
    pub(super) fn release_cuts(&self, membership: &mut Membership, now: Time) -> BTreeSet<usize> {
        membership.release_cuts(self.actual.as_ref(), now)
    }

    /// The next moment at which something is to be done even if nothing happens.
    pub(super) fn deadline(&self, membership: &Membership) -> Option<Time> {
        let kernel = match self.kernel {
            Kernel::Unknown(at) => Some(at),
            Kernel::Ready => Some(self.check_at.min(self.dump_at)),
            Kernel::Dumping | Kernel::Checking | Kernel::Applying => None,
        };
        let strike = self.strikes.deadline(&self.dirty);
        let ready = |at| matches!(self.kernel, Kernel::Ready).then_some(at);
        let cut = membership.cut_deadline();
        let later = [strike, self.guard.deadline()].into_iter().flatten().filter_map(ready);
        let settings = self.settings.deadline();
        later.chain(kernel).chain(cut).chain(self.save_again).chain(settings).min()
    }

    /// Does the next thing that is to be done with the kernel, if nothing is under way.
    pub(super) fn reconcile(
        &mut self,
        membership: &mut Membership,
        stopping: Option<OnStop>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let released = self.guard.release(now);
        self.look_at(released);
        self.strikes.release(now);
        self.settle(membership, now, actions);
        match self.kernel {
            Kernel::Unknown(at) if at <= now => self.dump(membership, actions),
            Kernel::Ready => self.next(membership, stopping, now, actions),
            Kernel::Unknown(_) | Kernel::Dumping | Kernel::Checking | Kernel::Applying => (),
        }
        self.save_if_due(now, actions);
        self.finish(stopping, now, actions);
    }

    fn dump(&mut self, membership: &Membership, actions: &mut Vec<Action>) {
        let keys: BTreeSet<_> =
            membership.services.keys().chain(&self.memory.owned).copied().collect();
        self.kernel = Kernel::Dumping;
        actions.push(Action::Dump { confirm: keys.into_iter().collect() });
    }

    fn next(
        &mut self,
        membership: &mut Membership,
        stopping: Option<OnStop>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let may_write = self.memory.paused.is_none() && self.settings.may_write();
        let ops =
            if may_write { self.plan(membership, stopping, now, actions) } else { Vec::new() };
        if !ops.is_empty() {
            self.kernel = Kernel::Applying;
            actions.push(Action::Apply(ops));
        } else if self.dump_at <= now {
            self.dump(membership, actions);
        } else if self.check_at <= now {
            self.kernel = Kernel::Checking;
            actions.push(Action::Check);
        }
    }

    pub(super) fn waits(&self, key: ServiceKey, now: Time) -> bool {
        self.guard.is_slowed(key, now) || self.strikes.waits(key)
    }

    /// A service is written to the state file before it is made, and what its packets need is there.
    pub(super) fn is_safe_to_make(&self, key: ServiceKey) -> bool {
        self.saved.contains(&key) && !self.is_saving && self.settings.may_make()
    }

    /// Says once that everything wanted is there, and that a stop may go on.
    fn finish(&mut self, stopping: Option<OnStop>, now: Time, actions: &mut Vec<Action>) {
        let is_idle = matches!(self.kernel, Kernel::Ready | Kernel::Checking);
        let is_paused = self.memory.paused.is_some();
        let is_done = self.is_adopted
            && is_idle
            && self.settings.is_done(is_paused)
            && (is_paused || self.dirty.iter().all(|&key| self.waits(key, now)));
        if is_done && !self.is_settled {
            self.is_settled = true;
            actions.push(Action::Settled);
        }
        let may_stop = match stopping {
            Some(OnStop::Leave) => true,
            Some(OnStop::Quiesce | OnStop::Remove) => is_done && !self.is_saving,
            None => false,
        };
        if may_stop && !self.has_stopped {
            self.has_stopped = true;
            actions.push(Action::Stopped);
        }
    }
}

/// Where the destinations of a service begin among those of all.
const fn first_of(key: ServiceKey) -> (ServiceKey, DestinationKey) {
    (key, DestinationKey(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)))
}
