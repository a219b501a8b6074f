//! Many random tables: built, listed, saved and restored by `pgvs` and by the real ipvsadm, each reading the other.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use pgvs::host::netlink::Kernel;
use pgvs::model::destination::{Destination, DestinationKey, Forwarding, Thresholds, Tunnel};
use pgvs::model::saved::Saved;
use pgvs::model::service::{Family, Netmask, Protocol, ServiceFlags, ServiceKey};
use pgvs::model::table::Table;
use pgvs::saved;

use super::Scenario;
use super::kernel_tables::seed;
use crate::lab::Lab;
use crate::net::Namespace;
use crate::twin::{Program, Said, said, same_text};
use crate::{full, random};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ipvsadm-tables",
    shows: "random tables built by ipvsadm and by us: every list the same to the byte, saves restored by the other, nothing lost by pgvs save",
    run,
}];

/// Tables unless `PGVS_LAB_TABLES` says otherwise.
const TABLES: u64 = 100;
/// Services of a table, at most.
const SERVICES: usize = 8;
/// A word on how it goes, so often.
const EVERY: u64 = 50;

/// Every way to list or save a whole table, as lines of `-R`: one process prints them all.
const LISTS: &str = "\
-L -n
-L
-l -n --stats
-L -n --rate
-L -n --thresholds
-L -n --persistent-conn
-L -n --tun-info
-L -n --stats --exact
-L -n --rate -X
-L -n --nosort
-L -n --thresholds --nosort
-L -n --sort
-L --tun-info --rate
-L -n -c
-L --timeout
-L --daemon
-S
";

fn run(lab: &mut Lab) -> Result<()> {
    let first = seed()?;
    let tables = match std::env::var("PGVS_LAB_TABLES") {
        Ok(given) if !given.is_empty() => given.parse().context("PGVS_LAB_TABLES")?,
        _ => TABLES,
    };
    lab.step(format!("{tables} tables, seeds from {first} on"));
    let mut count = Count::default();
    let began = Instant::now();
    for seed in first..first + tables {
        one(lab, seed, &mut count).with_context(|| {
            format!("seed {seed}; again: PGVS_LAB_SEED={seed} PGVS_LAB_TABLES=1")
        })?;
        let done = seed - first + 1;
        if done % EVERY == 0 || done == tables {
            let minutes = began.elapsed().as_secs_f64() / 60.0;
            #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "for people")]
            let pace = done as f64 / minutes;
            lab.step(format!("{done} tables, {pace:.0} a minute: {count}"));
        }
    }
    ensure!(u64::try_from(count.destinations)? > tables, "only {count}");
    Ok(())
}

/// What was compared.
#[derive(Debug, Default)]
struct Count {
    services: usize,
    destinations: usize,
    bytes: usize,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} services, {} destinations, {} kB of lists the same to the byte",
            self.services,
            self.destinations,
            self.bytes / 1000
        )
    }
}

fn one(lab: &Lab, seed: u64, count: &mut Count) -> Result<()> {
    let dice = &mut fastrand::Rng::with_seed(seed);
    let services = dice.usize(..=SERVICES);
    let odd = random::table(dice, services);
    let table = readable(odd.clone());
    let mut known = Listed::default();

    // What ipvsadm cannot build, it can list.
    make(&odd)?;
    known.lists(lab, "", &odd, Program::Theirs)?;
    known.lists(lab, "", &odd, Program::Ours)?;
    known.compared("a table built over netlink", count)?;

    let build = format!("-C\n{}", commands(&table)?);
    known.lists(lab, &build, &table, Program::Theirs)?;
    is(&table, "ipvsadm built")?;
    known.lists(lab, "", &table, Program::Ours)?;
    known.compared("a table built by ipvsadm", count)?;

    known.lists(lab, &build, &table, Program::Ours)?;
    is(&table, "pgvs ipvsadm built")?;
    known.lists(lab, "", &table, Program::Theirs)?;
    known.compared("a table built by pgvs ipvsadm", count)?;

    let kept = as_ipvsadm_saves(&table);
    Program::Theirs.lines(lab, &format!("-C\n{}", known.saved(Program::Ours)))?;
    is(&kept, "pgvs ipvsadm -S | ipvsadm -R made")?;
    Program::Ours.lines(lab, &format!("-C\n{}", known.saved(Program::Theirs)))?;
    is(&kept, "ipvsadm -S | pgvs ipvsadm -R made")?;

    saves(lab, dice, &odd, &table, known.saved(Program::Theirs))?;
    count.services += odd.services.len() + table.services.len();
    for table in [&odd, &table] {
        count.destinations +=
            table.services.values().map(|it| it.destinations.len()).sum::<usize>();
    }
    Ok(())
}

/// `pgvs save` and `pgvs restore` beside each other and beside ipvsadm.
fn saves(
    lab: &Lab,
    dice: &mut fastrand::Rng,
    odd: &Table,
    table: &Table,
    by_ipvsadm: &str,
) -> Result<()> {
    make(&random::changed(dice, table))?;
    // An empty file says nothing of its own accord.
    pgvs(lab, &["restore", "--force"], by_ipvsadm, 0)?;
    is(&as_ipvsadm_saves(table), "ipvsadm -S | pgvs restore made")?;

    let all = commands(table)?;
    pgvs(lab, &["restore", "--force"], &all, 0)?;
    is(table, "pgvs restore of what pgvs saved made")?;
    let saved = pgvs(lab, &["save"], "", 0)?.out;
    let mut lines: Vec<_> = saved.lines().collect();
    ensure!(lines.first().is_some_and(|line| line.starts_with("--set ")), "{saved}");
    lines.remove(0);
    same_text("pgvs save", &lines.join("\n"), all.trim_end())?;
    Program::Theirs.lines(lab, &format!("-C\n{saved}"))?;
    is(table, "pgvs save | ipvsadm -R made")?;

    make(odd)?;
    let json = pgvs(lab, &["save", "--format", "json"], "", 0)?.out;
    make(&random::changed(dice, odd))?;
    pgvs(lab, &["restore"], &json, 0)?;
    is(odd, "pgvs save --format json | pgvs restore made")?;
    let again = pgvs(lab, &["restore", "--dry-run"], &json, 0)?.out;
    ensure!(again == "nothing to change\n", "a second restore: {again}");
    Ok(())
}

fn pgvs(lab: &Lab, arguments: &[&str], input: &str, code: i32) -> Result<Said> {
    let mut command = Command::new(&lab.pgvs);
    command.args(arguments);
    let said = said(command, Namespace::Director, input)?;
    ensure!(said.code == Some(code), "pgvs {}: {said:?}\n{input}", arguments.join(" "));
    Ok(said)
}

/// The lists that both programs printed last.
#[derive(Debug, Default)]
struct Listed {
    ours: Option<String>,
    theirs: Option<String>,
}

impl Listed {
    /// Has a program build something, list what there is in every way, and save it.
    fn lists(&mut self, lab: &Lab, build: &str, table: &Table, program: Program) -> Result<()> {
        let mut lines = format!("{build}{LISTS}");
        for key in table.services.keys() {
            if let Some(option) = option(*key) {
                lines +=
                    &format!("-L -n {option}\n-L -n --stats {option}\n-L --tun-info {option}\n");
            }
        }
        let out = program.lines(lab, &(lines + "-S -n\n"))?;
        match program {
            Program::Ours => self.ours = Some(out),
            Program::Theirs => self.theirs = Some(out),
        }
        Ok(())
    }

    fn compared(&self, what: &str, count: &mut Count) -> Result<()> {
        let (ours, theirs) = (self.ours.as_deref(), self.theirs.as_deref());
        let (ours, theirs) = (ours.context("no list")?, theirs.context("no list")?);
        count.bytes += theirs.len();
        same_text(what, ours, theirs)
    }

    /// What a program saved last: the lines at the end that are commands.
    fn saved(&self, program: Program) -> &str {
        let text = match program {
            Program::Ours => &self.ours,
            Program::Theirs => &self.theirs,
        };
        let text = text.as_deref().unwrap_or_default();
        let lines = text.split_inclusive('\n').rev();
        let length = lines.take_while(|line| line.starts_with('-')).map(str::len).sum::<usize>();
        &text[text.len() - length..]
    }
}

/// `None` where ipvsadm has no option, or prints the mark so that it does not read it.
fn option(key: ServiceKey) -> Option<String> {
    Some(match key {
        ServiceKey::FwMark { mark, .. } if i32::try_from(mark).is_err() => return None,
        ServiceKey::FwMark { family: Family::V4, mark } => format!("-f {mark}"),
        ServiceKey::FwMark { family: Family::V6, mark } => format!("-f {mark} -6"),
        ServiceKey::Address { protocol, address } => {
            let option = match protocol {
                Protocol::TCP => "-t",
                Protocol::UDP => "-u",
                Protocol::SCTP => "--sctp-service",
                _ => return None,
            };
            format!("{option} {address}")
        }
    })
}

/// A table like that one which ipvsadm can build, and save so that it reads it back.
fn readable(table: Table) -> Table {
    let mut readable = Table::default();
    for (key, mut entry) in table.services {
        if option(key).is_none() {
            continue;
        }
        let flags = &mut entry.service.flags;
        if matches!(key, ServiceKey::Address { protocol, .. } if protocol != Protocol::UDP) {
            *flags = flags.without(ServiceFlags::ONE_PACKET);
        }
        if ["sh", "mh"].contains(&entry.service.scheduler.as_str()) {
            *flags = flags.without(ServiceFlags::SCHED_3);
        }
        for (DestinationKey(mut at), to) in std::mem::take(&mut entry.destinations) {
            let to = readable_destination(to);
            if let ServiceKey::Address { address, .. } = key
                && to.forwarding != Forwarding::Masquerade
            {
                at.set_port(address.port());
            }
            entry.destinations.insert(DestinationKey(at), to);
        }
        readable.services.insert(key, entry);
    }
    readable
}

const fn readable_destination(mut to: Destination) -> Destination {
    if matches!(to.forwarding, Forwarding::Local) {
        to.forwarding = Forwarding::DirectRoute;
    }
    let is_tunnel = matches!(to.forwarding, Forwarding::Tunnel);
    to.tunnel = match to.tunnel {
        Tunnel { kind: 1, .. } if is_tunnel => to.tunnel,
        Tunnel { kind: 2, flags: 0 | 1, .. } if is_tunnel => to.tunnel,
        _ => Tunnel { kind: 0, port: 0, flags: 0 },
    };
    to
}

/// What is left of a table in `ipvsadm -S`.
fn as_ipvsadm_saves(table: &Table) -> Table {
    let mut table = table.clone();
    for (key, entry) in &mut table.services {
        let service = &mut entry.service;
        if !service.flags.contains(ServiceFlags::PERSISTENT) {
            service.netmask = Netmask::host(key.family());
        }
        for destination in entry.destinations.values_mut() {
            destination.thresholds = Thresholds::default();
        }
    }
    table
}

/// The commands that make that table; nothing of it may be lost.
fn commands(table: &Table) -> Result<String> {
    let saved = Saved { table: table.clone(), ..Saved::default() };
    let written = saved::commands(&saved);
    ensure!(written.notes.is_empty(), "{:#?}", written.notes);
    Ok(written.text)
}

/// Makes the director's table that one, without either program.
fn make(table: &Table) -> Result<()> {
    let ops = random::ops(&Table::default(), table);
    let outcomes = Namespace::Director.inside(|| {
        let mut kernel = Kernel::open()?;
        kernel.flush()?;
        Ok(kernel.apply(&ops)?)
    })?;
    for (op, outcome) in ops.iter().zip(outcomes) {
        ensure!(outcome.is_ok(), "{op}: {outcome:?}");
    }
    Ok(())
}

/// The director's table is that one, by neli.
fn is(table: &Table, who: &str) -> Result<()> {
    let found = full::table()?;
    for (key, entry) in &table.services {
        let found = found.services.get(key);
        ensure!(found == Some(entry), "{who} of {key}\n{found:#?}\nwanted\n{entry:#?}");
    }
    let (has, wants) = (found.services.len(), table.services.len());
    ensure!(has == wants, "{who} {has} services, wanted {wants}");
    Ok(())
}
