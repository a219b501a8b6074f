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
    /// Interfaces that this host has not.
    pub absent_interfaces: BTreeSet<Box<str>>,
}
