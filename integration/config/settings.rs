//! What the daemon, the kernel and the probe can be told: ranges, defaults, and which default wins.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use pgvs::config::{Config, OnDown, OnStop, PostgresProbe, Probe, SslMode, Target};
use pgvs::model::destination::{Forwarding, Weight};
use pgvs::model::service::{Netmask, Protocol, ServiceFlags, ServiceKey};

use super::{GOOD, accepted, findings, good_after, good_with, refuses, warns};

fn postgres(config: &Config) -> PostgresProbe {
    match &config.pools[0].probe {
        Probe::Postgres(probe) => (**probe).clone(),
        Probe::None => panic!("not probed"),
    }
}

#[test]
fn what_nobody_writes_has_the_documented_default() {
    let config = accepted(GOOD);
    assert_eq!(config.director.state_dir, Path::new("/var/lib/pgvs"));
    assert_eq!(config.director.control_socket, Path::new("/run/pgvs/pgvs.sock"));
    assert_eq!(config.director.on_stop, OnStop::Leave);
    assert_eq!(config.director.freeze_timeout, Duration::from_secs(10));
    assert!(config.kernel.manage);
    let expected = PostgresProbe {
        user: "pgvs".into(),
        password_file: None,
        dbname: "postgres".into(),
        sslmode: SslMode::Prefer,
        pulse: Duration::from_millis(100),
        suspect_after: Duration::from_millis(300),
        lost_after: Duration::from_millis(1500),
        admission: Duration::from_secs(2),
        rise: 3,
        fall: 1,
        source: None,
    };
    assert_eq!(postgres(&config), expected);
    assert_eq!(config.pools[1].probe, Probe::None);
    assert_eq!(config.pools[1].servers[0].weight, Weight(100));
    let [rw, web] = &*config.services else { panic!("two services") };
    let ServiceKey::Address { protocol, address } = rw.key else { panic!("an address") };
    assert_eq!((protocol, address), (Protocol::TCP, "10.9.0.100:5432".parse().unwrap()));
    assert_eq!(rw.service.scheduler.as_str(), "wlc");
    assert_eq!((rw.service.flags, rw.service.timeout), (ServiceFlags::default(), 0));
    assert_eq!(rw.service.netmask, Netmask::V4("255.255.255.255".parse().unwrap()));
    assert_eq!((rw.forwarding, rw.target), (Forwarding::Masquerade, Target::Primary));
    assert_eq!((rw.on_down, rw.drain_timeout), (OnDown::Cut, Duration::from_secs(300)));
    assert_eq!(web.target, Target::Any);
}

#[test]
fn hashing_schedulers_get_their_fallback_flag() {
    for scheduler in ["sh", "mh"] {
        let config = accepted(&good_with("\"wrr\"", &format!("\"{scheduler}\"")));
        assert_eq!(config.services[1].service.flags, ServiceFlags::SCHED_1);
    }
}

#[test]
fn the_pools_own_word_wins_over_the_default() {
    let defaults = "[defaults.postgres]\npulse = \"50ms\"\nuser = \"monitor\"\n[defaults.server]\nweight = 7\n";
    let config = accepted(&good_after(defaults));
    let probe = postgres(&config);
    assert_eq!((&*probe.user, probe.pulse), ("monitor", Duration::from_millis(100)));
    let weights: Vec<u32> = config.pools[0].servers.iter().map(|server| server.weight.0).collect();
    assert_eq!(weights, [7, 100]);
}

#[test]
fn defaults_of_services_hold_where_a_service_says_nothing() {
    let defaults = "[defaults.service]\nscheduler = \"sed\"\ntarget = \"any\"\non_down = \"hold\"\ndrain_timeout = \"0s\"\n";
    let config = accepted(&good_after(defaults));
    let [rw, web] = &*config.services else { panic!("two services") };
    assert_eq!((rw.service.scheduler.as_str(), web.service.scheduler.as_str()), ("sed", "wrr"));
    assert_eq!((rw.target, web.target), (Target::Primary, Target::Any));
    assert_eq!((rw.on_down, rw.drain_timeout), (OnDown::Hold, Duration::ZERO));
}

#[test]
fn a_default_probe_holds_for_pools_that_name_none() {
    let text =
        good_after("[defaults.pool]\nprobe = \"none\"").replace("target = \"primary\"\n", "");
    let text = text.replace("[pool.postgres]\npulse = \"100ms\"\n", "");
    assert!(accepted(&text).pools.iter().all(|pool| pool.probe == Probe::None));
}

#[test]
fn a_bad_default_is_one_finding_however_many_take_it_and_even_if_none_does() {
    refuses(&good_after("[defaults.server]\nweight = -1"), "-1", "not 0 to", "whole number");
    let text = good_after("[defaults.service]\nscheduler = \"wlcc\"");
    refuses(&text, "\"wlcc\"", "unknown scheduler", "wlc");
    refuses("[defaults.postgres]\nrise = 0\n", "0", "0 is not 1 to 100", "whole number");
    refuses("[defaults.postgres]\npulse = \"1s\"\n", "\"1s\"", "less than two pulses", "2s");
}

#[test]
fn settings_that_nothing_uses_are_said() {
    let text = good_with("probe = \"none\"", "probe = \"none\"\npostgres = { rise = 1 }");
    warns(&text, "{", "has no effect", "");
}

#[test]
fn durations_have_a_unit_and_a_range() {
    for (key, good, bad) in [
        ("pulse", ["5ms", "0.1s", "150ms"], ["4ms", "5001ms", "0s"]),
        ("suspect_after", ["200ms", "1s", "1400ms"], ["9ms", "61s", "1h"]),
        ("lost_after", ["301ms", "1m", "5m"], ["9ms", "301s", "1day"]),
        ("admission", ["100ms", "60s", "1m"], ["99ms", "61s", "1h"]),
    ] {
        for value in good {
            accepted(&good_with("pulse = \"100ms\"", &format!("{key} = \"{value}\"")));
        }
        for value in bad {
            let text = good_with("pulse = \"100ms\"", &format!("{key} = \"{value}\""));
            refuses(&text, &format!("\"{value}\""), "is not", "default");
        }
    }
    for (value, title, help) in [
        ("100", "a bare number, not a duration", "\"100ms\" or \"100s\""),
        ("1.5", "a fraction, not a duration", "\"100ms\""),
        ("true", "true or false, not a duration", "\"100ms\""),
        ("[]", "a list, not a duration", "\"100ms\""),
        ("{}", "a table or a date, not a duration", "\"100ms\""),
        ("\"soon\"", "\"soon\" is not a duration", "\"250ms\""),
        ("\"-1s\"", "\"-1s\" is not a duration", "\"250ms\""),
        ("\"100\"", "\"100\" is not a duration", "\"250ms\""),
        ("\"\"", "\"\" is not a duration", "\"250ms\""),
        ("\"99999999999999999999s\"", "is not a duration", "\"250ms\""),
    ] {
        refuses(&good_with("pulse = \"100ms\"", &format!("pulse = {value}")), value, title, help);
    }
    refuses("[director]\nfreeze_timeout = \"11m\"\n", "\"11m\"", "not 1s to 10m", "default 10s");
    refuses(
        &good_after("[defaults.service]\ndrain_timeout = \"25h\""),
        "\"25h\"",
        "not 0s to 1day",
        "default 5m",
    );
}

#[test]
fn suspicion_takes_two_pulses_and_loss_comes_after_suspicion() {
    let with = |text: &str| good_with("pulse = \"100ms\"", text);
    accepted(&with("pulse = \"150ms\""));
    refuses(&with("pulse = \"151ms\""), "\"151ms\"", "less than two pulses of 151ms", "302ms");
    let text = with("pulse = \"1s\"\nsuspect_after = \"1999ms\"\nlost_after = \"10s\"");
    refuses(&text, "\"1999ms\"", "less than two pulses of 1s", "2s");
    refuses(
        &with("lost_after = \"300ms\""),
        "\"300ms\"",
        "not longer than suspect_after",
        "suspected before",
    );
    refuses(
        &with("suspect_after = \"1500ms\""),
        "\"1500ms\"",
        "not longer than suspect_after",
        "suspected before",
    );
}

#[test]
fn the_probes_other_settings_have_ranges() {
    let with = |text: &str| good_with("pulse = \"100ms\"", text);
    accepted(&with("rise = 100\nuser = \"a b\"\ndbname = \"ä\"\nsslmode = \"disable\""));
    refuses(&with("rise = 0"), "0", "0 is not 1 to 100", "whole number");
    refuses(&with("rise = 101"), "101", "101 is not 1 to 100", "whole number");
    refuses(&with("user = \"\""), "\"\"", "not 1 to 63 bytes", "1 to 63");
    refuses(
        &with(&format!("dbname = \"{}\"", "x".repeat(64))),
        "\"xx",
        "not 1 to 63 bytes",
        "1 to 63",
    );
    refuses(&with("user = \"a\\u0000b\""), "\"a", "control characters", "one line");
    refuses(&with("user = 5"), "5", "a bare number, not a text", "\"5\"");
    refuses(&with("sslmode = \"allow\""), "\"allow\"", "unknown sslmode", "\"prefer\"?");
}

#[test]
fn a_source_is_an_address_of_the_servers_family() {
    let with = |value: &str| good_with("pulse = \"100ms\"", &format!("source = \"{value}\""));
    let source = postgres(&accepted(&with("10.8.0.1"))).source;
    assert_eq!(source, Some("10.8.0.1".parse::<IpAddr>().unwrap()));
    refuses(&with("2001:db8::1"), "\"2001:db8::1\"", "cannot be probed from", "each family");
    refuses(&with("10.8.0.1:0"), "\"10.8.0.1:0\"", "not an IP address", "without a port");
    refuses(&with("eth0"), "\"eth0\"", "not an IP address", "without a port");
    refuses(&with("0.0.0.0"), "\"0.0.0.0\"", "unspecified", "one host");
}

#[test]
fn a_password_file_is_beside_the_file_that_names_it() {
    let with =
        |value: &str| good_with("pulse = \"100ms\"", &format!("password_file = \"{value}\""));
    let checked =
        pgvs::config::sources::check_text("/etc/pgvs/pgvs.toml", &with("orders.pass")).unwrap();
    assert_eq!(
        postgres(&checked.config).password_file.as_deref(),
        Some(Path::new("/etc/pgvs/orders.pass"))
    );
    let checked =
        pgvs::config::sources::check_text("/etc/pgvs/pgvs.toml", &with("/run/p")).unwrap();
    assert_eq!(postgres(&checked.config).password_file.as_deref(), Some(Path::new("/run/p")));
    refuses(&with("~/.pgpass"), "\"~/.pgpass\"", "no home", "whole path");
    refuses(&with(""), "\"\"", "an empty path", "leave the key out");
}

#[test]
fn paths_of_the_director_are_absolute_and_fit_the_kernel() {
    refuses(
        "[director]\nstate_dir = \"var\"\n",
        "\"var\"",
        "not an absolute path",
        "/var/lib/pgvs",
    );
    refuses(
        "[director]\ncontrol_socket = \"\"\n",
        "\"\"",
        "not an absolute path",
        "/run/pgvs/pgvs.sock",
    );
    let longest = format!("/{}", "s".repeat(106));
    accepted(&good_after(&format!("[director]\ncontrol_socket = \"{longest}\"")));
    refuses(
        &format!("[director]\ncontrol_socket = \"{longest}s\"\n"),
        "\"/sss",
        "108 bytes",
        "107",
    );
}

#[test]
fn the_directors_words_are_known() {
    let config =
        accepted(&good_after("[director]\non_stop = \"quiesce\"\n[kernel]\nmanage = false\n"));
    assert_eq!((config.director.on_stop, config.kernel.manage), (OnStop::Quiesce, false));
    refuses("[director]\non_stop = \"flush\"\n", "\"flush\"", "unknown on_stop", "\"remove\"?");
    refuses(
        "[kernel]\nmanage = \"yes\"\n",
        "\"yes\"",
        "a text, not true or false",
        "without quotes",
    );
    refuses("[director]\nname = \"lb 1\"\n", "\"lb 1\"", "a name holds ' '", "letters");
    assert_eq!(findings("[kernel]\nmanage = 1\n").len(), 1);
}
