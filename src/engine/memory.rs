//! What must outlive the daemon: what is ours, and which drains are under way.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::destination::DestinationKey;
use crate::model::kernel::SyncRole;
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
    /// Roles of connection-sync daemons that we declared: only these may be stopped.
    pub sync_daemons: BTreeSet<SyncRole>,
}

/// The operator's word that nothing is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends by itself; `None`: with `resume` only.
    pub until: Option<Time>,
}
