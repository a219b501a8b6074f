//! Reload: one changed weight is one write and no client notices; a broken file changes nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::Scenario;
use crate::client::{self, Worker};
use crate::lab::Lab;
use crate::stage::{RO, RW, SOON, Stage, ro, rw, weights_now};
use crate::tap::Tap;
use crate::{net, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "reload",
        shows: "one changed weight writes one destination; sessions live, no transaction fails",
        run: reload,
    },
    Scenario {
        name: "broken-file",
        shows: "a broken file exits 2 with the error, changes nothing, and the old config keeps running",
        run: broken_file,
    },
];

fn reload(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let workers: Vec<_> = [(0, 20), (1, 20), (1, 3)]
        .map(|(vip, per_session)| Worker::start(net::vip(vip), per_session))
        .into();
    let mut session = super::roles::session_at(net::vip(1), 2)?;
    std::thread::sleep(Duration::from_secs(1));
    let tap = Tap::start()?;
    let began = Instant::now();
    stage.pgvs.write(&text::orders_with(&[(1, 100), (2, 50), (3, 100)]))?;
    let answer = stage.pgvs.run(&["reload"])?.expect(0)?;
    // It returns when the kernel has acknowledged.
    let weights = weights_now(ro())?;
    ensure!(weights == [Some(0), Some(50), Some(100)], "after the reload: {weights:?}");
    let seen = stage.wait("weight 50", began, RW, [Some(0), Some(50), Some(100)])?;
    let writes = tap.writes()?;
    ensure!(writes == ["set destination"], "one write expected, not {writes:?}");
    lab.figure(format!(
        "reload of one weight among two services: 1 write, {:.0} ms from the command's start to the kernel",
        (seen - began).as_secs_f64() * 1000.0
    ))?;
    lab.step(format!("pgvs reload said: {}", answer.said().trim()));
    by_signal(&stage, &tap)?;
    session.value("select 1")?;
    session.close()?;
    std::thread::sleep(Duration::from_secs(1));
    let mut done = 0;
    for worker in workers {
        let tally = worker.stop()?;
        ensure!(tally.failed == 0 && tally.done > 10, "a worker during reloads: {tally:?}");
        done += tally.done;
    }
    let changed = stage.watch.samples(began).len();
    ensure!(changed == 3, "two changes of a weight expected, {} seen", changed - 1);
    lab.step(format!("{done} transactions of three clients meanwhile, none failed"));
    Ok(())
}

/// SIGHUP does the same; a reload of an unchanged file writes nothing.
fn by_signal(stage: &Stage, tap: &Tap) -> Result<()> {
    let (before, length) = (Instant::now(), stage.pgvs.log().len());
    stage.pgvs.write(&text::orders())?;
    stage.pgvs.signal(Signal::HUP)?;
    stage.wait("weight 100", before, RW, RO)?;
    stage.pgvs.wait_log(length, "configuration", SOON)?;
    let writes = tap.writes()?;
    ensure!(writes == ["set destination"], "SIGHUP: one write expected, not {writes:?}");
    stage.pgvs.run(&["reload"])?.expect(0)?;
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "a reload of the same file wrote {writes:?}");
    Ok(())
}

fn broken_file(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let tap = Tap::start()?;
    let mut session = client::connect(net::vip(0))?;
    let good = text::orders();
    for (text, words) in [
        (good.replace("\"primary\"", "\"primary"), &["pgvs.toml"][..]),
        (good.replace("weight = 100", "wieght = 100"), &["wieght", "weight", "pgvs.toml"]),
        (good.replace("10.9.0.100:5432", "10.9.0.100:0"), &["10.9.0.100:0", "pgvs.toml"]),
        (good.replace("\"wrr\"", "\"fastest\""), &["fastest", "pgvs.toml"]),
    ] {
        stage.pgvs.write(&text)?;
        for command in ["reload", "check"] {
            let answer = stage.pgvs.run(&[command])?.expect(2)?;
            for word in words {
                ensure!(
                    answer.stderr.contains(word),
                    "{command} lacks {word:?}: {}",
                    answer.said()
                );
            }
        }
        stage.pgvs.run(&["status"])?.expect(0)?;
    }
    session.value("select 1")?;
    session.close()?;
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "broken files wrote {writes:?}");
    // The old config is in force: it still follows what happens.
    let began = Instant::now();
    lab.cluster_as_is()?.server(3)?.tell(crate::postgres::Stop::Fast)?;
    stage.until("pg3 out of service", began, |it| !it.usable(ro()).contains(&net::server(3)))?;
    lab.cluster_as_is()?.server(3)?.wait_end(SOON)?;
    stage.until("pg3 removed", began, |it| it.of(ro()) == [Some(0), Some(100), None])?;
    let again = Instant::now();
    lab.cluster_as_is()?.restart(3)?;
    stage.wait_healthy(again)?;
    ensure!(weights_now(rw())? == RW, "the writer was disturbed");
    lab.step("four broken files: exit status 2 each, nothing written, the old config at work");
    Ok(())
}
