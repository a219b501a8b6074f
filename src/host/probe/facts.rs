//! What a session asks about its server: role, timeline, identity. No statement here can fail on a server that
//! lacks a function or a privilege.

use std::fmt::Display;
use std::net::SocketAddr;

use tokio_postgres::SimpleQueryRow;

use super::failure::garbled;
use super::link::{Link, boolean};
use crate::engine::evidence::ProbeError;
use crate::model::postgres::{Facts, Role, SystemIdentifier, Timeline};

/// Which of its questions the probe's role may ask; functions that do not exist are not granted either.
#[derive(Clone, Copy)]
pub(super) struct Granted {
    identity: bool,
    timeline: bool,
}

const GRANTED: &str = "select \
    coalesce(has_function_privilege(to_regprocedure('pg_catalog.pg_control_system()'), 'execute'), false), \
    coalesce(has_function_privilege(to_regprocedure('pg_catalog.pg_current_wal_lsn()'), 'execute') \
         and has_function_privilege(to_regprocedure('pg_catalog.pg_walfile_name(pg_lsn)'), 'execute'), false)";

/// Fails in recovery, so it stands behind a `case`.
const TIMELINE: &str = "case when not pg_catalog.pg_is_in_recovery() \
    then substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end";

const IDENTITY: &str = "(select system_identifier from pg_catalog.pg_control_system())";

const ROLE: &str = "pg_catalog.pg_is_in_recovery(), \
    pg_catalog.current_setting('default_transaction_read_only')";

/// Everything that a session asks when it is opened.
pub(super) async fn all(link: &mut Link) -> Result<(Granted, Facts), ProbeError> {
    let row = one_row(link, GRANTED).await?;
    let granted = Granted { identity: flag(&row, 0)?, timeline: flag(&row, 1)? };
    let timeline = if granted.timeline { TIMELINE } else { "null" };
    let identity = if granted.identity { IDENTITY } else { "null" };
    let row = one_row(link, &format!("select {ROLE}, {timeline}, {identity}")).await?;
    let (role, read_only) = role_in(&row)?;
    let facts = Facts {
        role,
        read_only,
        timeline: text(&row, 2)?.map(parse_timeline).transpose()?,
        system_identifier: text(&row, 3)?.map(parse_identity).transpose()?,
    };
    Ok((granted, facts))
}

/// The role by a query, for servers that do not report it (before PostgreSQL 14).
pub(super) async fn role(link: &mut Link) -> Result<(Role, Option<bool>), ProbeError> {
    role_in(&one_row(link, &format!("select {ROLE}")).await?)
}

/// The timeline of a primary; `None` where it may not be asked.
pub(super) async fn timeline(
    link: &mut Link,
    granted: Granted,
) -> Result<Option<Timeline>, ProbeError> {
    if !granted.timeline {
        return Ok(None);
    }
    let row = one_row(link, &format!("select {TIMELINE}")).await?;
    text(&row, 0)?.map(parse_timeline).transpose()
}

/// What a kept session sets for itself, where the server knows it and the role may.
///
/// A dead director's session must end by itself, an idle one must not, and a statement must not outlive the
/// probe's interest in it. Set only where the server sees the probe's own address and port: behind a pooler
/// the settings would stay with a session that others use.
pub(super) async fn prepare(link: &mut Link, own: SocketAddr) -> Result<(), ProbeError> {
    let settings = "('statement_timeout', '2000'), ('idle_session_timeout', '0'), \
        ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'), ('jit', 'off'), \
        ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3'), \
        ('tcp_user_timeout', '10000')";
    let sql = format!(
        "select pg_catalog.set_config(known.name, wanted.setting, false) \
         from (values {settings}) as wanted(name, setting) \
         join pg_catalog.pg_settings as known using (name) \
         where known.context = 'user' and pg_catalog.inet_client_port() = {} \
         and pg_catalog.inet_client_addr() = inet '{}'",
        own.port(),
        own.ip(),
    );
    link.query(&sql).await.map(drop)
}

async fn one_row(link: &mut Link, sql: &str) -> Result<SimpleQueryRow, ProbeError> {
    let rows = link.query(sql).await?;
    rows.into_iter().next().ok_or_else(|| garbled("an answer without a row"))
}

fn role_in(row: &SimpleQueryRow) -> Result<(Role, Option<bool>), ProbeError> {
    let role = if flag(row, 0)? { Role::Standby } else { Role::Primary };
    Ok((role, text(row, 1)?.and_then(boolean)))
}

fn text(row: &SimpleQueryRow, column: usize) -> Result<Option<&str>, ProbeError> {
    row.try_get(column).map_err(|_| garbled(format!("an answer without column {column}")))
}

fn flag(row: &SimpleQueryRow, column: usize) -> Result<bool, ProbeError> {
    let word = text(row, column)?;
    word.and_then(boolean).ok_or_else(|| unexpected("boolean", word.unwrap_or("null")))
}

/// Eight hexadecimal digits of a WAL file's name.
fn parse_timeline(digits: &str) -> Result<Timeline, ProbeError> {
    u32::from_str_radix(digits, 16).map(Timeline).map_err(|_| unexpected("timeline", digits))
}

/// A bigint of SQL that stands for an unsigned number.
fn parse_identity(number: &str) -> Result<SystemIdentifier, ProbeError> {
    let signed: i64 = number.parse().map_err(|_| unexpected("system identifier", number))?;
    Ok(SystemIdentifier(signed.cast_unsigned()))
}

fn unexpected(what: &str, word: impl Display) -> ProbeError {
    garbled(format!("{word:.40} as a {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeline_is_hexadecimal() {
        assert_eq!(parse_timeline("00000001"), Ok(Timeline(1)));
        assert_eq!(parse_timeline("0000001A"), Ok(Timeline(26)));
        assert!(matches!(parse_timeline("0000001G"), Err(ProbeError::Garbled(_))));
    }

    #[test]
    fn the_system_identifier_is_unsigned() {
        assert_eq!(
            parse_identity("7000000000000000001"),
            Ok(SystemIdentifier(7_000_000_000_000_000_001))
        );
        assert_eq!(parse_identity("-1"), Ok(SystemIdentifier(u64::MAX)));
        assert!(matches!(parse_identity(""), Err(ProbeError::Garbled(_))));
    }
}
