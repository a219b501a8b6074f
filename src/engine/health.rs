//! What a server's probe reports, folded into a verdict: one small state machine for each probe.
//!
//! Knows nothing of pools, services or weights.

mod condition;
mod silence;

use std::time::Duration;

use super::evidence::{self, Evidence, Observation, ServerError};
use crate::config::PostgresProbe;
use crate::model::postgres::Facts;
use crate::time::Time;
pub use condition::{Condition, Verdict};

/// A probe without a kept session tries a fresh connection this often; one that is set up wrongly only in the
/// configured rhythm. Silence is no evidence before the next one can have ended.
const RETRY: Duration = Duration::from_millis(500);

/// The deadline of one stage of a fresh connection.
const STAGE: Duration = Duration::from_secs(1);

/// So many fresh connections in a row must time out beside a living session before the server counts as hung.
const HUNG_AFTER: u32 = 2;

/// So many fresh connections in a row must be admitted before a full server counts as up again.
const ROOM_AFTER: u32 = 2;

/// The state machine of one probe.
#[derive(Clone, Debug)]
pub struct Health {
    condition: Condition,
    facts: Option<Facts>,
    /// Whether silence has lasted long enough to be soft evidence.
    is_suspect: bool,
    /// Whether the kept session lives.
    has_session: bool,
    /// When the kept session last answered.
    last_pulse: Time,
    /// Whether the last fresh connection was admitted.
    is_admitted: bool,
    /// Why the probe cannot see more, in words.
    misconfigured: Option<Box<str>>,
    /// The last answer of any kind, or the moment from which silence counts.
    last_answer: Time,
    /// How much longer than usual the next answer may take: a kept session answers sooner than fresh connections.
    allowance: Duration,
    /// Whether a fresh connection ended in silence since the last answer.
    fresh_is_silent: bool,
    /// Answered pulses in a row.
    passes: u32,
    /// Fresh connections in a row that timed out beside a living session.
    timeouts: u32,
    /// Fresh connections admitted in a row.
    admissions: u32,
    /// Fresh connections in a row that were refused by hard evidence that does not count yet.
    refusals: u32,
    /// When a fresh connection is to be tried beside a living session, to learn whether that was the last word.
    ask_again: Option<Time>,
    /// When PostgreSQL itself last said anything.
    heard: Option<Time>,
    /// The last report of failure, for people.
    last_failure: Option<(Time, Box<str>)>,
}

impl Health {
    /// A server of which nothing is known; its silence counts from `from`.
    pub const fn new(from: Time) -> Self {
        Self {
            condition: Condition::Unknown,
            facts: None,
            is_suspect: false,
            has_session: false,
            is_admitted: false,
            misconfigured: None,
            last_answer: from,
            last_pulse: Time::ZERO,
            allowance: Duration::ZERO,
            fresh_is_silent: false,
            passes: 0,
            timeouts: 0,
            admissions: 0,
            refusals: 0,
            ask_again: None,
            heard: None,
            last_failure: None,
        }
    }

    /// The verdict as it stands.
    pub const fn verdict(&self) -> Verdict {
        let is_plain = matches!(self.condition, Condition::Unknown | Condition::Up);
        let condition =
            if self.is_suspect && is_plain { Condition::Suspect } else { self.condition };
        Verdict { condition, facts: self.facts, is_misconfigured: self.misconfigured.is_some() }
    }

    /// Why the probe cannot see more, in words.
    pub fn misconfigured(&self) -> Option<&str> {
        self.misconfigured.as_deref()
    }

    /// The last report of failure with its time.
    pub fn last_failure(&self) -> Option<(Time, &str)> {
        self.last_failure.as_ref().map(|(at, what)| (*at, &**what))
    }

    /// Whether the server has ever answered in a way that tells something about it.
    pub const fn has_verdict(&self) -> bool {
        !matches!(self.condition, Condition::Unknown)
    }

    /// Whether the server was answering until it fell silent, if it did.
    pub const fn was_answering(&self) -> bool {
        match self.condition {
            Condition::Up | Condition::Full | Condition::Hung | Condition::Refusing(_) => true,
            Condition::Unknown
            | Condition::Suspect
            | Condition::Ending
            | Condition::Failing
            | Condition::Closing
            | Condition::Starting
            | Condition::Lost
            | Condition::Down => false,
        }
    }

    /// When PostgreSQL itself last said anything; a refused connection is the host's word.
    pub const fn heard(&self) -> Option<Time> {
        self.heard
    }

    /// Whether the probe is to hang up now: a server that shuts down waits for its sessions.
    pub const fn take_hang_up(&mut self) -> bool {
        let should = self.has_session && matches!(self.condition, Condition::Closing);
        if should {
            self.has_session = false;
        }
        should
    }

    /// Takes one report that arrived at `at`.
    pub fn learn(&mut self, observation: &Observation, at: Time, settings: &PostgresProbe) {
        if observation.is_word() {
            self.heard = self.heard.max(Some(at));
        }
        match observation {
            Observation::Pulse(facts) => self.pulsed(*facts, at, settings),
            Observation::SessionEnded(last_word) => {
                self.has_session = false;
                self.passes = 0;
                self.answered(at);
                let said = match last_word {
                    Some(said) => format!("session ended: {said}"),
                    None => "session ended".to_owned(),
                };
                self.last_failure = Some((at, said.into()));
                // Under load PostgreSQL drops the warning of an immediate stop: no word counts as that word.
                let is_farewell = last_word.as_ref().is_none_or(ServerError::is_farewell);
                if is_farewell && self.condition == Condition::Up {
                    self.condition = Condition::Ending;
                }
            }
            Observation::Admitted => self.admitted(at),
            Observation::NotAdmitted(error) => {
                self.last_failure = Some((at, error.to_string().into()));
                self.refused(evidence::of(error), error, at, settings);
            }
        }
    }

    /// Whether the kept session lives, as far as it can be told from its last answer.
    fn is_pulsing(&self, at: Time, settings: &PostgresProbe) -> bool {
        self.has_session && at.since(self.last_pulse) < settings.suspect_after
    }

    fn answered(&mut self, at: Time) {
        self.last_answer = self.last_answer.max(at);
        self.fresh_is_silent = false;
    }

    fn pulsed(&mut self, facts: Facts, at: Time, settings: &PostgresProbe) {
        self.answered(at);
        self.last_pulse = self.last_pulse.max(at);
        self.has_session = true;
        self.allowance = Duration::ZERO;
        self.passes = self.passes.saturating_add(1);
        let is_steady = self.passes >= settings.rise;
        if is_steady {
            self.is_suspect = false;
        }
        match self.condition {
            // A server that shuts down goes on answering the sessions it has.
            Condition::Closing if !self.is_admitted => return,
            // One that has a session from before is not starting.
            Condition::Starting if !self.is_admitted => {
                self.condition = Condition::Closing;
                return;
            }
            Condition::Unknown => {
                self.condition = Condition::Up;
                self.is_suspect = false;
            }
            Condition::Down | Condition::Lost | Condition::Starting | Condition::Closing => {
                if is_steady {
                    self.condition = Condition::Up;
                }
            }
            Condition::Up
            | Condition::Suspect
            | Condition::Hung
            | Condition::Ending
            | Condition::Failing
            | Condition::Full
            | Condition::Refusing(_) => (),
        }
        self.facts = Some(facts);
    }

    fn admitted(&mut self, at: Time) {
        self.answered(at);
        self.is_admitted = true;
        self.misconfigured = None;
        self.timeouts = 0;
        self.refusals = 0;
        self.ask_again = None;
        self.admissions = self.admissions.saturating_add(1);
        match self.condition {
            Condition::Hung | Condition::Ending | Condition::Failing => {
                self.condition = Condition::Up;
            }
            Condition::Full | Condition::Refusing(_) if self.admissions >= ROOM_AFTER => {
                self.condition = Condition::Up;
            }
            Condition::Unknown
            | Condition::Up
            | Condition::Suspect
            | Condition::Full
            | Condition::Refusing(_)
            | Condition::Closing
            | Condition::Starting
            | Condition::Lost
            | Condition::Down => (),
        }
    }

    fn refused(
        &mut self,
        evidence: Evidence,
        error: &evidence::ProbeError,
        at: Time,
        settings: &PostgresProbe,
    ) {
        self.admissions = 0;
        if evidence == Evidence::Silence {
            self.fresh_is_silent = true;
            // What a server said that fell silent on its way up holds no longer.
            if self.deadline(settings).is_none() {
                self.facts = None;
            }
            if self.is_pulsing(at, settings) {
                self.timed_out();
            }
            return;
        }
        self.answered(at);
        if !self.has_session {
            self.allowance = match evidence {
                Evidence::Misconfigured | Evidence::Blind => settings.admission + STAGE,
                Evidence::Gone
                | Evidence::NotNow
                | Evidence::Full
                | Evidence::Refusing(_)
                | Evidence::HangingUp
                | Evidence::Silence => RETRY + STAGE,
            };
        }
        match evidence {
            Evidence::HangingUp if self.has_session => self.timed_out(),
            Evidence::HangingUp if matches!(self.condition, Condition::Up | Condition::Ending) => {
                self.condition = Condition::Hung;
            }
            // A session that answers shows that something else refuses, a filter perhaps. One that does not may have
            // ended unheard.
            Evidence::Gone if self.is_pulsing(at, settings) => self.condition = Condition::Hung,
            Evidence::Gone => self.falls_at_last(Condition::Down, at, settings),
            Evidence::NotNow => self.falls_at_last(self.closed(), at, settings),
            Evidence::Full => self.condition = Condition::Full,
            Evidence::Refusing(code) => self.condition = Condition::Refusing(code),
            Evidence::Misconfigured | Evidence::Blind => {
                self.misconfigured = Some(error.to_string().into());
                // It speaks, so it was our session alone that it ended.
                if matches!(evidence, Evidence::Misconfigured)
                    && self.condition == Condition::Ending
                {
                    self.condition = Condition::Up;
                }
                // It lives, and of what it was nothing is left.
                if matches!(evidence, Evidence::Misconfigured) && self.facts.is_none() {
                    self.condition = Condition::Unknown;
                }
            }
            Evidence::HangingUp | Evidence::Silence => (),
        }
        if matches!(self.condition, Condition::Full | Condition::Refusing(_)) {
            self.is_suspect = false;
        }
    }

    /// What a server is that takes no connections (57P03): on its way down if it had been up.
    const fn closed(&self) -> Condition {
        match self.condition {
            Condition::Unknown | Condition::Down | Condition::Lost | Condition::Starting => {
                Condition::Starting
            }
            Condition::Up
            | Condition::Suspect
            | Condition::Hung
            | Condition::Ending
            | Condition::Failing
            | Condition::Full
            | Condition::Refusing(_)
            | Condition::Closing => Condition::Closing,
        }
    }

    /// Falls when it has been refused often enough in a row; until then that is soft evidence.
    fn falls_at_last(&mut self, to: Condition, at: Time, settings: &PostgresProbe) {
        self.refusals = self.refusals.saturating_add(1);
        if self.condition.is_hard() || self.refusals >= settings.fall {
            self.fall(to);
            return;
        }
        // Of one that was never heard nothing is known that could be doubted.
        if self.condition != Condition::Unknown {
            self.condition = Condition::Failing;
            self.is_suspect = false;
        }
        // Without a session the probe tries again by itself.
        self.ask_again = self.has_session.then(|| at.after(RETRY));
    }

    /// When a fresh connection is to be tried.
    pub const fn ask_again(&self) -> Option<Time> {
        self.ask_again
    }

    /// Whether a fresh connection is to be tried now.
    pub fn take_ask_again(&mut self, now: Time) -> bool {
        self.ask_again.take_if(|at| *at <= now).is_some()
    }

    /// A fresh connection came to nothing beside a living session.
    fn timed_out(&mut self) {
        self.timeouts = self.timeouts.saturating_add(1);
        if self.timeouts >= HUNG_AFTER && self.condition == Condition::Up {
            self.condition = Condition::Hung;
        }
    }

    /// Falls by hard evidence: what the server said of itself holds no longer.
    fn fall(&mut self, to: Condition) {
        self.condition = to;
        self.facts = None;
        self.is_admitted = false;
        self.is_suspect = false;
        self.passes = 0;
        self.timeouts = 0;
        self.refusals = 0;
        self.ask_again = None;
    }
}
