//! Other programs write the table too: what is ours is repaired with a line that helps, what is not is left alone.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Scenario;
use super::roles::session_at;
use crate::client;
use crate::kernel::ipvsadm;
use crate::lab::Lab;
use crate::stage::{RO, RW, SOON, Stage, ro, rw, slowness};
use crate::{net, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "drift",
        shows: "a cleared table, a weight set by hand: repaired within 1.5 s, with a line that helps",
        run: drift,
    },
    Scenario {
        name: "drift-added",
        shows: "a destination added by hand is quiesced and drained, not cut",
        run: drift_added,
    },
    Scenario {
        name: "drift-war",
        shows: "another program that keeps writing is named, and repairs slow down",
        run: drift_war,
    },
];

/// The longest time that a change by others may stand.
const REPAIR: Duration = Duration::from_millis(1500);

fn drift(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let before = Instant::now();
    ipvsadm(&["-C"])?;
    let cleared = stage.until("the cleared table", before, |it| it.weights.is_empty())?;
    let whole = stage.wait_healthy(cleared)?;
    repaired(lab, "ipvsadm -C", whole - cleared)?;
    lab.make_foreign()?;
    ensure!(client::spread(net::vip(0), 2)?.keys().eq([&net::server(1)]), "the writer is another");

    let (vip, server) = (net::vip(1).to_string(), net::server(2).to_string());
    let (length, before) = (stage.pgvs.log().len(), Instant::now());
    ipvsadm(&["-e", "-t", &vip, "-r", &server, "-m", "-w", "7"])?;
    let set = stage.until("weight 7", before, |it| it.weight(ro(), net::server(2)) == Some(7))?;
    let restored = stage.wait_healthy(set + Duration::from_micros(1))?;
    repaired(lab, "a weight set by hand", restored - set)?;
    let line = stage.pgvs.wait_log(length, "restored", SOON)?;
    ensure!(
        line.contains('7') && line.contains(&server) && line.contains("config"),
        "a line that names the weight, the server and what to do, not: {line}"
    );
    lab.step(format!("the log says: {line}"));

    for (what, arguments) in [
        ("a service deleted by hand", &["-D", "-t", vip.as_str()][..]),
        ("a destination deleted by hand", &["-d", "-t", &vip, "-r", &server]),
        (
            "a writer raised by hand",
            &["-e", "-t", "10.9.0.100:5432", "-r", &server, "-m", "-w", "5"],
        ),
        ("a scheduler changed by hand", &["-E", "-t", &vip, "-s", "lc"]),
    ] {
        let before = Instant::now();
        ipvsadm(arguments)?;
        wait_repaired(&stage, before)?;
        // ipvsadm itself takes a tenth of a second here.
        repaired(lab, what, before.elapsed().saturating_sub(Duration::from_millis(100)))?;
    }
    Ok(())
}

/// The scheduler is no weight, so the watch alone does not see everything.
fn wait_repaired(stage: &Stage, since: Instant) -> Result<()> {
    loop {
        let table = crate::kernel::by_proc()?;
        let schedulers = [rw(), ro()].map(|key| table.0.get(&key).map(|it| it.scheduler.clone()));
        let weights = [rw(), ro()].map(|key| crate::stage::weights(&table, key));
        if schedulers.iter().flatten().filter(|name| *name == "wrr").count() == 2
            && weights == [RW, RO]
        {
            return Ok(());
        }
        ensure!(since.elapsed() < SOON, "not repaired:\n{table}\n{}", stage.pgvs.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn repaired(lab: &Lab, what: &str, took: Duration) -> Result<()> {
    lab.figure(format!("{what}: repaired after {:.2} s", took.as_secs_f64()))?;
    let limit = REPAIR.mul_f64(slowness()?);
    ensure!(took < limit, "{what}: repaired after {took:?}, the limit is {limit:?}");
    Ok(())
}

fn drift_added(lab: &mut Lab) -> Result<()> {
    let stage = Stage::open(lab, &text::orders_with(&[(1, 100), (2, 100)]))?;
    let (writer, reader) = ([Some(100), Some(0), None], [Some(0), Some(100), None]);
    stage.wait("two members", Instant::now(), writer, reader)?;
    // A session there needs a moment, which a pause gives.
    stage.pgvs.run(&["pause"])?.expect(0)?;
    let (vip, server) = (net::vip(1).to_string(), net::server(3).to_string());
    ipvsadm(&["-a", "-t", &vip, "-r", &server, "-m", "-w", "1000"])?;
    let mut session = session_at(net::vip(1), 3)?;
    let resumed = Instant::now();
    stage.pgvs.run(&["resume"])?.expect(0)?;
    stage.wait("the stranger quiesced", resumed, writer, [Some(0), Some(100), Some(0)])?;
    for _ in 0..10 {
        session.value("select 1")?;
        std::thread::sleep(Duration::from_millis(200));
    }
    let closed = Instant::now();
    session.close()?;
    stage.wait("the stranger deleted", closed, writer, reader)?;
    lab.step("quiesced, its session lived, deleted when that had ended");
    Ok(())
}

fn drift_war(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let (vip, server) = (net::vip(1).to_string(), net::server(2).to_string());
    let length = stage.pgvs.log().len();
    let began = Instant::now();
    let mut blows = 0;
    while !stage.pgvs.log_since(length).contains("keeps writing") {
        ensure!(began.elapsed() < SOON, "{blows} repairs, and nobody complains");
        let before = Instant::now();
        ipvsadm(&["-e", "-t", &vip, "-r", &server, "-m", "-w", "7"])?;
        let set =
            stage.until("weight 7", before, |it| it.weight(ro(), net::server(2)) == Some(7))?;
        blows += 1;
        // The last repair may come late: that is the point.
        drop(
            stage
                .watch
                .wait("weight 100", REPAIR, set + Duration::from_micros(1), |it| it.of(ro()) == RO),
        );
    }
    let alarm = stage.pgvs.wait_alarm("keeps writing", Duration::from_secs(5))?;
    lab.step(format!("after {blows} changes by hand; alarm: {alarm}"));
    Ok(())
}
