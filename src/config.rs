//! What the operator wants, checked: whoever holds a [`Config`] holds a valid one.
//!
//! Pure: the files are read elsewhere and come in as text.

mod check;
mod delivery;
mod file;
pub mod finding;
pub mod include;
pub mod outside;
mod range;
mod report;
pub mod sources;
mod syntax;
mod unknown;
mod words;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::destination::{Forwarding, Thresholds, Tunnel, Weight};
use crate::model::kernel::{SyncDaemon, Timeouts};
use crate::model::service::{Service, ServiceKey};
use crate::model::setting::{SourceNat, Sysctl, SysctlValue};

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The daemon itself.
    pub director: Director,
    /// What the daemon may set in the kernel beside the table.
    pub kernel: KernelSettings,
    /// The pools, in the file's order; names are unique.
    pub pools: Vec<Pool>,
    /// The virtual services, in the file's order; keys are unique.
    pub services: Vec<VirtualService>,
}

/// `[director]`: the daemon itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Director {
    /// How this director is called in logs and status; `None` is the host name.
    pub name: Option<Box<str>>,
    /// Where the state file lives.
    pub state_dir: PathBuf,
    /// Where `reload`, `status`, `pause` and the like find the daemon.
    pub control_socket: PathBuf,
    /// What happens to our services when the daemon stops.
    pub on_stop: OnStop,
    /// How long soft evidence is ignored after all servers fell silent at once.
    pub freeze_timeout: Duration,
}

/// What a stop does to our services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// Nothing: the kernel goes on with the table as it is.
    Leave,
    /// Every destination gets weight 0.
    Quiesce,
    /// Our services are removed, one by one.
    Remove,
}

/// `[kernel]` and `[[sync_daemon]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSettings {
    /// Whether anything below is set at all, and `expire_nodest_conn` and `expire_quiescent_template` to 1.
    pub manage: bool,
    /// How long the kernel remembers idle connections; what is 0 stays as it is.
    pub timeouts: Timeouts,
    /// Sysctls with a value in the file.
    pub sysctls: BTreeMap<Sysctl, SysctlValue>,
    /// Connection-sync daemons, one of each role at the most.
    pub sync_daemons: Vec<SyncDaemon>,
}

impl Default for KernelSettings {
    fn default() -> Self {
        Self {
            manage: true,
            timeouts: Timeouts { tcp: Self::TCP_TIMEOUT, ..Timeouts::NONE },
            sysctls: BTreeMap::new(),
            sync_daemons: Vec::new(),
        }
    }
}

impl KernelSettings {
    /// The timeout of established connections where nobody says another one, in seconds: longer than the two hours
    /// after which Linux and PostgreSQL first ask whether an idle session lives (`tcp_keepalive_time`), since the
    /// kernel's own 900 s reset idle sessions.
    pub const TCP_TIMEOUT: u32 = 7500;
}

/// `[[pool]]`: servers that are probed alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Unique among pools.
    pub name: Box<str>,
    /// How its servers are probed.
    pub probe: Probe,
    /// Whether its servers count as down until their first good answer. Where not, they start with their weight in
    /// services that every server may serve.
    pub alpha: bool,
    /// Its servers, in the file's order; names and addresses are unique.
    pub servers: Vec<Server>,
}

/// How a pool's servers are probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Not at all: members are up, weights are the configured ones.
    None,
    /// By PostgreSQL's own protocol.
    Postgres(Arc<PostgresProbe>),
}

/// `[pool.postgres]`: the settings of one PostgreSQL probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostgresProbe {
    /// The role to log in as.
    pub user: Box<str>,
    /// Where the password is read at every login; `None`: no password is offered.
    pub password_file: Option<PathBuf>,
    /// The database to connect to.
    pub dbname: Box<str>,
    /// Whether and how TLS is used.
    pub sslmode: SslMode,
    /// Interval of the Sync on the kept session; 5 ms to 5 s.
    pub pulse: Duration,
    /// So long without an answer is soft evidence.
    pub suspect_after: Duration,
    /// So long without an answer, with a dead fresh connection, is hard evidence.
    pub lost_after: Duration,
    /// Interval of fresh connections.
    pub admission: Duration,
    /// Consecutive answered pulses before a server counts as up again.
    pub rise: u32,
    /// Fresh connections in a row that are refused before that is hard evidence.
    pub fall: u32,
    /// The director's own address to probe from; `None`: the kernel chooses.
    pub source: Option<IpAddr>,
}

/// libpq's `sslmode`, as far as the probe knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SslMode {
    /// Plain TCP.
    Disable,
    /// TLS where the server offers it; the certificate is not verified.
    Prefer,
    /// TLS or nothing; the certificate is not verified.
    Require,
}

/// `[[pool.server]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Unique in its pool.
    pub name: Box<str>,
    /// Where PostgreSQL listens.
    pub address: SocketAddr,
    /// Its share of new connections where it may serve; 0 keeps it quiesced.
    pub weight: Weight,
    /// Limits of its connections in each service.
    pub thresholds: Thresholds,
    /// How packets reach it, where that is not what its services say.
    pub delivery: Option<Delivery>,
    /// Whether it serves only where no other server is left.
    pub is_backup: bool,
}

/// How packets reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The method.
    pub forwarding: Forwarding,
    /// Encapsulation; all zero unless the method is [`Forwarding::Tunnel`].
    pub tunnel: Tunnel,
}

/// A virtual service and who may serve it: one for each address, or firewall mark, of a `[[service]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualService {
    /// Unique among `[[service]]` tables.
    pub name: Box<str>,
    /// Whether others of the same `[[service]]` share its name.
    pub shares_name: bool,
    /// What the kernel knows it by.
    pub key: ServiceKey,
    /// How the kernel schedules it.
    pub service: Service,
    /// How packets reach its servers, unless a server says otherwise.
    pub forwarding: Forwarding,
    /// Encapsulation; all zero unless forwarding is [`Forwarding::Tunnel`].
    pub tunnel: Tunnel,
    /// The name of its pool, which exists.
    pub pool: Box<str>,
    /// Which servers of the pool may serve.
    pub target: Target,
    /// What happens to the sessions of a server that is down or demoted.
    pub on_down: OnDown,
    /// How long a member that left the config may keep its sessions.
    pub drain_timeout: Duration,
    /// What its servers see as the client's address, if not the client's own (full NAT).
    pub source_nat: Option<SourceNat>,
    /// How many servers it needs, and what happens without them; `None`: nobody counts.
    pub quorum: Option<Quorum>,
}

/// How many servers a service needs, and what happens when there are fewer (keepalived.conf(5), `quorum`).
///
/// Servers that may serve are counted; keepalived adds up their weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// So many servers are needed; at least 1.
    pub servers: u32,
    /// Lost with fewer than `servers - hysteresis`, gained with `servers + hysteresis`; less than `servers`.
    pub hysteresis: u32,
    /// Who serves alone while the quorum is lost; no member of the pool.
    pub sorry_server: Option<SocketAddr>,
    /// A program and its arguments, run when the quorum is gained.
    pub up: Option<Arc<[Box<str>]>>,
    /// The same when it is lost.
    pub down: Option<Arc<[Box<str>]>>,
}

/// Which servers of a pool may serve, in libpq's words (`target_session_attrs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The primary only.
    Primary,
    /// Standbys only.
    Standby,
    /// Standbys, and the primary where no standby is left.
    PreferStandby,
    /// Every server that answers.
    Any,
}

impl Target {
    /// The word as the config spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::PreferStandby => "prefer-standby",
            Self::Any => "any",
        }
    }
}

/// What happens to the sessions of a server that is down, or of a writer that was demoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDown {
    /// The destination is deleted: its sessions are reset with their next packet.
    Cut,
    /// Weight 0: its sessions stay until they end by themselves.
    Hold,
}

impl Config {
    /// The pool of that name, by looking at one after the other.
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| &*pool.name == name)
    }

    /// The pools by name: for whoever looks up many, since there may be ten thousand.
    pub fn pools_by_name(&self) -> BTreeMap<&str, &Pool> {
        self.pools.iter().map(|pool| (&*pool.name, pool)).collect()
    }
}
