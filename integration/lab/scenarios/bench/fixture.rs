//! The same large table in every program's words: configs of pgvs and keepalived, ipvsadm's rules, netlink bytes.

use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use pgvs::model::destination::{Destination, DestinationKey, Forwarding, Weight};
use pgvs::model::op::Op;
use pgvs::model::service::{Family, Scheduler, Service, ServiceKey};

use crate::pgvs::Pgvs;
use crate::text;

/// How many destinations each service has.
pub(super) const EACH: u32 = 10;

/// The weight of all destinations but the one that changes.
const WEIGHT: u32 = 100;

/// A file of the config may hold a mebibyte: so many services each.
const SERVICES_IN_A_FILE: u32 = 1000;

/// So many services with ten destinations each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixture {
    pub(super) services: u32,
}

impl Fixture {
    /// How many destinations there are.
    pub(super) const fn destinations(self) -> u32 {
        self.services * EACH
    }

    /// How many lines, or writes, the table is.
    pub(super) fn lines(self) -> usize {
        usize::try_from(self.services + self.destinations()).unwrap_or(usize::MAX)
    }

    /// "1,000 x 10".
    pub(super) fn name(self) -> String {
        let (thousands, rest) = (self.services / 1000, self.services % 1000);
        match thousands {
            0 => format!("{rest} x {EACH}"),
            _ => format!("{thousands},{rest:03} x {EACH}"),
        }
    }

    /// The one destination whose weight changes: its number among all.
    const fn changing(self) -> u32 {
        self.destinations() / 2 + 5
    }

    /// Its service and address.
    pub(super) fn changing_address(self) -> (SocketAddr, SocketAddr) {
        (service(self.changing() / EACH), destination(self.changing()))
    }

    fn weight(self, number: u32, changed: u32) -> u32 {
        if number == self.changing() { changed } else { WEIGHT }
    }

    /// Writes the daemon's config: each service has a pool of its own, so that one weight is one destination.
    pub(super) fn write_config(self, pgvs: &Pgvs, changed: u32) -> Result<()> {
        let directory = pgvs.path("conf.d");
        fs::create_dir_all(&directory).context("make conf.d")?;
        pgvs.write(&format!("include = [\"conf.d/*.toml\"]\n{}", pgvs.director()))?;
        for first in (0..self.services).step_by(1000) {
            let mut part = String::new();
            for number in first..self.services.min(first + SERVICES_IN_A_FILE) {
                self.write_service(&mut part, number, changed);
            }
            let path = directory.join(format!("{first:06}.toml"));
            fs::write(&path, part).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    fn write_service(self, part: &mut String, number: u32, changed: u32) {
        part.push_str(&format!("[[pool]]\nname = \"pool{number}\"\nprobe = \"none\"\n"));
        for place in 0..EACH {
            let at = number * EACH + place;
            text::server(part, &format!("s{place}"), destination(at), self.weight(at, changed));
        }
        part.push_str(&format!(
            "[[service]]\nname = \"s{number}\"\naddress = \"{}\"\npool = \"pool{number}\"\ntarget = \"any\"\n",
            service(number)
        ));
    }

    /// keepalived's config for the same table, with no checks.
    pub(super) fn keepalived(self, changed: u32) -> Result<String> {
        let mut text = String::from("global_defs {\n  router_id lab\n}\n");
        for number in 0..self.services {
            let at = service(number);
            writeln!(
                text,
                "virtual_server {} {} {{\n  delay_loop 10\n  lvs_sched wlc\n  lvs_method NAT\n  protocol TCP",
                at.ip(),
                at.port()
            )?;
            for place in 0..EACH {
                let number = number * EACH + place;
                let (to, weight) = (destination(number), self.weight(number, changed));
                writeln!(
                    text,
                    "  real_server {} {} {{\n    weight {weight}\n  }}",
                    to.ip(),
                    to.port()
                )?;
            }
            text.push_str("}\n");
        }
        Ok(text)
    }

    /// The requests that make the table.
    pub(super) fn make(self) -> Result<Vec<Op>> {
        let mut ops = Vec::with_capacity(self.lines());
        for number in 0..self.services {
            let key = ServiceKey::tcp(service(number));
            ops.push(Op::AddService(key, wlc()?));
            for place in 0..EACH {
                let to = DestinationKey(destination(number * EACH + place));
                ops.push(Op::AddDestination(key, to, weighing(WEIGHT)));
            }
        }
        Ok(ops)
    }

    /// The request that changes one weight.
    pub(super) fn change(self, weight: u32) -> Vec<Op> {
        let (service, to) = self.changing_address();
        let op =
            Op::EditDestination(ServiceKey::tcp(service), DestinationKey(to), weighing(weight));
        vec![op]
    }

    /// The requests that make a table in which all services share these servers.
    pub(super) fn make_shared(self, servers: &[SocketAddr]) -> Result<Vec<Op>> {
        let mut ops = Vec::with_capacity(self.lines());
        for number in 0..self.services {
            let key = ServiceKey::tcp(service(number));
            ops.push(Op::AddService(key, wlc()?));
            let add = |&to| Op::AddDestination(key, DestinationKey(to), weighing(WEIGHT));
            ops.extend(servers.iter().map(add));
        }
        Ok(ops)
    }

    /// The requests that quiesce one server in every service, and those that delete it.
    pub(super) fn fail(self, server: SocketAddr) -> (Vec<Op>, Vec<Op>) {
        let keys = || (0..self.services).map(|number| ServiceKey::tcp(service(number)));
        let to = DestinationKey(server);
        (
            keys().map(|key| Op::EditDestination(key, to, weighing(0))).collect(),
            keys().map(|key| Op::DeleteDestination(key, to)).collect(),
        )
    }

    /// The daemon's config for services that share one probed pool.
    pub(super) fn shared_config(self, servers: &[SocketAddr]) -> String {
        let mut config = String::from(
            "[[pool]]\nname = \"shared\"\nprobe = \"postgres\"\n\
             [pool.postgres]\nuser = \"pgvs\"\nsuspect_after = \"4s\"\nlost_after = \"10s\"\n",
        );
        for (place, &server) in servers.iter().enumerate() {
            text::server(&mut config, &format!("s{place}"), server, WEIGHT);
        }
        for number in 0..self.services {
            config += &format!(
                "[[service]]\nname = \"s{number}\"\naddress = \"{}\"\npool = \"shared\"\ntarget = \"any\"\n",
                service(number)
            );
        }
        config
    }
}

fn wlc() -> Result<Service> {
    let wlc = Scheduler::new("wlc").context("a scheduler's name")?;
    Ok(Service::plain(wlc, Family::V4))
}

const fn weighing(weight: u32) -> Destination {
    Destination::plain(Forwarding::Masquerade, Weight(weight))
}

fn service(number: u32) -> SocketAddr {
    address(100, number)
}

fn destination(number: u32) -> SocketAddr {
    address(200, number)
}

fn address(net: u32, number: u32) -> SocketAddr {
    let ip = Ipv4Addr::from((10 << 24 | net << 16) + number);
    SocketAddr::new(IpAddr::V4(ip), 5432)
}
