//! How fast: from PostgreSQL's own word, heard by an observer, to the kernel's table, seen by a tight reader.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::Scenario;
use crate::lab::Lab;
use crate::net;
use crate::observe::{Observer, Word};
use crate::postgres::Stop;
use crate::stage::{SOON, Stage, list, median, ms_between, ro, rw, slowness};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "standby-latency",
        shows: "a standby killed, stopped fast, stopped immediately: out of the table within 50 ms of its last word",
        run: standby_latency,
    },
    Scenario {
        name: "failover-latency",
        shows: "the writer follows a promotion within 100 ms of the new primary's own word; never two writers",
        run: failover_latency,
    },
];

const ROUNDS: usize = 5;
/// The goals on an idle machine, in milliseconds.
const STANDBY_GOAL: f64 = 50.0;
const FAILOVER_GOAL: f64 = 100.0;

fn standby_latency(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let mut slow = slowness()?;
    let began = Instant::now();
    let mut medians = Vec::new();
    for (how, words) in [
        (Stop::Kill, "postmaster killed"),
        (Stop::Fast, "fast stop"),
        (Stop::Immediate, "immediate stop"),
    ] {
        let mut figures = Vec::new();
        for round in 0..ROUNDS {
            // Two victims in turn: the same one five times would only show its own state.
            figures.push(standby_round(lab, &stage, if round % 2 == 0 { 3 } else { 2 }, how)?);
        }
        let median = median(figures.clone());
        lab.figure(format!(
            "standby, {words}: median {median:.1} ms from PostgreSQL's word to the kernel ({})",
            list(&figures)
        ))?;
        medians.push((words, median));
        slow = slow.max(slowness()?);
    }
    let goal = STANDBY_GOAL * slow;
    lab.figure(format!("this machine is {slow:.1} times slower than an idle one"))?;
    tightness(lab, &stage)?;
    stage.never_two_writers(began)?;
    for (words, median) in medians {
        ensure!(median < goal, "{words}: median {median:.1} ms, goal {goal:.0} ms");
    }
    Ok(())
}

fn standby_round(lab: &mut Lab, stage: &Stage, victim: u8, how: Stop) -> Result<f64> {
    let observer = Observer::start(victim)?;
    observer.wait("that it is a standby", SOON, |word| *word == Word::Standby)?;
    let told = lab.cluster_as_is()?.server(victim)?.tell(how)?;
    let out = stage.until("the standby out of service", told, |it| {
        !it.usable(ro()).contains(&net::server(victim))
    })?;
    let heard = observer.wait("that it ends", SOON, Word::is_end)?;
    drop(observer);
    let again = Instant::now();
    lab.cluster_as_is()?.server(victim)?.wait_end(SOON)?;
    lab.cluster_as_is()?.restart(victim)?;
    stage.wait_healthy(again)?;
    Ok(ms_between(heard, out))
}

fn failover_latency(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let mut slow = slowness()?;
    let began = Instant::now();
    let (mut away, mut follow) = (Vec::new(), Vec::new());
    let (mut primary, mut next) = (1, 2);
    for _ in 0..ROUNDS {
        let (gone, back) = failover_round(lab, &stage, primary, next)?;
        away.push(gone);
        follow.push(back);
        lab.cluster_as_is()?.rejoin(primary, next)?;
        stage.until("two standbys again", Instant::now(), |it| it.usable(ro()).len() == 2)?;
        (primary, next) = (next, 6 - primary - next);
        slow = slow.max(slowness()?);
    }
    stage.never_two_writers(began)?;
    let (lost, followed) = (median(away.clone()), median(follow.clone()));
    lab.figure(format!(
        "primary killed: median {lost:.1} ms from PostgreSQL's word to no writer ({})",
        list(&away)
    ))?;
    lab.figure(format!(
        "standby promoted: median {followed:.1} ms from the new role's word to the writer ({})",
        list(&follow)
    ))?;
    tightness(lab, &stage)?;
    lab.figure(format!("this machine is {slow:.1} times slower than an idle one"))?;
    let goal = FAILOVER_GOAL * slow;
    ensure!(followed < goal, "median {followed:.1} ms, goal {goal:.0} ms");
    Ok(())
}

/// Kills the primary, promotes a standby: milliseconds to "no writer", milliseconds to the new writer.
fn failover_round(lab: &mut Lab, stage: &Stage, old: u8, new: u8) -> Result<(f64, f64)> {
    let (dying, rising) = (Observer::start(old)?, Observer::start(new)?);
    rising.wait("that it is a standby", SOON, |word| *word == Word::Standby)?;
    let told = lab.cluster_as_is()?.server(old)?.tell(Stop::Kill)?;
    let away = stage.until("no writer", told, |it| it.usable(rw()).is_empty())?;
    let heard = dying.wait("that it ends", SOON, Word::is_end)?;
    let asked = Instant::now();
    lab.cluster_as_is()?.server(new)?.promote()?;
    let writes =
        stage.until("the new writer", asked, |it| it.usable(rw()) == [net::server(new)])?;
    let said = rising.wait("that it is the primary", SOON, |word| *word == Word::Primary)?;
    lab.cluster_as_is()?.server(old)?.wait_end(SOON)?;
    Ok((ms_between(heard, away), ms_between(said, writes)))
}

fn tightness(lab: &Lab, stage: &Stage) -> Result<()> {
    let (reads, gap) = stage.watch.tightness();
    lab.figure(format!(
        "the reader read {reads} times, the widest gap {:.0} ms",
        gap.as_secs_f64() * 1000.0
    ))
}
