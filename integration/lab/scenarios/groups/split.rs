//! Never two writers: accidental promotions, an old primary that returns, and a server of another cluster.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Scenario;
use crate::client;
use crate::lab::Lab;
use crate::net;
use crate::postgres::{Settings, Stop};
use crate::stage::{SOON, Stage, ro, rw};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "stranger",
        shows: "a server of another cluster at a member's address takes no clients, primary or not",
        run: stranger,
    },
    Scenario {
        name: "two-primaries",
        shows: "a promotion beside a living primary: one writer at every moment, and an alarm",
        run: two_primaries,
    },
    Scenario {
        name: "old-primary",
        shows: "an old primary that returns on its lower timeline gets no clients",
        run: old_primary,
    },
];

/// So long a wrong decision would have had to show itself: several pulses, a fresh connection, a dump.
const WHILE: Duration = Duration::from_secs(4);

fn stranger(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let began = Instant::now();
    lab.cluster_as_is()?.server(3)?.tell(Stop::Kill)?;
    stage.wait("pg3 is gone", began, [Some(100), Some(0), None], [Some(0), Some(100), None])?;
    lab.cluster_as_is()?.server(3)?.wait_end(SOON)?;
    lab.cluster_as_is()?.make_foreign(3)?;
    let came = Instant::now();
    let alarm = stage.pgvs.wait_alarm("another cluster", SOON)?;
    std::thread::sleep(WHILE);
    let (pg3, [writers, readers]) = (net::server(3), [rw(), ro()]);
    for sample in stage.watch.samples(came) {
        let used = sample.usable(writers).contains(&pg3) || sample.usable(readers).contains(&pg3);
        ensure!(!used, "a primary of another cluster took clients: {sample:?}");
    }
    stage.never_two_writers(began)?;
    lab.step(format!("alarm: {alarm}"));
    Ok(())
}

fn two_primaries(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let began = Instant::now();
    lab.cluster_as_is()?.server(2)?.promote()?;
    let alarm = stage.pgvs.wait_alarm("primary", SOON)?;
    lab.step(format!("alarm: {alarm}"));
    std::thread::sleep(WHILE);
    stage.never_two_writers(began)?;
    let usable = stage.watch.samples(Instant::now()).pop().map(|now| now.usable(rw()));
    let writer = usable.unwrap_or_default();
    ensure!(writer.len() == 1, "one of two healthy primaries should be the writer, not {writer:?}");
    let landed = client::spread(net::vip(0), 3)?;
    ensure!(landed.keys().eq(&writer), "the writer is {writer:?}, writers went to {landed:?}");
    lab.step(format!("the writer is {writer:?} at every sample since"));
    Ok(())
}

fn old_primary(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let began = Instant::now();
    lab.cluster_as_is()?.server(1)?.tell(Stop::Kill)?;
    stage.until("no writer", began, |it| it.usable(rw()).is_empty())?;
    lab.cluster_as_is()?.server(2)?.promote()?;
    stage.until("the writer is pg2", began, |it| it.usable(rw()) == [net::server(2)])?;
    lab.cluster_as_is()?.server(1)?.wait_end(SOON)?;
    // Its files say that it is a primary, as those of a machine that comes back from a power cut.
    let back = Instant::now();
    lab.cluster_as_is()?.server(1)?.configure(&Settings::default())?;
    lab.cluster_as_is()?.restart(1)?;
    let alarm = stage.pgvs.wait_alarm("pg1", SOON)?;
    std::thread::sleep(WHILE);
    for sample in stage.watch.samples(back) {
        let weight = sample.weight(rw(), net::server(1)).unwrap_or(0);
        ensure!(weight == 0, "the old primary got weight {weight}: {sample:?}");
        ensure!(sample.usable(rw()) == [net::server(2)], "the writer was disturbed: {sample:?}");
    }
    lab.step(format!("alarm: {alarm}"));
    Ok(())
}
