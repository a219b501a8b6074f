//! The lab itself, without pgvs: the real ipvsadm programs a real kernel that balances a real cluster, and
//! the instruments that later measure pgvs are shown to see what they should.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Scenario;
use crate::client::{self, Worker};
use crate::lab::Lab;
use crate::observe::{Observer, Word};
use crate::postgres::Stop;
use crate::table::Key;
use crate::tap::Tap;
use crate::watch::Watch;
use crate::{kernel, net};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lab",
        shows: "ipvsadm programs the kernel, clients land on all three servers, three readers agree",
        run: lab_balances,
    },
    Scenario {
        name: "instruments",
        shows: "the table's reader and PostgreSQL's observer see what happens, in milliseconds",
        run: instruments_see,
    },
];

const SOON: Duration = Duration::from_secs(10);

fn lab_balances(lab: &mut Lab) -> Result<()> {
    lab.cluster()?;
    let six = [1, 2, 3].map(net::server6);
    for (vip, servers) in [(net::vip(0), [1, 2, 3].map(net::server)), (net::vip6(0), six)] {
        kernel::ipvsadm(&["-A", "-t", &vip.to_string(), "-s", "rr"])?;
        for server in servers {
            add(&vip.to_string(), &server.to_string(), "7")?;
        }
        let counts = client::spread(vip, 30)?;
        lab.step(format!("30 connections to {vip} landed on {counts:?}"));
        ensure!(
            counts == servers.map(|server| (server, 10)).into(),
            "rr should give each server 10"
        );
    }
    let mut open = client::connect(net::vip(0))?;
    let at = client::landed(&mut open)?;
    let (proc, neli) = (kernel::by_proc()?, kernel::by_neli()?);
    ensure!(proc == neli, "/proc says\n{proc}\nneli says\n{neli}");
    ensure!(proc.0.len() == 2, "two services, not\n{proc}");
    let active = proc.0[&Key::tcp(net::vip(0))].destinations[&at].active;
    ensure!(active == 1, "one active connection at {at}, not {active}");
    let listed = kernel::ipvsadm(&["-Ln"])?;
    let rows = listed.lines().filter(|line| line.contains("Masq    7 ")).count();
    ensure!(rows == 6, "ipvsadm lists {rows} destinations of weight 7:\n{listed}");
    lab.step("the table by /proc, neli and ipvsadm is the same");
    open.close()
}

fn instruments_see(lab: &mut Lab) -> Result<()> {
    let (vip, key) = (net::vip(0).to_string(), Key::tcp(net::vip(0)));
    lab.cluster()?;
    kernel::ipvsadm(&["-A", "-t", &vip, "-s", "rr"])?;
    let watch = Watch::start()?;
    let began = Instant::now();
    for (server, weight) in [(1, "1"), (2, "1"), (3, "0")] {
        add(&vip, &net::server(server).to_string(), weight)?;
    }
    let both = watch.wait("all three servers", SOON, began, |sample| sample.weights.len() == 3)?;
    let worker = Worker::start(net::vip(0), 5);
    std::thread::sleep(Duration::from_secs(1));
    let tally = worker.stop()?;
    lab.step(format!("a worker: {tally:?}"));
    ensure!(tally.done > 3 && tally.failed == 0, "a worker between two healthy servers: {tally:?}");
    ensure!(
        watch.samples(both).len() == 1,
        "connections are no change of a weight: {:?}",
        watch.samples(both)
    );
    ensure!(!watch.two_writers(both, key).is_empty(), "two usable servers are not seen as such");
    let (server, tap) = (net::server(2), Tap::start()?);
    let before = Instant::now();
    kernel::ipvsadm(&["-e", "-t", &vip, "-r", &server.to_string(), "-m", "-w", "0"])?;
    let seen =
        watch.wait("weight 0", SOON, before, |sample| sample.weight(key, server) == Some(0))?;
    let (reads, gap) = watch.tightness();
    lab.step(format!(
        "ipvsadm -e was seen {} after its start; {reads} reads, the widest gap {}",
        ms(seen - before),
        ms(gap)
    ));
    ensure!(watch.two_writers(seen, key).is_empty(), "one usable server is seen as two");
    let writes = tap.writes()?;
    ensure!(writes == ["set destination"], "ipvsadm -e wrote {writes:?}");

    let observer = Observer::start(2)?;
    observer.wait("that it is a standby", SOON, |word| *word == Word::Standby)?;
    let told = lab.cluster_as_is()?.server(2)?.tell(Stop::Fast)?;
    let heard = observer.wait("that it stops", SOON, Word::is_end)?;
    lab.step(format!("a fast stop was announced {} after the signal", ms(heard - told)));
    let observer = Observer::start(3)?;
    let told = Instant::now();
    lab.cluster_as_is()?.server(3)?.promote()?;
    let heard = observer.wait("that it is a primary", SOON, |word| *word == Word::Primary)?;
    lab.step(format!("a promotion was announced {} after it was asked for", ms(heard - told)));
    Ok(())
}

fn add(vip: &str, server: &str, weight: &str) -> Result<()> {
    kernel::ipvsadm(&["-a", "-t", vip, "-r", server, "-m", "-w", weight]).map(drop)
}

/// A duration in milliseconds, for people.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
