//! What a probe can report, and what each report is evidence of.
//!
//! Read from SQLSTATE and the untranslated fields of a message, never from its text, which is in the
//! server's language. Without memory: what follows from a report is decided by `health`.

use std::fmt;

use crate::model::op::Errno;
use crate::model::postgres::{Facts, SqlState};

/// One probe: a server address with probe settings, whatever number of services share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u32);

/// How often a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pace {
    /// As configured.
    Normal,
    /// A pulse every 20 ms and a fresh connection every 100 ms while a service has no usable writer.
    Hurried,
}

/// One report of a probe about one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The kept session answered a pulse, or was opened: what the server says of itself.
    Pulse(Facts),
    /// The kept session ended, with the server's last word if it sent one.
    SessionEnded(Option<ServerError>),
    /// A fresh connection was admitted up to ReadyForQuery.
    Admitted,
    /// A fresh connection was not admitted.
    NotAdmitted(ProbeError),
}

impl Observation {
    /// Whether PostgreSQL itself said something; a host that refuses is not PostgreSQL.
    pub const fn is_word(&self) -> bool {
        match self {
            Self::Pulse(_) | Self::Admitted => true,
            Self::SessionEnded(word) => word.is_some(),
            Self::NotAdmitted(error) => matches!(error, ProbeError::Said(_)),
        }
    }
}

/// Why a fresh connection was not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeError {
    /// The host refused the connection (ECONNREFUSED): nothing listens there.
    Refused,
    /// The network said that it cannot reach the host (EHOSTUNREACH, ENETUNREACH and the like).
    Unreachable(Errno),
    /// A stage did not end before its deadline.
    TimedOut(Stage),
    /// The server closed the connection without a word.
    Closed(Stage),
    /// The server said no.
    Said(ServerError),
    /// The answer was not PostgreSQL's, or more than a probe reads.
    Garbled(Box<str>),
    /// The probe itself cannot go on: password file, TLS, authentication method, local address, descriptors.
    Prober(Box<str>),
}

/// A stage of a fresh connection, each with a deadline of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// TCP handshake.
    Connect,
    /// TLS negotiation, start-up and authentication up to ReadyForQuery.
    Login,
    /// The queries for role, timeline and identity.
    Query,
}

/// An ErrorResponse or a NoticeResponse, by its fields that are not translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// Field `C`.
    pub sqlstate: SqlState,
    /// Field `V`: FATAL, PANIC, ERROR, WARNING; absent before PostgreSQL 9.6.
    pub severity: Option<Box<str>>,
    /// Field `R`: the routine in PostgreSQL's source that reported it.
    pub routine: Option<Box<str>>,
}

impl ServerError {
    /// Whether a session ends with it because the server stops or has crashed, or because somebody terminated the
    /// session, which looks the same.
    pub fn is_farewell(&self) -> bool {
        matches!(self.sqlstate, SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN)
    }
}

/// What a report of a fresh connection that was not admitted is evidence of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Hard: nothing listens at the address.
    Gone,
    /// Hard: alive, and no new connections whatever the reason (57P03).
    NotNow,
    /// Soft: alive, no slot is free (53300).
    Full,
    /// Soft: alive, refuses for a reason of its own.
    Refusing(SqlState),
    /// Soft: something there hangs up on new connections.
    HangingUp,
    /// No evidence about the server: the probe is set up wrongly; the server lives.
    Misconfigured,
    /// No evidence at all: the probe could not even try.
    Blind,
    /// Soft: no answer.
    Silence,
}

/// What a failed fresh connection is evidence of.
pub fn of(error: &ProbeError) -> Evidence {
    match error {
        ProbeError::Refused => Evidence::Gone,
        ProbeError::Unreachable(_) | ProbeError::TimedOut(_) => Evidence::Silence,
        ProbeError::Closed(_) => Evidence::HangingUp,
        ProbeError::Said(said) => of_error(said),
        ProbeError::Garbled(_) => Evidence::Misconfigured,
        ProbeError::Prober(_) => Evidence::Blind,
    }
}

/// The two places in PostgreSQL's source that count the connections of a role and of a database, not the
/// server's: measured with `ALTER ROLE .. CONNECTION LIMIT` and `ALTER DATABASE .. CONNECTION LIMIT`.
const OWN_LIMIT_ROUTINES: [&str; 2] = ["InitializeSessionUserId", "CheckMyDatabase"];

/// What an ErrorResponse before ReadyForQuery is evidence of (PostgreSQL manual, appendix A).
fn of_error(said: &ServerError) -> Evidence {
    match said.sqlstate {
        SqlState::CANNOT_CONNECT_NOW => Evidence::NotNow,
        SqlState::TOO_MANY_CONNECTIONS => {
            let own = said.routine.as_deref().is_some_and(|r| OWN_LIMIT_ROUTINES.contains(&r));
            if own { Evidence::Misconfigured } else { Evidence::Full }
        }
        // The stop came while the session logged in.
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => Evidence::HangingUp,
        other => match other.class() {
            // Authentication, catalogue name, access rule, undefined object, protocol, unsupported feature.
            "28" | "3D" | "42" | "08" | "0A" | "22" => Evidence::Misconfigured,
            _ => Evidence::Refusing(other),
        },
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Unreachable(errno) => write!(f, "unreachable (errno {})", errno.0),
            Self::TimedOut(stage) => write!(f, "no answer in time at {stage}"),
            Self::Closed(stage) => write!(f, "connection closed at {stage}"),
            Self::Said(said) => said.fmt(f),
            Self::Garbled(what) => write!(f, "not PostgreSQL's protocol: {what}"),
            Self::Prober(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Login => "login",
            Self::Query => "query",
        })
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLSTATE {}", self.sqlstate)?;
        match &self.routine {
            Some(routine) => write!(f, " from {routine}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, routine: Option<&str>) -> ProbeError {
        ProbeError::Said(ServerError {
            sqlstate: SqlState::new(code).unwrap(),
            severity: Some("FATAL".into()),
            routine: routine.map(Into::into),
        })
    }

    #[test]
    fn each_sqlstate_is_evidence_of_what_postgresql_means_by_it() {
        let table = [
            ("57P03", None, Evidence::NotNow),
            ("53300", Some("InitPostgres"), Evidence::Full),
            ("53300", None, Evidence::Full),
            ("53300", Some("InitializeSessionUserId"), Evidence::Misconfigured),
            ("53300", Some("CheckMyDatabase"), Evidence::Misconfigured),
            ("28P01", None, Evidence::Misconfigured),
            ("28000", None, Evidence::Misconfigured),
            ("3D000", None, Evidence::Misconfigured),
            ("42501", None, Evidence::Misconfigured),
            ("08P01", None, Evidence::Misconfigured),
            ("57P01", None, Evidence::HangingUp),
            ("53100", None, Evidence::Refusing(SqlState::new("53100").unwrap())),
        ];
        for (code, routine, expected) in table {
            assert_eq!(of(&said(code, routine)), expected, "{code} {routine:?}");
        }
    }

    #[test]
    fn a_refused_connection_is_hard_and_a_silent_one_is_not() {
        assert_eq!(of(&ProbeError::Refused), Evidence::Gone);
        assert_eq!(of(&ProbeError::TimedOut(Stage::Login)), Evidence::Silence);
        assert_eq!(of(&ProbeError::Unreachable(Errno(113))), Evidence::Silence);
        assert_eq!(of(&ProbeError::Prober("no password".into())), Evidence::Blind);
    }
}
