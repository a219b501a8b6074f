//! A whole IPVS as a file, pure: as ipvsadm's commands, and as JSON with nothing left out.
//!
//! Both are read strictly: what comes from here may be handed to the kernel. Reads and writes no file.
//!
//! # The commands
//! One line for each: `--set TCP FIN UDP`, `--start-daemon ..`, then for every service `-A ..` and for each of its
//! destinations `-a ..`, all in the options of ipvsadm(8), addresses and ports as numbers, services and destinations in
//! the order of their keys. `ipvsadm -R` reads every line. What it has no words for is left out or written as the next
//! best, and told: other protocols than TCP, UDP and SCTP, local delivery and the like, flags without a name, limits
//! above ipvsadm's own, servers at another port than the service's without masquerading. Blank lines and lines that
//! begin with `#` are read over by us, and not by ipvsadm.
//!
//! # The JSON
//! Version 1. The words are those of the configuration; what is optional is left out at the kernel's default.
//! | key | value |
//! |---|---|
//! | `pgvs_save` | 1, the version of this form |
//! | `timeouts` | optional: `tcp`, `tcp_fin`, `udp`, in seconds; 0 leaves the kernel's |
//! | `sync_daemons` | optional, one of each role at most: `role` (`master`, `backup`), `interface`, `sync_id`; optional `group`, `port`, `ttl`, `max_length` (bytes) |
//! | `services` | a list of what follows |
//! | `protocol`, `address` | `tcp`, `udp`, `sctp` or a number; `"10.0.0.1:5432"`, `"[2001:db8::1]:5432"` |
//! | or `fwmark`, `family` | the mark; `ipv4` or `ipv6` |
//! | `scheduler`, `scheduler_flags` | its name; optional `sh-fallback`, `sh-port`, `mh-fallback`, `mh-port`, `flag-1`, `flag-2`, `flag-3` |
//! | `persistence_timeout` | optional, seconds: there where the service is persistent |
//! | `persistence_netmask`, `pe` | optional: `"255.255.255.0"`, or a prefix length for IPv6; `sip` |
//! | `ops`, `other_flags`, `unused_timeout` | optional: one-packet scheduling; bits without a name; the timeout of a service that is not persistent |
//! | `destinations` | a list of what follows |
//! | `address`, `weight` | as above; 0 to 2147483647 |
//! | `forwarding` | `masq`, `local`, `tun`, `dr`, `bypass` or a number up to 7 |
//! | `upper_threshold`, `lower_threshold` | optional, connections |
//! | `tunnel`, `tunnel_port`, `tunnel_checksum` | optional: `ipip`, `gue`, `gre` or a number; a port; `none`, `csum`, `remcsum` or a number |

mod commands;
mod json;
mod lines;
mod sound;
mod word;

#[cfg(test)]
mod tests;

use crate::ipvsadm::values::Names;
use crate::model::saved::Saved;

pub use commands::{Written, write as commands};
pub use json::write as json;

/// Why a file is not restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {why}", .column.map(|it| format!(", column {it}")).unwrap_or_default())]
pub struct Wrong {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, where the form of the file tells it.
    pub column: Option<usize>,
    /// What is wrong there.
    pub why: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it says.
    pub saved: Saved,
    /// Whether it says anything of thresholds, or could: what `ipvsadm -S` writes never does.
    pub has_thresholds: bool,
}

/// Reads a file in either form: JSON begins with a brace.
pub fn read(text: &str, names: &dyn Names) -> Result<Read, Wrong> {
    if text.trim_start().starts_with('{') {
        return Ok(Read { saved: json::read(text)?, has_thresholds: true });
    }
    let saved = lines::read(text, names)?;
    let mut servers = saved.table.services.values().flat_map(|entry| entry.destinations.values());
    let has_thresholds = servers.any(|it| it.thresholds != Default::default());
    Ok(Read { saved, has_thresholds })
}
