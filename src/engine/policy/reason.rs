//! Why a server has its weight, as data and in words.

use std::fmt;

use crate::model::postgres::{Role, SqlState};

/// Evidence that quiesces, but never the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Soft {
    /// No slot is free.
    Full,
    /// Refuses fresh connections with a code of its own.
    Refusing(SqlState),
    /// Fresh connections do not get through.
    Hung,
    /// It ended the probe's session as a server does that stops.
    Ending,
    /// No answer.
    Silent,
    /// Refused fresh connections, but not yet as often as `fall` asks.
    Failing,
}

/// Why a server has its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It may serve.
    Serving,
    /// The primary serves because no standby is left.
    Fallback,
    /// It has not answered yet, and counts as up until then.
    StartsUp,
    /// A backup serves because no other server is left.
    Backup,
    /// A backup, and others serve.
    Spare,
    /// Too few servers are left, and the sorry server serves in their place.
    NoQuorum {
        /// So many may serve.
        able: u32,
        /// So many are needed.
        needed: u32,
    },
    /// The weight that the kernel had; no verdict yet.
    Adopted,
    /// The operator configured weight 0.
    ConfiguredZero,
    /// No verdict yet.
    NoVerdict,
    /// Its role is not the one that the service wants.
    Role(Role),
    /// It says that it is a primary, but another server is the writer.
    OtherWriter,
    /// It says that it is a primary, on an older timeline than the last writer's.
    Outdated,
    /// It belongs to another cluster.
    Foreign,
    /// Takes no new connections after it had been up.
    Closing,
    /// Takes no connections yet.
    Starting,
    /// Nothing listens.
    Down,
    /// Silent for too long.
    Lost,
    /// Lowered by soft evidence.
    Soft(Soft),
    /// Soft evidence speaks against it, but it is kept: the last ones never go.
    Kept(Soft),
    /// It is silent, but so are all at once: we suspect ourselves.
    Frozen,
    /// Its old sessions are being flushed by the kernel.
    Cut,
}

impl fmt::Display for Soft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Refusing(code) => write!(f, "refuses new connections ({code})"),
            Self::Hung => f.write_str("new connections hang"),
            Self::Ending => f.write_str("ended the probe's session"),
            Self::Silent => f.write_str("silent"),
            Self::Failing => f.write_str("refuses connections, not often enough to be sure"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serving => f.write_str("serving"),
            Self::Fallback => f.write_str("serving: no standby is left"),
            Self::StartsUp => f.write_str("counts as up until it answers: alpha = false"),
            Self::Backup => f.write_str("serving: a backup, no other server is left"),
            Self::Spare => f.write_str("a backup: others serve"),
            Self::NoQuorum { able, needed } => {
                write!(f, "quorum lost, {able} of {needed}: the sorry server serves")
            }
            Self::Adopted => f.write_str("as found in the kernel: no verdict yet"),
            Self::ConfiguredZero => f.write_str("weight 0 in the config"),
            Self::NoVerdict => f.write_str("no verdict yet"),
            Self::Role(role) => write!(f, "is a {role}"),
            Self::OtherWriter => f.write_str("another server is the writer"),
            Self::Outdated => f.write_str("a primary on an older timeline than the last writer's"),
            Self::Foreign => f.write_str("belongs to another cluster"),
            Self::Closing => f.write_str("shutting down or restarting"),
            Self::Starting => f.write_str("starting up"),
            Self::Down => f.write_str("down: connection refused"),
            Self::Lost => f.write_str("lost: no answer"),
            Self::Soft(soft) => soft.fmt(f),
            Self::Kept(soft) => write!(f, "{soft}, kept: the last one"),
            Self::Frozen => f.write_str("silent, kept: all fell silent at once"),
            Self::Cut => f.write_str("its old sessions are being cut"),
        }
    }
}
