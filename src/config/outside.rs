//! What the check wants to know of the host it runs on, and the answers as data.
//!
//! Asked and answered by `host`; where nothing is known nothing is found.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

/// What a configuration depends on outside its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Addresses that should be this host's own: of services, and to probe from.
    pub addresses: BTreeSet<IpAddr>,
    /// Password files, as seen from the working directory.
    pub password_files: BTreeSet<PathBuf>,
    /// Modules that the kernel needs for the services, by their names: `ip_vs_wlc`.
    pub modules: BTreeSet<Box<str>>,
    /// Programs that services run.
    pub programs: BTreeSet<PathBuf>,
    /// Interfaces that should be this host's.
    pub interfaces: BTreeSet<Box<str>>,
}

/// The answers, as far as there are any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostView {
    /// Addresses that are certainly not this host's own.
    pub absent: BTreeSet<IpAddr>,
    /// Password files that cannot be used, and why.
    pub password_files: BTreeMap<PathBuf, Box<str>>,
    /// Programs that cannot be run, and why.
    pub programs: BTreeMap<PathBuf, Box<str>>,
    /// Interfaces that this host has not.
    pub absent_interfaces: BTreeSet<Box<str>>,
    /// Whether the running kernel has a module, loaded, built in or to be loaded; absent where that is not known.
    pub modules: BTreeMap<Box<str>, bool>,
}

impl HostView {
    /// Whether the running kernel has a module; not known on a host whose kernel has no IPVS at all: that is no
    /// director, and what it lacks says nothing.
    pub(super) fn has_module(&self, name: &str) -> Option<bool> {
        if self.modules.get(IP_VS) == Some(&false) {
            return None;
        }
        self.modules.get(name).copied()
    }
}

/// The module of IPVS itself.
pub(super) const IP_VS: &str = "ip_vs";

/// The module of a scheduler.
pub(super) fn module_of(scheduler: &str) -> String {
    format!("ip_vs_{scheduler}")
}
