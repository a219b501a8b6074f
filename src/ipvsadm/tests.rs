//! Command lines against what ipvsadm 1.31 made of them: the change that it asked of the kernel, or what it said.

use std::net::{IpAddr, Ipv4Addr};

use super::args::{Change, Command, List, parse};
use super::list;
use super::values::Names;
use crate::model::destination::{Destination, Forwarding};
use crate::model::kernel::{IpvsInfo, SyncRole, Version};
use crate::model::op::Op;
use crate::model::service::{Netmask, Protocol, Service};

const LINES: &str = include_str!("../../integration/golden/ipvsadm-lines.txt");

#[test]
fn every_command_line_means_what_it_means_to_ipvsadm() {
    let mut lines = LINES.lines().filter(|line| !line.starts_with('#'));
    let (mut count, mut wrong) = (0, Vec::new());
    while let (Some(line), Some(expected)) = (lines.next(), lines.next()) {
        let words = line.strip_prefix("$ ").unwrap().split(' ');
        let words: Vec<_> = words.map(|word| word.replace("''", "")).collect();
        let got = outcome(&words);
        count += 1;
        if got != expected {
            wrong.push(format!("{line}\n  ipvsadm: {expected}\n  we:      {got}"));
        }
    }
    assert!(count >= 1000, "{count} lines");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

fn outcome(words: &[String]) -> String {
    match parse("ipvsadm", words, &SomeNames) {
        Err(refused) => format!("{} {}", refused.code, refused.text.replace('\n', "\\n")),
        Ok(Command::Help | Command::Version | Command::Restore) => "nothing".into(),
        Ok(Command::Save(_)) => "save".into(),
        Ok(Command::Change(change)) => change_text(&change),
        Ok(Command::List(List::Connections, _)) => "connections".into(),
        Ok(Command::List(List::Service(key), _)) => format!("get {key}"),
        Ok(Command::List(List::Timeouts, _)) => "timeouts".into(),
        Ok(Command::List(List::Daemons, _)) => "daemons".into(),
        Ok(Command::List(List::All, format)) => {
            let info = IpvsInfo { version: Version(0x01_02_01), table_size: 4096 };
            let text = list::list(Some(info), &[], format, &SomeNames);
            format!("list {}", text.trim_end_matches('\n').replace('\n', "\\n"))
        }
    }
}

fn change_text(change: &Change) -> String {
    match change {
        Change::Op(Op::AddService(key, to)) => format!("add {key} {}", service(to)),
        Change::Op(Op::EditService(key, to)) => format!("edit {key} {}", service(to)),
        Change::Op(Op::DeleteService(key)) => format!("delete {key}"),
        Change::Op(Op::AddDestination(key, at, to)) => {
            format!("add {key} -> {at} {}", destination(to))
        }
        Change::Op(Op::EditDestination(key, at, to)) => {
            format!("edit {key} -> {at} {}", destination(to))
        }
        Change::Op(Op::DeleteDestination(key, at)) => format!("delete {key} -> {at}"),
        Change::Flush => "flush".into(),
        Change::Zero(None) => "zero all".into(),
        Change::Zero(Some(key)) => format!("zero {key}"),
        Change::Timeouts(to) => format!("set {} {} {}", to.tcp, to.tcp_fin, to.udp),
        Change::StopDaemon(role) => format!("stop {}", self::role(*role)),
        Change::StartDaemon(to) => format!(
            "start {} {} id={} maxlen={} group={} port={} ttl={}",
            role(to.role),
            to.interface,
            to.sync_id,
            or_dash(to.max_length),
            or_dash(to.group),
            or_dash(to.port),
            or_dash(to.ttl)
        ),
    }
}

fn service(to: &Service) -> String {
    let mask = match to.netmask {
        Netmask::V4(mask) => mask.to_string(),
        Netmask::V6(length) => length.to_string(),
    };
    let engine = to.persistence_engine.as_deref().unwrap_or_default();
    let (flags, timeout) = (to.flags.0, to.timeout);
    format!("{} flags={flags} timeout={timeout} mask={mask} pe={engine}", to.scheduler)
}

fn destination(to: &Destination) -> String {
    let method = match to.forwarding {
        Forwarding::Masquerade => 0,
        Forwarding::Local => 1,
        Forwarding::Tunnel => 2,
        Forwarding::DirectRoute => 3,
        Forwarding::Other(other) => other,
    };
    let (limits, tunnel) = (to.thresholds, to.tunnel);
    format!(
        "method={method} weight={} upper={} lower={} tunnel={}/{}/{}",
        to.weight, limits.upper, limits.lower, tunnel.kind, tunnel.port, tunnel.flags
    )
}

fn role(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    }
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// Those of the machine on which the lines were recorded.
struct SomeNames;

impl Names for SomeNames {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        (name == "localhost").then_some(Ipv4Addr::LOCALHOST)
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        match (name, protocol) {
            ("http", Protocol::TCP) => Some(80),
            ("postgresql", Protocol::TCP) => Some(5432),
            ("domain", Protocol::TCP | Protocol::UDP) => Some(53),
            _ => None,
        }
    }

    fn host_name(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn port_name(&self, port: u16, _: Protocol) -> Option<String> {
        (port == 5432).then(|| "postgresql".into())
    }
}
