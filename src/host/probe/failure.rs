//! Errors of sockets, of TLS and of the client library, put into the few words that evidence is read from.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno as Number;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::DbError;

use super::frames::Violation;
use crate::engine::evidence::{ProbeError, ServerError, Stage};
use crate::model::op::Errno;
use crate::model::postgres::SqlState;

/// A deadline that is noticed so much later than it passed says more about this process than about the server.
const LATE: Duration = Duration::from_millis(250);

/// Gives `work` at most `limit`; what has arrived in time counts even where nobody looked in time.
pub(super) async fn within<T>(
    limit: Duration,
    stage: Stage,
    work: impl Future<Output = Result<T, ProbeError>>,
) -> Result<T, ProbeError> {
    let due = Instant::now() + limit;
    if let Ok(done) = timeout_at(due, work).await {
        return done;
    }
    let late = Instant::now().saturating_duration_since(due);
    if late > LATE {
        let late = Duration::from_millis(u64::try_from(late.as_millis()).unwrap_or(u64::MAX));
        return Err(ProbeError::Prober(
            format!("this process stood still for {late:?}: nothing can be said about the server")
                .into(),
        ));
    }
    Err(ProbeError::TimedOut(stage))
}

/// Marks the end of the stream, so that it cannot be mistaken for a message that ends too early.
#[derive(Debug)]
pub(super) struct Hangup;

impl fmt::Display for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server closed the connection")
    }
}

impl std::error::Error for Hangup {}

impl Hangup {
    /// The marker as an error of reading.
    pub(super) fn error() -> io::Error {
        io::Error::new(io::ErrorKind::UnexpectedEof, Self)
    }
}

/// What the kernel said to an attempt to connect.
pub(super) fn connect(error: &io::Error, address: SocketAddr) -> ProbeError {
    match network(error, Stage::Connect) {
        Some(known) => known,
        None => own(&format!("connect to {address}"), error),
    }
}

/// An error that this host made: what was attempted, and what the operator can do.
pub(super) fn own(attempted: &str, error: &io::Error) -> ProbeError {
    let hint = match number(error) {
        Some(Number::ADDRNOTAVAIL) => {
            ": source must be an address of this host, and a local port must be free (net.ipv4.ip_local_port_range)"
        }
        Some(Number::MFILE) => ": raise the limit of open files (LimitNOFILE in the unit)",
        Some(Number::NFILE) => ": raise the kernel's limit of open files (sysctl fs.file-max)",
        Some(Number::PERM | Number::ACCESS) => ": a firewall rule of this host forbids it",
        Some(Number::INVAL | Number::AFNOSUPPORT) => {
            ": source and the server's address must be of the same family, which this host must have"
        }
        Some(_) | None => "",
    };
    ProbeError::Prober(format!("{attempted}: {error}{hint}").into())
}

/// What an error of an established or a starting connection says about the server or the way to it;
/// `None` where it says something about this host.
fn network(error: &io::Error, stage: Stage) -> Option<ProbeError> {
    let number = number(error)?;
    Some(match number {
        Number::CONNREFUSED => ProbeError::Refused,
        Number::TIMEDOUT => ProbeError::TimedOut(stage),
        Number::CONNRESET | Number::PIPE | Number::CONNABORTED => ProbeError::Closed(stage),
        Number::HOSTUNREACH
        | Number::NETUNREACH
        | Number::HOSTDOWN
        | Number::NETDOWN
        | Number::NONET
        | Number::PROTO
        | Number::NOPROTOOPT => ProbeError::Unreachable(Errno(number.raw_os_error())),
        _ => return None,
    })
}

/// Whether a write failed because the server has closed the connection.
pub(super) fn is_end(error: &io::Error) -> bool {
    matches!(number(error), Some(Number::CONNRESET | Number::PIPE))
}

fn number(error: &io::Error) -> Option<Number> {
    error.raw_os_error().map(Number::from_raw_os_error)
}

/// What an error of reading or writing says.
pub(super) fn stream(error: &io::Error, stage: Stage) -> ProbeError {
    if let Some(violation) = marker::<Violation>(error) {
        return garbled(violation);
    }
    if marker::<Hangup>(error).is_some() {
        return ProbeError::Closed(stage);
    }
    if error.raw_os_error().is_none() {
        let at_end = error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none();
        return if at_end { ProbeError::Closed(stage) } else { garbled(error) };
    }
    network(error, stage).unwrap_or_else(|| own("talk to the server", error))
}

/// The error of ours that an I/O error carries.
fn marker<E: std::error::Error + 'static>(error: &io::Error) -> Option<&E> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// What cannot be PostgreSQL's.
pub(super) fn garbled(what: impl fmt::Display) -> ProbeError {
    ProbeError::Garbled(what.to_string().into())
}

/// What an error of the client library says.
///
/// The library keeps its kinds to itself, but has a sentence for each; tests hold on to those used here.
pub(super) fn client(error: &tokio_postgres::Error, stage: Stage) -> ProbeError {
    if let Some(said) = error.as_db_error() {
        return said_by_server(said);
    }
    if error.is_closed() {
        return ProbeError::Closed(stage);
    }
    let source = error.source();
    match (error.to_string().as_str(), source) {
        ("authentication error", Some(source)) => {
            ProbeError::Prober(format!("log in: {source}{}", remedy(&source.to_string())).into())
        }
        _ if wants_password(error) => ProbeError::Prober(NO_PASSWORD.into()),
        (_, Some(source)) => match source.downcast_ref::<io::Error>() {
            Some(source) => stream(source, stage),
            None => garbled(source),
        },
        (sentence, None) => garbled(sentence),
    }
}

/// What can be done about a login that the library cannot do.
fn remedy(said_by_library: &str) -> &'static str {
    if said_by_library.starts_with("unsupported") {
        ": give the probe's role a password and a scram-sha-256 line in pg_hba.conf"
    } else if said_by_library.contains("iteration count") {
        ": set the role's password again with a lower scram_iterations"
    } else {
        ""
    }
}

/// Whether a login failed because the server asks for a password and none was given.
pub(super) fn wants_password(error: &tokio_postgres::Error) -> bool {
    error.to_string() == "invalid configuration"
}

/// The only thing that can be missing in what a probe hands to the library.
const NO_PASSWORD: &str = "log in: the server asks for a password: set password_file";

/// The fields of an error or a notice that are not translated.
pub(super) fn said_by_server(said: &DbError) -> ProbeError {
    match server_error(said) {
        Some(error) => ProbeError::Said(error),
        None => garbled("an error without an SQLSTATE"),
    }
}

/// The same as a value; `None` without a valid SQLSTATE.
pub(super) fn server_error(said: &DbError) -> Option<ServerError> {
    Some(ServerError {
        sqlstate: SqlState::new(said.code().code())?,
        severity: said.parsed_severity().map(|severity| severity.to_string().into()),
        routine: said.routine().map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SERVER: ([u8; 4], u16) = ([10, 8, 0, 11], 5432);

    fn connecting(number: Number) -> ProbeError {
        connect(&number.into(), SocketAddr::from(SERVER))
    }

    #[test]
    fn what_the_kernel_says_of_the_server_is_evidence() {
        let timed_out = ProbeError::TimedOut(Stage::Connect);
        assert_eq!(connecting(Number::CONNREFUSED), ProbeError::Refused);
        assert_eq!(connecting(Number::TIMEDOUT), timed_out);
        let closed = ProbeError::Closed(Stage::Connect);
        assert_eq!(connecting(Number::CONNRESET), closed);
        for number in [Number::HOSTUNREACH, Number::NETUNREACH, Number::NETDOWN] {
            let unreachable = ProbeError::Unreachable(Errno(number.raw_os_error()));
            assert_eq!(connecting(number), unreachable);
        }
    }

    #[test]
    fn what_the_kernel_says_of_this_host_comes_with_a_remedy() {
        let table = [
            (Number::ADDRNOTAVAIL, "address of this host"),
            (Number::MFILE, "LimitNOFILE"),
            (Number::NFILE, "fs.file-max"),
            (Number::PERM, "firewall"),
            (Number::AFNOSUPPORT, "family"),
        ];
        for (number, remedy) in table {
            let ProbeError::Prober(text) = connecting(number) else { panic!("{number:?}") };
            let complete = text.contains("10.8.0.11:5432") && text.contains(remedy);
            assert!(complete, "{text}");
        }
    }

    #[test]
    fn an_end_between_messages_is_not_garbage_and_a_message_without_an_end_is() {
        let stage = Stage::Login;
        let at_end =
            [Hangup::error(), Number::CONNRESET.into(), io::ErrorKind::UnexpectedEof.into()];
        for error in at_end {
            assert_eq!(stream(&error, stage), ProbeError::Closed(stage));
        }
        let garbage = [
            io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected EOF"),
            io::Error::other(Violation::Endless),
        ];
        for error in garbage {
            assert!(matches!(stream(&error, stage), ProbeError::Garbled(_)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_passes_in_time_is_the_servers_fault() {
        let limit = Duration::from_secs(1);
        let failed = within::<()>(limit, Stage::Query, pending()).await;
        assert_eq!(failed, Err(ProbeError::TimedOut(Stage::Query)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_is_noticed_late_is_our_own() {
        let limit = Duration::from_secs(1);
        let stalled = async {
            tokio::time::advance(limit + LATE * 2).await;
            pending().await
        };
        let failed = within::<()>(limit, Stage::Query, stalled).await;
        let Err(ProbeError::Prober(text)) = failed else { panic!("{failed:?}") };
        assert!(text.contains("stood still for 500ms"), "{text}");
    }
}
