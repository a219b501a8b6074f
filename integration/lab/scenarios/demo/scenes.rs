//! The demo's scenes, in the order in which they are played. Each says what it does, what was seen, and how
//! long it took, and fails where something else was seen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Play, bars, ms, seconds, show, tell};
use crate::client::{self, Worker};
use crate::lab::Lab;
use crate::observe::{Observer, Word};
use crate::postgres::Stop;
use crate::stage::{SOON, Stage, ms_between, ro, rw};
use crate::tap::Tap;
use crate::{net, text};

/// pgvs learns the roles and programs the empty table.
pub(super) fn start(lab: &mut Lab, play: &mut Play) -> Result<()> {
    let stage = Stage::open(lab, &text::orders())?;
    let full = stage.wait_healthy(stage.started)? - stage.started;
    tell(&format!(
        "it asked the servers for their roles and had the table filled {} after its start",
        seconds(full)
    ));
    show_table(&stage)?;
    tell("10.9.0.103:8080 is another program's: pgvs shows it and never touches it");
    show("pgvs status", &stage.pgvs.run(&["status"])?.expect(0)?.stdout);
    play.figure("a start on an empty table", seconds(full));
    play.stage = Some(stage);
    Ok(())
}

fn show_table(stage: &Stage) -> Result<()> {
    show("pgvs ipvsadm -Ln", &stage.pgvs.run(&["ipvsadm", "-Ln"])?.expect(0)?.stdout);
    Ok(())
}

/// Connections follow the roles.
pub(super) fn spread(_: &mut Lab, _: &mut Play) -> Result<()> {
    lands(0, 100, &[(1, 100)])?;
    lands(1, 100, &[(2, 50), (3, 50)])
}

/// Connects, draws the bars, and fails if they are not the expected ones.
fn lands(vip: u8, connections: usize, expected: &[(u8, usize)]) -> Result<()> {
    let landed = client::spread(net::vip(vip), connections)?;
    bars(net::vip(vip), &landed);
    let expected: BTreeMap<_, _> =
        expected.iter().map(|&(number, count)| (net::server(number), count)).collect();
    ensure!(landed == expected, "expected {expected:?}");
    Ok(())
}

/// A dead standby leaves the table within milliseconds, and comes back by itself.
pub(super) fn standby_dies(lab: &mut Lab, play: &mut Play) -> Result<()> {
    let stage = play.stage()?;
    let mut reader = client::connect(net::vip(1))?;
    while client::landed(&mut reader)?.ip() != net::server(2).ip() {
        reader = client::connect(net::vip(1))?;
    }
    let observer = Observer::start(3)?;
    let killed = lab.cluster_as_is()?.server(3)?.tell(Stop::Kill)?;
    let out = stage
        .until("pg3 out of orders-ro", killed, |it| !it.usable(ro()).contains(&net::server(3)))?;
    let heard = observer.wait("that it ends", SOON, Word::is_end)?;
    drop(observer);
    let latency = ms_between(heard, out);
    tell(&format!("PostgreSQL's last word came {} after the kill;", ms(ms_between(killed, heard))));
    tell(&format!("no new connection went to pg3 from {} after that word on", ms(latency)));
    reader.value("select 1")?;
    reader.close()?;
    tell("a session on pg2 noticed nothing");
    lands(1, 20, &[(2, 20)])?;
    lab.cluster_as_is()?.server(3)?.wait_end(SOON)?;
    let again = Instant::now();
    lab.cluster_as_is()?.restart(3)?;
    let back = stage.wait_healthy(again)?;
    tell(&format!(
        "pg3 is started again: back in the table {} later, by itself",
        seconds(back - again)
    ));
    play.figure("a dead standby, from its last word to the kernel", ms(latency));
    Ok(())
}

/// Never two writers, and the new one as soon as it says so.
pub(super) fn failover(lab: &mut Lab, play: &mut Play) -> Result<()> {
    let stage = play.stage()?;
    let (dying, rising) = (Observer::start(1)?, Observer::start(2)?);
    rising.wait("that it is a standby", SOON, |word| *word == Word::Standby)?;
    let killed = lab.cluster_as_is()?.server(1)?.tell(Stop::Kill)?;
    let away = stage.until("no writer", killed, |it| it.usable(rw()).is_empty())?;
    let heard = dying.wait("that it ends", SOON, Word::is_end)?;
    let lost = ms_between(heard, away);
    tell(&format!("pg1 is killed: no writer is left {} after its last word", ms(lost)));
    lab.cluster_as_is()?.server(2)?.promote()?;
    let new = stage.until("the new writer", killed, |it| it.usable(rw()) == [net::server(2)])?;
    let said = rising.wait("that it is the primary", SOON, |word| *word == Word::Primary)?;
    drop((dying, rising));
    let follow = ms_between(said, new);
    tell(&format!("pg2 is promoted: it is the writer {} after it said so", ms(follow)));
    stage.never_two_writers(killed)?;
    let (reads, _) = stage.watch.tightness();
    tell(&format!("at none of {reads} looks at the kernel's table were there two writers"));
    lands(0, 20, &[(2, 20)])?;
    lab.cluster_as_is()?.server(1)?.wait_end(SOON)?;
    lab.cluster_as_is()?.rejoin(1, 2)?;
    let readers = |it: &crate::watch::Sample| it.usable(ro()) == [net::server(1), net::server(3)];
    stage.until("both standbys", Instant::now(), readers)?;
    tell("pg1 is made a standby of pg2: it serves readers now, again by itself");
    show_table(stage)?;
    play.figure("a dead primary, from its last word to no writer", ms(lost));
    play.figure("a promotion, from the new role's word to the writer", ms(follow));
    Ok(())
}

/// One weight, one write, and nobody notices.
pub(super) fn reload(_: &mut Lab, play: &mut Play) -> Result<()> {
    let stage = play.stage()?;
    let workers = [(0, 10), (1, 10), (1, 10)].map(|(vip, n)| Worker::start(net::vip(vip), n));
    let mut session = client::connect(net::vip(1))?;
    let tap = Tap::start()?;
    let began = Instant::now();
    stage.pgvs.write(&text::orders_with(&[(1, 50), (2, 100), (3, 100)]))?;
    tell("three clients work without pause; in pgvs.toml the weight of pg1 goes from 100 to 50");
    show("pgvs plan", &stage.pgvs.run(&["plan"])?.expect(1)?.stdout);
    let asked = Instant::now();
    show("pgvs reload", &stage.pgvs.run(&["reload"])?.expect(0)?.said());
    let seen = stage.until("weight 50", began, |it| it.of(ro())[0] == Some(50))?;
    let writes = tap.writes()?;
    ensure!(writes == ["set destination"], "one write expected, not {writes:?}");
    std::thread::sleep(Duration::from_secs(1));
    session.value("select 1")?;
    session.close()?;
    let mut done = 0;
    for worker in workers {
        let tally = worker.stop()?;
        ensure!(tally.failed == 0, "a client's transaction failed: {tally:?}");
        done += tally.done;
    }
    tell(&format!(
        "one write to the kernel, {} after the command's start",
        ms(ms_between(asked, seen))
    ));
    tell(&format!("{done} transactions of three clients went on meanwhile, none failed"));
    lands(1, 30, &[(1, 10), (3, 20)])?;
    ensure!(done > 0, "the clients did nothing");
    play.figure(
        "a reload with one changed weight",
        format!("1 write, 0 of {done} transactions failed"),
    );
    Ok(())
}

/// The kernel does not need pgvs to forward.
pub(super) fn crash(_: &mut Lab, play: &mut Play) -> Result<()> {
    let stage = play.stage()?;
    let mut sessions = [client::connect(net::vip(0))?, client::connect(net::vip(1))?];
    let tap = Tap::start()?;
    stage.pgvs.kill()?;
    tell("kill -9: pgvs is gone");
    for session in &mut sessions {
        session.value("select 1")?;
    }
    tell("two open sessions live on, and new ones are served:");
    lands(0, 10, &[(2, 10)])?;
    let began = Instant::now();
    stage.pgvs.start()?;
    let ready = began.elapsed();
    std::thread::sleep(Duration::from_secs(4));
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "the restart wrote {writes:?}");
    for mut session in sessions {
        session.value("select 1")?;
        session.close()?;
    }
    tell(&format!(
        "started again, ready after {}: it found the table as it should be",
        seconds(ready)
    ));
    tell("and wrote nothing; the sessions noticed neither");
    show("pgvs status", &stage.pgvs.run(&["status"])?.expect(0)?.stdout);
    play.figure("kill -9 and a restart of pgvs", "0 writes, sessions and new connections served");
    Ok(())
}
