//! `server` lines with what `default-server` gives them.
//!
//! Options that have their like here are taken; the others stay unread, each with its value.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;

use super::super::ledger::{Kind, Place, Report, Statement};
use super::super::names;
use super::super::place::{self, Hosts, Port, Written};
use super::super::plan::{Key, Server};
use super::super::reasons::Reasons;
use super::section::Proxy;

/// Options that take a value (HAProxy's configuration manual, chapters 5.1 and 5.2).
const VALUED: &str = include_str!("valued.txt");

/// One option, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Given<'a> {
    name: &'a str,
    value: &'a str,
    line: &'a Statement,
    range: Range<usize>,
}

/// A server as written.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    pub(super) line: &'a Statement,
    /// What holds for it, the later of two.
    options: Vec<Given<'a>>,
}

/// The options from a word on.
fn options(line: &Statement, from: usize) -> Vec<Given<'_>> {
    let mut options = Vec::new();
    let mut at = from;
    while at < line.len() {
        let name = line.word(at);
        let length = if VALUED.lines().any(|it| it == name) { 2 } else { 1 };
        let value = if length == 2 { line.word(at + 1) } else { "" };
        let range = at..(at + length).min(line.len());
        options.push(Given { name, value, line, range });
        at += length;
    }
    options
}

/// The servers of a section.
pub(super) fn servers(proxy: Proxy<'_>) -> Vec<Line<'_>> {
    let defaults: Vec<Given<'_>> = proxy
        .lines()
        .filter(|line| line.word(0) == "default-server")
        .flat_map(|line| options(line, 1))
        .collect();
    let server = |line| {
        let mut all = defaults.clone();
        all.extend(options(line, 3));
        Line { line, options: all }
    };
    proxy.own("server").map(server).collect()
}

impl<'a> Line<'a> {
    pub(super) fn name(&self) -> &'a str {
        self.line.word(1)
    }

    /// An option that holds.
    pub(super) fn given(&self, name: &str) -> Option<&Given<'a>> {
        self.options.iter().rev().find(|it| it.name == name)
    }

    /// Whether a flag is set and not taken back behind it.
    pub(super) fn has(&self, name: &str, back: &str) -> bool {
        let last = self.options.iter().rev().find(|it| it.name == name || it.name == back);
        last.is_some_and(|it| it.name == name)
    }

    /// A number that holds.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.given(name)?.value.parse().ok()
    }

    /// Carries an option over.
    pub(super) fn take(&self, name: &str) {
        if let Some(given) = self.given(name) {
            given.line.take_words(given.range.clone());
            if given.line.word(0) == "default-server" {
                given.line.take(0);
            }
        }
    }

    /// The value of an option, empty without one.
    pub(super) fn value(&self, name: &str) -> &'a str {
        self.given(name).map_or("", |given| given.value)
    }

    /// The address as written.
    pub(super) fn written(&self) -> Written {
        place::haproxy(self.line.word(2))
    }
}

/// What a section's servers become; `service` is the port in front of them.
pub(super) fn members(
    lines: &[Line<'_>],
    service: Option<u16>,
    hosts: &Hosts<'_>,
    report: &mut Report,
) -> Vec<Server> {
    let weighs = lines.iter().any(|line| line.given("weight").is_some());
    let mut known: BTreeSet<SocketAddr> = BTreeSet::new();
    let mut servers = Vec::new();
    for line in lines {
        let Some(server) = member(line, weighs, service, hosts, report) else {
            continue;
        };
        if known.insert(server.address) {
            servers.push(server);
        } else {
            let what = format!("{} {}", line.name(), server.address);
            report.note(line.line, &what, "this server stands in its section already");
        }
    }
    servers
}

fn member(
    line: &Line<'_>,
    weighs: bool,
    service: Option<u16>,
    hosts: &Hosts<'_>,
    report: &mut Report,
) -> Option<Server> {
    let (ip, port, why) = match line.written() {
        Written::At(ip, port) => (ip, port, String::new()),
        Written::Host(name, port) => {
            let Some(found) = hosts.of(&name) else {
                report.hand(line.line, "a host name: write a [[pool.server]] with its IP address");
                return None;
            };
            if found.is_stand_in {
                let why = format!("a host name: write its IP address in place of {}", found.ip);
                report.note(line.line, line.line.word(2), why);
            }
            (found.ip, port, found.why)
        }
        Written::Anywhere(_) | Written::Other => {
            report.hand(line.line, "not the address of a server: write a [[pool.server]] for it");
            return None;
        }
    };
    let Some(address) = place::with_port(ip, port, service) else {
        report.hand(line.line, "its port is not known: write a [[pool.server]] with it");
        return None;
    };
    line.line.take_words(0..3);
    let mut keys = Vec::new();
    let why = if port == Port::None {
        format!("{why} port of the service").trim().to_owned()
    } else {
        why
    };
    if line.has("disabled", "enabled") {
        line.take("disabled");
        keys.push(Key::number("weight", 0).because("disabled"));
    } else if weighs {
        let weight = line.number("weight").filter(|it| *it <= 256);
        weight.iter().for_each(|_| line.take("weight"));
        keys.push(Key::number("weight", weight.unwrap_or(1)));
    }
    if line.has("backup", "no-backup") {
        line.take("backup");
        keys.push(Key::truth("backup"));
    }
    let places: Vec<Place> = vec![line.line.place];
    Some(Server { name: names::sanitized(line.name()), address, keys, why, places })
}

/// Lists what was not taken of a line's options, each with the reason for it.
pub(super) fn explain(
    line: &Statement,
    from: usize,
    kind: &str,
    reasons: Reasons,
    report: &mut Report,
) {
    for Given { name, range, .. } in options(line, from) {
        let key = format!("{kind}:{}", name.trim_start_matches("no-"));
        let (grave, why) = reasons
            .of([&*key])
            .unwrap_or((Kind::Lost, "the kernel forwards packets, and nothing here does this"));
        report.words(grave, line, range, why);
    }
}
