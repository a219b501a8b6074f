//! What pools and services may be: each rule with a configuration that breaks nothing else.

use pgvs::config::finding::Severity;

use super::{GOOD, accepted, findings, good_after, good_with, refuses, warns};

#[test]
fn the_good_configuration_has_no_findings() {
    let config = accepted(GOOD);
    assert_eq!((config.pools.len(), config.services.len()), (2, 2));
}

#[test]
fn names_hold_letters_digits_dot_underscore_and_dash() {
    for name in ["a", "PG-1", "9", "db.example.com", "a_b-c.d", &"x".repeat(64)] {
        accepted(&good_with("name = \"pg1\"", &format!("name = \"{name}\"")));
    }
    for (name, title) in [
        ("", "empty"),
        ("pg/1", "'/'"),
        ("pg 1", "' '"),
        ("ä", "'ä'"),
        ("-pg1", "begins with '-'"),
        (".pg1", "begins with '.'"),
        (&*"x".repeat(65), "65 characters"),
    ] {
        let value = format!("\"{name}\"");
        refuses(&good_with("\"pg1\"", &value), &value, title, "at most 64");
        refuses(&good_with("\"rw\"", &value), &value, title, "at most 64");
    }
}

#[test]
fn what_needs_a_name_says_so_at_its_header() {
    refuses(
        &good_with("name = \"pg1\"\n", ""),
        "[[pool.server]]",
        "a server without a name",
        "name =",
    );
    refuses(&good_with("name = \"rw\"\n", ""), "[[service]]", "a service without a name", "name =");
    let unnamed = "[[pool]]\n[[pool.server]]\nname='x'\naddress='10.0.0.1:1'\n";
    refuses(unnamed, "[[pool]]", "a pool without a name", "name =");
}

#[test]
fn two_of_one_name_are_both_shown() {
    refuses(
        &good_with("\"pg2\"", "\"pg1\""),
        "\"pg1\"",
        "servers of the pool are named \"pg1\"",
        "rename",
    );
    refuses(&good_with("\"web\"", "\"rw\""), "\"rw\"", "two services are named \"rw\"", "rename");
    let text = good_with("name = \"plain\"", "name = \"orders\"")
        .replace("pool = \"plain\"", "pool = \"orders\"\ntarget=\"any\"");
    refuses(&text, "\"orders\"", "two pools are named \"orders\"", "rename");
    assert_eq!(findings(&text)[0].marks.iter().map(|mark| mark.line).collect::<Vec<_>>(), [18, 6]);
}

#[test]
fn servers_of_two_pools_may_share_a_name_and_an_address() {
    accepted(&good_with(
        "name = \"a\"\naddress = \"10.8.0.21:80\"",
        "name = \"pg1\"\naddress = \"10.8.0.11:5432\"",
    ));
}

#[test]
fn an_address_is_needed() {
    refuses(
        &good_with("address = \"10.8.0.11:5432\"\n", ""),
        "[[pool.server]]",
        "a server without an address",
        "address =",
    );
    refuses(
        &good_with("address = \"10.9.0.100:5432\"\n", ""),
        "[[service]]",
        "a service without an address",
        "address =",
    );
}

#[test]
fn addresses_of_no_single_host_are_refused_for_servers_and_services() {
    for (address, title, help) in [
        ("pg1.example.com:5432", "host name", "an IP address and a port"),
        ("10.9.0.9", "lacks a port", "10.9.0.9:5432"),
        ("10.9.0.9:0", "0 is not a port", "5432"),
        ("169.254.0.9:5432", "link-local", "one host"),
        ("239.1.2.3:5432", "multicast", "one host"),
        ("0.0.0.0:5432", "unspecified", "one host"),
        ("255.255.255.255:5432", "broadcast", "one host"),
        ("[fe80::1]:5432", "link-local", "one host"),
        ("[ff02::1]:5432", "multicast", "one host"),
        ("[::]:5432", "unspecified", "one host"),
    ] {
        let value = format!("\"{address}\"");
        refuses(&good_with("\"10.8.0.11:5432\"", &value), &value, title, help);
        refuses(&good_with("\"10.9.0.100:5432\"", &value), &value, title, help);
    }
}

#[test]
fn two_at_one_address_are_refused() {
    let text = good_with("\"10.8.0.12:5432\"", "\"10.8.0.11:5432\"");
    refuses(&text, "\"10.8.0.11:5432\"", "two servers of the pool are at 10.8.0.11:5432", "remove");
    let text = good_with("\"10.9.0.101:80\"", "\"10.9.0.100:5432\"");
    refuses(&text, "\"10.9.0.100:5432\"", "two services are at 10.9.0.100:5432", "of its own");
}

#[test]
fn two_ways_to_write_one_address_are_one_address() {
    let v6 = good_with("\"10.8.0.21:80\"", "\"[2001:db8::1]:80\"")
        .replace("\"10.8.0.22:80\"", "\"[2001:DB8:0:0::1]:80\"")
        .replace("\"10.9.0.101:80\"", "\"[2001:db8::9]:80\"");
    refuses(&v6, "\"[2001:DB8", "two servers of the pool are at [2001:db8::1]:80", "remove");
}

#[test]
fn a_server_at_a_services_address_is_refused() {
    let text = good_with("\"10.9.0.100:5432\"", "\"10.8.0.21:80\"");
    refuses(&text, "\"10.8.0.21:80\"", "both a service and a server", "no server has");
    assert_eq!(findings(&text)[0].marks.len(), 2);
}

#[test]
fn an_unknown_pool_is_refused_with_the_nearest_name() {
    refuses(
        &good_with("pool = \"plain\"", "pool = \"plian\""),
        "\"plian\"",
        "no pool is named",
        "\"plain\"?",
    );
    refuses(
        &good_with("pool = \"plain\"", "pool = \"x\""),
        "\"x\"",
        "no pool is named",
        "[[pool]]",
    );
    refuses(&good_with("pool = \"plain\"\n", ""), "[[service]]", "without a pool", "pool =");
}

#[test]
fn an_empty_pool_is_refused() {
    refuses("[[pool]]\nname = \"p\"\n", "[[pool]]", "without servers", "[[pool.server]]");
}

#[test]
fn an_unknown_scheduler_is_refused_with_the_nearest_one() {
    for (word, help) in
        [("wlcc", "\"wlc\"?"), ("leastconn", "\"wlc\"?"), ("RoundRobin", "\"wrr\"?")]
    {
        let value = format!("\"{word}\"");
        refuses(&good_with("\"wrr\"", &value), &value, "unknown scheduler", help);
    }
}

#[test]
fn every_scheduler_of_the_kernel_is_accepted() {
    for name in [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh",
        "twos",
    ] {
        let text = good_with("\"wrr\"", &format!("\"{name}\""));
        assert!(
            findings(&text).iter().all(|finding| finding.severity == Severity::Warning),
            "{name}"
        );
    }
}

#[test]
fn a_weight_is_what_the_kernel_takes() {
    for weight in ["0", "1", "2147483647", "1_000"] {
        accepted(&good_with("weight = 100", &format!("weight = {weight}")));
    }
    for weight in
        ["-1", "2147483648", "9223372036854775808", "340282366920938463463374607431768211455"]
    {
        refuses(
            &good_with("weight = 100", &format!("weight = {weight}")),
            weight,
            "not 0 to 2147483647",
            "whole number",
        );
    }
    refuses(
        &good_with("weight = 100", "weight = \"7\""),
        "\"7\"",
        "not a number",
        "without quotes: 7",
    );
    refuses(
        &good_with("weight = 100", "weight = 1.5"),
        "1.5",
        "a fraction, not a number",
        "whole number",
    );
}

#[test]
fn masquerading_and_routing_keep_the_address_family() {
    let text = good_with("\"10.8.0.22:80\"", "\"[2001:db8::22]:80\"");
    refuses(&text, "\"10.9.0.101:80\"", "other address family", "of each family");
    let routed = text.replace("scheduler = \"wrr\"", "forwarding = \"dr\"");
    refuses(&routed, "\"10.9.0.101:80\"", "other address family", "of each family");
    accepted(&text.replace("scheduler = \"wrr\"", "forwarding = \"tun\""));
}

#[test]
fn only_masquerading_changes_the_port() {
    let text = good_with("\"10.8.0.22:80\"", "\"10.8.0.22:8080\"");
    accepted(&text);
    for forwarding in ["dr", "tun"] {
        let text = text.replace("scheduler = \"wrr\"", &format!("forwarding = \"{forwarding}\""));
        refuses(&text, "\"10.9.0.101:80\"", "80 cannot become 8080", "masq");
    }
}

#[test]
fn a_target_needs_a_probe_that_knows_roles() {
    for target in ["primary", "standby", "prefer-standby"] {
        let text =
            good_with("pool = \"plain\"", &format!("pool = \"plain\"\ntarget = \"{target}\""));
        refuses(&text, &format!("\"{target}\""), "needs roles", "\"any\"");
    }
    accepted(&good_with("pool = \"plain\"", "pool = \"plain\"\ntarget = \"any\""));
}

#[test]
fn a_probed_service_says_who_may_serve() {
    refuses(
        &good_with("target = \"primary\"\n", ""),
        "[[service]]",
        "without a target",
        "prefer-standby",
    );
    accepted(&good_with("target = \"primary\"\n", "target = \"any\"\n"));
}

#[test]
fn words_of_other_programs_find_ours() {
    for (old, new, title, help) in [
        ("target = \"primary\"", "target = \"read-write\"", "target", "\"primary\"?"),
        ("target = \"primary\"", "target = \"Replica\"", "target", "\"standby\"?"),
        ("scheduler = \"wrr\"", "forwarding = \"NAT\"", "forwarding", "\"masq\"?"),
        ("scheduler = \"wrr\"", "forwarding = \"gatewaying\"", "forwarding", "\"dr\"?"),
        ("scheduler = \"wrr\"", "on_down = \"shutdown-sessions\"", "on_down", "\"cut\"?"),
        ("probe = \"none\"", "probe = \"pgsql-check\"", "probe", "\"postgres\"?"),
    ] {
        let value = new.split(" = ").nth(1).unwrap();
        refuses(&good_with(old, new), value, &format!("unknown {title}"), help);
    }
}

#[test]
fn words_of_the_design_that_are_not_built_are_refused_as_such() {
    for (old, new) in [
        ("probe = \"none\"", "probe = \"tcp\""),
        ("probe = \"none\"", "probe = \"http\""),
        ("probe = \"none\"", "probe = \"exec\""),
        ("scheduler = \"wrr\"", "on_down = \"drain\""),
        ("pulse = \"100ms\"", "sslmode = \"verify-ca\""),
        ("pulse = \"100ms\"", "sslmode = \"verify-full\""),
    ] {
        let value = new.split(" = ").nth(1).unwrap();
        refuses(&good_with(old, new), value, "is not built yet", "one of: ");
    }
}

#[test]
fn a_scheduler_that_ignores_weights_is_said_where_weights_differ() {
    for (scheduler, better) in [("rr", "wrr"), ("lc", "wlc")] {
        let text = good_with("\"wrr\"", &format!("\"{scheduler}\""));
        accepted(&text);
        let text =
            text.replace("address = \"10.8.0.22:80\"", "address = \"10.8.0.22:80\"\nweight = 50");
        warns(&text, &format!("\"{scheduler}\""), "ignores weights", &format!("write {better}"));
        // Weight 0 is heeded by every scheduler.
        accepted(&text.replace("weight = 50", "weight = 0"));
    }
}

#[test]
fn a_writers_scheduler_is_of_no_concern() {
    let text = good_with("weight = 100", "weight = 50")
        .replace("target = \"primary\"", "target = \"primary\"\nscheduler = \"rr\"");
    accepted(&text);
}

#[test]
fn schedulers_for_caches_are_said_to_be_that() {
    for scheduler in ["dh", "lblc", "lblcr"] {
        let value = format!("\"{scheduler}\"");
        warns(&good_with("\"wrr\"", &value), &value, "address that clients ask for", "wlc");
    }
}

#[test]
fn a_pool_of_one_and_a_pool_of_none_are_said() {
    let text = good_with("[[pool.server]]\nname = \"b\"\naddress = \"10.8.0.22:80\"\n", "");
    warns(&text, "\"10.8.0.21:80\"", "pool plain has one server", "");
    let text = good_after("[defaults.server]\nweight = 0").replace("weight = 100", "weight = 1");
    warns(&text, "[[pool]]", "every server of pool plain has weight 0", "");
}

#[test]
fn a_pool_that_nothing_uses_is_said() {
    let text = good_with("pool = \"plain\"", "pool = \"orders\"\ntarget = \"any\"");
    warns(&text, "\"plain\"", "pool plain is used by no service", "");
}

#[test]
fn a_configuration_without_services_is_accepted_with_a_warning() {
    for text in ["", "\n", "# nothing\n", "[director]\nname = \"lb1\"\n"] {
        warns(text, "", "no services", "config/pgvs.toml");
    }
}

#[test]
fn all_errors_are_found_at_once() {
    let text = GOOD
        .replace("10.8.0.11:5432", "pg1:5432")
        .replace("\"wrr\"", "\"wrrr\"")
        .replace("\"primary\"", "\"master\"")
        .replace("pulse = \"100ms\"", "pulse = 100")
        .replace("\"lb1\"", "\"lb/1\"");
    let lines: Vec<usize> = findings(&text).iter().map(|finding| finding.marks[0].line).collect();
    assert_eq!(lines, [3, 8, 11, 31, 37]);
}
