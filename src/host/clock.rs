//! The daemon's clock: the only place where monotonic time is read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::Time;

/// Counts from the daemon's start (`CLOCK_MONOTONIC`: a suspended machine's sleep is left out).
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Starts the clock: the daemon's [`Time::ZERO`].
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The present moment.
    pub fn now(self) -> Time {
        Time::new(self.started.elapsed())
    }

    /// A moment as the system's timers take it.
    pub fn instant(self, at: Time) -> Instant {
        // Beyond what an instant can hold nobody waits for it either.
        let far = || self.started + Duration::from_secs(86_400 * 365);
        self.started.checked_add(at.since_start()).unwrap_or_else(far)
    }

    /// When the daemon started.
    pub const fn started(self) -> Instant {
        self.started
    }
}

/// Milliseconds since 1970 by the wall clock, which may be set back or forth at any time.
pub fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
