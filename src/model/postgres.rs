//! What PostgreSQL says of itself: role, timeline, identity, SQLSTATE.

use std::fmt;

/// Whether a server is in recovery (`pg_is_in_recovery()`, the parameter `in_hot_standby`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Not in recovery: the only role that can take writes.
    Primary,
    /// In recovery: takes reads only.
    Standby,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
        })
    }
}

/// The timeline of a primary: the first eight hexadecimal digits of `pg_walfile_name(pg_current_wal_lsn())`.
///
/// A promotion raises it before the new primary takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeline(pub u32);

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a cluster: `system_identifier` of `pg_control_system()`; equal on a primary and its standbys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemIdentifier(pub u64);

impl fmt::Display for SystemIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What one answer of a server said about it. Every field that a server cannot tell is `None`, never a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Primary or standby.
    pub role: Role,
    /// The timeline, known of primaries only.
    pub timeline: Option<Timeline>,
    /// The identity of the cluster.
    pub system_identifier: Option<SystemIdentifier>,
    /// `default_transaction_read_only`: a primary that refuses writes by default.
    pub read_only: Option<bool>,
}

/// The five characters of an SQLSTATE (PostgreSQL manual, appendix A).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// `57P01 admin_shutdown`.
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    /// `57P02 crash_shutdown`.
    pub const CRASH_SHUTDOWN: Self = Self(*b"57P02");
    /// `57P03 cannot_connect_now`.
    pub const CANNOT_CONNECT_NOW: Self = Self(*b"57P03");
    /// `53300 too_many_connections`.
    pub const TOO_MANY_CONNECTIONS: Self = Self(*b"53300");

    /// The SQLSTATE of five ASCII letters and digits; `None` for anything else.
    pub fn new(code: &str) -> Option<Self> {
        let bytes: [u8; 5] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphanumeric).then_some(Self(bytes))
    }

    /// The class: the first two characters.
    pub fn class(&self) -> &str {
        self.as_str().get(..2).unwrap_or_default()
    }

    /// The five characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("?????")
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
