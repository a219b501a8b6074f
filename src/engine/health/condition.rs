//! What the rest of the engine sees of a server: its condition, and what it last said of itself.

use std::fmt;

use crate::model::postgres::{Facts, SqlState};

/// The state of a server as its own probe sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No verdict yet.
    Unknown,
    /// Answers, and admits connections.
    Up,
    /// Soft: silent for `suspect_after`.
    Suspect,
    /// Soft: the kept session answers, fresh connections do not get through.
    Hung,
    /// Soft: it ended the kept session as in a stop or a crash; a fresh connection will tell more.
    Ending,
    /// Soft: refused fresh connections by hard evidence, but not yet as often as `fall` asks.
    Failing,
    /// Soft: no slot is free.
    Full,
    /// Soft: refuses fresh connections with a code of its own.
    Refusing(SqlState),
    /// Hard: takes no new connections after it had been up (57P03).
    Closing,
    /// Hard: takes no connections yet (57P03).
    Starting,
    /// Hard: silent for `lost_after`, fresh connections included.
    Lost,
    /// Hard: nothing listens there.
    Down,
}

/// What the rest of the engine sees of a server; compared by value to learn whether anything changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its state.
    pub condition: Condition,
    /// What it last said of itself, as long as that holds.
    pub facts: Option<Facts>,
    /// Whether the probe is set up wrongly, so that it cannot see more.
    pub is_misconfigured: bool,
}

impl Verdict {
    /// The verdict on a server that nobody probes.
    pub const UNPROBED: Self =
        Self { condition: Condition::Up, facts: None, is_misconfigured: false };
}

impl Verdict {
    /// Whether the server may still speak for the first time: neither heard nor overdue.
    pub const fn is_awaited(&self) -> bool {
        matches!(self.condition, Condition::Unknown)
            && self.facts.is_none()
            && !self.is_misconfigured
    }

    /// Whether the server has ever said anything.
    pub const fn has_answered(&self) -> bool {
        !matches!(self.condition, Condition::Unknown | Condition::Suspect)
            || self.is_misconfigured
            || self.facts.is_some()
    }
}

impl Condition {
    /// Whether it follows from hard evidence.
    pub const fn is_hard(self) -> bool {
        match self {
            Self::Down | Self::Lost | Self::Starting | Self::Closing => true,
            Self::Unknown
            | Self::Up
            | Self::Suspect
            | Self::Hung
            | Self::Ending
            | Self::Failing
            | Self::Full
            | Self::Refusing(_) => false,
        }
    }

    /// Whether the operator wants to know the cause.
    pub const fn is_bad(self) -> bool {
        !matches!(self, Self::Up | Self::Unknown)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Up => f.write_str("up"),
            Self::Suspect => f.write_str("suspect"),
            Self::Hung => f.write_str("hung"),
            Self::Ending => f.write_str("ending"),
            Self::Failing => f.write_str("failing"),
            Self::Full => f.write_str("full"),
            Self::Refusing(code) => write!(f, "refusing ({code})"),
            Self::Closing => f.write_str("closing"),
            Self::Starting => f.write_str("starting"),
            Self::Lost => f.write_str("lost"),
            Self::Down => f.write_str("down"),
        }
    }
}
