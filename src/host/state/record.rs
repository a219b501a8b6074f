//! The state file's contents: JSON with moments by the wall clock, since the daemon's own clock ends with it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::memory::{LastWriter, Memory, Pause};
use crate::model::destination::DestinationKey;
use crate::model::kernel::SyncRole;
use crate::model::postgres::{SystemIdentifier, Timeline};
use crate::model::service::{Family, Protocol, ServiceKey};
use crate::time::Time;

/// The form of the file; another one is not read.
const VERSION: u32 = 1;

/// Which kernel table a state file speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The boot (/proc/sys/kernel/random/boot_id).
    pub boot: Box<str>,
    /// The network namespace (the inode of /proc/self/ns/net).
    pub namespace: u64,
}

/// One moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the daemon's.
    pub now: Time,
    /// By the wall's, in milliseconds since 1970.
    pub unix_ms: u64,
}

impl Moment {
    fn to_unix(self, at: Time) -> u64 {
        let ahead = millis(at.since(self.now));
        let behind = millis(self.now.since(at));
        self.unix_ms.saturating_add(ahead).saturating_sub(behind)
    }

    /// What has passed already is [`Time::ZERO`].
    fn to_time(self, unix_ms: u64) -> Time {
        match unix_ms.checked_sub(self.unix_ms) {
            Some(ahead) if ahead > 0 => self.now.after(Duration::from_millis(ahead)),
            Some(_) | None => Time::ZERO,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    version: u32,
    written_by: String,
    boot_id: Box<str>,
    network_namespace: u64,
    owned: Vec<Key>,
    draining: Vec<Draining>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused: Option<Paused>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    sync_daemons: BTreeSet<Role>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    writers: Vec<Writer>,
}

/// Only the number, which every form has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Key {
    /// `protocol` is the number in the IP header.
    Address {
        protocol: u16,
        address: SocketAddr,
    },
    FwMark {
        ipv6: bool,
        mark: u32,
    },
}

/// The role of a connection-sync daemon.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Role {
    Master,
    Backup,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draining {
    service: Key,
    destination: SocketAddr,
    until_unix_ms: u64,
}

/// The last writer of a pool.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Writer {
    pool: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeline: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    system_identifier: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paused {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_unix_ms: Option<u64>,
}

/// Why a state file is not used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It was written in another boot or network namespace; what is true there as well is left.
    Elsewhere(&'static str, Box<Memory>),
    /// It is damaged, or of another version.
    Unreadable(String),
}

impl Record {
    pub(super) fn new(memory: &Memory, identity: &Identity, moment: Moment) -> Self {
        let draining = memory.draining.iter().map(|(&(service, to), &until)| Draining {
            service: service.into(),
            destination: to.0,
            until_unix_ms: moment.to_unix(until),
        });
        Self {
            version: VERSION,
            written_by: concat!("pgvs ", env!("CARGO_PKG_VERSION")).to_owned(),
            boot_id: identity.boot.clone(),
            network_namespace: identity.namespace,
            owned: memory.owned.iter().map(|&key| key.into()).collect(),
            draining: draining.collect(),
            paused: memory
                .paused
                .map(|pause| Paused { until_unix_ms: pause.until.map(|at| moment.to_unix(at)) }),
            sync_daemons: memory.sync_daemons.iter().map(|&role| role.into()).collect(),
            writers: memory.writers.iter().map(|(pool, last)| Writer::new(pool, *last)).collect(),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Unusable> {
        let unreadable = |error: serde_json::Error| Unusable::Unreadable(error.to_string());
        let Version { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != VERSION {
            let why = format!("it is of version {version}, and this pgvs knows version {VERSION}");
            return Err(Unusable::Unreadable(why));
        }
        serde_json::from_str(text).map_err(unreadable)
    }

    /// What it says, if it speaks of the table of `identity`.
    pub(super) fn memory(self, identity: &Identity, moment: Moment) -> Result<Memory, Unusable> {
        let elsewhere = if self.boot_id != identity.boot {
            Some("boot")
        } else if self.network_namespace != identity.namespace {
            Some("network namespace")
        } else {
            None
        };
        let memory = self.read(moment);
        match elsewhere {
            Some(what) => Err(Unusable::Elsewhere(what, Box::new(memory.anywhere()))),
            None => Ok(memory),
        }
    }

    fn read(self, moment: Moment) -> Memory {
        let draining = self.draining.into_iter().map(|it| {
            let key = (it.service.into(), DestinationKey(it.destination));
            (key, moment.to_time(it.until_unix_ms))
        });
        let paused = self
            .paused
            .map(|it| Pause { until: it.until_unix_ms.map(|unix_ms| moment.to_time(unix_ms)) });
        Memory {
            owned: self.owned.into_iter().map(Into::into).collect(),
            draining: draining.collect(),
            paused,
            writers: self.writers.into_iter().map(Writer::read).collect(),
            sync_daemons: self.sync_daemons.into_iter().map(Into::into).collect(),
        }
    }

    pub(super) fn render(&self) -> String {
        // Every type here has a form in JSON; an empty file would be found out as unreadable.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl Writer {
    fn new(pool: &str, last: LastWriter) -> Self {
        Self {
            pool: pool.into(),
            timeline: last.timeline.map(|timeline| timeline.0),
            system_identifier: last.identity.map(|identity| identity.0),
        }
    }

    fn read(self) -> (Box<str>, LastWriter) {
        let last = LastWriter {
            timeline: self.timeline.map(Timeline),
            identity: self.system_identifier.map(SystemIdentifier),
        };
        (self.pool, last)
    }
}

impl From<SyncRole> for Role {
    fn from(role: SyncRole) -> Self {
        match role {
            SyncRole::Master => Self::Master,
            SyncRole::Backup => Self::Backup,
        }
    }
}

impl From<Role> for SyncRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Master => Self::Master,
            Role::Backup => Self::Backup,
        }
    }
}

impl From<ServiceKey> for Key {
    fn from(key: ServiceKey) -> Self {
        match key {
            ServiceKey::Address { protocol, address } => {
                Self::Address { protocol: protocol.0, address }
            }
            ServiceKey::FwMark { family, mark } => {
                Self::FwMark { ipv6: family == Family::V6, mark }
            }
        }
    }
}

impl From<Key> for ServiceKey {
    fn from(key: Key) -> Self {
        match key {
            Key::Address { protocol, address } => {
                Self::Address { protocol: Protocol(protocol), address }
            }
            Key::FwMark { ipv6, mark } => {
                Self::FwMark { family: if ipv6 { Family::V6 } else { Family::V4 }, mark }
            }
        }
    }
}
