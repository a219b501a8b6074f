//! A large table: 1,000 services with 10 destinations each, beside what ipvsadm needs in the same run.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::kernel;
use crate::lab::Lab;
use crate::net::Namespace;
use crate::pgvs::Pgvs;
use crate::stage::median;
use crate::tap::Tap;
use crate::text;

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "scale",
    shows: "1,000 services with 10 destinations each: programmed, listed, one weight changed by reload",
    run: scale,
}];

const SERVICES: u16 = 1000;
const DESTINATIONS: u16 = 10;

fn scale(lab: &mut Lab) -> Result<()> {
    let mut pgvs = lab.daemon_alone("pgvs", &config(100))?;
    let tap = Tap::start()?;
    let began = Instant::now();
    let ready = pgvs.start()?;
    wait_complete(began)?;
    let complete = began.elapsed();
    lab.figure(format!(
        "1,000 x 10: start to ready {}, to a complete table {}",
        s(ready),
        s(complete)
    ))?;
    // The timeouts are set as well, once.
    let writes = tap.writes()?.into_iter().filter(|it| *it != "set config").count();
    let expected = usize::from(SERVICES) * usize::from(DESTINATIONS + 1);
    ensure!(writes == expected, "{writes} writes, {expected} expected");
    listed(lab, &pgvs)?;
    reloaded(lab, &pgvs, &tap)?;
    let rules = kernel::ipvsadm(&["-Sn"])?;
    pgvs.stop()?;
    kernel::ipvsadm(&["-C"])?;
    let path = pgvs.path("rules");
    fs::write(&path, &rules).context("write the rules")?;
    let began = Instant::now();
    restore(&path)?;
    lab.figure(format!("ipvsadm -R of the same table: {}", s(began.elapsed())))?;
    ensure!(kernel::ipvsadm(&["-Sn"])? == rules, "ipvsadm -R made another table");
    drop(tap.writes()?);
    let ready = pgvs.start()?;
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "adopting ipvsadm's table wrote {} changes", writes.len());
    lab.figure(format!("start on that table: 0 writes, ready after {}", s(ready)))?;
    pgvs.kill()
}

/// Each service has a pool of its own, so that one weight is one destination.
fn config(first: u32) -> String {
    let mut config = String::new();
    for number in 0..SERVICES {
        config += &format!("[[pool]]\nname = \"pool{number}\"\nprobe = \"none\"\n");
        for place in 0..DESTINATIONS {
            let weight = if (number, place) == (500, 5) { first } else { 100 };
            text::server(
                &mut config,
                &format!("s{place}"),
                address(200, number * 10 + place),
                weight,
            );
        }
        config += &format!(
            "[[service]]\nname = \"s{number}\"\naddress = \"{}\"\npool = \"pool{number}\"\ntarget = \"any\"\n",
            address(100, number)
        );
    }
    config
}

fn address(net: u8, number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, net, high, low)), 5432)
}

fn lines() -> Result<usize> {
    Namespace::Director.inside(|| {
        Ok(fs::read_to_string("/proc/thread-self/net/ip_vs")?.lines().count().saturating_sub(3))
    })
}

fn wait_complete(since: Instant) -> Result<()> {
    let expected = usize::from(SERVICES) * usize::from(DESTINATIONS + 1);
    loop {
        let found = lines()?;
        if found == expected {
            return Ok(());
        }
        ensure!(since.elapsed() < Duration::from_secs(60), "{found} of {expected} lines");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn listed(lab: &Lab, pgvs: &Pgvs) -> Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let answer = pgvs.run(&["ipvsadm", "-Ln"])?.expect(0)?;
        ours.push(answer.took.as_secs_f64() * 1000.0);
        let began = Instant::now();
        let list = kernel::ipvsadm(&["-Ln"])?;
        theirs.push(began.elapsed().as_secs_f64() * 1000.0);
        ensure!(answer.stdout == list, "pgvs ipvsadm -Ln prints another text");
    }
    lab.figure(format!(
        "listed, medians of three: pgvs ipvsadm -Ln {:.0} ms, ipvsadm -Ln {:.0} ms, byte for byte the same",
        median(ours),
        median(theirs)
    ))
}

fn reloaded(lab: &Lab, pgvs: &Pgvs, tap: &Tap) -> Result<()> {
    drop(tap.writes()?);
    pgvs.write(&config(77))?;
    let answer = pgvs.run(&["reload"])?.expect(0)?;
    let table = kernel::by_proc()?;
    let changed = table.0.values().flat_map(|service| &service.destinations);
    let changed: Vec<_> = changed.filter(|(_, it)| it.weight == 77).map(|(at, _)| *at).collect();
    ensure!(changed == [address(200, 5005)], "weight 77 has {changed:?}");
    let writes = tap.writes()?;
    ensure!(writes == ["set destination"], "one weight changed: {} writes", writes.len());
    lab.figure(format!(
        "pgvs reload with one of 10,000 weights changed: {}, 1 write",
        s(answer.took)
    ))
}

fn restore(rules: &std::path::Path) -> Result<()> {
    let input = fs::File::open(rules).context("open the rules")?;
    Namespace::Director.inside(|| {
        let mut command = Command::new("ipvsadm");
        let output =
            command.arg("-R").stdin(Stdio::from(input)).output().context("start ipvsadm")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ipvsadm -R: {}", said.trim());
        Ok(())
    })
}

fn s(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
