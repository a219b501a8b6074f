//! `virtual_server`: a service, or several where it stands for a group of addresses and marks.

use std::collections::BTreeMap;

use super::super::guess;
use super::super::ipvsadm::{Way, in_words};
use super::super::ledger::{Kind, Report, Statement};
use super::super::plan::{Key, Plan, Pool, Value};
use super::address;
use super::check::{self, Asked};
use super::identity::{self, identity, protocol_of};
use super::real::{self, Real};
use super::{is_on, number};
use crate::model::destination::{Forwarding, Tunnel, Weight};
use crate::model::service::Protocol;

/// Seconds of persistence where none are written.
const PERSISTENCE: u32 = 360;
/// The longest timeout, in seconds: 31 days.
const LONGEST: u32 = 31 * 86_400;

pub(super) fn read(
    line: &Statement,
    groups: &BTreeMap<&str, &Statement>,
    plan: &mut Plan,
    report: &mut Report,
) {
    let Some(identity) = identity(line, groups, report) else {
        return;
    };
    let protocol = protocol_of(line, report);
    let reals = real::reals(line, identity.port, report);
    if reals.is_empty() {
        return report
            .hand(line, "a virtual server without real servers, which a config cannot hold");
    }
    line.take_all();
    let usual = line.last("lvs_method").or_else(|| line.last("lb_kind")).and_then(real::way);
    let usual =
        usual.unwrap_or(Way { forwarding: Forwarding::Masquerade, tunnel: Tunnel::default() });
    let asked = (protocol == Protocol::TCP).then(|| {
        let said = ["virtualhost", "snmp_name"].map(|it| line.last(it).map_or("", |it| it.word(1)));
        check::asked(line, &reals, &[&*identity.name, said[0], said[1]], report)
    });
    let asked = asked.flatten();
    let mut keys = scheduling(line);
    keys.extend(persistence(line));
    keys.extend(line.last("ops").map(|ops| {
        ops.take_all();
        Key::truth("ops")
    }));
    keys.extend(usual.keys());
    if let Some(Asked { target, why, .. }) = &asked {
        keys.push(Key::text("target", *target).because(&**why));
        keys.extend(on_down(line, &reals));
    }
    keys.extend(quorum(line, &reals));
    let is_any = asked.as_ref().is_none_or(|it| it.target == "any");
    let alpha = alpha(line, &reals).or_else(|| {
        let key = Key::new("alpha", Value::Truth(false));
        let why = "as keepalived without alpha: servers count as up until they are asked";
        (asked.is_some() && is_any).then(|| key.because(why).offered())
    });
    let pool = Pool {
        called: vec![identity.name.clone()],
        probe: asked.map(|asked| asked.probe),
        keys: alpha.into_iter().collect(),
        servers: real::servers(&reals, usual),
        places: vec![line.place],
        ..Pool::default()
    };
    let probe = pool.probe.clone();
    let pool = plan.pool(pool);
    let kept = plan.pools.get(pool).and_then(|pool| pool.probe.as_ref());
    for (what, why) in probe.iter().zip(kept).flat_map(|(probe, kept)| probe.beside(kept)) {
        report.told(Kind::Lost, line, &what, why);
    }
    identity::write(identity, protocol, pool, &keys, plan);
}

fn scheduling(line: &Statement) -> Vec<Key> {
    let algorithm = line.last("lvs_sched").or_else(|| line.last("lb_algo"));
    let known = algorithm.filter(|it| guess::SCHEDULERS.contains(&it.word(1)));
    known.into_iter().for_each(|it| it.take_words(0..2));
    let scheduler = known.map_or("wlc", |it| it.word(1));
    let key = Key::text("scheduler", scheduler);
    let mut keys =
        vec![if algorithm.is_none() { key.because("keepalived's default") } else { key }];
    let names = ["flag-1", "flag-2", "flag-3", "sh-fallback", "sh-port", "mh-fallback", "mh-port"];
    let mut flags: Vec<String> = Vec::new();
    for name in names {
        let fits = name.starts_with("flag") || name.starts_with(&format!("{scheduler}-"));
        if let Some(flag) = line.last(name).filter(|_| fits) {
            flag.take_all();
            flags.push(name.to_owned());
        }
    }
    if flags.is_empty() {
        return keys;
    }
    // A failed server leaves keepalived's table, but stays in pgvs' with weight 0, where hashes need the fallback.
    let fallback = format!("{scheduler}-fallback");
    let hashes = matches!(scheduler, "sh" | "mh");
    let is_added = hashes && !flags.iter().any(|it| *it == fallback || it == "flag-1");
    if is_added {
        flags.insert(0, fallback);
    }
    let key = Key::new("scheduler_flags", Value::Words(flags));
    let why = "the fallback, since a quiesced server stays in the table";
    keys.push(if is_added { key.because(why) } else { key });
    keys
}

fn persistence(line: &Statement) -> Vec<Key> {
    let mut keys = Vec::new();
    if let Some(timeout) = line.last("persistence_timeout") {
        let seconds = match timeout.word(1) {
            "" => Some(PERSISTENCE),
            _ => number(timeout, 1..=LONGEST),
        };
        if let Some(seconds) = seconds {
            timeout.take_words(0..2);
            keys.push(Key::text("persistence_timeout", in_words(seconds)));
        }
    }
    if let Some(mask) = line.last("persistence_granularity") {
        let length: Option<u32> = mask.word(1).parse().ok().filter(|it| (1..=128).contains(it));
        let dotted = mask.word(1).parse::<std::net::Ipv4Addr>().ok();
        let key = length
            .map(|length| Key::number("persistence_netmask", length))
            .or_else(|| dotted.map(|mask| Key::text("persistence_netmask", mask.to_string())));
        key.iter().for_each(|_| mask.take_words(0..2));
        keys.extend(key);
    }
    if let Some(engine) = line.last("persistence_engine").filter(|it| it.word(1) == "sip") {
        engine.take_words(0..2);
        keys.push(Key::text("pe", "sip"));
    }
    keys
}

/// `inhibit_on_failure`: sessions of a failed server go on.
fn on_down(line: &Statement, reals: &[Real<'_>]) -> Option<Key> {
    let of = |it: &Statement| {
        it.last("inhibit_on_failure").filter(|it| is_on(it) == Some(true)).is_some()
    };
    let is_usual = of(line);
    if !reals.iter().all(|real| is_usual || of(real.line)) {
        return None;
    }
    let lines = reals.iter().map(|real| real.line).chain([line]);
    lines.filter_map(|it| it.last("inhibit_on_failure")).for_each(Statement::take_all);
    Some(Key::text("on_down", "hold").because("inhibit_on_failure"))
}

fn alpha(line: &Statement, reals: &[Real<'_>]) -> Option<Key> {
    let of = |it: &Statement| it.last("alpha").filter(|it| is_on(it) == Some(true)).is_some();
    let is_usual = of(line);
    if !reals.iter().all(|real| is_usual || of(real.line)) {
        return None;
    }
    let lines = reals.iter().map(|real| real.line).chain([line]);
    lines.filter_map(|it| it.last("alpha")).for_each(Statement::take_all);
    Some(Key::truth("alpha"))
}

/// Quorum and what goes with it; keepalived sums up weights, pgvs counts servers.
fn quorum(line: &Statement, reals: &[Real<'_>]) -> Vec<Key> {
    let weight = reals.first().map_or(1, |it| it.weight);
    let is_even = weight > 0 && reals.iter().all(|it| it.weight == weight);
    let mut keys = Vec::new();
    let [quorum, hysteresis] = ["quorum", "hysteresis"].map(|it| line.last(it));
    let value = |it: Option<&Statement>| it.and_then(|it| it.word(1).parse::<u32>().ok());
    let (needed, slack) = (value(quorum).unwrap_or(1), value(hysteresis).unwrap_or(0));
    // Without hysteresis a sum of 5 with weights of 2 is three servers; with it only whole servers are the same.
    let is_whole =
        slack == 0 || needed.is_multiple_of(weight.max(1)) && slack.is_multiple_of(weight.max(1));
    let fits = |servers: u32| usize::try_from(servers).is_ok_and(|it| it <= reals.len());
    if is_even && is_whole && fits(needed.div_ceil(weight.max(1))) {
        for (name, line) in [("quorum", quorum), ("hysteresis", hysteresis)] {
            let Some(sum) = line.and_then(|line| number(line, 0..=Weight::MAX.0)) else {
                continue;
            };
            let key = Key::number(name, sum.div_ceil(weight));
            let why = format!("a sum of {sum} with weights of {weight}");
            keys.push(if weight == 1 { key } else { key.because(why) });
        }
    }
    if let Some(sorry) = line.last("sorry_server") {
        let port = reals.first().map_or(0, |it| it.address.port());
        if let Some(address) = address::socket(sorry, 1, port) {
            sorry.take_words(0..3);
            keys.push(Key::text("sorry_server", address.to_string()));
        }
    }
    for name in ["quorum_up", "quorum_down"] {
        let Some(line) = line.last(name) else {
            continue;
        };
        let words = command(line.word(1));
        if words.first().is_some_and(|it| it.starts_with('/')) {
            line.take_words(0..2);
            keys.push(Key::new(name, Value::Words(words)));
        }
    }
    keys
}

/// The words of a script's line: single and double quotes hold blanks together.
fn command(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
