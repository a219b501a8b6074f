//! Suspect yourself first: when everything falls silent at once, the fault is more likely on this side.

use std::time::Duration;

use super::event::{Action, Transition};
use super::evidence::{self, Evidence, Observation};
use super::health::Health;
use crate::config::PostgresProbe;
use crate::time::Time;

/// Whether soft evidence is ignored for a while.
#[derive(Clone, Debug)]
pub(super) struct Freeze {
    timeout: Duration,
    until: Option<Time>,
    /// Everything is overdue, but not long enough to be sure.
    is_withholding: bool,
    /// A freeze has ended by its time: the same silence does not freeze again.
    is_spent: bool,
}

impl Freeze {
    pub(super) const fn new(timeout: Duration) -> Self {
        Self { timeout, until: None, is_withholding: false, is_spent: false }
    }

    pub(super) const fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Whether soft evidence is ignored.
    pub(super) const fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// Whether judgement waits for a moment: the others are overdue as well, but not yet silent.
    pub(super) const fn withholds(&self) -> bool {
        self.is_withholding
    }

    /// When the freeze ends.
    pub(super) const fn until(&self) -> Option<Time> {
        self.until
    }

    /// Any answer and any refusal ends a freeze.
    pub(super) fn heard(&mut self, observation: &Observation, actions: &mut Vec<Action>) {
        let is_answer = match observation {
            Observation::Pulse(_) | Observation::Admitted => true,
            Observation::SessionEnded(word) => word.is_some(),
            Observation::NotAdmitted(error) => {
                !matches!(evidence::of(error), Evidence::Silence | Evidence::Blind)
            }
        };
        if is_answer {
            self.is_spent = false;
            self.is_withholding = false;
            self.thaw(actions);
        }
    }

    fn thaw(&mut self, actions: &mut Vec<Action>) {
        if self.until.take().is_some() {
            actions.push(Action::Report(Transition::Thawed));
        }
    }

    /// Looks at all probes that were answering.
    pub(super) fn listen<'a>(
        &mut self,
        probes: impl Iterator<Item = (&'a Health, &'a PostgresProbe)>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        if let Some(until) = self.until {
            if until <= now {
                self.is_spent = true;
                self.thaw(actions);
            }
            return;
        }
        let (mut answering, mut silent, mut overdue) = (0_u32, 0_u32, 0_u32);
        for (health, settings) in probes.filter(|(health, _)| health.was_answering()) {
            answering += 1;
            silent += u32::from(health.is_silent(now, settings));
            overdue += u32::from(health.is_overdue(now, settings));
        }
        let is_alone = answering < 2 || self.is_spent;
        if !is_alone && silent == answering {
            self.until = Some(now.after(self.timeout));
            actions.push(Action::Report(Transition::Frozen));
        }
        self.is_withholding = !is_alone && silent > 0 && overdue == answering;
    }
}
