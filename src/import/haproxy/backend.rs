//! A section with servers: its pool, and what it says of every service in front of it.

use super::super::guess;
use super::super::ledger::{Kind, Report};
use super::super::place::Hosts;
use super::super::plan::{Key, Plan, Pool, Postgres, Server};
use super::check::{self, Check};
use super::section::Proxy;
use super::server::{self, Line};
use crate::model::service::Family;

/// Algorithms of `balance`, and the kernel's schedulers for them.
const BALANCE: [(&str, &str, &str); 6] = [
    ("roundrobin", "wrr", ""),
    ("static-rr", "wrr", ""),
    ("leastconn", "wlc", ""),
    ("source", "sh", "by client, as balance source; another hash, so clients change servers once"),
    ("random", "twos", "the better of two random servers, as balance random"),
    ("first", "ovf", ""),
];

/// What a section with servers became.
#[derive(Clone, Debug, Default)]
pub(super) struct Backend {
    v4: Option<usize>,
    v6: Option<usize>,
    /// What it says of a service.
    pub(super) keys: Vec<Key>,
}

/// What is in front of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front<'a> {
    pub(super) port: Option<u16>,
    pub(super) name: &'a str,
}

impl Backend {
    /// The pool of an address family.
    pub(super) const fn pool(&self, family: Family) -> Option<usize> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    pub(super) const fn has_pool(&self) -> bool {
        self.v4.is_some() || self.v6.is_some()
    }
}

/// Reads a section with servers.
pub(super) fn backend(
    proxy: Proxy<'_>,
    front: Front<'_>,
    hosts: &Hosts<'_>,
    plan: &mut Plan,
    report: &mut Report,
) -> Backend {
    proxy.take_head();
    let lines = server::servers(proxy);
    let mut members = server::members(&lines, front.port, hosts, report);
    if members.is_empty() {
        report.note(
            proxy.head,
            proxy.name(),
            "a section without a server that could be carried over",
        );
        return Backend::default();
    }
    let called = [proxy.name(), front.name].into_iter().chain(lines.iter().map(|line| line.name()));
    let is_known = guess::is_postgres(members.iter().map(|it| it.address), called);
    let check = check::check(proxy, is_known, report);
    let is_checked = check.is_postgres || lines.iter().any(|line| line.has("check", "no-check"));
    let is_probed = (is_known || check.is_postgres) && check.is_kept && is_checked;
    let mut probe = is_probed.then(|| postgres(proxy, &lines, &check));
    if let Some(probe) = &mut probe
        && members.iter().any(|it| it.address.port() == guess::POOLER)
    {
        probe.said.push(guess::POOLER_SAID.to_owned());
    }
    let keys = keys(proxy, &lines, probe.is_some().then_some(&check), report);
    let (six, four): (Vec<Server>, Vec<Server>) =
        members.drain(..).partition(|it| it.address.is_ipv6());
    let mut pool = |servers: Vec<Server>, suffix: &str| {
        let called = vec![format!("{}{suffix}", proxy.name())];
        let places = vec![proxy.head.place];
        let (keys, said) = (Vec::new(), Vec::new());
        let pool = Pool { called, probe: probe.clone(), keys, servers, places, said };
        let number = (!pool.servers.is_empty()).then(|| plan.pool(pool))?;
        let kept = plan.pools.get(number).and_then(|pool| pool.probe.as_ref());
        for (what, why) in probe.iter().zip(kept).flat_map(|(probe, kept)| probe.beside(kept)) {
            report.told(Kind::Lost, proxy.head, &what, why);
        }
        Some(number)
    };
    let suffix = if four.is_empty() { "" } else { "-v6" };
    Backend { v4: pool(four, ""), v6: pool(six, suffix), keys }
}

/// How the servers are asked instead.
fn postgres(proxy: Proxy<'_>, lines: &[Line<'_>], check: &Check) -> Postgres {
    lines.iter().filter(|line| line.has("check", "no-check")).for_each(|line| line.take("check"));
    let same = |name: &str| {
        let number = lines.iter().find_map(|line| line.number(name))?;
        let number = Some(number).filter(|it| (1..=100).contains(it))?;
        let alike = lines.iter().filter(|line| line.number(name) == Some(number));
        alike.for_each(|line| line.take(name));
        Some(number)
    };
    let (rise, fall) = (same("rise"), same("fall"));
    let mut said = Vec::new();
    if check.user.is_some() {
        said.push(
            "pgsql-check only began a login; pgvs ends it: the role must exist, may CONNECT, and pg_hba.conf lets it in."
                .to_owned(),
        );
    }
    let inter = lines.iter().find_map(|line| milliseconds(line.value("inter")));
    if let Some(inter) = inter {
        let tries = u64::from(fall.unwrap_or(3));
        let within = humantime::format_duration(std::time::Duration::from_millis(
            inter.saturating_mul(tries),
        ));
        said.push(format!(
            "HAProxy noticed a dead server within {within} here (inter times fall). pgvs keeps its own, faster rhythm: \
             pulse, suspect_after and lost_after."
        ));
    }
    if !lines.iter().any(|line| line.has("check", "no-check")) {
        said.push(format!(
            "No server of {} has `check`: HAProxy asked none, pgvs does.",
            proxy.name()
        ));
    }
    Postgres { user: check.user.clone(), rise, fall, said }
}

/// What a section says of the services in front of it.
fn keys(
    proxy: Proxy<'_>,
    lines: &[Line<'_>],
    check: Option<&Check>,
    report: &mut Report,
) -> Vec<Key> {
    let target = check.map_or("any", |check| check.target);
    let mut keys: Vec<Key> = scheduler(proxy, target, report).into_iter().collect();
    keys.extend(persistence(proxy));
    if let Some(check) = check {
        keys.push(Key::text("target", target).because(match &*check.said {
            "" => {
                "who may serve: HAProxy did not ask for a role; or primary, standby, prefer-standby"
            }
            said => said,
        }));
        keys.push(on_down(lines));
    }
    keys
}

fn scheduler(proxy: Proxy<'_>, target: &str, report: &mut Report) -> Option<Key> {
    let Some(line) = proxy.last(&["balance"]) else {
        let is_needed = target != "primary";
        return is_needed
            .then(|| Key::text("scheduler", "wrr").because("HAProxy's roundrobin, by default"));
    };
    let word = line.word(1).split('(').next().unwrap_or_default();
    let Some((_, scheduler, why)) = BALANCE.iter().find(|(name, ..)| *name == word) else {
        return Some(Key::text("scheduler", "wrr"));
    };
    line.take_words(0..2);
    let why = if why.is_empty() { format!("balance {}", line.word(1)) } else { (*why).to_owned() };
    if *scheduler == "ovf" && target != "primary" {
        let why = "ovf fills one server up to its weight in connections: give each as weight what was its maxconn";
        report.note(line, "balance first", why);
    }
    Some(Key::text("scheduler", *scheduler).because(why))
}

/// `stick on src` with a table of addresses: a client comes back to its server for so long.
fn persistence(proxy: Proxy<'_>) -> Option<Key> {
    let stick = proxy.last(&["stick", "on", "src"]).filter(|line| line.len() == 3)?;
    let table =
        proxy.last(&["stick-table", "type"]).filter(|line| line.word(2).starts_with("ip"))?;
    let at = (3..table.len()).find(|at| table.word(*at) == "expire")?;
    let length = milliseconds(table.word(at + 1))?;
    let seconds = u32::try_from(length.div_ceil(1000)).ok().filter(|it| *it > 0)?;
    stick.take_all();
    table.take_words(0..2);
    table.take_words(at..at + 2);
    let why = format!("stick on src, expire {}", table.word(at + 1));
    Some(Key::text("persistence_timeout", super::super::ipvsadm::in_words(seconds)).because(why))
}

/// What happens to the sessions of a server that is down.
fn on_down(lines: &[Line<'_>]) -> Key {
    let is_cut = |line: &Line<'_>| line.value("on-marked-down") == "shutdown-sessions";
    if lines.iter().all(is_cut) {
        lines.iter().for_each(|line| line.take("on-marked-down"));
        return Key::text("on_down", "cut").because("on-marked-down shutdown-sessions");
    }
    Key::text("on_down", "hold")
        .because("as HAProxy does by itself; cut resets sessions of a dead server")
}

/// A time of HAProxy in milliseconds: `3s`, `500ms`, `1m`; a bare number is milliseconds already.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(at)?;
    let number: u64 = number.parse().ok()?;
    let times = match unit {
        "us" => return Some(number.div_ceil(1000)),
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_milliseconds_unless_they_say_otherwise() {
        for (text, expected) in [
            ("3s", Some(3000)),
            ("500", Some(500)),
            ("30m", Some(1_800_000)),
            ("1us", Some(1)),
            ("s", None),
            ("3 s", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }
}
