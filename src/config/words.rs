//! Words that operators bring along: of keepalived, ldirectord, HAProxy and libpq, and of what is yet to come.
//!
//! Only sentences for people; nothing here decides what is accepted.

/// Keys of the design whose effect is not built; refused, so that nobody relies on them.
const NOT_YET: &[&str] = &[
    "authority",
    "bgp",
    "circuit_breaker",
    "discovery",
    "drain",
    "exec",
    "fallback",
    "http",
    "import",
    "max_connections",
    "max_lag",
    "max_lag_bytes",
    "metrics",
    "notify",
    "on_demoted",
    "on_drain",
    "on_lag",
    "on_maintenance",
    "on_removed",
    "patroni",
    "read_only_primary",
    "slow_start",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "system_identifier",
    "tcp",
    "two_primaries",
    "vrrp",
    "warm_up",
];

/// Words of other programs, and where what they say stands here.
const ELSEWHERE: &[(&str, &str)] = &[
    // keepalived
    ("global_defs", "what concerns the director itself stands in [director]"),
    ("virtual_server", "a virtual service is a [[service]] table with name, address and pool"),
    (
        "virtual_server_group",
        "a virtual service is a [[service]] table; several may name the same pool",
    ),
    (
        "vrrp_instance",
        "pgvs moves no addresses yet: keep the program that does, and list the address in a [[service]]",
    ),
    ("vrrp_sync_group", "pgvs moves no addresses yet: keep the program that does"),
    ("vrrp_script", "pgvs moves no addresses yet: keep the program that does"),
    (
        "virtual_ipaddress",
        "the virtual address is `address` of a [[service]]; pgvs adds no addresses to interfaces",
    ),
    ("virtual_routes", "pgvs adds no routes"),
    ("real_server", "a real server is a [[pool.server]] table beneath its [[pool]]"),
    ("lb_algo", "the key is called `scheduler`, in [[service]]"),
    ("lvs_sched", "the key is called `scheduler`, in [[service]]"),
    ("lb_kind", "the key is called `forwarding` (masq, dr or tun), in [[service]]"),
    ("lvs_method", "the key is called `forwarding` (masq, dr or tun), in [[service]]"),
    ("delay_loop", "how often servers are asked is `pulse` and `admission`, in [pool.postgres]"),
    ("persistence_granularity", "the key is called `persistence_netmask`, in [[service]]"),
    ("persistence_engine", "the key is called `pe`, in [[service]]"),
    ("uthreshold", "the key is called `upper_threshold`, in [[pool.server]]"),
    ("lthreshold", "the key is called `lower_threshold`, in [[pool.server]]"),
    (
        "inhibit_on_failure",
        "what happens to a failed server's sessions is `on_down` (cut or hold), in [[service]]",
    ),
    ("tcp_check", "PostgreSQL itself is asked: probe = \"postgres\" in [[pool]]"),
    ("http_get", "PostgreSQL itself is asked: probe = \"postgres\" in [[pool]]"),
    ("ssl_get", "PostgreSQL itself is asked: probe = \"postgres\" in [[pool]]"),
    ("misc_check", "PostgreSQL itself is asked: probe = \"postgres\" in [[pool]]"),
    (
        "connect_timeout",
        "a silent server is suspected after `suspect_after` and lost after `lost_after`, in [pool.postgres]",
    ),
    (
        "delay_before_retry",
        "how often servers are asked is `pulse` and `admission`, in [pool.postgres]",
    ),
    ("retry", "how many refusals take a server away is `fall`, in [pool.postgres]"),
    ("lvs_sync_daemon", "a sync daemon is a [[sync_daemon]] table with role and interface"),
    (
        "lvs_timeouts",
        "the keys are `tcp_timeout`, `tcp_fin_timeout` and `udp_timeout`, in [kernel]",
    ),
    // ldirectord
    ("virtual", "a virtual service is a [[service]] table with name, address and pool"),
    ("real", "a real server is a [[pool.server]] table beneath its [[pool]]"),
    ("checktype", "how servers are asked is `probe` in [[pool]]"),
    ("checkinterval", "how often servers are asked is `pulse` and `admission`, in [pool.postgres]"),
    (
        "checktimeout",
        "a silent server is suspected after `suspect_after` and lost after `lost_after`, in [pool.postgres]",
    ),
    (
        "quiescent",
        "what happens to a failed server's sessions is `on_down` (cut or hold), in [[service]]",
    ),
    ("full_nat", "the key is called `source_nat`, in [[service]]"),
    ("fullnat", "the key is called `source_nat`, in [[service]]"),
    ("snat", "the key is called `source_nat`, in [[service]]"),
    ("sync", "a sync daemon is a [[sync_daemon]] table with role and interface"),
    ("syncid", "the key is called `sync_id`, in [[sync_daemon]]"),
    ("mcast_interface", "the key is called `interface`, in [[sync_daemon]]"),
    // HAProxy
    ("global", "what concerns the director itself stands in [director]"),
    ("backend", "the servers behind a service are a [[pool]] with its [[pool.server]] tables"),
    ("frontend", "what clients connect to is a [[service]] table with name, address and pool"),
    (
        "listen",
        "what clients connect to is a [[service]] table, the servers behind it are a [[pool]]",
    ),
    ("bind", "what clients connect to is `address` in [[service]]"),
    ("default_backend", "the servers behind a service are named by `pool`, in [[service]]"),
    ("use_backend", "the servers behind a service are named by `pool`, in [[service]]"),
    ("balance", "the key is called `scheduler`, in [[service]]"),
    (
        "default-server",
        "what servers have in common stands in [defaults.server] and [defaults.postgres]",
    ),
    (
        "server-template",
        "servers are listed one by one as [[pool.server]]; finding them by name is not built yet",
    ),
    ("option", "PostgreSQL itself is asked: probe = \"postgres\" in [[pool]]"),
    ("mode", "the kernel forwards TCP; the key for how is `forwarding` in [[service]]"),
    (
        "maxconn",
        "the kernel does not queue: PostgreSQL's own max_connections is respected by the probe",
    ),
    ("inter", "how often servers are asked is `pulse`, in [pool.postgres]"),
    (
        "on-marked-down",
        "what happens to a failed server's sessions is `on_down` (cut or hold), in [[service]]",
    ),
    (
        "timeout",
        "a silent server is suspected after `suspect_after` and lost after `lost_after`, in [pool.postgres]",
    ),
    // ipvsadm
    ("fwmark_service", "the key is called `fwmark`, in [[service]]"),
    ("netmask", "the key is called `persistence_netmask`, in [[service]]"),
    ("sched_flags", "the key is called `scheduler_flags`, in [[service]]"),
    ("one_packet", "the key is called `ops`, in [[service]]"),
    ("tun_type", "the key is called `tunnel`, in [[service]] or [[pool.server]]"),
    ("tun_port", "the key is called `tunnel_port`, in [[service]] or [[pool.server]]"),
    // libpq and plain misnomers
    ("persistence", "the key is called `persistence_timeout`, in [[service]]"),
    ("persistent", "the key is called `persistence_timeout`, in [[service]]"),
    (
        "thresholds",
        "the keys are called `upper_threshold` and `lower_threshold`, in [[pool.server]]",
    ),
    ("target_session_attrs", "the key is called `target`, in [[service]]"),
    ("role", "who may serve is `target` in [[service]]; servers tell their role themselves"),
    (
        "password",
        "a password stands in a file of its own, named by `password_file` in [pool.postgres]",
    ),
    (
        "passfile",
        "a password stands in a file of its own, named by `password_file` in [pool.postgres]",
    ),
    ("username", "the key is called `user`, in [pool.postgres]"),
    ("database", "the key is called `dbname`, in [pool.postgres]"),
    ("ssl_mode", "the key is called `sslmode`, in [pool.postgres]"),
    ("tls", "the key is called `sslmode`, in [pool.postgres]"),
    ("check", "how servers are asked is `probe` in [[pool]]"),
    ("health_check", "how servers are asked is `probe` in [[pool]]"),
    ("interval", "how often servers are asked is `pulse` and `admission`, in [pool.postgres]"),
    ("algorithm", "the key is called `scheduler`, in [[service]]"),
    ("algo", "the key is called `scheduler`, in [[service]]"),
    ("method", "the key is called `forwarding` (masq, dr or tun), in [[service]]"),
    ("nat", "write forwarding = \"masq\" in [[service]]"),
    ("vip", "the virtual address is `address` of a [[service]], with its port"),
    ("ip", "the key is called `address`, with the port: \"10.8.0.11:5432\""),
    ("host", "the key is called `address`, with the port: \"10.8.0.11:5432\""),
    ("hostaddr", "the key is called `address`, with the port: \"10.8.0.11:5432\""),
    ("port", "the port stands in `address`: \"10.8.0.11:5432\""),
    ("backends", "the servers behind a service are a [[pool]] with its [[pool.server]] tables"),
    ("upstream", "the servers behind a service are a [[pool]] with its [[pool.server]] tables"),
    ("node", "a real server is a [[pool.server]] table beneath its [[pool]]"),
    ("nodes", "a real server is a [[pool.server]] table beneath its [[pool]]"),
    ("server", "a real server is a [[pool.server]] table beneath its [[pool]]"),
    ("servers", "a real server is a [[pool.server]] table beneath its [[pool]]"),
    ("pools", "write [[pool]], once for each pool"),
    ("services", "write [[service]], once for each service"),
    (
        "postgres",
        "how servers are asked stands in [pool.postgres] beneath its [[pool]], or in [defaults.postgres]",
    ),
    (
        "default",
        "defaults stand in [defaults.pool], [defaults.postgres], [defaults.server] and [defaults.service]",
    ),
    ("includes", "the key is called `include`"),
    ("conntrack", "of the kernel's settings only [kernel] manage is known"),
];

/// Whether a key belongs to the design and is not built.
pub(super) fn is_not_yet(key: &str) -> bool {
    NOT_YET.contains(&key)
}

/// Where what this word of another program says stands here.
pub(super) fn elsewhere(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    ELSEWHERE.iter().find(|(other, _)| *other == word).map(|(_, here)| *here)
}

/// The candidate that a word was probably meant to be.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Longer words are not typing errors of ours, and comparing them takes time.
    if word.len() > 100 {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    #[test]
    fn no_key_that_is_accepted_is_called_not_yet() {
        let known: Vec<&str> =
            file::tables().iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
        for word in NOT_YET {
            assert!(
                !known.contains(word),
                "{word} is accepted somewhere and refused as not yet built"
            );
        }
    }

    #[test]
    fn every_word_of_other_programs_stands_once_and_in_small_letters() {
        for (at, (word, _)) in ELSEWHERE.iter().enumerate() {
            assert_eq!(*word, word.to_lowercase());
            assert!(
                !ELSEWHERE[at + 1..].iter().any(|(other, _)| other == word),
                "{word} stands twice"
            );
            assert!(!is_not_yet(word), "{word} is both elsewhere and not yet");
        }
    }

    #[test]
    fn typing_errors_find_their_word_and_nonsense_finds_none() {
        let words = ["scheduler", "forwarding", "target"];
        assert_eq!(nearest("schedular", words), Some("scheduler"));
        assert_eq!(nearest("Fowarding", words), Some("forwarding"));
        assert_eq!(nearest("qqq", words), None);
        assert_eq!(nearest(&"scheduler".repeat(1000), words), None);
    }
}
