//! What the kernel says of itself and counts beside its table: version, timeouts, traffic, listings.
//!
//! None of it is ever compared with a desired table.

use std::fmt;
use std::net::IpAddr;

use super::destination::{Connections, Destination, DestinationKey};
use super::service::{Service, ServiceKey};

/// The version of IPVS in the kernel, packed as one number (`IPVS_INFO_ATTR_VERSION`, `NVERSION`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, major, minor, patch] = self.0.to_be_bytes();
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// What the kernel's IPVS says of itself (`IPVS_CMD_GET_INFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpvsInfo {
    /// Its version.
    pub version: Version,
    /// Buckets of the connection table (`IPVS_INFO_ATTR_CONN_TAB_SIZE`).
    pub table_size: u32,
}

/// How long idle connections are remembered, in seconds (`IPVS_CMD_GET_CONFIG`).
///
/// In a change, 0 leaves the kernel's value as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Established TCP connections (`IPVS_CMD_ATTR_TIMEOUT_TCP`).
    pub tcp: u32,
    /// TCP connections after a FIN (`IPVS_CMD_ATTR_TIMEOUT_TCP_FIN`).
    pub tcp_fin: u32,
    /// UDP exchanges (`IPVS_CMD_ATTR_TIMEOUT_UDP`).
    pub udp: u32,
}

/// What a connection-sync daemon does (`IPVS_DAEMON_ATTR_STATE`, `IP_VS_STATE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncRole {
    /// Tells others of our connections.
    Master,
    /// Learns the connections of others.
    Backup,
}

/// A connection-sync daemon (`IPVS_DAEMON_ATTR_*`); what is `None` is left to the kernel, or not told by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// What it does.
    pub role: SyncRole,
    /// The interface that it sends and listens on, at most 15 bytes.
    pub interface: String,
    /// The group of directors, 0..=255; a backup with 0 listens to all.
    pub sync_id: u32,
    /// The longest message, in bytes.
    pub max_length: Option<u16>,
    /// The multicast group.
    pub group: Option<IpAddr>,
    /// Its UDP port.
    pub port: Option<u16>,
    /// Hops that messages survive.
    pub ttl: Option<u8>,
}

impl SyncDaemon {
    /// A daemon of which nothing but the role is said.
    pub const fn new(role: SyncRole) -> Self {
        Self {
            role,
            interface: String::new(),
            sync_id: 0,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        }
    }

    /// Whether a daemon that runs is what this one asks for; what either does not say is no difference.
    pub fn is_met_by(&self, found: &Self) -> bool {
        fn agrees<T: PartialEq>(wanted: Option<T>, found: Option<T>) -> bool {
            wanted.is_none() || found.is_none() || wanted == found
        }
        self.interface == found.interface
            && self.sync_id == found.sync_id
            && agrees(self.max_length, found.max_length)
            && agrees(self.group, found.group)
            && agrees(self.port, found.port)
            && agrees(self.ttl, found.ttl)
    }
}

/// Totals of a service or destination, as the kernel's estimator last wrote them (every 2 s).
///
/// `IPVS_STATS_ATTR_*`, include/uapi/linux/ip_vs.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; 0 unless answers pass the director.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// The same five per second.
    pub rate: Rate,
}

/// Moving averages per second (weight of the last two seconds: a quarter).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Connections scheduled per second (`CPS`).
    pub connections: u64,
    /// Packets from clients per second (`INPPS`).
    pub packets_in: u64,
    /// Packets to clients per second (`OUTPPS`).
    pub packets_out: u64,
    /// Bytes from clients per second (`INBPS`).
    pub bytes_in: u64,
    /// Bytes to clients per second (`OUTBPS`).
    pub bytes_out: u64,
}

/// A service with its destinations, all in the order in which the kernel named them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedService {
    /// What identifies it.
    pub key: ServiceKey,
    /// How it is scheduled.
    pub service: Service,
    /// Its totals; `None` from a kernel that sent none.
    pub traffic: Option<Traffic>,
    /// Its destinations, newest first as the kernel keeps them.
    pub destinations: Vec<ListedDestination>,
}

/// A destination as the kernel listed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedDestination {
    /// What identifies it within its service.
    pub key: DestinationKey,
    /// What can be set.
    pub destination: Destination,
    /// Its connections.
    pub connections: Connections,
    /// Its totals; `None` from a kernel that sent none.
    pub traffic: Option<Traffic>,
}
