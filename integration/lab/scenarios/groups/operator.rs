//! What the operator can do: IPv6, plan, pause and resume, shadow mode, and the ways to stop.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Scenario;
use crate::lab::Lab;
use crate::postgres::Stop;
use crate::stage::{RO, RW, SOON, Stage, ro, rw, weights_now};
use crate::table::Key;
use crate::tap::Tap;
use crate::watch::Watch;
use crate::{client, kernel, net, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "plan",
        shows: "plan says what a reload or a start would write, by text and exit status, and writes nothing",
        run: plan,
    },
    Scenario {
        name: "observe",
        shows: "run --observe probes and decides, needs no capability, and writes nothing",
        run: observe,
    },
    Scenario {
        name: "pause",
        shows: "paused: hands off the kernel while probing goes on; resume catches up",
        run: pause,
    },
    Scenario { name: "six", shows: "services and servers over IPv6", run: six },
    Scenario {
        name: "deaf-manager",
        shows: "a service manager that does not listen holds nothing up",
        run: deaf_manager,
    },
    Scenario {
        name: "on-stop",
        shows: "on_stop quiesces or removes what is ours, one by one, and nothing else",
        run: on_stop,
    },
];

fn plan(lab: &mut Lab) -> Result<()> {
    lab.cluster()?;
    let mut pgvs = lab.daemon(&text::orders())?;
    let tap = Tap::start()?;
    let answer = pgvs.run(&["plan"])?.expect(1)?;
    ensure!(answer.stdout.contains("10.9.0.100:5432"), "on an empty table: {}", answer.said());
    lab.step(format!("without a daemon, on an empty table:\n{}", answer.stdout.trim_end()));
    ensure!(tap.writes()?.is_empty(), "plan wrote");
    let watch = Watch::start()?;
    let started = Instant::now();
    pgvs.start()?;
    let stage = Stage { pgvs, watch, started };
    stage.wait_healthy(Instant::now())?;
    drop(tap.writes()?);
    stage.pgvs.run(&["plan"])?.expect(0)?;
    stage.pgvs.write(&text::orders_with(&[(1, 100), (2, 42), (3, 100)]))?;
    let answer = stage.pgvs.run(&["plan"])?.expect(1)?;
    ensure!(
        answer.stdout.contains("42") && answer.stdout.contains("10.8.0.12:5432"),
        "one weight: {}",
        answer.said()
    );
    lab.step(format!("with one weight changed in the file:\n{}", answer.stdout.trim_end()));
    stage.pgvs.write("[[pool]]\nname = 7\n")?;
    stage.pgvs.run(&["plan"])?.expect(2)?;
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "plan wrote {writes:?}");
    ensure!(weights_now(ro())? == RO, "plan changed the table");
    Ok(())
}

fn observe(lab: &mut Lab) -> Result<()> {
    lab.cluster()?;
    let mut pgvs = lab.daemon(&text::orders())?;
    let (tap, before) = (Tap::start()?, kernel::by_proc()?);
    pgvs.start_without(&["net_admin"], &["--observe"])?;
    let deadline = Instant::now() + SOON;
    loop {
        let status = pgvs.status()?;
        let roles: Vec<_> = status["servers"].as_array().into_iter().flatten().collect();
        let seen: Vec<_> = roles.iter().filter_map(|server| server["role"].as_str()).collect();
        if seen == ["primary", "standby", "standby"] {
            break;
        }
        ensure!(Instant::now() < deadline, "roles seen: {seen:?}\n{}", pgvs.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = pgvs.run(&["status"])?;
    lab.step(format!("pgvs status in shadow mode, exit status {}", status.status));
    lab.cluster_as_is()?.server(3)?.tell(Stop::Fast)?;
    std::thread::sleep(Duration::from_secs(2));
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "shadow mode wrote {writes:?}");
    ensure!(kernel::by_proc()? == before, "shadow mode changed the table");
    lab.cluster_as_is()?.server(3)?.wait_end(SOON)?;
    lab.cluster_as_is()?.restart(3)?;
    ensure!(pgvs.stop()? == 0, "an orderly stop");
    Ok(())
}

fn pause(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    let tap = Tap::start()?;
    stage.pgvs.run(&["pause"])?.expect(0)?;
    ensure!(stage.pgvs.status()?["paused"] == true, "status does not say that it is paused");
    lab.cluster_as_is()?.server(3)?.tell(Stop::Fast)?;
    lab.cluster_as_is()?.server(3)?.wait_end(SOON)?;
    kernel::ipvsadm(&["-e", "-t", "10.9.0.101:5432", "-r", "10.8.0.12:5432", "-m", "-w", "1"])?;
    std::thread::sleep(Duration::from_secs(2));
    let writes = tap.writes()?;
    ensure!(writes == ["set destination"], "paused: only ipvsadm may write, not {writes:?}");
    let status = stage.pgvs.run(&["status"])?.stdout;
    ensure!(status.contains("down"), "paused, it still sees that pg3 is down:\n{status}");
    let resumed = Instant::now();
    stage.pgvs.run(&["resume"])?.expect(0)?;
    stage.wait("what happened meanwhile", resumed, RW_WITHOUT_3, [Some(0), Some(100), None])?;
    lab.step("resumed: the dead standby is out, the weight set by hand restored");
    stage.pgvs.run(&["pause", "--for", "3s"])?.expect(0)?;
    let back = Instant::now();
    lab.cluster_as_is()?.restart(3)?;
    let whole = stage.wait_healthy(back)?;
    lab.step(format!(
        "pause --for 3s ended by itself, healthy {:.1} s later",
        (whole - back).as_secs_f64()
    ));
    ensure!(stage.pgvs.status()?["paused"] == false, "it is still paused");
    Ok(())
}

const RW_WITHOUT_3: crate::stage::Weights = [Some(100), Some(0), None];

fn six(lab: &mut Lab) -> Result<()> {
    lab.cluster()?;
    let mut config = text::pool(&[]);
    for number in [1, 2, 3] {
        text::server(&mut config, &format!("pg{number}"), net::server6(number), 100);
    }
    config += &text::service("orders-rw", net::vip6(0), "primary");
    config += &text::service("orders-ro", net::vip6(1), "prefer-standby");
    let mut pgvs = lab.daemon(&config)?;
    let watch = Watch::start()?;
    pgvs.start()?;
    let [writer, readers] = [0, 1].map(|number| Key::tcp(net::vip6(number)));
    watch.wait("the roles over IPv6", SOON, Instant::now(), |it| {
        it.usable(writer) == [net::server6(1)]
            && it.usable(readers) == [net::server6(2), net::server6(3)]
    })?;
    for (vip, servers) in [(0, &[1][..]), (1, &[2, 3][..])] {
        let landed = client::spread(net::vip6(vip), 4 * servers.len())?;
        let expected: BTreeMap<_, _> = servers.iter().map(|&it| (net::server6(it), 4)).collect();
        ensure!(landed == expected, "connections to {} landed on {landed:?}", net::vip6(vip));
    }
    let (ours, theirs) = (pgvs.run(&["ipvsadm", "-Ln"])?, kernel::ipvsadm(&["-Ln"])?);
    ensure!(ours.stdout == theirs, "pgvs ipvsadm -Ln:\n{}ipvsadm -Ln:\n{theirs}", ours.stdout);
    let (proc, neli) = (kernel::by_proc()?, kernel::by_neli()?);
    ensure!(proc == neli, "/proc says\n{proc}\nneli says\n{neli}");
    Ok(())
}

fn deaf_manager(lab: &mut Lab) -> Result<()> {
    let config = |weight| text::unprobed(&[(1, weight)]) + &text::service("a", net::vip(0), "any");
    let mut pgvs = lab.daemon(&config(100))?;
    pgvs.start()?;
    pgvs.stop_listening();
    // The kernel keeps some ten words for whoever does not read them.
    for weight in 1..=20 {
        pgvs.write(&config(weight))?;
        pgvs.run(&["reload"])?.expect(0)?;
        ensure!(
            weights_now(rw())?[0] == Some(weight),
            "reload {weight} has not come to the kernel"
        );
    }
    pgvs.run(&["status"])?.expect(0)?;
    lab.step("twenty reloads, each in the kernel");
    Ok(())
}

fn on_stop(lab: &mut Lab) -> Result<()> {
    let mut stage = Stage::orders(lab)?;
    for (word, expected) in [("quiesce", [Some(0); 3]), ("remove", [None; 3])] {
        let head = stage.pgvs.director() + &format!("on_stop = \"{word}\"\n");
        stage.pgvs.write(&(head + &text::orders()))?;
        stage.pgvs.run(&["reload"])?.expect(0)?;
        stage.wait("healthy before the stop", Instant::now(), RW, RO)?;
        let status = stage.pgvs.stop()?;
        ensure!(status == 0, "{word}: exit status {status}");
        let found = [weights_now(rw())?, weights_now(ro())?];
        ensure!(found == [expected; 2], "{word}: the table has {found:?}");
        let left = kernel::by_proc()?.0.len();
        ensure!(left == if word == "remove" { 1 } else { 3 }, "{word}: {left} services are left");
        lab.step(format!("on_stop = {word:?}: as it says"));
        if word == "quiesce" {
            stage.pgvs.start()?;
            stage.wait_healthy(Instant::now())?;
        }
    }
    Ok(())
}
