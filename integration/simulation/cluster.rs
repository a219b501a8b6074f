//! The simulated PostgreSQL servers: what each is, and what a connection to it would meet.

use std::net::SocketAddr;

use pgvs::model::postgres::{Facts, Role, SystemIdentifier, Timeline};

use crate::world::At;

/// What the postmaster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Stopped,
    Starting,
    Running,
    /// Shutting down; `true`: waits for its sessions.
    Closing(bool),
}

/// What stands in the way of a fresh connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    None,
    /// 53300.
    Full,
    /// 53300 from `InitializeSessionUserId`.
    RoleLimit,
    /// 28P01.
    WrongPassword,
    /// The probe itself cannot go on.
    Descriptors,
    /// 53100: refuses for a reason of its own.
    DiskFull,
    /// Something there hangs up on new connections.
    HangsUp,
    /// The postmaster hangs; sessions go on.
    PostmasterHangs,
}

/// One server, in the config or not.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Which replication cluster it was made for.
    pub(crate) cluster: usize,
    pub(crate) stage: Stage,
    pub(crate) role: Role,
    pub(crate) timeline: u32,
    pub(crate) identity: u64,
    pub(crate) obstacle: Obstacle,
    /// Whether packets between the director and it arrive.
    pub(crate) is_reachable: bool,
    /// Whether the whole machine stands still.
    pub(crate) is_frozen: bool,
    /// Sessions of an earlier incarnation are dead.
    pub(crate) incarnation: u64,
    /// Counts changes of stage, so that a planned one that came too late does nothing.
    pub(crate) plan: u64,
    /// Until when a smart stop waits for other people's sessions.
    pub(crate) clients_until: At,
}

impl Server {
    pub(crate) fn answers(&self) -> bool {
        self.is_reachable && !self.is_frozen
    }

    pub(crate) fn facts(&self) -> Facts {
        Facts {
            role: self.role,
            timeline: (self.role == Role::Primary).then_some(Timeline(self.timeline)),
            system_identifier: Some(SystemIdentifier(self.identity)),
            read_only: Some(false),
        }
    }
}

/// The identity of a cluster's servers.
pub(crate) const fn identity_of(cluster: usize) -> u64 {
    7_000 + cluster as u64
}

/// Six servers of each of two clusters; the first of each is its primary.
pub(crate) fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for cluster in 0..2_u8 {
        for number in 1..=6_u8 {
            let address = SocketAddr::from(([10, 8, cluster, number], 5432));
            servers.push(Server {
                address,
                cluster: usize::from(cluster),
                stage: Stage::Running,
                role: if number == 1 { Role::Primary } else { Role::Standby },
                timeline: 1,
                identity: identity_of(usize::from(cluster)),
                obstacle: Obstacle::None,
                is_reachable: true,
                is_frozen: false,
                incarnation: 0,
                plan: 0,
                clients_until: 0,
            });
        }
    }
    servers
}
