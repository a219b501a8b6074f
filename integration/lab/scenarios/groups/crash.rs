//! A daemon that dies: the kernel goes on, and a restart finds everything as it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Scenario;
use super::roles::session_at;
use crate::client;
use crate::lab::Lab;
use crate::postgres::{PROBE_PASSWORD, Settings};
use crate::stage::{RO, RW, Stage, ro, weights_now};
use crate::tap::Tap;
use crate::{net, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "crash",
        shows: "kill -9: sessions live, new ones are served, a restart writes nothing",
        run: crash,
    },
    Scenario {
        name: "crash-removed",
        shows: "a restart without a server: weight 0 at once, deleted when its last session ends",
        run: crash_removed,
    },
    Scenario {
        name: "crash-password",
        shows: "a restart with a wrong password: an alarm, and nothing is written",
        run: crash_password,
    },
];

/// Longer than a restart keeps what it found without an answer (3 s), and two rounds of fresh connections.
const PATIENCE: Duration = Duration::from_secs(6);

fn crash(lab: &mut Lab) -> Result<()> {
    let mut stage = Stage::orders(lab)?;
    let mut sessions = [client::connect(net::vip(0))?, client::connect(net::vip(1))?];
    let tap = Tap::start()?;
    stage.pgvs.kill()?;
    lab.step("killed");
    for session in &mut sessions {
        session.value("select 1")?;
    }
    ensure!(client::spread(net::vip(0), 3)?.len() == 1, "the writer is another");
    ensure!(client::spread(net::vip(1), 4)?.len() == 2, "the readers are others");
    let began = Instant::now();
    stage.pgvs.start()?;
    let ready = began.elapsed();
    std::thread::sleep(PATIENCE);
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "a restart with the same config wrote {writes:?}");
    let samples = stage.watch.samples(began);
    ensure!(samples.len() == 1, "weights moved: {samples:?}");
    stage.pgvs.run(&["status"])?.expect(0)?;
    for mut session in sessions {
        session.value("select 1")?;
        session.close()?;
    }
    lab.figure(format!(
        "restart on a full table: 0 writes, ready after {:.2} s",
        ready.as_secs_f64()
    ))?;
    stop(lab, &mut stage, &tap)
}

/// An orderly stop leaves the table as well.
fn stop(lab: &Lab, stage: &mut Stage, tap: &Tap) -> Result<()> {
    let status = stage.pgvs.stop()?;
    ensure!(status == 0, "SIGTERM: exit status {status}");
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "an orderly stop wrote {writes:?}");
    ensure!(!stage.pgvs.path("run/pgvs.sock").exists(), "the control socket is left behind");
    let answer = stage.pgvs.run(&["status"])?.expect(2)?;
    lab.step(format!("without a daemon pgvs status says: {}", answer.said().trim()));
    Ok(())
}

fn crash_removed(lab: &mut Lab) -> Result<()> {
    let mut stage = Stage::orders(lab)?;
    let mut session = session_at(net::vip(1), 3)?;
    stage.pgvs.kill()?;
    stage.pgvs.write(&text::orders_with(&[(1, 100), (2, 100)]))?;
    let began = Instant::now();
    stage.pgvs.start()?;
    let quiet =
        stage.until("pg3 quiesced", began, |it| it.weight(ro(), net::server(3)) == Some(0))?;
    lab.step(format!(
        "a server left the config: weight 0 {:.0} ms after the start",
        (quiet - began).as_secs_f64() * 1000.0
    ));
    let length = stage.pgvs.log().len();
    for _ in 0..15 {
        session.value("select 1")?;
        let weight = weights_now(ro())?[2];
        ensure!(weight == Some(0), "with an open session pg3 has weight {weight:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(client::spread(net::vip(1), 4)?.keys().eq([&net::server(2)]), "pg3 takes new readers");
    let closed = Instant::now();
    session.close()?;
    let gone = stage.until("pg3 deleted", closed, |it| it.of(ro())[2].is_none())?;
    lab.step(format!("deleted {:.1} s after its last session", (gone - closed).as_secs_f64()));
    let line = stage.pgvs.wait_log(length, "drained", Duration::from_secs(5))?;
    lab.step(format!("the log says: {line}"));
    stage.wait("the others as they were", closed, [RW[0], RW[1], None], [RO[0], RO[1], None])?;
    Ok(())
}

fn crash_password(lab: &mut Lab) -> Result<()> {
    let access = ["0.0.0.0/0", "::/0"].map(|from| format!("host all pgvs {from} scram-sha-256"));
    lab.cluster_with(&Settings { access: access.into(), ..Settings::default() })?;
    let mut pgvs = lab.daemon("")?;
    let secret = pgvs.path("secret");
    let keep = |password: &str| {
        fs::write(&secret, format!("{password}\n"))?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))
    };
    keep(PROBE_PASSWORD)?;
    let line = format!("user = \"pgvs\"\npassword_file = \"{}\"", secret.display());
    pgvs.write(&text::orders().replace("user = \"pgvs\"", &line))?;
    let watch = crate::watch::Watch::start()?;
    let started = Instant::now();
    pgvs.start()?;
    let mut stage = Stage { pgvs, watch, started };
    stage.wait_healthy(Instant::now())?;
    lab.step("the probe logs in by SCRAM with its password");
    let mut session = client::connect(net::vip(0))?;
    stage.pgvs.kill()?;
    keep("not the password")?;
    let (tap, began) = (Tap::start()?, Instant::now());
    stage.pgvs.start()?;
    let alarm = stage.pgvs.wait_alarm("28P01", Duration::from_secs(10))?;
    std::thread::sleep(PATIENCE);
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "a restart with a wrong password wrote {writes:?}");
    let samples = stage.watch.samples(began);
    ensure!(samples.len() == 1, "weights moved: {samples:?}");
    session.value("select 1")?;
    session.close()?;
    stage.pgvs.run(&["status"])?.expect(1)?;
    lab.step(format!("alarm: {alarm}"));
    keep(PROBE_PASSWORD)?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !stage.pgvs.alarms()?.is_empty() {
        ensure!(Instant::now() < deadline, "with the right password: {}", stage.pgvs.alarms()?);
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(tap.writes()?.is_empty(), "the right password moved weights");
    lab.step("the right password is read at the next login: no alarm is left");
    Ok(())
}
