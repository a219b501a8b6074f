//! Every attribute of services and destinations: what it becomes, and which combinations are refused in words.

use std::collections::BTreeSet;
use std::path::Path;

use pgvs::config::Config;
use pgvs::config::outside::HostView;
use pgvs::config::sources::Sources;
use pgvs::model::destination::{Destination, Forwarding, Thresholds, Tunnel, Weight};
use pgvs::model::service::{Family, Netmask, Protocol, ServiceFlags, ServiceKey};

use super::{accepted, findings, refuses, warns};

/// A pool of two servers that are not probed, and one service with these lines in place of its address.
fn with(service: &str) -> String {
    with_servers("address = \"10.8.0.21:53\"", "address = \"10.8.0.22:53\"", service)
}

fn with_servers(one: &str, other: &str, service: &str) -> String {
    format!(
        "[[pool]]\nname = \"p\"\nprobe = \"none\"\n[[pool.server]]\nname = \"a\"\n{one}\n\
         [[pool.server]]\nname = \"b\"\n{other}\n[[service]]\nname = \"s\"\npool = \"p\"\n{service}\n"
    )
}

const ADDRESS: &str = "address = \"10.9.0.9:53\"\n";

/// A service at an address, with these lines.
fn at_address(lines: &str) -> String {
    with(&format!("{ADDRESS}{lines}"))
}

fn keys(config: &Config) -> Vec<String> {
    config.services.iter().map(|service| service.key.to_string()).collect()
}

/// What the kernel would be told of the servers of the first service.
fn told(config: &Config) -> Vec<(String, Destination)> {
    let service = &config.services[0];
    let servers = &config.pool(&service.pool).unwrap().servers;
    let told = servers.iter().map(|server| {
        let to = service.destination_key(server.address, server.delivery);
        let destination = service.destination(server.delivery, server.thresholds, server.weight);
        (to.to_string(), destination)
    });
    told.collect()
}

#[test]
fn a_service_is_of_any_protocol() {
    for (word, protocol) in
        [("tcp", Protocol::TCP), ("udp", Protocol::UDP), ("sctp", Protocol::SCTP)]
    {
        let config = accepted(&at_address(&format!("protocol = \"{word}\"")));
        let ServiceKey::Address { protocol: seen, .. } = config.services[0].key else {
            panic!("an address")
        };
        assert_eq!(seen, protocol);
    }
    refuses(&at_address("protocol = \"icmp\""), "\"icmp\"", "unknown protocol", "tcp, udp, sctp");
    // The same address may be had once by each protocol.
    accepted(&format!(
        "{}[[service]]\nname = \"t\"\npool = \"p\"\nprotocol = \"udp\"\n{ADDRESS}",
        at_address("")
    ));
}

#[test]
fn a_service_has_several_addresses_and_ranges() {
    let text = with(
        "address = [\"10.9.0.9:53\", \"10.9.1.254-255:53\", \"[2001:db8::f-10]:53\"]\nforwarding = \"tun\"\nprotocol = \"udp\"",
    );
    let config = accepted(&text);
    assert_eq!(
        keys(&config),
        [
            "UDP 10.9.0.9:53",
            "UDP 10.9.1.254:53",
            "UDP 10.9.1.255:53",
            "UDP [2001:db8::f]:53",
            "UDP [2001:db8::10]:53"
        ]
    );
    assert!(config.services.iter().all(|service| &*service.name == "s" && service.shares_name));
    assert_eq!(config.services[1].label(), "s (UDP 10.9.1.254:53)");
    assert_eq!(config.services[4].service.netmask, Netmask::V6(128));
    assert_eq!(accepted(&at_address("")).services[0].label(), "s");
}

#[test]
fn an_odd_range_is_answered_with_a_good_one() {
    for (value, title, help) in [
        ("10.9.0.9-8:53", "ends before it begins", "10.9.0.100-110:5432"),
        ("10.9.0.9-10.9.0.10:53", "its last part alone", "10.9.0.100-110:5432"),
        ("10.9.0.9-300:53", "not an IP address and a port", "10.8.0.11:5432"),
        ("10.9.0.9-12", "not an IP address and a port", "10.8.0.11:5432"),
        ("223.255.255.1-2", "", ""),
        ("0.0.0.0-3:53", "unspecified", "one host"),
        ("255.255.255.250-255:53", "broadcast", "one host"),
    ] {
        let value = format!("\"{value}\"");
        refuses(&with(&format!("address = {value}")), &value, title, help);
    }
    refuses(&with("address = []"), "[[service]]", "without an address", "address =");
    refuses(&with("address = [5]"), "5", "a bare number, not a text", "\"5\"");
    let many = "address = \"[2001:db8::0-ffff]:53\"\nforwarding = \"tun\"";
    refuses(&with(many), "\"[2001", "more than 4096 addresses", "fwmark");
}

#[test]
fn an_address_is_had_once_by_lists_and_ranges_too() {
    let twice = with("address = [\"10.9.0.9:53\", \"10.9.0.9:53\"]");
    refuses(&twice, "\"10.9.0.9:53\"", "two services are at 10.9.0.9:53", "of its own");
    let overlapping = with("address = [\"10.9.0.9:53\", \"10.9.0.1-20:53\"]");
    refuses(&overlapping, "\"10.9.0.1-20:53\"", "two services are at 10.9.0.9:53", "of its own");
    let server = with("address = \"10.8.0.1-30:53\"");
    refuses(&server, "\"10.8.0.1-30:53\"", "10.8.0.21:53 is both", "no server has");
}

#[test]
fn a_firewall_mark_stands_instead_of_an_address() {
    let config = accepted(&with("fwmark = 7"));
    assert_eq!(config.services[0].key, ServiceKey::FwMark { family: Family::V4, mark: 7 });
    let text = with("fwmark = [1, 4294967295]\nfamily = \"ipv6\"\nforwarding = \"tun\"");
    assert_eq!(keys(&accepted(&text)), ["FWM 1 IPv6", "FWM 4294967295 IPv6"]);
    refuses(&with("fwmark = 0"), "0", "0 is not 1 to 4294967295", "whole number");
    refuses(&with("fwmark = \"7\""), "\"7\"", "not a number", "without quotes");
    refuses(&at_address("fwmark = 7"), "\"10.9.0.9:53\"", "beside an address", "leave it out");
    let text = with("fwmark = 7\nprotocol = \"udp\"");
    refuses(&text, "\"udp\"", "beside a protocol", "leave it out");
    refuses(&at_address("family = \"ipv4\""), "\"ipv4\"", "for firewall marks", "leave it out");
    refuses(&with("fwmark = [7, 7]"), "7", "two services have the firewall mark 7", "of its own");
    // The default protocol is no word of the service.
    accepted(&format!("[defaults.service]\nprotocol = \"udp\"\n{}", with("fwmark = 7")));
}

#[test]
fn a_destination_has_the_port_that_packets_will_have() {
    let masq = |address: &str, lines: &str| {
        let text = with_servers(
            &format!("address = \"{address}\""),
            "address = \"10.8.0.22:0\"\nweight = 1",
            lines,
        );
        let told = told(&accepted(&text));
        (told[0].0.clone(), told[1].0.clone())
    };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    // Masquerading changes the port to the server's; port 0 keeps the client's.
    assert_eq!(masq("10.8.0.21:8053", ADDRESS), pair("10.8.0.21:8053", "10.8.0.22:53"));
    let text = "fwmark = 7";
    assert_eq!(masq("10.8.0.21:8053", text), pair("10.8.0.21:8053", "10.8.0.22:0"));
    // Nothing else changes it.
    let text = "fwmark = 7\nforwarding = \"dr\"";
    assert_eq!(masq("10.8.0.21:8053", text), pair("10.8.0.21:8053", "10.8.0.22:0"));
    let text = format!("{ADDRESS}forwarding = \"dr\"");
    assert_eq!(masq("10.8.0.21:53", &text), pair("10.8.0.21:53", "10.8.0.22:53"));
    // A service for all ports.
    let text = "address = \"10.9.0.9:0\"\npersistence_timeout = \"5m\"";
    assert_eq!(masq("10.8.0.21:53", text), pair("10.8.0.21:0", "10.8.0.22:0"));
}

#[test]
fn all_ports_need_persistence() {
    let text = with("address = \"10.9.0.9:0\"");
    refuses(&text, "\"10.9.0.9:0\"", "0 is not a port", "persistence_timeout = \"5m\"");
    accepted(&with("address = \"10.9.0.9:0\"\npersistence_timeout = \"5m\"\nforwarding = \"dr\""));
}

#[test]
fn servers_that_only_differ_in_the_port_need_a_service_that_tells_them_apart() {
    let text = |service: &str| {
        with_servers("address = \"10.8.0.21:53\"", "address = \"10.8.0.21:54\"", service)
    };
    accepted(&text(ADDRESS));
    accepted(&text("fwmark = 7"));
    for service in [
        "address = \"10.9.0.9:0\"\npersistence_timeout = \"5m\"",
        "fwmark = 7\nforwarding = \"dr\"",
        "fwmark = 7\nforwarding = \"tun\"",
    ] {
        let value = service.split([' ', '\n']).nth(2).unwrap();
        refuses(
            &text(service),
            value,
            "tells servers apart by address only",
            "without one of them",
        );
    }
    let text = with_servers("address = \"10.8.0.21:53\"", "address = \"10.8.0.21:0\"", ADDRESS);
    refuses(&text, "\"10.8.0.21:0\"", "two servers of the pool", "remove one");
}

#[test]
fn persistence_has_a_time_a_netmask_and_an_engine() {
    let config = accepted(&at_address("persistence_timeout = \"1h\"\npersistence_netmask = 24"));
    let service = &config.services[0].service;
    assert_eq!((service.timeout, service.flags), (3600, ServiceFlags::PERSISTENT));
    assert_eq!(service.netmask, Netmask::V4("255.255.255.0".parse().unwrap()));
    let config = accepted(&at_address(
        "persistence_timeout = \"31days\"\npersistence_netmask = \"255.255.0.0\"",
    ));
    assert_eq!(config.services[0].service.timeout, 2_678_400);
    assert_eq!(config.services[0].service.netmask, Netmask::V4("255.255.0.0".parse().unwrap()));
    let text = with(
        "address = \"[2001:db8::9]:53\"\nforwarding = \"tun\"\npersistence_timeout = \"1s\"\npersistence_netmask = 64",
    );
    assert_eq!(accepted(&text).services[0].service.netmask, Netmask::V6(64));
    let text = at_address("protocol = \"udp\"\npersistence_timeout = \"5m\"\npe = \"sip\"");
    assert_eq!(accepted(&text).services[0].service.persistence_engine.as_deref(), Some("sip"));
    accepted(&with("fwmark = 7\npersistence_timeout = \"5m\"\npe = \"sip\""));
    // None at all.
    let config = accepted(&at_address("persistence_timeout = \"0s\""));
    assert_eq!(config.services[0].service.flags, ServiceFlags::default());
}

#[test]
fn odd_persistence_is_refused() {
    let persistent = "persistence_timeout = \"5m\"\n";
    let udp = "protocol = \"udp\"\n";
    for (lines, underlined, title, help) in [
        ("persistence_timeout = \"32days\"", "\"32days\"", "is not 0s to 1month", "write 0s"),
        ("persistence_timeout = \"1500ms\"", "\"1500ms\"", "whole seconds", "1s to 31days"),
        ("persistence_netmask = 24", "24", "without persistence", "persistence_timeout"),
        (
            "pe = \"sip\"\nprotocol = \"udp\"",
            "\"sip\"",
            "without persistence",
            "persistence_timeout",
        ),
        (&format!("{persistent}pe = \"sip\""), "\"sip\"", "reads UDP only", "\"udp\""),
        (&format!("{persistent}{udp}pe = \"sipp\""), "\"sipp\"", "unknown", "\"sip\""),
        (&format!("{persistent}persistence_netmask = 0"), "0", "not 1 to 128", "whole"),
        (&format!("{persistent}persistence_netmask = 129"), "129", "not 1 to 128", "whole"),
        (&format!("{persistent}persistence_netmask = 64"), "64", "more than 32 bits", "its family"),
        (&format!("{persistent}persistence_netmask = \"/24\""), "\"/24\"", "not a netmask", "24"),
        (&format!("{persistent}persistence_netmask = \"24\""), "\"24\"", "not a number", "quotes"),
    ] {
        refuses(&at_address(lines), underlined, title, help);
    }
    let v6 = |netmask: &str| {
        with(&format!(
            "address = [\"[2001:db8::9]:53\", \"10.9.0.9:53\"]\nforwarding = \"tun\"\n{persistent}persistence_netmask = {netmask}"
        ))
    };
    refuses(&v6("\"255.255.255.0\""), "\"255", "is IPv4's", "each family");
    refuses(&v6("24"), "24", "one prefix for IPv4 and IPv6", "each family");
}

#[test]
fn a_default_netmask_holds_for_the_family_that_it_fits() {
    let defaults = |netmask: &str| {
        let text = with("address = [\"[2001:db8::9]:53\", \"10.9.0.9:53\"]\nforwarding = \"tun\"");
        let netmask = format!(
            "[defaults.service]\npersistence_timeout = \"5m\"\npersistence_netmask = {netmask}\n{text}"
        );
        let config = accepted(&netmask);
        (config.services[0].service.netmask, config.services[1].service.netmask)
    };
    let v4 = |mask: &str| Netmask::V4(mask.parse().unwrap());
    assert_eq!(defaults("24"), (Netmask::V6(128), v4("255.255.255.0")));
    assert_eq!(defaults("\"255.255.0.0\""), (Netmask::V6(128), v4("255.255.0.0")));
    assert_eq!(defaults("64"), (Netmask::V6(64), v4("255.255.255.255")));
}

#[test]
fn one_packet_scheduling_is_for_datagrams() {
    let ops = |lines: &str| accepted(lines).services[0].service.flags;
    assert_eq!(ops(&at_address("protocol = \"udp\"\nops = true")), ServiceFlags::ONE_PACKET);
    assert_eq!(ops(&with("fwmark = 7\nops = true")), ServiceFlags::ONE_PACKET);
    assert_eq!(ops(&at_address("ops = false")), ServiceFlags::default());
    for protocol in ["tcp", "sctp"] {
        let text = at_address(&format!("protocol = \"{protocol}\"\nops = true"));
        refuses(&text, "true", "for UDP and firewall marks", "leave it out");
    }
}

#[test]
fn schedulers_have_flags_of_their_own() {
    let flags = |lines: &str| accepted(&at_address(lines)).services[0].service.flags;
    let both = ServiceFlags::SCHED_1.with(ServiceFlags::SCHED_2);
    for (lines, expected) in [
        ("scheduler = \"sh\"", ServiceFlags::SCHED_1),
        ("scheduler = \"sh\"\nscheduler_flags = []", ServiceFlags::default()),
        ("scheduler = \"sh\"\nscheduler_flags = [\"sh-port\"]", ServiceFlags::SCHED_2),
        ("scheduler = \"mh\"\nscheduler_flags = [\"mh-fallback\", \"mh-port\"]", both),
        ("scheduler = \"mh\"\nscheduler_flags = \"mh-port\"", ServiceFlags::SCHED_2),
        ("scheduler_flags = [\"flag-3\"]", ServiceFlags::SCHED_3),
    ] {
        assert_eq!(flags(lines), expected, "{lines}");
    }
    for (lines, underlined, title, help) in [
        (
            "scheduler = \"mh\"\nscheduler_flags = [\"sh-port\"]",
            "\"sh-port\"",
            "flag of scheduler sh",
            "mh-port",
        ),
        ("scheduler_flags = [\"mh-port\"]", "\"mh-port\"", "this one is wlc", "leave it out"),
        (
            "scheduler_flags = [\"sh_port\"]",
            "\"sh_port\"",
            "unknown scheduler flag",
            "\"sh-port\"?",
        ),
    ] {
        refuses(&at_address(lines), underlined, title, help);
    }
    // What is meant for the default scheduler says nothing about another.
    let defaults = "[defaults.service]\nscheduler = \"sh\"\nscheduler_flags = [\"sh-port\"]\n";
    let config = accepted(&format!("{defaults}{}", at_address("")));
    assert_eq!(config.services[0].service.flags, ServiceFlags::SCHED_2);
    let config = accepted(&format!("{defaults}{}", at_address("scheduler = \"mh\"")));
    assert_eq!(config.services[0].service.flags, ServiceFlags::SCHED_1);
}

#[test]
fn tunnels_have_their_own_rules() {
    let tunnel = |lines: &str| {
        let text = at_address(&format!("forwarding = \"tun\"\n{lines}"));
        told(&accepted(&text))[0].1.tunnel
    };
    for (lines, expected) in [
        ("", (Tunnel::IPIP, 0, 0)),
        ("tunnel = \"ipip\"\ntunnel_checksum = \"none\"", (Tunnel::IPIP, 0, 0)),
        ("tunnel = \"gue\"\ntunnel_port = 6080", (Tunnel::GUE, 6080, 0)),
        (
            "tunnel = \"gue\"\ntunnel_port = 65535\ntunnel_checksum = \"csum\"",
            (Tunnel::GUE, 65535, 1),
        ),
        ("tunnel = \"gue\"\ntunnel_port = 1\ntunnel_checksum = \"remcsum\"", (Tunnel::GUE, 1, 2)),
        ("tunnel = \"gre\"\ntunnel_checksum = \"csum\"", (Tunnel::GRE, 0, 1)),
    ] {
        let (kind, port, flags) = expected;
        assert_eq!(tunnel(lines), Tunnel { kind, port, flags }, "{lines}");
    }
    for (lines, underlined, title, help) in [
        ("tunnel = \"gue\"", "\"gue\"", "without a port", "tunnel_port = 6080"),
        ("tunnel = \"gue\"\ntunnel_port = 0", "0", "0 is not 1 to 65535", "whole"),
        ("tunnel_port = 6080", "6080", "only a gue tunnel has a port", "\"gue\""),
        ("tunnel = \"gre\"\ntunnel_port = 6080", "6080", "only a gue tunnel", "\"gue\""),
        ("tunnel_checksum = \"csum\"", "\"csum\"", "ipip has no checksum", "gre"),
        (
            "tunnel = \"gre\"\ntunnel_checksum = \"remcsum\"",
            "\"remcsum\"",
            "no remote checksum",
            "none or csum",
        ),
        ("tunnel = \"vxlan\"", "\"vxlan\"", "unknown tunnel", "ipip, gue, gre"),
    ] {
        refuses(&at_address(&format!("forwarding = \"tun\"\n{lines}")), underlined, title, help);
    }
    for lines in ["tunnel = \"ipip\"", "forwarding = \"dr\"\ntunnel = \"ipip\""] {
        refuses(&at_address(lines), "\"ipip\"", "is for forwarding = \"tun\"", "\"tun\"");
    }
    // Defaults for tunnels are for services that have one.
    let defaults = "[defaults.service]\ntunnel = \"gue\"\ntunnel_port = 6080\n";
    let config = accepted(&format!("{defaults}{}", at_address("")));
    assert_eq!(told(&config)[0].1.tunnel, Tunnel::default());
    let config = accepted(&format!("{defaults}{}", at_address("forwarding = \"tun\"")));
    assert_eq!(told(&config)[0].1.tunnel.port, 6080);
    refuses("[defaults.service]\ntunnel = \"vxlan\"\n", "\"vxlan\"", "unknown tunnel", "ipip");
}

#[test]
fn a_server_may_be_reached_in_its_own_way() {
    let own =
        "address = \"10.8.0.22:53\"\nforwarding = \"tun\"\ntunnel = \"gue\"\ntunnel_port = 6080";
    let text = with_servers("address = \"10.8.0.21:80\"", own, ADDRESS);
    let told = told(&accepted(&text));
    assert_eq!(told[0].1, Destination::plain(Forwarding::Masquerade, Weight(100)));
    assert_eq!(told[1].1.forwarding, Forwarding::Tunnel);
    assert_eq!(told[1].1.tunnel, Tunnel { kind: Tunnel::GUE, port: 6080, flags: 0 });
    // Its port must fit its own way, and its family too.
    let text = text.replace("10.8.0.22:53", "10.8.0.22:54");
    refuses(&text, "\"10.9.0.9:53\"", "53 cannot become 54", "masq");
    accepted(&text.replace("\"10.8.0.22:54\"", "\"[2001:db8::22]:53\""));
    let text = with_servers(
        "address = \"10.8.0.21:80\"",
        "address = \"10.8.0.22:53\"\ntunnel = \"gre\"",
        ADDRESS,
    );
    refuses(&text, "\"gre\"", "without its forwarding", "forwarding = \"tun\"");
}

#[test]
fn thresholds_are_said_to_count_what_has_ended() {
    let limits = |lines: &str| {
        with_servers(
            &format!("address = \"10.8.0.21:53\"\n{lines}"),
            "address = \"10.8.0.22:53\"",
            ADDRESS,
        )
    };
    let text = limits("upper_threshold = 100\nlower_threshold = 80");
    warns(&text, "100", "120 s after they have ended", "leave room");
    let config = pgvs::config::sources::check_text("t.toml", &text).unwrap().config;
    assert_eq!(told(&config)[0].1.thresholds, Thresholds { upper: 100, lower: 80 });
    assert_eq!(told(&config)[1].1.thresholds, Thresholds::default());
    refuses(&limits("upper_threshold = 2147483648"), "2147483648", "not 0 to 2147483647", "whole");
    refuses(&limits("lower_threshold = 1"), "1", "without an upper one", "upper_threshold");
    let text = limits("upper_threshold = 10\nlower_threshold = 11");
    refuses(&text, "11", "above the upper one", "write 10 or less");
    let text =
        format!("[defaults.server]\nupper_threshold = 10\n{}", limits("upper_threshold = 0"));
    warns(&text, "10", "120 s", "");
}

#[test]
fn persistence_without_the_kernels_help_is_said() {
    let text = format!("[kernel]\nmanage = false\n{}", at_address("persistence_timeout = \"5m\""));
    warns(&text, "\"5m\"", "weight 0", "expire_quiescent_template");
    accepted(&format!("[kernel]\nmanage = false\n{}", at_address("")));
}

/// The findings of a text on a host whose kernel has these modules, of all that the text asks for.
fn on_host(text: &str, modules: &[&str]) -> Result<Vec<String>, String> {
    let mut sources = Sources::default();
    sources.add(Path::new("t.toml"), text);
    let has: BTreeSet<&str> = modules.iter().copied().collect();
    let asked = sources.questions().modules;
    let modules = asked.into_iter().map(|name| (name.clone(), has.contains(&*name))).collect();
    match sources.check(&HostView { modules, ..HostView::default() }) {
        Ok(checked) => Ok(checked.findings.all.into_iter().map(|it| it.title).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn schedulers_are_whatever_the_kernel_has() {
    let with = |scheduler: &str| at_address(&format!("scheduler = \"{scheduler}\""));
    // One that we know and this kernel lacks may be meant for another host.
    assert_eq!(on_host(&with("twos"), &["ip_vs", "ip_vs_twos"]), Ok(vec![]));
    let said = on_host(&with("twos"), &["ip_vs"]).unwrap();
    assert_eq!(said, ["this host's kernel has no scheduler twos"]);
    assert_eq!(on_host(&at_address(""), &["ip_vs"]).unwrap().len(), 1);
    // One that only the kernel knows.
    assert_eq!(on_host(&with("qos"), &["ip_vs", "ip_vs_qos"]), Ok(vec![]));
    assert!(on_host(&with("qos"), &["ip_vs"]).unwrap_err().contains("unknown scheduler \"qos\""));
    // Where the kernel cannot be asked, it is said.
    warns(&with("qos"), "\"qos\"", "scheduler qos is not known here", "ip_vs_qos");
    // A host without IPVS is no director: what its kernel lacks says nothing.
    assert_eq!(on_host(&with("twos"), &[]), Ok(vec![]));
    refuses(&with("sixteen-letters!"), "\"sixteen", "unknown scheduler", "one of");
    let sip = at_address("protocol = \"udp\"\npersistence_timeout = \"5m\"\npe = \"sip\"");
    let said = on_host(&sip, &["ip_vs", "ip_vs_wlc"]).unwrap();
    assert_eq!(said, ["this host's kernel has no persistence engine sip"]);
}

#[test]
fn absent_addresses_of_one_range_are_one_warning() {
    let mut sources = Sources::default();
    sources.add(Path::new("t.toml"), &with("address = \"10.9.0.1-200:53\""));
    let absent = sources.questions().addresses;
    assert_eq!(absent.len(), 200);
    let checked = sources.check(&HostView { absent, ..HostView::default() }).unwrap();
    let titles: Vec<&str> = checked.findings.all.iter().map(|it| &*it.title).collect();
    assert_eq!(
        titles,
        ["10.9.0.1 and 199 more are not addresses of this host: no client reaches them here"]
    );
}

#[test]
fn a_mistake_in_one_service_is_one_finding_for_all_its_addresses() {
    let text = with("address = \"10.9.0.1-200:80\"\nforwarding = \"dr\"");
    refuses(&text, "\"10.9.0.1-200:80\"", "80 cannot become 53", "masq");
    let text = with("address = \"10.9.0.1-200:0\"");
    assert_eq!(findings(&text).len(), 1);
}
