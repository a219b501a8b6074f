//! The lists beside the table: connections, timeouts, connection-sync daemons.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::args::Format;
use super::names::{Writing, ipv6};
use super::values::Names;
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::service::Protocol;

/// `-L --timeout`.
pub fn timeouts(timeouts: Timeouts) -> String {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    format!(
        "Timeout (tcp tcpfin udp): {} {} {}\n",
        tcp.cast_signed(),
        tcp_fin.cast_signed(),
        udp.cast_signed()
    )
}

/// `-L --daemon`: the master in front.
pub fn daemons(daemons: &[SyncDaemon]) -> String {
    let mut daemons: Vec<_> = daemons.iter().collect();
    daemons.sort_by_key(|daemon| daemon.role);
    daemons.into_iter().map(daemon).collect()
}

fn daemon(daemon: &SyncDaemon) -> String {
    let role = match daemon.role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    };
    let mut text =
        format!("{role} sync daemon (mcast={}, syncid={}", daemon.interface, daemon.sync_id);
    if let Some(length) = daemon.max_length.filter(|it| *it != 0) {
        text += &format!(", maxlen={length}");
    }
    match daemon.group {
        Some(IpAddr::V4(group)) => text += &format!(", group={group}"),
        Some(IpAddr::V6(group)) => text += &format!(", group={}", ipv6(group)),
        None => (),
    }
    if let Some(port) = daemon.port.filter(|it| *it != 0) {
        text += &format!(", port={port}");
    }
    if let Some(ttl) = daemon.ttl.filter(|it| *it != 0) {
        text += &format!(", ttl={ttl}");
    }
    text + ")\n"
}

/// `-L -c`, of the text of /proc/net/ip_vs_conn, whose first line is its title.
pub fn connections(proc: &str, format: Format, names: &dyn Names) -> String {
    let writing = Writing { names: (!format.numeric).then_some(names) };
    let mut text = String::from("IPVS connection entries\n");
    text.push_str(match format.persistent {
        true => {
            "pro expire state       source             virtual            destination        \
             pe name          pe_data\n"
        }
        false => "pro expire state       source             virtual            destination\n",
    });
    for line in proc.lines().skip(1) {
        let row = row(line, format, writing);
        text.push_str(&row.unwrap_or_default());
    }
    text
}

fn row(line: &str, format: Format, writing: Writing<'_>) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?;
    let protocol = match name {
        "TCP" => Protocol::TCP,
        "UDP" => Protocol::UDP,
        _ => Protocol(0),
    };
    let mut socket = || -> Option<String> {
        let (address, port) = (address(words.next()?)?, words.next()?);
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(writing.socket(SocketAddr::new(address, port), protocol))
    };
    let (source, own, destination) = (socket()?, socket()?, socket()?);
    let state = words.next()?;
    let seconds: u32 = words.next()?.parse().ok()?;
    let expire = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    let mut row = format!("{name:<3} {expire:<6} {state:<11} {source:<18} {own:<18} ");
    let written = match (format.persistent, words.next(), words.next()) {
        (true, Some(engine), Some(known)) => {
            writeln!(row, "{destination:<16} {engine:<18} {known}")
        }
        _ => writeln!(row, "{destination}"),
    };
    written.ok()?;
    Some(row)
}

/// `0A000001`, or an IPv6 address in full.
fn address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let number = u32::from_str_radix(text, 16).ok()?;
    Some(IpAddr::V4(Ipv4Addr::from(number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvsadm::values::NoNames;

    const PROC: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A090002 D304 0A090064 1538 0A08000B 1538 TIME_WAIT       118
UDP 0A090002 0035 0A090064 0035 0A08000B 0035 UDP            6059 sip call@1
TCP 2001:0db8:0000:0000:0000:0000:0000:0002 D304 2001:0db8:0000:0000:0000:0000:0000:0001 1538 \
2001:0db8:0000:0000:0000:0000:0000:abcd 1538 ESTABLISHED     899
";

    #[test]
    fn connections_are_written_in_the_order_of_the_kernel() {
        let numeric = Format { numeric: true, ..Format::default() };
        assert_eq!(
            connections(PROC, numeric, &NoNames),
            "\
IPVS connection entries
pro expire state       source             virtual            destination
TCP 01:58  TIME_WAIT   10.9.0.2:54020     10.9.0.100:5432    10.8.0.11:5432
UDP 100:59 UDP         10.9.0.2:53        10.9.0.100:53      10.8.0.11:53
TCP 14:59  ESTABLISHED [2001:db8::2]:54020 [2001:db8::1]:5432 [2001:db8::abcd]:5432
"
        );
    }

    #[test]
    fn what_the_persistence_engine_knows_is_shown_on_demand() {
        let format = Format { numeric: true, persistent: true, ..Format::default() };
        let text = connections(PROC, format, &NoNames);
        let row = text.lines().nth(3).unwrap();
        assert_eq!(
            row,
            "UDP 100:59 UDP         10.9.0.2:53        10.9.0.100:53      10.8.0.11:53     \
             sip                call@1"
        );
    }

    #[test]
    fn daemons_are_told_as_far_as_the_kernel_tells_them() {
        let mut backup = SyncDaemon::new(SyncRole::Backup);
        backup.interface = "back".into();
        let mut master = SyncDaemon::new(SyncRole::Master);
        (master.interface, master.sync_id, master.ttl) = ("front".into(), 5, Some(1));
        (master.max_length, master.port) = (Some(1472), Some(8848));
        master.group = Some("224.0.0.81".parse().unwrap());
        assert_eq!(
            daemons(&[backup, master]),
            "\
master sync daemon (mcast=front, syncid=5, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)
backup sync daemon (mcast=back, syncid=0)
"
        );
    }

    #[test]
    fn timeouts_are_three_numbers() {
        let shown = timeouts(Timeouts { tcp: 900, tcp_fin: 120, udp: 300 });
        assert_eq!(shown, "Timeout (tcp tcpfin udp): 900 120 300\n");
    }
}
