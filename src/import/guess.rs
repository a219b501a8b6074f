//! What can be told of a service from its port, its names, and what its checks asked for.
//!
//! Only guesses that the operator reads again: whoever uses one says so in the result.

use std::net::SocketAddr;

/// PostgreSQL's port and PgBouncer's.
const PORTS: [u16; 2] = [5432, 6432];

/// PgBouncer's port.
pub(super) const POOLER: u16 = 6432;

/// What there is to know where a pooler is asked.
pub(super) const POOLER_SAID: &str = "PgBouncer's port: it answers for the server behind it; user and dbname must be \
    ones that it knows. probe = \"none\" takes it as up.";

/// Names that say that PostgreSQL, or a pooler of it, is behind them.
const WORDS: [&str; 6] = ["postgres", "pgsql", "pgbouncer", "pgpool", "patroni", "psql"];

/// Whether these are servers of PostgreSQL, by their ports or a name.
pub(super) fn is_postgres<'a>(
    servers: impl IntoIterator<Item = SocketAddr>,
    names: impl IntoIterator<Item = &'a str>,
) -> bool {
    let mut servers = servers.into_iter().peekable();
    let by_port = servers.peek().is_some() && servers.all(|it| PORTS.contains(&it.port()));
    by_port || names.into_iter().any(says_postgres)
}

fn says_postgres(name: &str) -> bool {
    let small = name.to_ascii_lowercase();
    let mut parts = small.split(|c: char| !c.is_ascii_alphanumeric());
    WORDS.iter().any(|word| small.contains(word))
        || parts.any(|part| {
            let number = part.strip_prefix("pg");
            number.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        })
}

/// Who passed a check over HTTP, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) target: &'static str,
    /// What the check asked for beyond that; empty where it is just that.
    pub(super) beyond: &'static str,
}

/// What a path of Patroni's REST API asks for; `None` if it is none of them.
pub(super) fn patroni(path: &str) -> Option<Asked> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, query),
        None => (path, ""),
    };
    let asked = |target, beyond| Asked { target, beyond };
    let exact = match path.trim_end_matches('/') {
        "" | "/primary" | "/master" | "/leader" | "/read-write" => asked("primary", ""),
        "/replica" => asked("standby", ""),
        "/read-only" | "/health" | "/patroni" | "/liveness" | "/readiness" => asked("any", ""),
        "/read-only-sync" | "/read-only-quorum" => asked("any", "synchronous standbys alone"),
        "/synchronous" | "/sync" | "/quorum" => asked("standby", "synchronous ones alone"),
        "/asynchronous" | "/async" => asked("standby", "asynchronous ones alone"),
        "/standby-leader" | "/standby_leader" => {
            asked("standby", "the leader of a standby cluster alone")
        }
        _ => return None,
    };
    match query {
        "" => Some(exact),
        query if query.contains("lag") => {
            Some(Asked { beyond: "a limit of replication lag", ..exact })
        }
        _ => Some(Asked { beyond: "tags of Patroni", ..exact }),
    }
}

/// What a word in the answer of a script says of the server that gave it.
pub(super) fn role(word: &str) -> Option<&'static str> {
    let small = word.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| small.contains(word));
    match (has(&["primary", "master", "leader"]), has(&["standby", "slave", "replica"])) {
        (true, false) => Some("primary"),
        (false, true) => Some("standby"),
        (true, true) => Some("any"),
        (false, false) => None,
    }
}

/// The schedulers of Linux (net/netfilter/ipvs/ip_vs_*.c).
pub(super) const SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_is_known_by_port_or_name() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(is_postgres([at("10.0.0.1:5432"), at("10.0.0.2:6432")], []));
        assert!(!is_postgres([at("10.0.0.1:5432"), at("10.0.0.2:80")], []));
        assert!(!is_postgres([], []));
        for name in ["postgres_write", "pg1", "db-pg", "PGSQL", "my.pgbouncer"] {
            assert!(is_postgres([at("10.0.0.1:7000")], [name]), "{name}");
        }
        for name in ["web", "pgp-keys", "epg", "upgrade"] {
            assert!(!is_postgres([at("10.0.0.1:7000")], [name]), "{name}");
        }
    }

    #[test]
    fn patronis_paths_are_targets() {
        for (path, target, beyond) in [
            ("/", "primary", false),
            ("/master", "primary", false),
            ("/replica", "standby", false),
            ("/replica?lag=10MB", "standby", true),
            ("/read-only", "any", false),
            ("/synchronous", "standby", true),
        ] {
            let asked = patroni(path).unwrap();
            assert_eq!((asked.target, !asked.beyond.is_empty()), (target, beyond), "{path}");
        }
        assert_eq!(patroni("/index.html"), None);
    }

    #[test]
    fn answers_of_scripts_name_roles() {
        assert_eq!(role("master is running"), Some("primary"));
        assert_eq!(role("Standby"), Some("standby"));
        assert_eq!(role("(master|slave) is running"), Some("any"));
        assert_eq!(role("OK"), None);
    }
}
