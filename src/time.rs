//! Monotonic time as a value, so that whoever decides never reads a clock.

use std::fmt;
use std::time::Duration;

/// Time since the daemon started. The engine never reads a clock: whoever calls it says what time it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The moment at which the daemon started.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The moment `since_start` after the daemon started.
    pub const fn new(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The moment that many milliseconds after the daemon started.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// How long the daemon had been running.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long ago `earlier` was; zero if it is yet to come.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment that much later.
    #[must_use]
    pub const fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}
