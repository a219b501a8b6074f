//! What cannot be read at all: syntax, unknown keys, and the words of other programs.

use pgvs::config::sources::check_text;

use super::{findings, refuses};

#[test]
fn an_unknown_key_is_answered_with_the_nearest_one() {
    for (text, underlined, help) in [
        ("[director]\nstat_dir = \"/x\"\n", "stat_dir", "did you mean `state_dir`?"),
        ("[[service]]\nschedular = \"wlc\"\n", "schedular", "did you mean `scheduler`?"),
        ("[pool]\n", "[pool]", "[[pool]]"),
        ("[[pool]]\nzzz = 1\n", "zzz", "known here: name, probe, alpha, postgres, server"),
        ("[kernal]\nmanage = true\n", "kernal", "did you mean `kernel`?"),
    ] {
        refuses(text, underlined, "", help);
    }
}

#[test]
fn a_key_of_another_table_is_told_where_it_belongs() {
    for (text, underlined, help) in [
        ("[[pool]]\npulse = \"100ms\"\n", "pulse", "`pulse` belongs to [pool.postgres]"),
        ("[director]\nmanage = true\n", "manage", "`manage` belongs to [kernel]"),
        ("[[pool]]\nscheduler = \"wlc\"\n", "scheduler", "[defaults.service] or [[service]]"),
    ] {
        refuses(text, underlined, "unknown key", help);
    }
}

#[test]
fn every_unknown_key_of_a_file_is_told_at_once() {
    let text = "[director]\nnmae = 1\n[[pool]]\nprobee = 1\n[pool.postgres]\nusr = 1\n[[pool.server]]\nwieght = 1\n\
                [defaults.postgres]\npulze = 1\n[unheard]\nof = 1\n";
    let titles: Vec<String> = findings(text).into_iter().map(|finding| finding.title).collect();
    let keys = ["nmae", "probee", "usr", "wieght", "pulze", "unheard"];
    assert_eq!(titles, keys.map(|key| format!("unknown key `{key}`")));
}

#[test]
fn words_of_keepalived_and_haproxy_know_where_they_went() {
    for word in [
        "virtual_server",
        "virtual_ipaddress",
        "real_server",
        "lb_algo",
        "lb_kind",
        "delay_loop",
        "persistence_granularity",
        "vrrp_instance",
        "backend",
        "frontend",
        "listen",
        "server-template",
        "balance",
        "algorithm",
        "nat",
        "NAT",
        "default-server",
        "lvs_sched",
        "TCP_CHECK",
    ] {
        for text in
            [format!("{word} = 1\n"), format!("[{word}]\n"), format!("[[service]]\n{word} = 1\n")]
        {
            let findings = findings(&text);
            let help = findings[0].help.as_deref().unwrap_or_default();
            assert_eq!(findings[0].title, format!("unknown key `{word}`"));
            let here = ["[[service]]", "[[pool", "[pool", "[director]", "[defaults", "yet"];
            assert!(here.iter().any(|here| help.contains(here)), "{word}: {help}");
        }
    }
}

#[test]
fn a_line_in_another_programs_syntax_is_recognised() {
    for (text, help) in [
        ("virtual_server 10.0.0.1 5432 {\n  lb_algo wlc\n}\n", "[[service]]"),
        ("\n\nbackend orders\n  balance leastconn\n", "[[pool]]"),
        ("[director]\n  real_server 10.0.0.2 5432 {\n", "[[pool.server]]"),
    ] {
        let findings = findings(text);
        assert_eq!(findings[0].title, "this is not TOML");
        assert!(findings[0].help.as_deref().unwrap().contains(help));
    }
}

#[test]
fn keys_of_the_design_that_are_not_built_are_refused_as_such() {
    for (table, keys) in [
        ("[director]", &["http"][..]),
        ("", &["vrrp", "discovery", "bgp"]),
        ("[[pool]]", &["tcp", "http", "exec", "authority", "system_identifier", "two_primaries"]),
        ("[[pool]]\n[pool.postgres]", &["metrics", "sslrootcert"]),
        ("[[service]]", &["max_lag", "max_lag_bytes", "on_lag", "read_only_primary", "fallback"]),
    ] {
        for key in keys {
            let text = format!("{table}\n{key} = 1\n");
            refuses(&text, key, &format!("`{key}` is not built yet"), "never ignored");
        }
    }
}

#[test]
fn a_value_without_quotes_is_shown_with_quotes() {
    refuses("[director]\non_stop = leave\n", "leave", "not in quotes", "write \"leave\"");
    refuses(
        "[[pool]]\n[pool.postgres]\npulse = 100ms\n",
        "100ms",
        "not in quotes",
        "write \"100ms\"",
    );
    refuses("[director]\nname =\n", "", "not in quotes", "give the key a value");
}

#[test]
fn tables_are_tables_and_lists_are_lists() {
    refuses("[pool.postgres]\nuser = \"x\"\n", "pool", "takes two brackets", "[[pool]]");
    refuses("[[pool.server]]\nname = \"x\"\n", "pool", "takes two brackets", "[[pool]]");
    refuses("include = \"conf.d/*.toml\"\n", "\"conf.d", "", "in brackets");
    refuses("pool = 1\n", "1", "", "in brackets");
    refuses("director = 3\n", "3", "expected a table", "");
    // A list of values must not be taken for a table without its keys.
    refuses("director = [\"lb1\", \"/var/lib/pgvs\"]\n", "[", "expected a table", "");
    refuses("[[director]]\nname = \"lb1\"\n", "[[director]]", "expected a table", "");
    refuses("pool = [[\"orders\"]]\n", "[\"orders\"]", "expected a table", "");
}

#[test]
fn a_key_or_a_table_twice_is_refused() {
    refuses("[director]\nname = \"a\"\nname = \"b\"\n", "name", "duplicate key", "keep one");
    refuses("[director]\n[director]\n", "director", "duplicate key", "keep one");
}

#[test]
fn deep_nesting_ends_in_one_error() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("{} = 1", vec!["a"; 100_000].join(".")),
        format!("[{}]", vec!["a"; 100_000].join(".")),
        format!("[director]\nname = {}", "[".repeat(100_000)),
    ] {
        assert_eq!(check_text("t.toml", &text).unwrap_err().0.errors, 1);
    }
}

#[test]
fn control_characters_are_refused_and_not_shown_as_they_are() {
    for text in [
        "a\0b = 1\n",
        "\u{1b}[2J = 1\n",
        "name = \"\u{1b}[31m\"\n",
        "[director]\nname = \"\\u001b[31m\"\n",
        "x\u{202e}y = 1",
    ] {
        let error = check_text("t\u{1b}.toml", text).unwrap_err();
        let shown = format!("{error}{}", error.line());
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        assert!(!shown.contains('\u{202e}'), "{shown:?}");
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let text = format!("\u{feff}{}", super::GOOD.replace('\n', "\r\n"));
    assert_eq!(super::accepted(&text), super::accepted(super::GOOD));
    refuses(
        &super::good_with("\"wrr\"", "\"wrrr\"").replace('\n', "\r\n"),
        "\"wrrr\"",
        "unknown scheduler",
        "",
    );
}
