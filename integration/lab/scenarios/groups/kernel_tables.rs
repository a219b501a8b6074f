//! The kernel client on whole tables: what it writes, neli and ipvsadm read back; what it lists, ipvsadm lists.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pgvs::host::netlink::{CheapList, Kernel};
use pgvs::model::destination::{Destination, DestinationKey, Forwarding, Weight};
use pgvs::model::op::Errno;
use pgvs::model::service::{Family, Scheduler, Service, ServiceKey};
use pgvs::model::table::{Entry, Table};

use super::Scenario;
use super::smoke::ms;
use crate::lab::Lab;
use crate::net::Namespace;
use crate::{full, kernel, random};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kernel-tables",
        shows: "random tables: neli, /proc and ipvsadm read what we wrote, and our list is ipvsadm's to the byte",
        run: random_tables,
    },
    Scenario {
        name: "kernel-scale",
        shows: "1,000 services with 10 destinations each are written, read, changed and listed; figures of a debug build",
        run: large_table,
    },
];

/// Random tables one after the other, each made from the one before.
const ROUNDS: usize = 12;

fn random_tables(lab: &mut Lab) -> Result<()> {
    let seed = seed()?;
    lab.step(format!("seed {seed}"));
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut have = Table::default();
    let mut entries = 0;
    for round in 0..ROUNDS {
        let want = match round % 3 {
            0 => random::table(&mut dice, 25),
            _ => random::changed(&mut dice, &have),
        };
        one_round(lab, &have, &want).with_context(|| format!("seed {seed}, round {round}"))?;
        entries += want.services.values().map(|it| it.destinations.len()).sum::<usize>();
        have = want;
    }
    ensure!(entries > 100, "only {entries} destinations were tried");
    lab.step(format!("{ROUNDS} tables with {entries} destinations agree"));
    Ok(())
}

/// `PGVS_LAB_SEED`, or another one each time.
pub(crate) fn seed() -> Result<u64> {
    match std::env::var("PGVS_LAB_SEED") {
        Ok(given) if !given.is_empty() => given.parse().context("PGVS_LAB_SEED"),
        _ => Ok(fastrand::u64(..1_000_000_000)),
    }
}

fn one_round(lab: &Lab, have: &Table, want: &Table) -> Result<()> {
    let ops = random::ops(have, want);
    let keys: Vec<_> = want.services.keys().copied().collect();
    let (ours, differences) = Namespace::Director.inside(|| {
        let mut kernel = Kernel::open()?;
        for (op, outcome) in ops.iter().zip(kernel.apply(&ops)?) {
            ensure!(outcome.is_ok(), "{op}: {outcome:?}\n{op:?}");
        }
        let (ours, _) = kernel.dump(&keys)?;
        Ok((ours, CheapList::default().read()?.differences(want)))
    })?;
    let neli = full::table()?;
    same("neli", &neli, want)?;
    same("our own dump", &ours, want)?;
    ensure!(differences.is_empty(), "/proc differs: {differences:?}");
    same_lists(lab)
}

fn large_table(lab: &mut Lab) -> Result<()> {
    let want = large();
    let ops = random::ops(&Table::default(), &want);
    let keys: Vec<_> = want.services.keys().copied().collect();
    let mut heavier = want.clone();
    for entry in heavier.services.values_mut() {
        for destination in entry.destinations.values_mut() {
            destination.weight = Weight(7);
        }
    }
    let edits = random::ops(&want, &heavier);
    let figures = Namespace::Director.inside(|| {
        let mut kernel = Kernel::open()?;
        let mut figures = Vec::new();
        let mut timed = |what: &str, began: Instant| {
            figures.push(format!("{what} {}", ms(began.elapsed())));
        };
        let began = Instant::now();
        let outcomes = kernel.apply(&ops)?;
        timed("11,000 additions", began);
        ensure!(outcomes.iter().all(Result::is_ok), "an addition was refused");
        let began = Instant::now();
        let (table, counters) = kernel.dump(&keys)?;
        timed("the whole table over netlink", began);
        ensure!(table == want && counters.is_empty(), "the dump differs");
        let began = Instant::now();
        let proc = CheapList::default().read()?;
        timed("/proc read", began);
        let began = Instant::now();
        ensure!(proc.differences(&want).is_empty(), "/proc differs");
        timed("and compared", began);
        let began = Instant::now();
        let outcomes = kernel.apply(&ops)?;
        timed("the same additions again, all refused", began);
        ensure!(
            outcomes.iter().all(|it| *it == Err(Errno::EEXIST)),
            "an existing entry was added again"
        );
        let began = Instant::now();
        let outcomes = kernel.apply(&edits)?;
        timed("10,000 changes of weight", began);
        ensure!(
            outcomes.len() == 10_000 && outcomes.iter().all(Result::is_ok),
            "an edit was refused"
        );
        let changed = CheapList::default().read()?.differences(&want).len();
        ensure!(changed == 1000, "/proc shows {changed} changed services");
        Ok(figures)
    })?;
    for figure in figures {
        lab.figure(figure)?;
    }
    same("neli", &full::table()?, &heavier)?;
    let (ours, theirs) = same_lists(lab).and_then(|()| both_lists(lab))?;
    lab.figure(format!("pgvs ipvsadm -Ln {}, ipvsadm -Ln {}", ms(ours), ms(theirs)))
}

fn both_lists(lab: &Lab) -> Result<(Duration, Duration)> {
    let began = Instant::now();
    ours(lab, &["-Ln"])?;
    let ours = began.elapsed();
    let began = Instant::now();
    kernel::ipvsadm(&["-Ln"])?;
    Ok((ours, began.elapsed()))
}

/// What `pgvs ipvsadm` prints in the director.
pub(crate) fn ours(lab: &Lab, arguments: &[&str]) -> Result<Output> {
    Namespace::Director.inside(|| {
        let output = Command::new(&lab.pgvs).arg("ipvsadm").args(arguments).output();
        output.context("start pgvs")
    })
}

fn same_lists(lab: &Lab) -> Result<()> {
    let output = ours(lab, &["-Ln"])?;
    ensure!(output.status.success(), "pgvs ipvsadm -Ln: {output:?}");
    let (ours, theirs) = (String::from_utf8(output.stdout)?, kernel::ipvsadm(&["-Ln"])?);
    for (number, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
        ensure!(
            ours == theirs,
            "line {} of -Ln: ours\n{ours:?}\nipvsadm's\n{theirs:?}",
            number + 1
        );
    }
    ensure!(ours == theirs, "the lists have different lengths");
    Ok(())
}

/// The tables are the same, or the first service that is not.
fn same(who: &str, read: &Table, want: &Table) -> Result<()> {
    for (key, entry) in &want.services {
        let found = read.services.get(key);
        ensure!(found == Some(entry), "{who} has for {key}\n{found:#?}\nwanted\n{entry:#?}");
    }
    let (has, wants) = (read.services.len(), want.services.len());
    ensure!(has == wants, "{who} has {has} services, wanted {wants}");
    Ok(())
}

fn large() -> Table {
    let mut table = Table::default();
    for service in 0..1000_u16 {
        let [high, low] = service.to_be_bytes();
        let key = ServiceKey::tcp(([10, 100, high, low], 5432).into());
        let server = |number: u8| {
            let at = DestinationKey(([10, 200 + number, high, low], 5432).into());
            (at, Destination::plain(Forwarding::Masquerade, Weight(1)))
        };
        let scheduler = Scheduler::new("wlc").unwrap_or_else(|| unreachable!());
        let entry = Entry {
            service: Service::plain(scheduler, Family::V4),
            destinations: (0..10).map(server).collect(),
        };
        table.services.insert(key, entry);
    }
    table
}
