//! What the prober makes of real servers that are full, hung or silent: new connections go elsewhere, sessions
//! stay, the last one is never taken, and PostgreSQL's log stays empty.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::process::Signal;

use super::Scenario;
use super::roles::session_at;
use crate::lab::Lab;
use crate::net;
use crate::postgres::{ADMIN, LOCALE, Settings};
use crate::session::Session;
use crate::stage::{RO, RW, Stage, ro, rw};
use crate::table::Key;
use crate::tap::Tap;
use crate::text;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "quiet",
        shows: "a healthy probe leaves not one line in PostgreSQL's log, in two languages",
        run: quiet,
    },
    Scenario {
        name: "full",
        shows: "a full server takes no new sessions while another can, and is kept when it is the last",
        run: full,
    },
    Scenario {
        name: "hung",
        shows: "a stopped postmaster: new connections go elsewhere, sessions stay, the only primary is kept",
        run: hung,
    },
    Scenario {
        name: "silence",
        shows: "a standby's cable is cut: weight 0 at once, removed when it counts as lost, back by itself",
        run: silence,
    },
    Scenario {
        name: "freeze",
        shows: "every cable is cut at once: this director suspects itself, weights stay",
        run: freeze,
    },
];

fn quiet(lab: &mut Lab) -> Result<()> {
    lab.cluster()?;
    probing_is_quiet(lab)?;
    lab.cluster_as_is()?.speak(LOCALE)?;
    let mut session = lab.cluster_as_is()?.server(3)?.session(ADMIN)?;
    let said =
        session.query("select 1/0").map_or_else(|error| format!("{error:#}"), |_| String::new());
    ensure!(said.contains("Division durch Null"), "the servers speak no German: {said}");
    session.close()?;
    probing_is_quiet(lab)?;
    lab.cluster_as_is()?.reconfigure(&Settings::default())
}

fn probing_is_quiet(lab: &mut Lab) -> Result<()> {
    let logs = |lab: &mut Lab| {
        let servers = lab.cluster_as_is()?.servers();
        let logs: Result<Vec<_>> = servers.iter().map(|server| server.read_log()).collect();
        logs
    };
    let before = logs(lab)?;
    let mut pgvs = lab.daemon(&text::orders())?;
    pgvs.start()?;
    std::thread::sleep(Duration::from_secs(5));
    let status = pgvs.run(&["status"])?.expect(0)?;
    ensure!(status.stdout.contains("standby"), "pgvs status:\n{}", status.stdout);
    pgvs.stop()?;
    std::thread::sleep(Duration::from_millis(300));
    for (before, after) in before.iter().zip(logs(lab)?) {
        let new = after.get(before.len()..).unwrap_or_default();
        ensure!(new.is_empty(), "PostgreSQL's log has new lines:\n{new}");
    }
    lab.step("start, five seconds of probing and a stop: no line in three logs");
    Ok(())
}

/// Takes every slot of a server, the superuser's reserve included.
fn fill(number: u8) -> Result<Vec<Session>> {
    let mut sessions = Vec::new();
    net::Namespace::Server(number).inside(|| {
        for _ in 0..200 {
            match Session::connect(net::server(number), ADMIN) {
                Ok(session) => sessions.push(session),
                Err(error) if format!("{error:#}").contains("53300") => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        bail!("200 sessions, and pg{number} is not full")
    })?;
    Ok(sessions)
}

fn full(lab: &mut Lab) -> Result<()> {
    let config = text::orders() + &text::service("standbys", net::vip(2), "standby");
    let stage = Stage::open(lab, &config)?;
    let standbys = Key::tcp(net::vip(2));
    stage.wait_healthy(Instant::now())?;
    let mut session = session_at(net::vip(1), 2)?;
    let began = Instant::now();
    let second = fill(2)?;
    let seen = stage.until("pg2 takes no new readers", began, |it| {
        it.of(ro()) == [Some(0), Some(0), Some(100)] && it.of(standbys) == it.of(ro())
    })?;
    lab.step(format!(
        "a full standby: weight 0 {:.1} s after it was full",
        (seen - began).as_secs_f64()
    ));
    session.value("select 1")?;
    let (third, now) = (fill(3)?, Instant::now());
    stage
        .until("readers at the primary", now, |it| it.of(ro()) == [Some(100), Some(0), Some(0)])?;
    stage.until("the last standbys are kept", now, |it| !it.usable(standbys).is_empty())?;
    let (first, now) = (fill(1)?, Instant::now());
    std::thread::sleep(Duration::from_secs(4));
    for sample in stage.watch.samples(now) {
        ensure!(sample.of(rw()) == RW, "the only primary was taken away: {sample:?}");
        ensure!(!sample.usable(standbys).is_empty(), "the last standby was taken: {sample:?}");
        ensure!(!sample.usable(ro()).is_empty(), "readers have nobody left: {sample:?}");
    }
    let status = stage.pgvs.run(&["status"])?;
    ensure!(status.stdout.contains("kept"), "pgvs status does not say why:\n{}", status.stdout);
    session.value("select 1")?;
    lab.step("all three full: the primary and the last standby are kept, and status says so");
    let freed = Instant::now();
    for session in [first, second, third].into_iter().flatten() {
        session.close()?;
    }
    stage.wait_healthy(freed)?;
    session.close()
}

fn hung(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let mut session = session_at(net::vip(1), 2)?;
    let began = Instant::now();
    lab.cluster_as_is()?.server(2)?.signal(Signal::STOP)?;
    let seen = stage.wait("pg2 takes no new readers", began, RW, [Some(0), Some(0), Some(100)])?;
    lab.step(format!("a stopped postmaster: weight 0 after {:.1} s", (seen - began).as_secs_f64()));
    session.value("select 1")?;
    session.close()?;
    let again = Instant::now();
    lab.cluster_as_is()?.server(2)?.signal(Signal::CONT)?;
    stage.wait_healthy(again)?;
    let stopped = Instant::now();
    lab.cluster_as_is()?.server(1)?.signal(Signal::STOP)?;
    let outcome = stays(&stage, stopped);
    lab.cluster_as_is()?.server(1)?.signal(Signal::CONT)?;
    outcome?;
    stage.wait_healthy(Instant::now())?;
    lab.step("the only primary with a stopped postmaster is kept");
    Ok(())
}

/// The usual weights, for as long as a wrong decision needs to show itself.
fn stays(stage: &Stage, since: Instant) -> Result<()> {
    std::thread::sleep(Duration::from_secs(6));
    for sample in stage.watch.samples(since) {
        ensure!(sample.of(rw()) == RW && sample.of(ro()) == RO, "weights moved: {sample:?}");
    }
    Ok(())
}

/// The usual stage with less patience.
fn attentive(lab: &mut Lab) -> Result<Stage> {
    let stage = Stage::open(lab, &text::attentive())?;
    stage.wait_healthy(Instant::now())?;
    Ok(stage)
}

fn silence(lab: &mut Lab) -> Result<()> {
    let stage = attentive(lab)?;
    let cut = Instant::now();
    net::cable(2, false)?;
    let outcome = fades(lab, &stage, cut);
    let mended = Instant::now();
    net::cable(2, true)?;
    outcome?;
    let back = stage.wait_healthy(mended)?;
    lab.step(format!("mended: it serves again after {:.1} s", (back - mended).as_secs_f64()));
    stage.never_two_writers(cut)
}

fn fades(lab: &Lab, stage: &Stage, cut: Instant) -> Result<()> {
    let pg2 = net::server(2);
    let quiet = stage.until("pg2 suspect", cut, |it| it.weight(ro(), pg2) == Some(0))?;
    let gone = stage.until("pg2 lost", quiet, |it| it.weight(ro(), pg2).is_none())?;
    lab.figure(format!(
        "a standby's cable cut (suspect_after 1 s, lost_after 4 s): weight 0 after {:.2} s, removed after {:.2} s",
        (quiet - cut).as_secs_f64(),
        (gone - cut).as_secs_f64()
    ))?;
    ensure!(gone - cut > Duration::from_millis(3500), "removed on too little silence");
    Ok(())
}

fn freeze(lab: &mut Lab) -> Result<()> {
    let stage = attentive(lab)?;
    let (tap, cut) = (Tap::start()?, Instant::now());
    net::cable(0, false)?;
    let alarm = stage.pgvs.wait_alarm("at once", Duration::from_secs(5));
    let outcome = stays(&stage, cut);
    net::cable(0, true)?;
    lab.step(format!("alarm: {}", alarm?));
    outcome?;
    stays(&stage, cut)?;
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "while all were silent: {writes:?}");
    ensure!(stage.pgvs.alarms()?.is_empty(), "mended: {}", stage.pgvs.alarms()?);
    Ok(())
}
