//! Roles: who stands with which weight in which service, where connections land, and what happens when the
//! servers change places, without a hand on pgvs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Scenario;
use crate::client;
use crate::lab::Lab;
use crate::net::{self, Namespace};
use crate::postgres::{Settings, Stop};
use crate::session::Session;
use crate::stage::{RO, RW, SOON, Stage, Weights, ro, rw, weights};
use crate::table::Key;
use crate::{kernel, text};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "roles",
    shows: "each target has the servers of its role, connections follow, and ipvsadm agrees",
    run: roles,
}];

/// Changes the cluster for good.
pub(crate) const ROTATION: &[Scenario] = &[Scenario {
    name: "rotation",
    shows: "standbys leave and return one by one, and primary and standby change places",
    run: rotation,
}];

fn roles(lab: &mut Lab) -> Result<()> {
    let config = text::orders()
        + &text::service("standbys", net::vip(2), "standby")
        + &text::service("all", net::vip(3), "any");
    let stage = Stage::open(lab, &config)?;
    let (standbys, all) = (Key::tcp(net::vip(2)), Key::tcp(net::vip(3)));
    stage.until("every role in its place", Instant::now(), |it| {
        let roles = it.of(rw()) == RW && it.of(ro()) == RO && it.of(standbys) == RO;
        roles && it.of(all) == [Some(100); 3]
    })?;
    let (proc, neli) = (kernel::by_proc()?, kernel::by_neli()?);
    ensure!(
        proc.without_counters() == neli.without_counters(),
        "/proc says\n{proc}\nneli says\n{neli}"
    );
    ensure!(weights(&neli, rw()) == RW && weights(&neli, ro()) == RO, "neli says\n{neli}");
    let (ours, theirs) = (stage.pgvs.run(&["ipvsadm", "-Ln"])?, kernel::ipvsadm(&["-Ln"])?);
    ensure!(ours.stdout == theirs, "pgvs ipvsadm -Ln:\n{}ipvsadm -Ln:\n{theirs}", ours.stdout);
    for (vip, servers) in [(0, &[1][..]), (1, &[2, 3][..]), (2, &[2, 3][..]), (3, &[1, 2, 3][..])] {
        let landed = client::spread(net::vip(vip), 6 * servers.len())?;
        lab.step(format!("connections to {} landed on {landed:?}", net::vip(vip)));
        let expected: BTreeMap<SocketAddr, usize> =
            servers.iter().map(|&number| (net::server(number), 6)).collect();
        ensure!(landed == expected, "expected {expected:?}");
    }
    for name in ["expire_nodest_conn", "expire_quiescent_template"] {
        let value = Namespace::Director.read_sysctl(&format!("net/ipv4/vs/{name}"))?;
        ensure!(value == "1", "{name} is {value}: a removal would make sessions hang");
    }
    let status = stage.pgvs.run(&["status"])?.expect(0)?;
    for word in ["orders-rw", "pg1", "primary", "standby"] {
        ensure!(status.stdout.contains(word), "pgvs status lacks {word:?}:\n{}", status.stdout);
    }
    Ok(())
}

/// A server that is down stands in no service.
const RW_WITHOUT_2: Weights = [Some(100), None, Some(0)];
const RO_WITHOUT_2: Weights = [Some(0), None, Some(100)];

fn rotation(lab: &mut Lab) -> Result<()> {
    let stage = Stage::orders(lab)?;
    a_standby_is_rotated(lab, &stage)?;
    no_standby_is_left(lab, &stage)?;
    the_roles_are_swapped(lab, &stage)
}

/// A smart stop waits for its sessions: no new ones, the old ones live, and the probe is no obstacle.
fn a_standby_is_rotated(lab: &mut Lab, stage: &Stage) -> Result<()> {
    let mut session = session_at(net::vip(1), 2)?;
    let told = lab.cluster_as_is()?.server(2)?.tell(Stop::Smart)?;
    stage.wait("pg2 takes no new readers", told, RW, [Some(0), Some(0), Some(100)])?;
    let landed = client::spread(net::vip(1), 4)?;
    ensure!(landed == BTreeMap::from([(net::server(3), 4)]), "new readers went to {landed:?}");
    session.value("select 1")?;
    session.close()?;
    lab.cluster_as_is()?.server(2)?.wait_end(Duration::from_secs(10))?;
    lab.step("a standby in a smart stop kept its session and ended with it");
    stage.wait("pg2 is gone", told, RW_WITHOUT_2, RO_WITHOUT_2)?;
    let started = Instant::now();
    lab.cluster_as_is()?.restart(2)?;
    let back = stage.wait_healthy(started)?;
    lab.step(format!("it serves again {:.1} s after its start", (back - started).as_secs_f64()));
    Ok(())
}

/// `prefer-standby` falls back to the primary, and only then.
fn no_standby_is_left(lab: &mut Lab, stage: &Stage) -> Result<()> {
    let began = Instant::now();
    lab.cluster_as_is()?.server(2)?.tell(Stop::Kill)?;
    stage.wait("pg2 is gone", began, RW_WITHOUT_2, RO_WITHOUT_2)?;
    lab.cluster_as_is()?.server(3)?.tell(Stop::Kill)?;
    let alone = [Some(100), None, None];
    stage.wait("readers at the primary", began, alone, alone)?;
    let landed = client::spread(net::vip(1), 4)?;
    ensure!(landed == BTreeMap::from([(net::server(1), 4)]), "readers went to {landed:?}");
    lab.step("no standby left: readers are served by the primary");
    for number in [2, 3] {
        lab.cluster_as_is()?.server(number)?.wait_end(SOON)?;
    }
    let again = Instant::now();
    lab.cluster_as_is()?.restart(2)?;
    let (writer, readers) = ([Some(100), Some(0), None], [Some(0), Some(100), None]);
    stage.wait("readers at pg2 alone", again, writer, readers)?;
    lab.cluster_as_is()?.restart(3)?;
    stage.wait_healthy(again)?;
    Ok(())
}

/// A planned switchover: the old primary stops cleanly and comes back as a standby of the new one.
fn the_roles_are_swapped(lab: &mut Lab, stage: &Stage) -> Result<()> {
    let began = Instant::now();
    lab.cluster_as_is()?.server(1)?.tell(Stop::Fast)?;
    lab.cluster_as_is()?.server(1)?.wait_end(SOON)?;
    lab.cluster_as_is()?.server(2)?.promote()?;
    stage.until("the writer is pg2", began, |it| it.usable(rw()) == [net::server(2)])?;
    let follows = |follows| Settings { follows: Some(follows), ..Settings::default() };
    let cluster = lab.cluster_as_is()?;
    for number in [1, 3] {
        cluster.server(number)?.configure(&follows(2))?;
    }
    cluster.server(3)?.reload()?;
    cluster.restart(1)?;
    let swapped = [Some(0), Some(100), Some(0)];
    stage.wait("the roles have changed", began, swapped, [Some(100), Some(0), Some(100)])?;
    stage.never_two_writers(began)?;
    let landed = client::spread(net::vip(0), 2)?;
    ensure!(landed == BTreeMap::from([(net::server(2), 2)]), "writers went to {landed:?}");
    lab.step("primary and standby have changed places");
    Ok(())
}

/// A session through a virtual address that ended up at one server.
pub(super) fn session_at(vip: SocketAddr, server: u8) -> Result<Session> {
    for _ in 0..20 {
        let mut session = client::connect(vip)?;
        if client::landed(&mut session)?.ip() == net::server(server).ip() {
            return Ok(session);
        }
        session.close()?;
    }
    anyhow::bail!("none of 20 connections to {vip} landed on pg{server}")
}
