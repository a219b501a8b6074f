//! The IPVS table in its normal form: what can be set, without counters and without what the kernel owns.

use std::collections::BTreeMap;

use super::destination::{Connections, Destination, DestinationKey};
use super::service::{Service, ServiceKey};

/// The services of one network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Every service by its key.
    pub services: BTreeMap<ServiceKey, Entry>,
}

/// A service with its destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How it is scheduled.
    pub service: Service,
    /// Its destinations by address and port.
    pub destinations: BTreeMap<DestinationKey, Destination>,
}

impl Table {
    /// The destination of a service, if both exist.
    pub fn destination(&self, service: ServiceKey, key: DestinationKey) -> Option<&Destination> {
        self.services.get(&service)?.destinations.get(&key)
    }
}

/// The kernel's counters beside a table, by service and destination; what has no connections need not be there.
pub type Counters = BTreeMap<(ServiceKey, DestinationKey), Connections>;
