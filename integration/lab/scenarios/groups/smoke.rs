//! The lab itself: a real kernel balances a real cluster, programmed by the real ipvsadm, without pgvs.

use anyhow::{Result, ensure};

use super::Scenario;
use crate::lab::Lab;
use crate::table::Key;
use crate::{client, kernel, net};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "lab",
    shows: "ipvsadm programs the kernel, clients land on all three servers, three readers agree",
    run: lab_balances,
}];

fn lab_balances(lab: &mut Lab) -> Result<()> {
    lab.cluster()?;
    for (vip, servers) in [
        (net::vip(0), [1, 2, 3].map(net::server)),
        (net::vip6(0), [1, 2, 3].map(net::server6)),
    ] {
        kernel::ipvsadm(&["-A", "-t", &vip.to_string(), "-s", "rr"])?;
        for server in servers {
            kernel::ipvsadm(&[
                "-a",
                "-t",
                &vip.to_string(),
                "-r",
                &server.to_string(),
                "-m",
                "-w",
                "7",
            ])?;
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
    let rows = listed
        .lines()
        .filter(|line| line.contains("Masq    7 "))
        .count();
    ensure!(
        rows == 6,
        "ipvsadm lists {rows} destinations of weight 7:\n{listed}"
    );
    lab.step("the table by /proc, neli and ipvsadm is the same");
    open.close()
}
