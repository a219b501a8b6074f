//! What may be set beside the table: timeouts, sysctls, sync daemons, full NAT; and what is refused in words.

use std::collections::BTreeSet;

use pgvs::config::outside::HostView;
use pgvs::config::sources::Sources;
use pgvs::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use pgvs::model::setting::{SourceNat, Sysctl};

use super::{accepted, findings, good_after, good_with, refuses, warns};

const MASTER: &str = "[[sync_daemon]]\nrole = \"master\"\ninterface = \"eth0\"\n";

fn kernel(text: &str) -> String {
    good_after(&format!("[kernel]\n{text}"))
}

fn sysctl(text: &str, name: &'static str) -> Option<String> {
    let sysctls = accepted(&kernel(text)).kernel.sysctls;
    sysctls.get(&Sysctl::new(name)).map(ToString::to_string)
}

#[test]
fn idle_sessions_live_longer_than_the_keepalive_unless_the_operator_says_otherwise() {
    let timeouts = |text: &str| accepted(&kernel(text)).kernel.timeouts;
    assert_eq!(timeouts(""), Timeouts { tcp: 7500, tcp_fin: 0, udp: 0 });
    let all = "tcp_timeout = \"3h\"\ntcp_fin_timeout = \"30s\"\nudp_timeout = \"2147483s\"\n";
    assert_eq!(timeouts(all), Timeouts { tcp: 10_800, tcp_fin: 30, udp: 2_147_483 });
    warns(&kernel("tcp_timeout = \"2h\"\n"), "\"2h\"", "idle for longer", "tcp_keepalives_idle");
}

#[test]
fn timeouts_are_whole_seconds_that_the_kernel_takes() {
    let long = "\"2147484s\"";
    refuses(&kernel(&format!("udp_timeout = {long}\n")), long, "is not 1s to", "write 1s to");
    refuses(&kernel("udp_timeout = \"0s\"\n"), "\"0s\"", "is not 1s to", "write 1s to");
    refuses(&kernel("udp_timeout = \"1500ms\"\n"), "\"1500ms\"", "whole seconds", "whole seconds");
    refuses(&kernel("tcp_timeout = 900\n"), "900", "a bare number", "\"900s\"");
}

#[test]
fn sysctls_take_what_the_kernel_takes() {
    assert_eq!(sysctl("sloppy_tcp = 1\n", "sloppy_tcp").as_deref(), Some("1"));
    assert_eq!(sysctl("sloppy_tcp = false\n", "sloppy_tcp").as_deref(), Some("0"));
    assert_eq!(sysctl("est_nice = -20\n", "est_nice").as_deref(), Some("-20"));
    assert_eq!(sysctl("sync_threshold = [3, 50]\n", "sync_threshold").as_deref(), Some("3 50"));
    assert_eq!(sysctl("sync_threshold = [3, 0]\n", "sync_threshold").as_deref(), Some("3 0"));
    assert_eq!(sysctl("est_cpulist = \"1,0\"\n", "est_cpulist").as_deref(), Some("0-1"));
    assert_eq!(sysctl("", "conntrack"), None, "what is absent is not touched");
    for (line, value, help) in [
        ("sloppy_tcp = 2", "2", "0 or 1"),
        ("drop_entry = 4", "4", "0 to 3"),
        ("drop_entry = true", "true", "0 to 3"),
        ("conn_reuse_mode = -1", "-1", "0 to 3"),
        ("sync_ports = 3", "3", "1, 2, 4 and so on up to 64"),
        ("est_nice = 20", "20", "-20 to 19"),
        ("est_cpulist = \"a\"", "\"a\"", "\"0-3,8\""),
        ("sync_threshold = [50, 3]", "[", "[3, 50]"),
        ("sync_threshold = [3]", "[", "[3, 50]"),
        ("conn_lfactor = \"1\"", "\"1\"", "-8 to 8"),
    ] {
        refuses(&kernel(&format!("{line}\n")), value, "", help);
    }
}

#[test]
fn values_that_hurt_are_warned_of() {
    warns(&kernel("expire_nodest_conn = 0\n"), "0", "hang instead of being reset", "leave");
    warns(&kernel("drop_packet = 3\n"), "3", "all the time", "leave");
    let unmanaged = kernel("manage = false\ntcp_timeout = \"3h\"\n");
    warns(&unmanaged, "false", "nothing of [kernel]", "take the other keys out");
    accepted(&kernel("manage = false\n"));
}

#[test]
fn a_sync_daemon_is_declared_with_the_kernels_defaults() {
    let daemons = accepted(&good_after(MASTER)).kernel.sync_daemons;
    let plain = SyncDaemon {
        interface: "eth0".into(),
        group: Some("224.0.0.81".parse().unwrap()),
        port: Some(8848),
        ttl: Some(1),
        ..SyncDaemon::new(SyncRole::Master)
    };
    assert_eq!(daemons, [plain]);
    let full = "sync_id = 255\ngroup = \"ff02::8848\"\nport = 1\nttl = 255\nmax_length = 65487\n";
    let daemons = accepted(&good_after(&(MASTER.to_owned() + full))).kernel.sync_daemons;
    assert_eq!((daemons[0].sync_id, daemons[0].max_length), (255, Some(65_487)));
}

#[test]
fn a_sync_daemon_that_the_kernel_would_refuse_is_refused_in_words() {
    let with = |line: &str| good_after(&format!("{MASTER}{line}\n"));
    for (line, value, title, help) in [
        ("sync_id = 256", "256", "256 is not 0 to 255", "0 to 255"),
        ("ttl = 0", "0", "0 is not 1 to 255", "1 to 255"),
        ("port = 0", "0", "0 is not 1 to 65535", "1 to 65535"),
        ("max_length = 65508", "65508", "is not 1 to 65507", "65507"),
        ("max_length = 65500\ngroup = \"ff02::1\"", "65500", "is not 1 to 65487", "65487"),
        ("group = \"10.0.0.1\"", "\"10.0.0.1\"", "no multicast group", "224.0.0.0/4"),
        ("group = \"all\"", "\"all\"", "no multicast group", "ff00::/8"),
    ] {
        refuses(&with(line), value, title, help);
    }
    let long = MASTER.replace("eth0", "an-interface-16b");
    refuses(&good_after(&long), "\"an-interface", "not 1 to 15 bytes", "1 to 15");
    let backup = MASTER.replace("master", "backup") + "max_length = 1023\n";
    refuses(&good_after(&backup), "1023", "is not 1024 to", "1024");
    let role = MASTER.replace("master", "active");
    refuses(&good_after(&role), "\"active\"", "unknown role", "\"master\"?");
    let bare = good_after("[[sync_daemon]]\nrole = \"backup\"\n");
    refuses(&bare, "[[sync_daemon]]", "without `interface`", "interface = \"eth0\"");
    let two = MASTER.repeat(2);
    refuses(&good_after(&two), "[[sync_daemon]]", "two sync daemons are master", "one of each");
}

#[test]
fn an_interface_that_is_not_there_is_a_warning() {
    let mut sources = Sources::default();
    sources.add("t.toml".as_ref(), &good_after(MASTER));
    assert_eq!(sources.questions().interfaces, BTreeSet::from(["eth0".into()]));
    let host = HostView { absent_interfaces: ["eth0".into()].into(), ..HostView::default() };
    let findings = sources.check(&host).unwrap().findings.all;
    assert!(findings[0].title.contains("no interface eth0"), "{findings:?}");
}

#[test]
fn no_sync_daemon_beside_a_tunnel_to_the_other_family() {
    let mixed = "[[pool]]\nname = \"six\"\nprobe = \"none\"\n[[pool.server]]\nname = \"c\"\naddress = \"[fd00::1]:80\"\n\
                 [[pool.server]]\nname = \"d\"\naddress = \"[fd00::2]:80\"\n[[service]]\nname = \"t\"\naddress = \"10.9.0.102:80\"\npool = \"six\"\nforwarding = \"tun\"\n";
    accepted(&(good_after("") + mixed));
    let text = good_after(MASTER) + mixed;
    refuses(&text, "[[sync_daemon]]", "no sync daemon can run beside a tunnel", "give up one");
}

fn nat(value: &str) -> String {
    good_with("scheduler = \"wrr\"", &format!("scheduler = \"wrr\"\nsource_nat = {value}"))
}

#[test]
fn full_nat_is_masquerading_by_any_address_or_by_one() {
    let nat_of = |value: &str| accepted(&nat(value)).services[1].source_nat;
    assert_eq!(nat_of("true"), Some(SourceNat::Masquerade));
    assert_eq!(nat_of("false"), None);
    let to = "10.8.0.1".parse().unwrap();
    assert_eq!(nat_of("\"10.8.0.1\""), Some(SourceNat::Address(to)));
    let default = accepted(&good_after("[defaults.service]\nsource_nat = true"));
    assert!(default.services.iter().all(|it| it.source_nat == Some(SourceNat::Masquerade)));
}

#[test]
fn full_nat_that_cannot_be_is_refused_in_words() {
    refuses(&nat("1"), "1", "`source_nat` is true, false or an address", "write true");
    refuses(&nat("\"eth0\""), "\"eth0\"", "not an IP address", "without a port");
    refuses(&nat("\"fd00::1\""), "\"fd00::1\"", "family is not", "servers' family");
    let routed = nat("true\nforwarding = \"dr\"");
    refuses(&routed, "true", "full NAT is masquerading", "forwarding = \"masq\"");
    let text = format!("[kernel]\nconntrack = 0\n{}", nat("true"));
    refuses(&text, "true", "needs net.ipv4.vs.conntrack = 1", "take `conntrack` out");
}

#[test]
fn a_default_of_full_nat_holds_only_where_it_can() {
    let text = good_after("[defaults.service]\nsource_nat = true")
        .replace("scheduler = \"wrr\"", "forwarding = \"dr\"");
    assert_eq!(accepted(&text).services[1].source_nat, None);
    let bad = good_after("[defaults.service]\nsource_nat = 3");
    assert_eq!(findings(&bad).len(), 1);
}
