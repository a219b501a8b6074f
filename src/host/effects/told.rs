//! What the operator is told: each transition as one log line, and the last of them kept.

use std::collections::VecDeque;

use tracing::Level;

use crate::engine::event::Transition;
use crate::engine::settings::SettingChange;
use crate::model::setting::SettingKey;
use crate::wire::refusal::Refusal;

/// So many transitions are kept.
const KEPT: usize = 1000;

/// One transition that was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// What.
    pub transition: Transition,
}

/// The last transitions, the newest at the end.
#[derive(Debug, Default)]
pub struct History(VecDeque<Told>);

impl History {
    /// Logs a transition of that moment and keeps it in the place of the oldest one.
    pub fn tell(&mut self, unix_ms: u64, transition: Transition) {
        log(&transition);
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Told { unix_ms, transition });
    }

    /// The newest ones, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Told> {
        self.0.iter().rev()
    }
}

/// In words; what the kernel refused with the reason and what to do.
pub fn words(transition: &Transition) -> String {
    if let Transition::OpRefused(op, errno) = transition {
        return format!("the kernel refused a change: {}", Refusal { op, errno: *errno });
    }
    transition.to_string()
}

fn log(transition: &Transition) {
    let words = words(transition);
    let kind = kind(transition);
    match level(transition) {
        Level::ERROR => tracing::error!(kind, "{words}"),
        Level::WARN => tracing::warn!(kind, "{words}"),
        _ => tracing::info!(kind, "{words}"),
    }
}

/// How loudly it is said: what somebody should look at is a warning.
fn level(transition: &Transition) -> Level {
    match transition {
        Transition::KernelFailed(_)
        | Transition::StateNotSaved(_)
        | Transition::SettingsFailed(_) => Level::ERROR,
        Transition::SettingSet(change) if !change.is_drift && !is_shared(change) => Level::INFO,
        Transition::Condition { to, .. } if !to.is_bad() => Level::INFO,
        Transition::Misconfigured { what: None, .. }
        | Transition::Quorum { is_gained: true, .. } => Level::INFO,
        Transition::Condition { .. }
        | Transition::Misconfigured { .. }
        | Transition::Writer { .. }
        | Transition::Quorum { .. }
        | Transition::Drift { .. }
        | Transition::DriftSlowed(_)
        | Transition::OpRefused(..)
        | Transition::SettingSet(_)
        | Transition::SettingAdvised(_)
        | Transition::Frozen
        | Transition::Late(_)
        | Transition::Paused => Level::WARN,
        Transition::Adopted { .. }
        | Transition::Weight { .. }
        | Transition::Draining { .. }
        | Transition::Drained { .. }
        | Transition::KernelAnswers { .. }
        | Transition::Thawed
        | Transition::Reloaded
        | Transition::Resumed => Level::INFO,
    }
}

/// Whether it holds for services that are not ours as well.
fn is_shared(change: &SettingChange) -> bool {
    change.foreign > 0 && change.to.key() == SettingKey::Timeouts
}

/// A word by which programs that read logs can tell transitions apart.
pub const fn kind(transition: &Transition) -> &'static str {
    match transition {
        Transition::Adopted { .. } => "adopted",
        Transition::Condition { .. } => "condition",
        Transition::Misconfigured { .. } => "misconfigured",
        Transition::Writer { .. } => "writer",
        Transition::Weight { .. } => "weight",
        Transition::Quorum { .. } => "quorum",
        Transition::Drift { .. } => "drift",
        Transition::DriftSlowed(_) => "drift-slowed",
        Transition::Draining { .. } => "draining",
        Transition::Drained { .. } => "drained",
        Transition::OpRefused(..) => "refused",
        Transition::KernelFailed(_) => "kernel-failed",
        Transition::KernelAnswers { .. } => "kernel-answers",
        Transition::StateNotSaved(_) => "state-not-saved",
        Transition::SettingSet(_) => "setting",
        Transition::SettingAdvised(_) => "setting-advised",
        Transition::SettingsFailed(_) => "setting-failed",
        Transition::Frozen => "frozen",
        Transition::Thawed => "thawed",
        Transition::Late(_) => "late",
        Transition::Reloaded => "reloaded",
        Transition::Paused => "paused",
        Transition::Resumed => "resumed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut history = History::default();
        history.tell(0, Transition::Paused);
        for _ in 0..KEPT {
            history.tell(0, Transition::Resumed);
        }
        assert_eq!(history.newest().count(), KEPT);
        assert!(history.newest().all(|told| told.transition == Transition::Resumed));
    }
}
