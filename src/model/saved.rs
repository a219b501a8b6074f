//! Everything of one network namespace's IPVS that can be set: what a save holds and a restore brings about.

use super::kernel::{SyncDaemon, Timeouts};
use super::table::Table;

/// A table with what stands beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Every service with its destinations.
    pub table: Table,
    /// The timeouts; `None` where nothing is said of them, 0 for a single one of which nothing is said.
    pub timeouts: Option<Timeouts>,
    /// The connection-sync daemons that run, at most one of each role; nothing is said of a role that is not here.
    pub daemons: Vec<SyncDaemon>,
}
