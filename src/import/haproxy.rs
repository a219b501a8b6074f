//! haproxy.cfg: frontends become services, backends become pools, and the same servers in several sections one pool.
//!
//! HAProxy ends connections and makes new ones; the kernel forwards packets. What hangs on that is listed.

mod backend;
mod bind;
mod check;
mod section;
mod server;

use std::collections::BTreeMap;

use super::ledger::{Kind, Statement};
use super::place::Hosts;
use super::plan::{Key, Plan, Service, Value};
use super::reasons::Reasons;
use super::{Around, Reading, write};
use crate::import::ledger::Report;
use crate::model::service::Family;
use backend::Backend;
use section::Proxy;

const REASONS: Reasons = Reasons::new(include_str!("haproxy/reasons.txt"));

/// Reads a haproxy.cfg.
pub(super) fn read(name: &str, text: &str, around: Around<'_>) -> Reading {
    let sections = section::sections(text);
    let mut import = Import {
        proxies: section::proxies(&sections),
        hosts: Hosts::new(around),
        plan: Plan::default(),
        report: Report::default(),
        backends: BTreeMap::new(),
    };
    for proxy in import.proxies.clone() {
        if proxy.kind() != "backend" {
            import.front(proxy);
        }
    }
    import.backends_without_a_front();
    import.long_timeouts(name);
    if !import.plan.services.is_empty() {
        let why = "servers see this director's address, as they saw HAProxy's; false where it is their gateway";
        import.plan.defaults.push(Key::truth("source_nat").because(why));
    }
    let Import { plan, mut report, .. } = import;
    for section in &sections {
        explain(section, &mut report);
    }
    Reading { plan, report, statements: sections, files: vec![name.to_owned()] }
}

struct Import<'a> {
    proxies: Vec<Proxy<'a>>,
    hosts: Hosts<'a>,
    plan: Plan,
    report: Report,
    /// What sections with servers became, by their line.
    backends: BTreeMap<usize, Backend>,
}

impl<'a> Import<'a> {
    /// A frontend or listen section: a service of each address family.
    fn front(&mut self, proxy: Proxy<'a>) {
        if proxy.is_http() {
            let is_page =
                proxy.own("stats").next().is_some() && proxy.own("server").next().is_none();
            let key = if is_page { "stats" } else { "mode" };
            let (kind, why) = REASONS.of([key]).unwrap_or((Kind::Lost, ""));
            return self.whole(kind, proxy.head, why);
        }
        let Some(behind) = self.behind(proxy) else {
            let why =
                "no section with servers stands behind it: write a [[service]] and a [[pool]]";
            return self.report.hand(proxy.head, why);
        };
        proxy.take_head();
        let binds = bind::binds(proxy, &mut self.report);
        let port = binds.iter().find_map(bind::Bind::port);
        let backend = self.backend(behind, port, proxy.name());
        for (family, name) in [(Family::V4, "IPv4"), (Family::V6, "IPv6")] {
            let is_served = self.service(proxy, &binds, &backend, family);
            if backend.pool(family).is_some() && !is_served {
                let why = format!(
                    "no address of {name} is in front of its servers of {name}: they get a pool, and no service"
                );
                self.report.note(proxy.head, proxy.name(), why);
            }
        }
        bind::without_servers(&binds, &backend, &mut self.report);
    }

    fn whole(&mut self, kind: Kind, head: &Statement, why: &str) {
        match kind {
            Kind::Hand => self.report.hand(head, why),
            Kind::Lost => self.report.lost(head, why),
        }
    }

    /// The section with the servers of a front.
    fn behind(&self, proxy: Proxy<'a>) -> Option<Proxy<'a>> {
        if proxy.kind() == "listen" && proxy.own("server").next().is_some() {
            return Some(proxy);
        }
        let only = || {
            let mut uses = proxy.own("use_backend");
            uses.next().filter(|line| line.len() == 2 && uses.next().is_none())
        };
        let line = proxy.last(&["default_backend"]).or_else(only)?;
        let named = |it: &&Proxy<'_>| it.kind() != "frontend" && it.name() == line.word(1);
        let found = self.proxies.iter().find(named).filter(|it| !it.is_http())?;
        line.take_words(0..2);
        Some(*found)
    }

    fn backend(&mut self, proxy: Proxy<'a>, port: Option<u16>, front: &str) -> Backend {
        let key = proxy.head.place.line;
        if let Some(known) = self.backends.get(&key) {
            return known.clone();
        }
        let backend = backend::backend(
            proxy,
            backend::Front { port, name: front },
            &self.hosts,
            &mut self.plan,
            &mut self.report,
        );
        self.backends.insert(key, backend.clone());
        backend
    }

    /// Whether there is one in a family.
    fn service(
        &mut self,
        proxy: Proxy<'a>,
        binds: &[bind::Bind<'a>],
        backend: &Backend,
        family: Family,
    ) -> bool {
        let Some(pool) = backend.pool(family) else {
            return false;
        };
        let (mut addresses, mut why, mut places) =
            (Vec::new(), String::new(), vec![proxy.head.place]);
        for bind in binds {
            let Some((ip, word)) = bind.ip(family, backend, &self.hosts, &mut self.report) else {
                continue;
            };
            why = if word.is_empty() { why } else { word };
            places.push(bind.line.place);
            addresses.extend(
                bind.ports.iter().map(|port| std::net::SocketAddr::new(ip, *port).to_string()),
            );
        }
        addresses.dedup();
        places.dedup();
        let address = match &*addresses {
            [] => return false,
            [one] => Value::Text(one.clone()),
            _ => Value::Words(addresses),
        };
        let mut keys = vec![Key::new("address", address).because(why)];
        keys.extend(backend.keys.iter().cloned());
        let is_second = family == Family::V6 && backend.pool(Family::V4).is_some();
        let name = format!("{}{}", proxy.name(), if is_second { "-v6" } else { "" });
        self.plan.services.push(Service { name, pool, keys, places, said: Vec::new() });
        true
    }

    /// Backends that only conditions lead to become pools all the same.
    fn backends_without_a_front(&mut self) {
        for proxy in self.proxies.clone() {
            let is_new = !self.backends.contains_key(&proxy.head.place.line);
            if proxy.kind() != "backend" || !is_new {
                continue;
            }
            if proxy.is_http() {
                let why = REASONS.of(["mode"]).map_or("", |(_, why)| why);
                self.report.lost(proxy.head, why);
                continue;
            }
            let backend = self.backend(proxy, None, "");
            if [Family::V4, Family::V6].iter().any(|it| backend.pool(*it).is_some()) {
                let why =
                    "no frontend leads here without a condition: write the [[service]] of its pool";
                self.report.note(proxy.head, proxy.name(), why);
            }
            // What the section says of its services has no other place.
            let pool = backend.pool(Family::V4).or_else(|| backend.pool(Family::V6));
            if let Some(pool) = pool.and_then(|number| self.plan.pools.get_mut(number)) {
                pool.said.push(format!("A [[service]] in front of {} would have:", proxy.name()));
                pool.said.extend(backend.keys.iter().map(write::line));
            }
        }
    }

    /// Sessions that may be idle for longer than pgvs' own default must not be forgotten by the kernel.
    fn long_timeouts(&mut self, name: &str) {
        let lines = self.proxies.iter().filter(|it| !it.is_http()).flat_map(|it| it.lines());
        let timeouts = lines.filter(|line| {
            line.word(0) == "timeout" && matches!(line.word(1), "client" | "server" | "tunnel")
        });
        let longest =
            timeouts.filter_map(|line| Some((backend::milliseconds(line.word(2))?, line)));
        let Some((length, line)) = longest.max_by_key(|(length, _)| *length) else {
            return;
        };
        let seconds = u32::try_from(length.div_ceil(1000)).unwrap_or(u32::MAX);
        if (DEFAULT_TIMEOUT + 1..=LONGEST_TIMEOUT).contains(&seconds) {
            line.take_words(0..3);
            let why = format!("{name}:{}: so long a session may be idle", line.place.line);
            let key = Key::text("tcp_timeout", super::ipvsadm::in_words(seconds)).because(why);
            self.plan.kernel.push(key);
        }
    }
}

/// How long the kernel remembers an idle session where nobody says otherwise, in seconds.
const DEFAULT_TIMEOUT: u32 = 7500;
/// The kernel's longest, in seconds: 31 days.
const LONGEST_TIMEOUT: u32 = 31 * 86_400;

/// Lists what is unread of a section, with the reason for each line.
fn explain(section: &Statement, report: &mut Report) {
    let kind = section.word(0);
    let is_proxy = matches!(kind, "frontend" | "backend" | "listen" | "defaults");
    if section.is_unread() || !is_proxy {
        let head = format!("section {kind}");
        let (grave, why) = REASONS
            .of([kind, &*head])
            .unwrap_or((Kind::Hand, "it belongs to no section that is known here"));
        match grave {
            Kind::Hand => report.hand(section, why),
            Kind::Lost => report.lost(section, why),
        }
        return;
    }
    if kind == "defaults" {
        report.words(Kind::Lost, section, 1..section.len(), "no section names these defaults");
    }
    for line in &section.block {
        match line.word(0) {
            "server" if !line.is_unread() => server::explain(line, 3, "server", REASONS, report),
            "default-server" => {
                let is_used = !line.is_unread();
                server::explain(line, 1, "server", REASONS, report);
                // The word itself is no loss where its options are listed.
                if is_used || line.len() > 1 {
                    line.take(0);
                }
            }
            "bind" if !line.is_unread() => server::explain(line, 2, "bind", REASONS, report),
            _ => explain_line(line, report),
        }
    }
}

fn explain_line(line: &Statement, report: &mut Report) {
    let at = usize::from(matches!(line.word(0), "no" | "default"));
    let (one, two) = (line.word(at), format!("{} {}", line.word(at), line.word(at + 1)));
    let unread = (0..line.len()).any(|at| line.is_unread_at(at));
    if let Some((kind, why)) = REASONS.of([&*two, one]).filter(|_| unread) {
        report.words(kind, line, 0..line.len(), why);
    }
}
