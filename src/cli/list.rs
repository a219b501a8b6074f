//! `pgvs list`: ipvsadm's lists with true numbers. ipvsadm reads the counters of destinations as 32 bits wide and prints
//! marks with a sign; `pgvs ipvsadm` does the same, this does not.

use clap::Args;

use super::output;
use super::save::told;
use crate::host::names::SystemNames;
use crate::host::netlink::Kernel;
use crate::ipvsadm::args::{Columns, Format};
use crate::ipvsadm::list;
use crate::ipvsadm::values::NoNames;

/// Which columns.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Arguments {
    /// Connections, packets and bytes so far
    #[arg(long, group = "columns")]
    stats: bool,
    /// The same per second
    #[arg(long, group = "columns")]
    rate: bool,
    /// Thresholds, and the connections that count
    #[arg(long, group = "columns")]
    thresholds: bool,
    /// Persistent connections
    #[arg(long, group = "columns")]
    persistent_conn: bool,
    /// Tunnels
    #[arg(long, group = "columns")]
    tun_info: bool,
    /// Large numbers in full, not in K, M, G and T
    #[arg(long, short = 'X')]
    exact: bool,
    /// Hosts and ports by name
    #[arg(long)]
    names: bool,
}

/// Prints the list.
pub(super) fn run(arguments: Arguments) -> u8 {
    let read = Kernel::open().and_then(|mut kernel| Ok((kernel.info()?, kernel.list()?)));
    let (info, mut services) = match read {
        Ok(read) => read,
        Err(error) => return output::error(&format!("{:#}", told(error))),
    };
    // An order that is one.
    services.sort_by_key(|service| service.key);
    for service in &mut services {
        service.destinations.sort_by_key(|destination| destination.key);
    }
    let columns = [
        (arguments.stats, Columns::Stats),
        (arguments.rate, Columns::Rate),
        (arguments.thresholds, Columns::Thresholds),
        (arguments.persistent_conn, Columns::Persistent),
        (arguments.tun_info, Columns::Tunnel),
    ];
    let format = Format {
        columns: columns.iter().find(|(is, _)| *is).map_or(Columns::Plain, |(_, it)| *it),
        numeric: !arguments.names,
        exact: arguments.exact,
        unsorted: true,
        persistent: false,
        wide: true,
    };
    let text = match arguments.names {
        true => list::list(Some(info), &services, format, &SystemNames::new()),
        false => list::list(Some(info), &services, format, &NoNames),
    };
    match output::print(&text) {
        Ok(()) => output::FINE,
        Err(error) => output::ended(&error),
    }
}
