//! Too few servers: backups, the quorum with its hysteresis, the sorry server, the operator's commands, and who keeps
//! its session through all of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Scenario;
use super::roles::session_at;
use crate::client;
use crate::lab::Lab;
use crate::net;
use crate::postgres::Stop;
use crate::stage::{SOON, Stage};
use crate::table::Key;
use crate::text;

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "quorum",
    shows: "a backup takes over and gives back; two standbys of three die and the sorry server serves; sessions live",
    run: quorum,
}];

/// Further addresses of the servers: the second ones of pg2 and pg3, and the sorry server, which lives beside pg1.
const PG2B: u8 = 22;
const PG3B: u8 = 23;
const SORRY: u8 = 99;

fn reads() -> Key {
    Key::tcp(net::vip(2))
}

fn spare() -> Key {
    Key::tcp(net::vip(3))
}

fn extra(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 8, 0, last], 5432))
}

/// Five servers of which three are needed, one more or less before anything changes; and a pool with a backup.
fn config(notes: &Path) -> String {
    let mut config = text::pool(&[(1, 100), (2, 100), (3, 100)]);
    text::server(&mut config, "pg2b", extra(PG2B), 100);
    text::server(&mut config, "pg3b", extra(PG3B), 100);
    config += &text::pool(&[(2, 100), (3, 100)]).replace("\"orders\"", "\"spare\"");
    config += "backup = true\n";
    let note = format!(
        "[\"/bin/sh\", \"-c\", \"echo $PGVS_EVENT $PGVS_SERVICE $PGVS_SERVERS/$PGVS_QUORUM >> {}\"]",
        notes.display()
    );
    config += &text::service("reads", net::vip(2), "any");
    config += &format!(
        "quorum = 3\nhysteresis = 1\nsorry_server = \"{}\"\nquorum_up = {note}\nquorum_down = {note}\n",
        extra(SORRY)
    );
    let spare = text::service("spare", net::vip(3), "standby");
    config + &spare.replace("pool = \"orders\"", "pool = \"spare\"")
}

fn quorum(lab: &mut Lab) -> Result<()> {
    for (server, last) in [(2, PG2B), (3, PG3B), (1, SORRY)] {
        net::alias(server, extra(last).ip())?;
    }
    let notes = lab.directory().join("notes");
    let mut stage = Stage::open(lab, &config(&notes))?;
    stage.until("five servers serve", stage.started, |it| {
        let extras = [PG2B, PG3B, SORRY].map(|last| it.weight(reads(), extra(last)));
        it.of(reads()) == [Some(100); 3]
            && extras == [Some(100), Some(100), Some(0)]
            && it.of(spare()) == [None, Some(100), Some(0)]
    })?;
    wait_notes(&notes, 1, |note| note.starts_with("quorum_up reads"))?;
    a_backup_takes_over(lab, &stage)?;
    let mut at_pg1 = session_at(net::vip(2), 1)?;
    the_quorum_is_lost(lab, &stage)?;
    wait_notes(&notes, 2, |note| note == "quorum_down reads 1/3")?;
    let mut at_sorry = client::connect(net::vip(2))?;
    a_restart_changes_nothing(lab, &mut stage)?;
    wait_notes(&notes, 3, |note| note == "quorum_down reads 1/3")?;
    the_quorum_is_gained(lab, &stage)?;
    wait_notes(&notes, 4, |note| note.starts_with("quorum_up reads"))?;
    for (session, home) in [(&mut at_pg1, net::server(1)), (&mut at_sorry, extra(SORRY))] {
        let landed = client::landed(session)?;
        ensure!(landed == home, "the session of {home} is at {landed}");
    }
    lab.step("the sessions of the survivor and of the sorry server lived through it");
    Ok(())
}

fn a_backup_takes_over(lab: &mut Lab, stage: &Stage) -> Result<()> {
    let began = Instant::now();
    lab.cluster_as_is()?.server(2)?.tell(Stop::Fast)?;
    stage.until("the backup serves", began, |it| it.of(spare()) == [None, None, Some(100)])?;
    let mut session = session_at(net::vip(3), 3)?;
    lab.cluster_as_is()?.server(2)?.wait_end(SOON)?;
    let again = Instant::now();
    lab.cluster_as_is()?.restart(2)?;
    stage.until("the backup gives back", again, |it| {
        it.of(spare()) == [None, Some(100), Some(0)] && it.of(reads()) == [Some(100); 3]
    })?;
    let landed = client::spread(net::vip(3), 3)?;
    ensure!(landed == BTreeMap::from([(net::server(2), 3)]), "new ones went to {landed:?}");
    session.value("select 1")?;
    lab.step("the backup took over, gave back, and kept its session");
    Ok(())
}

fn the_quorum_is_lost(lab: &mut Lab, stage: &Stage) -> Result<()> {
    let began = Instant::now();
    lab.cluster_as_is()?.server(2)?.tell(Stop::Fast)?;
    stage.until("pg2 is gone", began, |it| it.of(reads()) == [Some(100), None, Some(100)])?;
    let sorry_before = stage.watch.samples(began);
    let sorry = |it: &crate::watch::Sample| it.weight(reads(), extra(SORRY));
    ensure!(sorry_before.iter().all(|it| sorry(it) == Some(0)), "three of three are a quorum");
    let second = Instant::now();
    lab.cluster_as_is()?.server(3)?.tell(Stop::Fast)?;
    let lost = stage.until("the sorry server alone", second, |it| {
        it.usable(reads()) == [extra(SORRY)] && it.of(reads()) == [Some(0), None, None]
    })?;
    let nobody =
        stage.watch.samples(second).iter().filter(|it| it.usable(reads()).is_empty()).count();
    ensure!(nobody == 0, "{nobody} samples in which nobody served");
    let landed = client::spread(net::vip(2), 4)?;
    ensure!(landed == BTreeMap::from([(extra(SORRY), 4)]), "clients went to {landed:?}");
    lab.step(format!(
        "the sorry server answers {:.2} s after the stop",
        (lost - second).as_secs_f64()
    ));
    let status = stage.pgvs.status()?;
    let services = status["services"].as_array().cloned().unwrap_or_default();
    let reads = services.iter().find(|it| it["name"] == "reads").cloned().unwrap_or_default();
    ensure!(reads["quorum"]["gained"] == false && reads["quorum"]["able"] == 1, "{reads}");
    let text = stage.pgvs.run(&["status"])?.expect(1)?.stdout;
    for words in ["quorum 1 of 3 \u{b1}1 LOST", "sorry server: quorum lost, 1 of 3"] {
        ensure!(text.contains(words), "pgvs status lacks {words:?}:\n{text}");
    }
    for number in [2, 3] {
        lab.cluster_as_is()?.server(number)?.wait_end(SOON)?;
    }
    Ok(())
}

fn a_restart_changes_nothing(lab: &Lab, stage: &mut Stage) -> Result<()> {
    let began = Instant::now();
    stage.pgvs.kill()?;
    stage.pgvs.start()?;
    // Longer than an adopted server may stay silent.
    std::thread::sleep(Duration::from_secs(4));
    let changes = stage.watch.samples(began);
    ensure!(changes.len() == 1, "a restart changed the table {} times", changes.len() - 1);
    lab.step("a killed daemon's successor changed nothing");
    Ok(())
}

fn the_quorum_is_gained(lab: &mut Lab, stage: &Stage) -> Result<()> {
    let began = Instant::now();
    lab.cluster_as_is()?.restart(2)?;
    let back = stage.until("pg2 is back", began, |it| {
        it.of(reads())[1] == Some(0) && it.weight(reads(), extra(PG2B)) == Some(0)
    })?;
    lab.cluster_as_is()?.restart(3)?;
    let gained = stage.until("the quorum is gained", back, |it| {
        it.of(reads()) == [Some(100); 3] && it.weight(reads(), extra(SORRY)) == Some(0)
    })?;
    let early = stage.watch.samples(began).iter().any(|it| {
        it.weight(reads(), extra(SORRY)) == Some(0)
            && it.weight(reads(), net::server(3)).is_none()
            && it.weight(reads(), extra(PG3B)).is_none()
    });
    ensure!(!early, "three of three with a hysteresis of one gained the quorum");
    stage.until("pg2 serves where pg3 is the backup", began, |it| {
        it.of(spare()) == [None, Some(100), Some(0)]
    })?;
    let waited = (gained - began).as_secs_f64();
    lab.step(format!("three were not enough, four were: gained {waited:.1} s after pg2's start"));
    Ok(())
}

/// Waits for the line of that number that the commands have written.
fn wait_notes(notes: &Path, number: usize, fits: impl Fn(&str) -> bool) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let text = std::fs::read_to_string(notes).unwrap_or_default();
        if let Some(line) = text.lines().nth(number - 1) {
            ensure!(fits(line) && text.lines().count() == number, "the commands wrote:\n{text}");
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no command wrote line {number}:\n{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
