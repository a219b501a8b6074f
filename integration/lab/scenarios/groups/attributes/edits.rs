//! One attribute after the other: its words in the file, what is written for it, and what it changes in the kernel.

use anyhow::{Context, Result};
use pgvs::model::destination::{Destination, DestinationKey, Tunnel};
use pgvs::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};
use pgvs::model::table::Table;

use crate::net;

/// One attribute in the file, what is written for it, and what it changes in the kernel.
pub(super) struct Edit {
    pub(super) old: &'static str,
    pub(super) new: &'static str,
    pub(super) writes: &'static [&'static str],
    pub(super) change: fn(&mut Table) -> Result<()>,
}

const SERVICE: &[&str] = &["set service"];
const TWICE: &[&str] = &["set destination", "set destination"];
const THRICE: &[&str] = &["set destination", "set destination", "set destination"];

/// Every one of them, in an order in which each finds its text.
pub(super) fn edits() -> Vec<Edit> {
    of_services().into_iter().chain(of_destinations()).collect()
}

const fn edit(
    old: &'static str,
    new: &'static str,
    writes: &'static [&'static str],
    change: fn(&mut Table) -> Result<()>,
) -> Edit {
    Edit { old, new, writes, change }
}

fn of_services() -> [Edit; 7] {
    [
        edit("scheduler = \"rr\"", "scheduler = \"wrr\"", SERVICE, |it| {
            let wrr = Scheduler::new("wrr").context("a name")?;
            service(it, dns()?, |it| it.scheduler = wrr)
        }),
        edit("ops = true", "ops = false", SERVICE, |it| {
            service(it, dns()?, |it| it.flags = ServiceFlags::default())
        }),
        edit("[\"mh-port\"]", "[\"mh-fallback\"]", SERVICE, |it| {
            service(it, sctp()?, |it| it.flags = ServiceFlags::SCHED_1)
        }),
        edit("persistence_timeout = \"5m\"", "persistence_timeout = \"10m1s\"", SERVICE, |it| {
            service(it, ro(), |it| it.timeout = 601)
        }),
        edit("persistence_netmask = 24", "persistence_netmask = \"255.255.0.0\"", SERVICE, |it| {
            service(it, ro(), |it| it.netmask = Netmask::V4([255, 255, 0, 0].into()))
        }),
        edit("persistence_netmask = 64", "persistence_netmask = 48", SERVICE, |it| {
            let six = at(Protocol::UDP, "[fd00:9::110]:53")?;
            service(it, six, |it| it.netmask = Netmask::V6(48))
        }),
        edit("pe = \"sip\"\n", "", SERVICE, |it| {
            let sip = ServiceKey::FwMark { family: Family::V4, mark: 7 };
            service(it, sip, |it| it.persistence_engine = None)
        }),
    ]
}

fn of_destinations() -> [Edit; 5] {
    let (csum, remcsum) = (
        "tunnel_port = 6081\ntunnel_checksum = \"csum\"",
        "tunnel_port = 6081\ntunnel_checksum = \"remcsum\"",
    );
    let gue = "tunnel = \"gue\"\ntunnel_port = 6082\n";
    [
        edit("upper_threshold = 100", "upper_threshold = 200", TWICE, |it| {
            destinations(it, "10.8.0.12:5432", |it| it.thresholds.upper = 200)
        }),
        edit("lower_threshold = 80\n", "", TWICE, |it| {
            destinations(it, "10.8.0.12:5432", |it| it.thresholds.lower = 0)
        }),
        edit("tunnel_port = 6080", "tunnel_port = 6081", THRICE, |it| {
            destinations(it, "10.8.0.22:80", |it| it.tunnel.port = 6081)
        }),
        edit(csum, remcsum, THRICE, |it| {
            destinations(it, "10.8.0.22:80", |it| it.tunnel.flags = Tunnel::REMOTE_CHECKSUM)
        }),
        edit("tunnel = \"gre\"\n", gue, TWICE, |it| {
            let tunnel = Tunnel { kind: Tunnel::GUE, port: 6082, flags: Tunnel::CHECKSUM };
            let entry = it.services.get_mut(&sctp()?).context("sctp")?;
            entry.destinations.values_mut().for_each(|it| it.tunnel = tunnel);
            Ok(())
        }),
    ]
}

fn ro() -> ServiceKey {
    ServiceKey::tcp(net::vip(1))
}

fn at(protocol: Protocol, address: &str) -> Result<ServiceKey> {
    Ok(ServiceKey::Address { protocol, address: address.parse().context("an address")? })
}

fn dns() -> Result<ServiceKey> {
    at(Protocol::UDP, "10.9.0.112:53")
}

fn sctp() -> Result<ServiceKey> {
    at(Protocol::SCTP, "10.9.0.113:53")
}

fn service(table: &mut Table, key: ServiceKey, change: impl FnOnce(&mut Service)) -> Result<()> {
    change(&mut table.services.get_mut(&key).with_context(|| key.to_string())?.service);
    Ok(())
}

/// The same in every service that has the destination.
fn destinations(table: &mut Table, to: &str, change: impl Fn(&mut Destination)) -> Result<()> {
    let to = DestinationKey(to.parse().context("an address")?);
    table.services.values_mut().filter_map(|it| it.destinations.get_mut(&to)).for_each(change);
    Ok(())
}
