//! The list that `ipvsadm -L` prints.

use std::fmt::{self, Write as _};

use super::args::{Columns, Format};
use super::names::{self, Writing};
use super::numbers::{TrafficText, left, left_number, rates, totals};
use super::sort::{self, Row};
use super::values::Names;
use super::words;
use crate::model::destination::{Forwarding, Tunnel};
use crate::model::kernel::{IpvsInfo, ListedDestination, ListedService, Traffic};
use crate::model::service::{Netmask, Protocol, Service, ServiceFlags, ServiceKey};

/// Services in the columns that are asked for; `info` heads the list of the whole table alone.
pub fn list(
    info: Option<IpvsInfo>,
    services: &[ListedService],
    format: Format,
    names: &dyn Names,
) -> String {
    let mut text = String::new();
    if let Some(info) = info {
        text.push_str(&first_line(info));
    }
    text.push_str(title(format.columns));
    let names = (!format.numeric).then_some(names);
    let list = Writer { format, writing: Writing { names } };
    for row in ordered(services, format) {
        // Writing into a String does not fail.
        if list.write(&mut text, &row).is_err() {
            return String::new();
        }
    }
    text
}

/// The line above the list of the whole table.
pub fn first_line(info: IpvsInfo) -> String {
    format!("IP Virtual Server version {} (size={})\n", info.version, info.table_size)
}

pub(super) fn ordered(services: &[ListedService], format: Format) -> Vec<Row<'_>> {
    match format.unsorted {
        true => sort::unsorted(services),
        false => sort::sorted(services),
    }
}

/// Some end in a blank.
const fn title(columns: Columns) -> &'static str {
    match columns {
        Columns::Plain => {
            "Prot LocalAddress:Port Scheduler Flags\n  \
             -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
        }
        Columns::Stats => {
            "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  \
             -> RemoteAddress:Port\n"
        }
        Columns::Rate => {
            "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n  \
             -> RemoteAddress:Port\n"
        }
        Columns::Thresholds => {
            "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n  \
             -> RemoteAddress:Port\n"
        }
        Columns::Persistent => {
            "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n  \
             -> RemoteAddress:Port\n"
        }
        Columns::Tunnel => {
            "Prot LocalAddress:Port Scheduler Flags\n  \
             -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Writer<'a> {
    format: Format,
    writing: Writing<'a>,
}

impl Writer<'_> {
    fn write(self, text: &mut String, row: &Row<'_>) -> fmt::Result {
        let listed = row.listed;
        let name = match listed.key {
            ServiceKey::FwMark { .. } if self.format.wide => {
                format!("FWM  {}", listed.key).replacen("FWM  FWM ", "FWM  ", 1)
            }
            ServiceKey::FwMark { .. } | ServiceKey::Address { .. } => {
                self.writing.service(listed.key)
            }
        };
        let traffic = listed.traffic.unwrap_or_default();
        match self.format.columns {
            Columns::Stats => writeln!(text, "{name:<33}{}", totals(traffic, self.format.exact))?,
            Columns::Rate => writeln!(text, "{name:<33}{}", rates(traffic, self.format.exact))?,
            Columns::Plain | Columns::Thresholds | Columns::Persistent | Columns::Tunnel => {
                write_service(text, &name, listed.key, &listed.service)?;
            }
        }
        let protocol = names::protocol_of(listed.key);
        for destination in &row.destinations {
            self.write_destination(text, destination, protocol)?;
        }
        Ok(())
    }

    /// The blanks that fill the last column stay.
    fn write_destination(
        self,
        text: &mut String,
        listed: &ListedDestination,
        protocol: Protocol,
    ) -> fmt::Result {
        let name = self.writing.destination(listed.key.0, protocol);
        let destination = listed.destination;
        let connections = listed.connections;
        let forwarding = names::forwarding(destination.forwarding);
        let weight = destination.weight.0;
        let (active, inactive) = (connections.active, connections.inactive);
        let exact = self.format.exact;
        text.push_str("  -> ");
        left(text, &name, 28);
        match self.format.columns {
            Columns::Stats => writeln!(text, "{}", totals(self.counted(listed.traffic), exact)),
            Columns::Rate => {
                let rate = self.counted(listed.traffic).rate;
                let (connections, packets_in) = (rate.connections, rate.packets_in);
                let packets_out = rate.packets_out;
                let bytes = TrafficText { numbers: &[rate.bytes_in, rate.bytes_out], exact };
                writeln!(text, " {connections:>8} {packets_in:>8} {packets_out:>8}{bytes}")
            }
            Columns::Thresholds => {
                let thresholds = destination.thresholds;
                let (upper, lower) = (thresholds.upper, thresholds.lower);
                writeln!(text, " {upper:<10} {lower:<10} {active:<10} {inactive:<10}")
            }
            Columns::Persistent => {
                let persistent = connections.persistent;
                writeln!(text, " {weight:<9} {persistent:<11} {active:<10} {inactive:<10}")
            }
            Columns::Tunnel => {
                let tunnel = tunnel(destination.forwarding, destination.tunnel);
                let weight = weight.cast_signed();
                writeln!(
                    text,
                    " {forwarding:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}"
                )
            }
            Columns::Plain => {
                text.push(' ');
                left(text, forwarding, 7);
                text.push(' ');
                left_number(text, weight.cast_signed().into(), 6);
                text.push(' ');
                left_number(text, active.into(), 10);
                text.push(' ');
                left_number(text, inactive.into(), 10);
                text.push('\n');
                Ok(())
            }
        }
    }
}

impl Writer<'_> {
    fn counted(self, traffic: Option<Traffic>) -> Traffic {
        match self.format.wide {
            true => traffic.unwrap_or_default(),
            false => narrow(traffic),
        }
    }
}

/// ipvsadm reads a destination's counters, the bytes excepted, as 32 bits wide; they wrap.
fn narrow(traffic: Option<Traffic>) -> Traffic {
    let mut traffic = traffic.unwrap_or_default();
    let rate = &mut traffic.rate;
    for number in [
        &mut traffic.connections,
        &mut traffic.packets_in,
        &mut traffic.packets_out,
        &mut rate.connections,
        &mut rate.packets_in,
        &mut rate.packets_out,
        &mut rate.bytes_in,
        &mut rate.bytes_out,
    ] {
        *number &= u64::from(u32::MAX);
    }
    traffic
}

/// What stands under TunnelInfo.
fn tunnel(forwarding: Forwarding, tunnel: Tunnel) -> String {
    if forwarding != Forwarding::Tunnel {
        return "n/a".into();
    }
    let flag = match tunnel.flags {
        words::CHECKSUM => "+c",
        words::REMOTE_CHECKSUM => "r+c",
        _ => "-c",
    };
    let text = match tunnel.kind {
        0 => "ipip".into(),
        1 => format!("gue:{}:{flag}", tunnel.port),
        2 => format!("gre:{flag}"),
        _ => String::new(),
    };
    words::cut(&text, 15)
}

fn write_service(text: &mut String, name: &str, key: ServiceKey, service: &Service) -> fmt::Result {
    let scheduler = service.scheduler.as_str();
    write!(text, "{name} {scheduler}")?;
    if let Some(flags) = names::scheduler_flags(scheduler, service.flags) {
        write!(text, " ({flags})")?;
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

#[cfg(test)]
mod tests;
