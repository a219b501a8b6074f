//! What is set beside the table: what is wanted against what was read, one change after the other until nothing is left.
//!
//! As with the table no flag remembers what the kernel has: it is read every second. It runs beside the table's
//! transactions, so that no failover waits for it.

mod beside;
mod wanted;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::{Action, Transition};
use crate::config::{Config, OnStop};
use crate::model::kernel::SyncRole;
use crate::model::setting::{Found, NftTable, Setting, SettingKey};
use crate::time::Time;
pub use wanted::keys;
pub use words::{SettingChange, advice, planned};

/// Another program's changes are seen within this time.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// So many repairs of one setting in a minute are made at once; more are made every [`SLOW`].
const PATIENCE: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
const SLOW: Duration = Duration::from_secs(10);

/// Where we stand with the settings: there is never more than one request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// They have to be read, not before the given moment.
    Unknown(Time),
    /// They are being read.
    Reading,
    /// Nothing is under way.
    Ready,
    /// They are being set.
    Applying,
}

/// A setting that cannot be read or set.
#[derive(Clone, Debug)]
struct Trouble {
    why: Box<str>,
    count: u32,
    /// No further attempt to set it before.
    until: Time,
}

/// What the settings depend on outside of themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// Nothing may be set.
    pub(super) is_paused: bool,
    /// Services in the table that are not ours; `None` while that is not known.
    pub(super) foreign: Option<usize>,
}

/// The settings' side of the engine.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    wanted: BTreeMap<SettingKey, Setting>,
    /// Sysctls of which only the operator is told, since we may not set them.
    advised: BTreeMap<SettingKey, Setting>,
    phase: Phase,
    found: Found,
    check_at: Time,
    /// Whether rules are wanted, or may be there: else nobody needs nft.
    has_rules: bool,
    /// Settings that were as they are wanted: another value later is another program's.
    right: BTreeSet<SettingKey>,
    repairs: BTreeMap<SettingKey, Vec<Time>>,
    troubles: BTreeMap<SettingKey, Trouble>,
    /// Nothing could be read at all, and why.
    failure: Option<Box<str>>,
    /// Rules that nft took from us, and how it lists them, where that is not how we write them.
    listing: Option<(NftTable, NftTable)>,
    /// Rules that were written since they were read last.
    unlisted: Option<NftTable>,
    /// What advice was given about.
    told: BTreeMap<SettingKey, Setting>,
    foreign: usize,
    /// Whether what is wanted has been set as far as it can be, since the start and since it changed last.
    has_passed: bool,
    is_passed: bool,
}

impl Settings {
    /// Before anything was read; what is wanted comes with [`Self::want`].
    pub(super) const fn new() -> Self {
        Self {
            wanted: BTreeMap::new(),
            advised: BTreeMap::new(),
            phase: Phase::Unknown(Time::ZERO),
            found: Found::new(),
            check_at: Time::ZERO,
            has_rules: true,
            right: BTreeSet::new(),
            repairs: BTreeMap::new(),
            troubles: BTreeMap::new(),
            failure: None,
            listing: None,
            unlisted: None,
            told: BTreeMap::new(),
            foreign: 0,
            has_passed: false,
            is_passed: false,
        }
    }

    /// Another config, or the end; `ours` are the roles of sync daemons that we declared, kept until they have stopped.
    pub(super) fn want(
        &mut self,
        config: &Config,
        stopping: Option<OnStop>,
        ours: &mut BTreeSet<SyncRole>,
        now: Time,
    ) {
        let mut wanted = wanted::wanted(config, stopping);
        for key in wanted.keys() {
            if let SettingKey::Daemon(role) = key {
                ours.insert(*role);
            }
        }
        for &role in ours.iter().filter(|_| config.kernel.manage) {
            let none = Setting::Daemon(role, None);
            wanted.entry(none.key()).or_insert(none);
        }
        let is_same = |key: &SettingKey| wanted.get(key) == self.wanted.get(key);
        self.right.retain(is_same);
        self.repairs.retain(|key, _| is_same(key));
        self.advised = wanted::advised(config);
        self.is_passed &= wanted == self.wanted && self.troubles.is_empty();
        // Whoever reloads may have mended what was wrong, and is told if not.
        self.troubles.clear();
        self.wanted = wanted;
        self.has_rules = true;
        if matches!(self.phase, Phase::Ready | Phase::Unknown(_)) {
            self.phase = Phase::Unknown(now);
        }
        // What is under way was asked for before: it is read once more when it has ended.
        self.check_at = now;
    }

    /// Whether the table may be written: removals are safe only with the sysctls in place.
    pub(super) const fn may_write(&self) -> bool {
        self.has_passed
    }

    /// Whether services may be made: their clients need the rules of full NAT from the first packet on.
    pub(super) const fn may_make(&self) -> bool {
        self.is_passed
    }

    /// Whether everything that is wanted is set, or cannot be set for now.
    pub(super) const fn is_done(&self, is_paused: bool) -> bool {
        self.is_passed || is_paused
    }

    /// Takes what was read, or why nothing could be.
    pub(super) fn read(
        &mut self,
        result: Result<Found, Box<str>>,
        ours: &mut BTreeSet<SyncRole>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        self.phase = Phase::Ready;
        let found = match result {
            Ok(found) => found,
            Err(why) => return self.unread(why, now, actions),
        };
        self.failure = None;
        // Another config may have come while this was read.
        let is_there = |key: &SettingKey| *key == SettingKey::SourceNat || found.contains_key(key);
        let has_all = self.wanted.keys().all(is_there);
        self.check_at = if has_all { now.after(CHECK_EVERY) } else { now };
        for (key, value) in found {
            if key == SettingKey::SourceNat {
                self.listed(&value);
            }
            self.found_one(key, &value, now, actions);
            self.found.insert(key, value);
        }
        self.let_go(ours);
    }

    /// A sync daemon that was to stop and has stopped is ours no more: who starts one from then on is somebody else.
    fn let_go(&mut self, ours: &mut BTreeSet<SyncRole>) {
        let (wanted, found) = (&mut self.wanted, &self.found);
        ours.retain(|&role| {
            let none = Setting::Daemon(role, None);
            let has_stopped =
                wanted.get(&none.key()) == Some(&none) && found.get(&none.key()) == Some(&Ok(none));
            if has_stopped {
                wanted.remove(&SettingKey::Daemon(role));
            }
            !has_stopped
        });
    }

    /// The rules were read.
    fn listed(&mut self, listed: &Result<Setting, Box<str>>) {
        let written = self.unlisted.take();
        let wanted = self.wanted.get(&SettingKey::SourceNat);
        let (Some(Setting::SourceNat(wanted)), Ok(Setting::SourceNat(found))) = (wanted, listed)
        else {
            return;
        };
        if wanted.is_empty() && found.is_empty() {
            // Whoever wants no rules and has none needs not look for them.
            self.has_rules = false;
        } else if let Some(written) = written
            && !written.is_empty()
            && !found.is_empty()
        {
            self.listing = Some((written, found.clone()));
        }
    }

    fn found_one(
        &mut self,
        key: SettingKey,
        value: &Result<Setting, Box<str>>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        match (value, self.wanted.get(&key)) {
            (Ok(value), Some(wanted)) if self.is_met(wanted, value) => {
                self.right.insert(key);
                self.troubles.remove(&key);
            }
            // Rules that nobody wants are looked for in vain where there is no nft.
            (Err(_), Some(Setting::SourceNat(rules))) if rules.is_empty() => self.has_rules = false,
            (Err(why), Some(_)) => self.trouble(key, why.clone(), now, actions),
            (Ok(value), None) => self.advise(key, value, actions),
            (Ok(_), Some(_)) | (Err(_), None) => (),
        }
    }

    /// Says once what should have another value and is left to somebody else.
    fn advise(&mut self, key: SettingKey, value: &Setting, actions: &mut Vec<Action>) {
        let is_news = self.told.get(&key) != Some(value);
        if is_news && self.advised.get(&key).is_some_and(|advised| !advised.is_met_by(value)) {
            actions.push(Action::Report(Transition::SettingAdvised(value.clone())));
        }
        if is_news {
            self.told.insert(key, value.clone());
        }
    }

    fn unread(&mut self, why: Box<str>, now: Time, actions: &mut Vec<Action>) {
        self.phase = Phase::Unknown(now.after(CHECK_EVERY));
        self.pass();
        if self.failure.as_ref() != Some(&why) {
            actions.push(Action::Report(Transition::SettingsFailed(why.clone())));
        }
        self.failure = Some(why);
    }

    fn trouble(&mut self, key: SettingKey, why: Box<str>, now: Time, actions: &mut Vec<Action>) {
        let before = self.troubles.get(&key);
        let count = before.map_or(0, |it| it.count).saturating_add(1);
        let until = now.after(Duration::from_secs(1 << count.min(5)));
        if before.is_none_or(|it| it.why != why) {
            actions.push(Action::Report(Transition::SettingsFailed(why.clone())));
        }
        self.troubles.insert(key, Trouble { why, count, until });
    }

    fn is_met(&self, wanted: &Setting, found: &Setting) -> bool {
        if wanted.is_met_by(found) {
            return true;
        }
        match (wanted, found, &self.listing) {
            (Setting::SourceNat(wanted), Setting::SourceNat(found), Some((ours, listed))) => {
                wanted == ours && found == listed
            }
            _ => false,
        }
    }

    /// Takes what became of the changes; what is there since is read at once.
    pub(super) fn applied(
        &mut self,
        results: Vec<(Setting, Result<(), Box<str>>)>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        self.phase = Phase::Unknown(now);
        for (to, result) in results {
            let key = to.key();
            if let Err(why) = result {
                self.trouble(key, why, now, actions);
                continue;
            }
            let from = self.found.remove(&key).and_then(Result::ok);
            let is_drift = self.right.contains(&key);
            self.repairs.entry(key).or_default().push(now);
            if let Setting::SourceNat(rules) = &to {
                self.unlisted = Some(rules.clone());
            }
            let foreign = self.foreign;
            let change = SettingChange { from, to, is_drift, foreign };
            actions.push(Action::Report(Transition::SettingSet(Box::new(change))));
        }
    }

    /// Does the next thing that is to be done, if nothing is under way.
    pub(super) fn next(&mut self, around: Around, now: Time, actions: &mut Vec<Action>) {
        for times in self.repairs.values_mut() {
            times.retain(|&at| now.since(at) < WINDOW);
        }
        match self.phase {
            Phase::Unknown(at) if at <= now => return self.ask(actions),
            Phase::Ready => (),
            Phase::Unknown(_) | Phase::Reading | Phase::Applying => return,
        }
        // Who else has services is said with what holds for all of them.
        if let (false, Some(foreign)) = (around.is_paused, around.foreign) {
            self.foreign = foreign;
            let (changes, has_waiting) = self.changes(now);
            if !changes.is_empty() {
                self.phase = Phase::Applying;
                actions.push(Action::Set(changes));
                return;
            }
            if self.is_known() || has_waiting {
                self.pass();
            }
        }
        if self.check_at <= now {
            self.ask(actions);
        }
    }

    /// Whether rules are looked at: at the start nobody waits for nft who wants none.
    fn lists(&self) -> bool {
        let wants = matches!(self.wanted.get(&SettingKey::SourceNat), Some(Setting::SourceNat(rules)) if !rules.is_empty());
        self.has_rules && (self.has_passed || wants)
    }

    fn pass(&mut self) {
        self.has_passed = true;
        self.is_passed = true;
    }

    /// Whether everything that is wanted has been read.
    fn is_known(&self) -> bool {
        let is_looked_at = |key: &&SettingKey| **key != SettingKey::SourceNat || self.lists();
        self.wanted.keys().filter(is_looked_at).all(|key| self.found.contains_key(key))
    }

    /// What differs and may be set by now, and whether something else has to wait.
    fn changes(&self, now: Time) -> (Vec<Setting>, bool) {
        let mut has_waiting = false;
        let mut changes = Vec::new();
        for (key, wanted) in &self.wanted {
            let Some(Ok(found)) = self.found.get(key) else { continue };
            if self.is_met(wanted, found) {
                continue;
            }
            let waits_for_trouble = self.troubles.get(key).is_some_and(|it| now < it.until);
            if waits_for_trouble || self.is_slowed(*key, now) {
                has_waiting = true;
            } else {
                changes.push(wanted.clone());
            }
        }
        (changes, has_waiting)
    }

    fn is_slowed(&self, key: SettingKey, now: Time) -> bool {
        self.repairs.get(&key).is_some_and(|times| {
            times.len() >= PATIENCE && times.last().is_some_and(|&at| now.since(at) < SLOW)
        })
    }

    fn ask(&mut self, actions: &mut Vec<Action>) {
        self.phase = Phase::Reading;
        let all = self.wanted.keys().chain(self.advised.keys()).copied().collect::<BTreeSet<_>>();
        let keys = all.into_iter().filter(|key| *key != SettingKey::SourceNat || self.lists());
        actions.push(Action::ReadSettings(keys.collect()));
    }

    /// The next moment at which something is to be done even if nothing happens.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Unknown(at) => Some(at),
            Phase::Ready => Some(self.check_at),
            Phase::Reading | Phase::Applying => None,
        }
    }

    /// What needs the operator's eye.
    pub(super) fn alarms(&self) -> impl Iterator<Item = String> + '_ {
        let slowed = self.repairs.iter().filter(|(_, times)| times.len() >= PATIENCE);
        let slowed = slowed.map(|(key, _)| words::contested(*key));
        let troubles = self.troubles.values().map(|it| it.why.to_string());
        self.failure.iter().map(ToString::to_string).chain(troubles).chain(slowed)
    }
}
