//! `pgvs import`: a config from another program's file, to standard output; what was not carried over, to standard
//! error.
//!
//! Exit codes: 0 everything was carried over, 1 something was not, 2 the file could not be read. Touches nothing.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::output;
use crate::host::files::foreign::{self, Included};
use crate::host::names::SystemNames;
use crate::import::{Around, Format, Imported, Kind, import};
use crate::ipvsadm::values::Names;
use crate::model::service::Protocol;

/// The arguments of `pgvs import`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Arguments {
    /// Whose file it is
    #[arg(value_enum)]
    format: Word,
    /// The file; `-` is standard input
    file: PathBuf,
    /// This director's address, where the file says `*` (one for IPv4, one for IPv6)
    #[arg(long, value_name = "IP")]
    address: Vec<IpAddr>,
    /// Look host names up and write their IPv4 addresses of this moment
    #[arg(long)]
    resolve: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Word {
    /// keepalived.conf
    Keepalived,
    /// haproxy.cfg
    Haproxy,
    /// What `ipvsadm -S` or `pgvs save` wrote
    Ipvsadm,
}

/// Carries the command out.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let is_input = arguments.file.as_os_str() == "-";
    let name = arguments.file.display().to_string();
    let text = if is_input { foreign::standard_input() } else { foreign::read(&arguments.file) };
    let text = match text {
        Ok(text) => text,
        Err(error) => return output::error(&format!("read {name}: {error}")),
    };
    let format = match arguments.format {
        Word::Keepalived => Format::Keepalived,
        Word::Haproxy => Format::Haproxy,
        Word::Ipvsadm => Format::Ipvsadm,
    };
    let names = FileNames { system: SystemNames::new(), resolve: arguments.resolve };
    let around =
        Around { addresses: &arguments.address, names: &names, loader: &Included::default() };
    let name = if is_input { "stdin" } else { &name };
    write(&import(format, name, &text, around))
}

fn write(imported: &Imported) -> u8 {
    let lines = imported.lines();
    if !lines.is_empty() {
        let hands = imported.listed.iter().filter(|it| it.kind == Kind::Hand).count();
        let others = imported.listed.len() - hands;
        output::say(&lines.join("\n"));
        output::say(&format!("pgvs: {hands} need your hand, {others} were not carried over"));
    }
    match output::print(&imported.toml) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => output::ended(&error),
        _ if lines.is_empty() => output::FINE,
        _ => 1,
    }
}

/// Names of ports, and those of hosts where that is wanted.
struct FileNames {
    system: SystemNames,
    resolve: bool,
}

impl Names for FileNames {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        if self.resolve { self.system.host(name) } else { None }
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.system.port(name, protocol)
    }

    fn host_name(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn port_name(&self, _: u16, _: Protocol) -> Option<String> {
        None
    }
}
