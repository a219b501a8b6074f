//! The state file beside the kernel: written when what we remember has changed, and again when it could not be.

use std::time::Duration;

use super::Reconciler;
use crate::engine::event::{Action, Transition};
use crate::time::Time;

/// So long after a failure the state file is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(5);

impl Reconciler {
    /// The state file was written, or could not be: then it is said, and the work goes on.
    pub(in crate::engine) fn saved(
        &mut self,
        result: Result<(), Box<str>>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        self.is_saving = false;
        let before = std::mem::replace(&mut self.save_failure, result.err());
        self.save_again = self.save_failure.as_ref().map(|_| now.after(SAVE_AGAIN));
        if let Some(why) = self.save_failure.clone().filter(|_| before != self.save_failure) {
            actions.push(Action::Report(Transition::StateNotSaved(why)));
        }
    }

    /// Has it written, if there is something to be written and nothing is being.
    pub(super) fn save_if_due(&mut self, now: Time, actions: &mut Vec<Action>) {
        let is_due = self.save_again.is_some_and(|at| at <= now);
        if (self.is_memory_dirty || is_due) && !self.is_saving {
            self.save(actions);
        }
    }

    fn save(&mut self, actions: &mut Vec<Action>) {
        self.is_memory_dirty = false;
        self.save_again = None;
        self.is_saving = true;
        self.saved = self.memory.owned.clone();
        actions.push(Action::SaveState(self.memory.clone()));
    }
}
