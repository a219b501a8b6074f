//! What must outlive the daemon: what is ours, which drains are under way, and where the last writers were.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::destination::DestinationKey;
use crate::model::kernel::SyncRole;
use crate::model::postgres::{SystemIdentifier, Timeline};
use crate::model::service::ServiceKey;
use crate::time::Time;

/// What the state file holds, in the engine's own terms; moments before the daemon's start are [`Time::ZERO`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Services that we made or looked after: only these may be deleted.
    pub owned: BTreeSet<ServiceKey>,
    /// Destinations that are no members any more, with the moment at which they are deleted at the latest.
    pub draining: BTreeMap<(ServiceKey, DestinationKey), Time>,
    /// Whether the operator has paused us, and until when.
    pub paused: Option<Pause>,
    /// The last writer of each pool, by the pool's name: no server on an older timeline takes over from it, not even
    /// from a daemon that was not there to see it.
    pub writers: BTreeMap<Box<str>, LastWriter>,
    /// Roles of connection-sync daemons that we declared: only these may be stopped.
    pub sync_daemons: BTreeSet<SyncRole>,
}

/// What the writer of a pool told of itself when it was seen last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastWriter {
    /// The timeline that it wrote on, if it told.
    pub timeline: Option<Timeline>,
    /// The cluster that it belonged to, if it told.
    pub identity: Option<SystemIdentifier>,
}

impl Memory {
    /// What of it is true in any boot and network namespace: it speaks of PostgreSQL and not of a kernel's table.
    #[must_use]
    pub fn anywhere(self) -> Self {
        Self { writers: self.writers, ..Self::default() }
    }
}

/// The operator's word that nothing is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends by itself; `None`: with `resume` only.
    pub until: Option<Time>,
}
