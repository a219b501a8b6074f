//! What goes into the engine, what comes out, and what it has to tell: all as data.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::evidence::{Observation, Pace, ProbeId};
use super::health::Condition;
use super::memory::Memory;
use super::policy::Reason;
use super::settings::{self, SettingChange};
use crate::config::{Config, PostgresProbe};
use crate::model::destination::{DestinationKey, Weight};
use crate::model::op::{Errno, Op};
use crate::model::postgres::Timeline;
use crate::model::server::ServerId;
use crate::model::service::ServiceKey;
use crate::model::setting::{Found, Setting, SettingKey};
use crate::model::table::{Counters, Table};
use crate::time::Time;
use crate::wire::proc::ProcTable;

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// A deadline has passed, nothing else.
    Tick,
    /// A probe reported.
    Probe {
        /// Which one.
        probe: ProbeId,
        /// When the evidence arrived.
        at: Time,
        /// What it saw.
        observation: Observation,
    },
    /// The table was read in full.
    Dumped(Table, Counters),
    /// The cheap list of the table was read.
    Checked(ProcTable),
    /// A transaction was acknowledged, change by change.
    Applied(Vec<(Op, Result<(), Errno>)>),
    /// A read or a transaction ended without a result, in words for the operator.
    KernelFailed(Box<str>),
    /// The settings were read, or in words why nothing of them could be.
    SettingsRead(Result<Found, Box<str>>),
    /// Settings were set, one by one, or in words why one could not be.
    SettingsApplied(Vec<(Setting, Result<(), Box<str>>)>),
    /// The state file was written, or why not.
    StateSaved(Result<(), Box<str>>),
    /// The operator wants another configuration.
    Reload(Arc<Config>),
    /// Hands off the kernel, until a moment or until `Resume`.
    Pause(Option<Time>),
    /// Hands on again.
    Resume,
    /// The daemon is to end, and our services are treated as `on_stop` says.
    Stop,
}

/// Something that is to be done outside; its result comes back as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin to probe a server.
    StartProbe {
        /// Names the probe from here on.
        probe: ProbeId,
        /// Where PostgreSQL listens.
        address: SocketAddr,
        /// How to probe it.
        settings: Arc<PostgresProbe>,
    },
    /// End a probe.
    StopProbe(ProbeId),
    /// Ask more or less often.
    Pace(ProbeId, Pace),
    /// Open a fresh connection at once.
    ProbeNow(ProbeId),
    /// Close the kept session: a server that shuts down waits for it.
    HangUp(ProbeId),
    /// Read the table in full; the named services are asked for by key if the dump lacks them.
    Dump {
        /// Services that we have reason to expect.
        confirm: Vec<ServiceKey>,
    },
    /// Read the cheap list of the table.
    Check,
    /// Carry out one transaction.
    Apply(Vec<Op>),
    /// Read these settings.
    ReadSettings(Vec<SettingKey>),
    /// Set these, each by itself.
    Set(Vec<Setting>),
    /// Write the state file.
    SaveState(Memory),
    /// Run a command of the operator's, beside everything else; nothing waits for it.
    Run(Command),
    /// Tell the operator: log it, keep it.
    Report(Transition),
    /// The kernel has acknowledged everything that is wanted.
    Settled,
    /// Everything for a stop has been done.
    Stopped,
}

/// A command of the operator's, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The service's name.
    pub service: Box<str>,
    /// What the kernel knows the service by.
    pub key: ServiceKey,
    /// The program and its arguments; no shell reads them.
    pub argv: Arc<[Box<str>]>,
    /// Whether the quorum was gained, or lost.
    pub is_gained: bool,
    /// So many servers may serve.
    pub able: u32,
    /// So many are needed.
    pub needed: u32,
}

/// Something that changed, with its cause, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The daemon began to look after the kernel's table.
    Adopted {
        /// Services of ours that were there.
        services: usize,
        /// Destinations in them.
        destinations: usize,
    },
    /// A server's condition changed.
    Condition {
        /// The server.
        server: ServerId,
        /// Before.
        from: Condition,
        /// After.
        to: Condition,
        /// What the probe said last, if it failed.
        cause: Option<Box<str>>,
    },
    /// A probe is set up wrongly, or is again as it should be.
    Misconfigured {
        /// The server.
        server: ServerId,
        /// What is wrong; `None`: no more.
        what: Option<Box<str>>,
    },
    /// Another server became the writer of a pool.
    Writer {
        /// The pool.
        pool: Box<str>,
        /// Before.
        from: Option<Box<str>>,
        /// After.
        to: Option<Box<str>>,
        /// The new writer's timeline.
        timeline: Option<Timeline>,
    },
    /// A server's weight in a service changed.
    Weight {
        /// The service's name.
        service: Box<str>,
        /// The server.
        server: ServerId,
        /// Before; `None`: not in the table.
        from: Option<Weight>,
        /// After.
        to: Option<Weight>,
        /// Why.
        reason: Reason,
    },
    /// A service has its quorum, or has lost it: told when it changes, and once after the start.
    Quorum {
        /// The service's name.
        service: Box<str>,
        /// Whether it has.
        is_gained: bool,
        /// So many servers may serve.
        able: u32,
        /// So many are needed.
        needed: u32,
        /// Who serves alone without a quorum.
        sorry_server: Option<SocketAddr>,
    },
    /// Another program changed a service of ours.
    Drift {
        /// The service.
        service: ServiceKey,
        /// The destination, if it is about one.
        destination: Option<DestinationKey>,
        /// What was found, and what follows.
        what: Drift,
    },
    /// The same service was changed by another program again and again: its repair slows down.
    DriftSlowed(ServiceKey),
    /// A member or service that left the config keeps its sessions for a while.
    Draining {
        /// The service.
        service: ServiceKey,
        /// The destination.
        destination: DestinationKey,
        /// At most so long.
        timeout: Duration,
    },
    /// It was deleted.
    Drained {
        /// The service.
        service: ServiceKey,
        /// The destination.
        destination: DestinationKey,
        /// Sessions that were left at the deadline.
        active: u32,
    },
    /// The kernel refused a change.
    OpRefused(Op, Errno),
    /// A read or a transaction of the kernel failed.
    KernelFailed(Box<str>),
    /// A setting beside the table was changed.
    SettingSet(Box<SettingChange>),
    /// A setting that we may not change should have another value than this.
    SettingAdvised(Setting),
    /// A setting could not be read or set.
    SettingsFailed(Box<str>),
    /// The kernel answers again after such a failure.
    KernelAnswers {
        /// Services of ours that are in its table.
        found: usize,
        /// Services that are ours.
        ours: usize,
    },
    /// The state file could not be written.
    StateNotSaved(Box<str>),
    /// All servers that were answering fell silent at once: soft evidence is ignored.
    Frozen,
    /// Soft evidence counts again.
    Thawed,
    /// The daemon came late by so much: every deadline starts anew.
    Late(Duration),
    /// A new configuration is in force.
    Reloaded,
    /// Hands off the kernel.
    Paused,
    /// Hands on again.
    Resumed,
}

/// What another program did to a service of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// The service was deleted; it is made again.
    ServiceGone,
    /// The service's scheduler, flags or persistence were changed; they are restored.
    ServiceEdited,
    /// A destination was deleted; it is made again.
    DestinationGone,
    /// A destination was added; it is drained.
    DestinationAdded,
    /// A destination's weight was set; it is restored.
    WeightSet(Weight),
    /// Something else of a destination was set; it is restored.
    DestinationEdited,
}

fn weight(weight: Option<Weight>) -> String {
    weight.map_or_else(|| "absent".to_owned(), |weight| weight.to_string())
}

fn name(name: Option<&str>) -> &str {
    name.unwrap_or("nobody")
}

fn answers(f: &mut fmt::Formatter<'_>, found: usize, ours: usize) -> fmt::Result {
    write!(f, "the kernel answers again: {found} of our {ours} services are there")?;
    if found < ours { f.write_str(", the others are made again") } else { Ok(()) }
}

/// How a quorum stands, in words; of the servers so many are `(able, needed)`.
pub(super) fn quorum(
    is_gained: bool,
    (able, needed): (u32, u32),
    sorry_server: Option<SocketAddr>,
) -> String {
    let what = if is_gained { "has its quorum" } else { "quorum lost" };
    let numbers = format!("{what}: {able} may serve, {needed} needed");
    match sorry_server.filter(|_| !is_gained) {
        Some(sorry) => format!("{numbers}, the sorry server {sorry} serves"),
        None => numbers,
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adopted { services, destinations } => {
                write!(f, "found {services} of our services with {destinations} destinations in the kernel")
            }
            Self::Condition { server, from, to, cause } => {
                write!(f, "server {server}: {from} -> {to}")?;
                cause.as_ref().map_or(Ok(()), |cause| write!(f, " ({cause})"))
            }
            Self::Misconfigured { server, what: Some(what) } => {
                write!(f, "server {server}: the probe cannot see more: {what}")
            }
            Self::Misconfigured { server, what: None } => {
                write!(f, "server {server}: the probe sees again")
            }
            Self::Writer { pool, from, to, timeline } => {
                write!(f, "pool {pool}: writer {} -> {}", name(from.as_deref()), name(to.as_deref()))?;
                timeline.map_or(Ok(()), |timeline| write!(f, " on timeline {timeline}"))
            }
            Self::Weight { service, server, from, to, reason } => {
                let (name, from, to) = (&server.name, weight(*from), weight(*to));
                write!(f, "service {service}: {name} weight {from} -> {to}: {reason}")
            }
            Self::Quorum { service, is_gained, able, needed, sorry_server } => {
                write!(f, "service {service}: {}", quorum(*is_gained, (*able, *needed), *sorry_server))
            }
            Self::Drift { service, destination: None, what } => {
                write!(f, "another program changed {service}: {what}")
            }
            Self::Drift { service, destination: Some(to), what } => {
                write!(f, "another program changed {service}, destination {to}: {what}")
            }
            Self::DriftSlowed(service) => write!(
                f,
                "another program keeps writing {service}: repairs slow down; find it, or take the service out of the config"
            ),
            Self::Draining { service, destination, timeout } => write!(
                f,
                "{destination} is no member of {service}: weight 0, deleted when its sessions have ended or in {timeout:?}"
            ),
            Self::Drained { service, destination, active: 0 } => {
                write!(f, "{destination} of {service} has drained")
            }
            Self::Drained { service, destination, active } => {
                write!(f, "{destination} of {service} is deleted with {active} sessions: its time is up")
            }
            Self::OpRefused(op, errno) => write!(f, "the kernel refused to {op} (errno {})", errno.0),
            Self::KernelFailed(what) | Self::StateNotSaved(what) | Self::SettingsFailed(what) => {
                f.write_str(what)
            }
            Self::SettingSet(change) => change.fmt(f),
            Self::SettingAdvised(found) => f.write_str(&settings::advice(found)),
            Self::KernelAnswers { found, ours } => answers(f, *found, *ours),
            Self::Frozen => f.write_str(
                "all servers that were answering fell silent at once: suspecting this director's own network, soft evidence is ignored",
            ),
            Self::Thawed => f.write_str("soft evidence counts again"),
            Self::Late(by) => {
                write!(f, "this process was stopped or starved for {by:?}: every deadline starts anew")
            }
            Self::Reloaded => f.write_str("a new configuration is in force"),
            Self::Paused => f.write_str("paused: nothing is written to the kernel"),
            Self::Resumed => f.write_str("resumed"),
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceGone => f.write_str("the service was deleted; made again"),
            Self::ServiceEdited => {
                f.write_str("scheduler, flags or persistence were set; restored")
            }
            Self::DestinationGone => f.write_str("it was deleted; made again"),
            Self::DestinationAdded => f.write_str("it was added; no member of ours, so it drains"),
            Self::WeightSet(weight) => {
                write!(f, "its weight was set to {weight}; restored (change weights in the config)")
            }
            Self::DestinationEdited => f.write_str("its options were set; restored"),
        }
    }
}
