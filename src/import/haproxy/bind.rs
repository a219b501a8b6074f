//! `bind` lines: the addresses that a service has, and those that only the operator knows.

use std::net::IpAddr;

use super::super::ledger::{Report, Statement};
use super::super::place::{self, Hosts, Port, Written};
use super::backend::Backend;
use super::section::Proxy;
use crate::model::service::Family;

/// So many ports of a range are written one by one.
const MOST_PORTS: u16 = 100;

/// One address of a `bind` line.
#[derive(Clone, Debug)]
pub(super) struct Bind<'a> {
    pub(super) line: &'a Statement,
    /// As it stands there.
    text: String,
    /// `None`: any address of the director.
    ip: Option<IpAddr>,
    pub(super) ports: Vec<u16>,
}

/// The addresses of a section; what is no address is listed.
pub(super) fn binds<'a>(proxy: Proxy<'a>, report: &mut Report) -> Vec<Bind<'a>> {
    // Behind the name of a listen section an address may stand, as it did before `bind`.
    let head = Some((proxy.head, 2)).filter(|(head, at)| head.word(*at).contains(':'));
    let mut binds = Vec::new();
    for (line, at) in head.into_iter().chain(proxy.own("bind").map(|line| (line, 1))) {
        let known: Vec<Bind<'a>> =
            line.word(at).split(',').filter_map(|it| bind(line, it)).collect();
        if known.len() < line.word(at).split(',').count() {
            report
                .hand(line, "not an address and a port: write it as `address` of the [[service]]");
        } else {
            line.take_words(0..at + 1);
        }
        binds.extend(known);
    }
    binds
}

fn bind<'a>(line: &'a Statement, text: &str) -> Option<Bind<'a>> {
    let (ip, port) = match place::haproxy(text) {
        Written::At(ip, port) => (Some(ip), port),
        Written::Anywhere(port) => (None, port),
        Written::Host(..) | Written::Other => return None,
    };
    let ports = match port {
        Port::One(port) => vec![port],
        Port::Range(first, last) if last.checked_sub(first)? < MOST_PORTS => {
            (first..=last).collect()
        }
        Port::None | Port::Shift(_) | Port::Range(..) => return None,
    };
    Some(Bind { line, text: text.to_owned(), ip, ports })
}

impl Bind<'_> {
    pub(super) fn port(&self) -> Option<u16> {
        self.ports.first().copied()
    }

    /// The address in a family, and a word on it; `None` if it has none there.
    pub(super) fn ip(
        &self,
        family: Family,
        backend: &Backend,
        hosts: &Hosts<'_>,
        report: &mut Report,
    ) -> Option<(IpAddr, String)> {
        if let Some(ip) = self.ip {
            return (Family::of(ip) == family).then(|| (ip, String::new()));
        }
        // HAProxy carries clients of one family to servers of the other: any address is one that servers can have.
        let is_first = family == Family::V4 || backend.pool(Family::V4).is_none();
        if !is_first && !self.text.contains("::") {
            return None;
        }
        let found = hosts.own(family);
        if found.is_stand_in {
            let why = format!(
                "pgvs needs the address that clients use: write it in place of {}, or import with --address",
                found.ip
            );
            report.note(self.line, &self.text, why);
        }
        Some((found.ip, found.why))
    }
}

/// Addresses of a family in which no server stands behind them.
pub(super) fn without_servers(binds: &[Bind<'_>], backend: &Backend, report: &mut Report) {
    for bind in binds {
        let is_without = bind.ip.is_some_and(|ip| backend.pool(Family::of(ip)).is_none());
        if is_without && backend.has_pool() {
            let why = "no server has an address of this family, and the kernel carries one to the other in tunnels only";
            report.note(bind.line, &bind.text, why);
        }
    }
}
