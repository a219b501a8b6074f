//! A whole IPVS as ipvsadm's commands: its `-S` with thresholds, timeouts and sync daemons.
//!
//! Every line is read back by the rules of ipvsadm before it counts: what would be refused is left out, what would
//! come back as something else stays, and both are told.

use std::fmt::Write as _;

use crate::ipvsadm::args::{self, Change, Command};
use crate::ipvsadm::values::NoNames;
use crate::model::destination::{Destination, DestinationKey, Forwarding, Thresholds};
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::op::Op;
use crate::model::saved::Saved;
use crate::model::service::{Family, Netmask, Protocol, Service, ServiceFlags, ServiceKey};

/// The longest timeout that ipvsadm takes, in seconds.
const LONGEST: u32 = 31 * 86_400;
/// The greatest threshold that ipvsadm takes.
const MOST: u32 = 0x7fff_ffff;

/// A text, and what it could not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The commands.
    pub text: String,
    /// What is not in them, or in them as something else; one sentence each.
    pub notes: Vec<String>,
}

/// Everything as commands, first timeouts and sync daemons: ipvsadm's exit code is that of the last line, and a sync
/// daemon that runs already would spoil it. No comments, since ipvsadm knows none.
pub fn write(saved: &Saved) -> Written {
    let mut written = Written::default();
    if let Some(timeouts) = saved.timeouts {
        written.timeouts(timeouts);
    }
    for daemon in &saved.daemons {
        written.daemon(daemon);
    }
    for (&key, entry) in &saved.table.services {
        let servers = entry.destinations.len();
        if let Some(option) = written.service(key, &entry.service, servers) {
            for (&to, destination) in &entry.destinations {
                written.destination(&option, (key, to), destination);
            }
        }
    }
    written
}

impl Written {
    fn timeouts(&mut self, timeouts: Timeouts) {
        let Timeouts { tcp, tcp_fin, udp } = timeouts;
        let [a, b, c] = [tcp, tcp_fin, udp].map(|it| it.min(LONGEST));
        let _ = writeln!(self.text, "--set {a} {b} {c}");
        if [a, b, c] != [tcp, tcp_fin, udp] {
            self.notes.push(format!(
                "timeouts {tcp} {tcp_fin} {udp}: ipvsadm takes {LONGEST} s at most, written as {a} {b} {c}"
            ));
        }
    }

    fn daemon(&mut self, daemon: &SyncDaemon) {
        let role = match daemon.role {
            SyncRole::Master => "master",
            SyncRole::Backup => "backup",
        };
        let SyncDaemon { interface, sync_id, .. } = daemon;
        let mut line =
            format!("--start-daemon {role} --mcast-interface {interface} --syncid {sync_id}");
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                line += &format!(" --{name} {value}");
            }
        };
        let length = daemon.max_length.filter(|it| *it != 0);
        option("sync-maxlen", length.map(|it| it.to_string()));
        option("mcast-group", daemon.group.map(|it| it.to_string()));
        option("mcast-port", daemon.port.filter(|it| *it != 0).map(|it| it.to_string()));
        option("mcast-ttl", daemon.ttl.filter(|it| *it != 0).map(|it| it.to_string()));
        match read_back(&line) {
            Ok(Change::StartDaemon(_)) => self.line(&line),
            other => self.left_out(&format!("{role} sync daemon"), other),
        }
    }

    /// Returns the option that names the service, if it could be written.
    fn service(&mut self, key: ServiceKey, service: &Service, servers: usize) -> Option<String> {
        let name = format!("service {key} with its {servers} destinations");
        let Some(option) = option(key) else {
            self.notes.push(format!("{name}: left out: ipvsadm knows TCP, UDP, SCTP and marks"));
            return None;
        };
        let line = format!("-A {option}{}", service_options(key, service));
        match read_back(&line) {
            Ok(Change::Op(Op::AddService(found, read))) if found == key => {
                self.line(&line);
                let lost = service_losses(service, &read);
                if !lost.is_empty() {
                    self.changed(&format!("service {key}"), &lost);
                }
                Some(option)
            }
            other => {
                self.left_out(&name, other);
                None
            }
        }
    }

    fn destination(
        &mut self,
        option: &str,
        (service, to): (ServiceKey, DestinationKey),
        destination: &Destination,
    ) {
        let line = format!("-a {option} -r {to}{}", destination_options(destination));
        let name = format!("destination {to} of service {service}");
        match read_back(&line) {
            Ok(Change::Op(Op::AddDestination(_, found, read))) if found == to => {
                self.line(&line);
                let lost = destination_losses(destination, &read);
                if !lost.is_empty() {
                    self.changed(&name, &lost);
                }
            }
            Ok(Change::Op(Op::AddDestination(_, found, _))) => self.notes.push(format!(
                "{name}: left out: ipvsadm would make it {found}, since only masquerading changes ports"
            )),
            other => self.left_out(&name, other),
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn changed(&mut self, what: &str, lost: &[&str]) {
        let lost = lost.join(" and ");
        self.notes.push(format!("{what}: ipvsadm has no words for its {lost}: not as it is"));
    }

    fn left_out(&mut self, what: &str, why: Result<Change, String>) {
        let why = why.err().unwrap_or_else(|| "it would be read as something else".into());
        self.notes.push(format!("{what}: left out: ipvsadm says \"{why}\""));
    }
}

/// What ipvsadm makes of a line.
fn read_back(line: &str) -> Result<Change, String> {
    let words: Vec<_> = line.split(' ').map(String::from).collect();
    match args::parse("ipvsadm", &words, &NoNames) {
        Ok(Command::Change(change)) => Ok(change),
        Ok(_) => Err("no change".into()),
        Err(refused) => Err(refused.text),
    }
}

/// `None` where ipvsadm has no option for the protocol.
fn option(key: ServiceKey) -> Option<String> {
    let (protocol, address) = match key {
        ServiceKey::Address { protocol, address } => (protocol, address),
        ServiceKey::FwMark { family: Family::V4, mark } => return Some(format!("-f {mark}")),
        ServiceKey::FwMark { family: Family::V6, mark } => return Some(format!("-f {mark} -6")),
    };
    match protocol {
        Protocol::TCP => Some(format!("-t {address}")),
        Protocol::UDP => Some(format!("-u {address}")),
        Protocol::SCTP => Some(format!("--sctp-service {address}")),
        Protocol(_) => None,
    }
}

fn service_options(key: ServiceKey, service: &Service) -> String {
    let flags = service.flags;
    let mut text = format!(" -s {}", service.scheduler);
    if flags.contains(ServiceFlags::PERSISTENT) {
        text += &format!(" -p {}", service.timeout.clamp(1, LONGEST));
    }
    match service.netmask {
        mask if mask == Netmask::host(key.family()) => (),
        Netmask::V4(mask) => text += &format!(" -M {mask}"),
        Netmask::V6(length) => text += &format!(" -M {length}"),
    }
    if let Some(engine) = &service.persistence_engine {
        text += &format!(" --pe {engine}");
    }
    let may_be_ops = match key {
        ServiceKey::FwMark { .. } => true,
        ServiceKey::Address { protocol, .. } => protocol == Protocol::UDP,
    };
    if flags.contains(ServiceFlags::ONE_PACKET) && may_be_ops {
        text += " -o";
    }
    let names = match service.scheduler.as_str() {
        "sh" => ["sh-fallback", "sh-port", "flag-3"],
        "mh" => ["mh-fallback", "mh-port", "flag-3"],
        _ => ["flag-1", "flag-2", "flag-3"],
    };
    let bits = [ServiceFlags::SCHED_1, ServiceFlags::SCHED_2, ServiceFlags::SCHED_3];
    let set = bits.iter().zip(names).filter(|(bit, _)| flags.contains(**bit));
    let set: Vec<_> = set.map(|(_, name)| name).collect();
    if !set.is_empty() {
        text += &format!(" -b {}", set.join(","));
    }
    text
}

fn destination_options(destination: &Destination) -> String {
    let Destination { forwarding, weight, thresholds, tunnel } = *destination;
    let method = match forwarding {
        Forwarding::Masquerade => "-m",
        Forwarding::Tunnel => "-i",
        // As ipvsadm -S does; the kernel delivers to its own addresses locally whatever the method.
        Forwarding::Local | Forwarding::DirectRoute | Forwarding::Other(_) => "-g",
    };
    let mut text = format!(" {method} -w {weight}");
    let Thresholds { upper, lower } = thresholds;
    for (option, limit) in [("-x", upper), ("-y", lower)] {
        // One without the other would be refused.
        if limit != 0 && upper <= MOST {
            text += &format!(" {option} {limit}");
        }
    }
    if forwarding == Forwarding::Tunnel {
        let checksum = match tunnel.flags {
            0 => "--tun-nocsum",
            1 => "--tun-csum",
            2 => "--tun-remcsum",
            // Both at once: no word, and so no line that could be read.
            _ => "--tun-nocsum --tun-remcsum",
        };
        text += &match tunnel.kind {
            0 => " --tun-type ipip".into(),
            1 => format!(" --tun-type gue --tun-port {} {checksum}", tunnel.port),
            2 => format!(" --tun-type gre {checksum}"),
            kind => format!(" --tun-type {kind}"),
        };
    }
    text
}

fn service_losses(has: &Service, read: &Service) -> Vec<&'static str> {
    let one_packet = |it: &Service| it.flags.contains(ServiceFlags::ONE_PACKET);
    let others = |it: &Service| it.flags.without(ServiceFlags::ONE_PACKET);
    [
        (has.timeout != read.timeout, "persistence timeout"),
        (one_packet(has) != one_packet(read), "one-packet scheduling without UDP"),
        (others(has) != others(read), "unnamed flags"),
        (has.scheduler != read.scheduler, "scheduler"),
        (has.netmask != read.netmask, "netmask"),
        (has.persistence_engine != read.persistence_engine, "persistence engine"),
    ]
    .into_iter()
    .filter_map(|(is_lost, what)| is_lost.then_some(what))
    .collect()
}

fn destination_losses(has: &Destination, read: &Destination) -> Vec<&'static str> {
    let method = match has.forwarding {
        Forwarding::Local => "local forwarding (written as -g)",
        Forwarding::Other(_) => "forwarding method (written as -g)",
        Forwarding::Masquerade | Forwarding::Tunnel | Forwarding::DirectRoute => {
            "forwarding method"
        }
    };
    [
        (has.forwarding != read.forwarding, method),
        (has.weight != read.weight, "weight"),
        (has.thresholds != read.thresholds, "thresholds"),
        (has.tunnel != read.tunnel, "tunnel options"),
    ]
    .into_iter()
    .filter_map(|(is_lost, what)| is_lost.then_some(what))
    .collect()
}
