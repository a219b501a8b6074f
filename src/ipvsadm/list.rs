//! The list that `ipvsadm -L` prints.

use std::fmt::{self, Write as _};

use super::{names, sort};
use crate::model::kernel::{IpvsInfo, ListedDestination, ListedService};
use crate::model::service::{Netmask, Service, ServiceFlags, ServiceKey};

/// The whole table in the default format, numerically and in ipvsadm's order.
pub fn list(info: IpvsInfo, services: &[ListedService]) -> String {
    let mut text = String::new();
    // Writing into a String does not fail.
    if write_list(&mut text, info, services).is_err() {
        text.clear();
    }
    text
}

fn write_list(
    text: &mut String,
    info: IpvsInfo,
    services: &[ListedService],
) -> Result<(), fmt::Error> {
    writeln!(text, "IP Virtual Server version {} (size={})", info.version, info.table_size)?;
    text.push_str("Prot LocalAddress:Port Scheduler Flags\n");
    text.push_str("  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n");
    for listed in sort::sorted(services) {
        write_service(text, listed.key, &listed.service)?;
        for destination in &listed.destinations {
            write_destination(text, destination)?;
        }
    }
    Ok(())
}

fn write_service(text: &mut String, key: ServiceKey, service: &Service) -> Result<(), fmt::Error> {
    let scheduler = service.scheduler.as_str();
    write!(text, "{} {scheduler}", names::service(key))?;
    if let Some(flags) = names::scheduler_flags(scheduler, service.flags) {
        write!(text, " {flags}")?;
    }
    if service.flags.contains(ServiceFlags::PERSISTENT) {
        write!(text, " persistent {}", service.timeout)?;
        if service.netmask != Netmask::host(key.family()) {
            match service.netmask {
                Netmask::V4(mask) => write!(text, " mask {mask}")?,
                Netmask::V6(length) => write!(text, " mask {length}")?,
            }
        }
        if let Some(engine) = &service.persistence_engine {
            write!(text, " pe {engine}")?;
        }
    }
    if service.flags.contains(ServiceFlags::ONE_PACKET) {
        text.push_str(" ops");
    }
    text.push('\n');
    Ok(())
}

/// The blanks that fill the last column stay.
fn write_destination(text: &mut String, listed: &ListedDestination) -> Result<(), fmt::Error> {
    writeln!(
        text,
        "  -> {:<28} {:<7} {:<6} {:<10} {:<10}",
        names::destination(listed.key.0),
        names::forwarding(listed.destination.forwarding),
        listed.destination.weight.0.cast_signed(),
        listed.connections.active,
        listed.connections.inactive,
    )
}

#[cfg(test)]
mod tests;
