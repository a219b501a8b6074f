//! Silence: how long it has lasted, from when it counts, and what follows from it.

use std::time::Duration;

use super::{Condition, Health};
use crate::config::PostgresProbe;
use crate::time::Time;

impl Health {
    /// Lets silence count from `now` at the earliest: nobody is to blame for time in which we did not listen.
    pub fn forgive(&mut self, now: Time) {
        self.last_answer = self.last_answer.max(now);
    }

    /// Lets silence start anew: what there was of it was ours.
    pub fn absolve(&mut self, now: Time) {
        self.forgive(now);
        self.is_suspect = false;
        self.fresh_is_silent = false;
    }

    /// When silence will have lasted long enough for the next step, if nothing is heard till then.
    pub fn deadline(&self, settings: &PostgresProbe) -> Option<Time> {
        let long = if self.is_suspect { settings.lost_after } else { settings.suspect_after };
        (!self.condition.is_hard()).then(|| self.silent_for(long))
    }

    fn silent_for(&self, long: Duration) -> Time {
        self.last_answer.after(self.allowance).after(long)
    }

    /// Whether the server has been silent for more than one and a half pulses, or what a probe without a kept
    /// session needs.
    pub fn is_overdue(&self, now: Time, settings: &PostgresProbe) -> bool {
        now >= self.silent_for(settings.pulse.saturating_mul(3) / 2)
    }

    /// Whether the server has been silent for `suspect_after`.
    pub fn is_silent(&self, now: Time, settings: &PostgresProbe) -> bool {
        now >= self.silent_for(settings.suspect_after)
    }

    /// Draws the conclusion from silence that has lasted until `now`; says whether suspicion is new. Where
    /// `is_frozen`, silence becomes no hard evidence, however long it lasts.
    pub fn listen(&mut self, now: Time, settings: &PostgresProbe, is_frozen: bool) -> bool {
        if self.deadline(settings).is_none_or(|deadline| now < deadline) {
            return false;
        }
        let is_new = !self.is_suspect;
        self.is_suspect = true;
        self.passes = 0;
        if self.fresh_is_silent && !is_frozen && now >= self.silent_for(settings.lost_after) {
            self.fall(Condition::Lost);
            self.has_session = false;
        }
        is_new
    }
}
