//! The table as the commands that would build it (`ipvsadm -S`).
//!
//! As ipvsadm does it: thresholds are lost, and so is everything that is no service.

use std::fmt::{self, Write as _};

use super::args::Format;
use super::list::ordered;
use super::names::{self, Writing};
use super::sort::Row;
use super::values::Names;
use super::words;
use crate::model::destination::{Forwarding, Tunnel};
use crate::model::kernel::{ListedDestination, ListedService};
use crate::model::service::{Netmask, ServiceFlags};

/// One line for each service and each of its destinations.
pub fn save(services: &[ListedService], format: Format, names: &dyn Names) -> String {
    let writing = Writing { names: (!format.numeric).then_some(names) };
    let mut text = String::new();
    for row in ordered(services, format) {
        // Writing into a String does not fail.
        if write_service(&mut text, &row, writing).is_err() {
            return String::new();
        }
    }
    text
}

fn write_service(text: &mut String, row: &Row<'_>, writing: Writing<'_>) -> fmt::Result {
    let listed = row.listed;
    let name = writing.option(listed.key);
    let service = &listed.service;
    let scheduler = service.scheduler.as_str();
    write!(text, "-A {name} -s {scheduler}")?;
    if service.flags.contains(ServiceFlags::PERSISTENT) {
        write!(text, " -p {}", service.timeout)?;
        if service.netmask != Netmask::host(listed.key.family()) {
            match service.netmask {
                Netmask::V4(mask) => write!(text, " -M {mask}")?,
                Netmask::V6(length) => write!(text, " -M {length}")?,
            }
        }
        if let Some(engine) = &service.persistence_engine {
            write!(text, " --pe {engine}")?;
        }
    }
    if service.flags.contains(ServiceFlags::ONE_PACKET) {
        text.push_str(" -o");
    }
    if let Some(flags) = names::scheduler_flags(scheduler, service.flags) {
        write!(text, " -b {flags}")?;
    }
    text.push('\n');
    let protocol = names::protocol_of(listed.key);
    for destination in &row.destinations {
        let server = writing.socket(destination.key.0, protocol);
        write_destination(text, &name, &server, destination)?;
    }
    Ok(())
}

fn write_destination(
    text: &mut String,
    service: &str,
    server: &str,
    listed: &ListedDestination,
) -> fmt::Result {
    let destination = listed.destination;
    let method = match destination.forwarding {
        Forwarding::Masquerade => "-m",
        Forwarding::Tunnel => "-i",
        Forwarding::Local | Forwarding::DirectRoute => "-g",
        Forwarding::Other(_) => "(null)",
    };
    let weight = destination.weight.0.cast_signed();
    write!(text, "-a {service} -r {server} {method} -w {weight}")?;
    if destination.forwarding == Forwarding::Tunnel {
        text.push_str(&tunnel(destination.tunnel));
    }
    text.push('\n');
    Ok(())
}

fn tunnel(tunnel: Tunnel) -> String {
    let flag = match tunnel.flags {
        words::CHECKSUM => "--tun-csum",
        words::REMOTE_CHECKSUM => "--tun-remcsum",
        _ => "--tun-nocsum",
    };
    match tunnel.kind {
        0 => " --tun-type ipip".into(),
        1 => format!(" --tun-type gue --tun-port {} {flag}", tunnel.port),
        2 => format!(" --tun-type gre {flag}"),
        _ => String::new(),
    }
}
