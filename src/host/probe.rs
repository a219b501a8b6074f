//! Probes: what each PostgreSQL server says of itself, reported to the engine as it is said.
//!
//! A probe reports and obeys; it judges nothing. Per server it keeps one session, asked by a bare Sync in a steady
//! beat, and opens a fresh connection now and then, for what a session cannot see: a full server, one that is
//! stopping, a postmaster that hangs. It writes no line into a healthy server's log.
//!
//! ```text
//! engine --Orders--> Task --Attempt: socket > tls > channel > link--> Admitted | NotAdmitted --+
//!                     +----Session: link, pulse after pulse---------> Pulse | SessionEnded ----+--> Outlet > engine
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::config::PostgresProbe;
use crate::engine::evidence::{Observation, Pace, ProbeId};
use crate::time::Time;

mod attempt;
mod channel;
mod facts;
mod failure;
mod frames;
mod link;
mod outlet;
pub mod password;
mod rhythm;
mod session;
mod socket;
mod task;
mod tls;

use attempt::{Attempt, Means};
use outlet::Outlet;
use task::Task;

/// One server to probe.
#[derive(Clone, Debug)]
pub struct ProbeSpec {
    /// What its reports are called by.
    pub id: ProbeId,
    /// Where PostgreSQL listens.
    pub address: SocketAddr,
    /// How it is probed.
    pub settings: Arc<PostgresProbe>,
}

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which probe.
    pub probe: ProbeId,
    /// When it saw it, not when it is read.
    pub at: Time,
    /// What it saw.
    pub observation: Observation,
}

/// TLS cannot be set up in this process.
#[derive(Debug, thiserror::Error)]
#[error("set up TLS for the probes: {0}")]
pub struct TlsUnusable(#[from] rustls::Error);

/// Starts probes, and holds what they share.
pub struct Prober {
    means: Arc<Means>,
    started: Instant,
    reports: mpsc::Sender<Report>,
    dropped: Arc<AtomicU64>,
}

impl Prober {
    /// Probes whose reports go to `reports` and carry times since `started`.
    ///
    /// A full channel loses pulses, which repeat themselves, and delays the rest.
    pub fn new(started: Instant, reports: mpsc::Sender<Report>) -> Result<Self, TlsUnusable> {
        let means = Arc::new(Means::new()?);
        Ok(Self { means, started, reports, dropped: Arc::default() })
    }

    /// Starts a probe on the present tokio runtime; its first connection starts at once.
    pub fn start(&self, spec: ProbeSpec) -> Probe {
        let ProbeSpec { id, address, settings } = spec;
        let (orders, ordered) = watch::channel(Orders::default());
        let reports = self.reports.clone();
        let outlet = Outlet::new(id, address, self.started, reports, Arc::clone(&self.dropped));
        let attempt = Attempt { address, settings, means: Arc::clone(&self.means) };
        let task = tokio::spawn(Task::new(attempt, outlet, ordered).run());
        Probe { orders, task }
    }

    /// How many pulses were not reported because the channel was full.
    pub fn dropped_pulses(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A probe at work. Its drop ends it: the session is closed by Terminate and FIN, and nothing more is reported.
#[derive(Debug)]
pub struct Probe {
    orders: watch::Sender<Orders>,
    task: JoinHandle<()>,
}

impl Probe {
    /// How often it asks from now on.
    pub fn pace(&self, pace: Pace) {
        self.orders.send_modify(|orders| orders.pace = pace);
    }

    /// Opens a fresh connection at once, or right after the one under way.
    pub fn probe_now(&self) {
        self.orders.send_modify(|orders| orders.probes = orders.probes.wrapping_add(1));
    }

    /// Closes the kept session, for which a server that stops smartly waits. The next connection that is admitted
    /// in the usual rhythm becomes the next session.
    pub fn hang_up(&self) {
        self.orders.send_modify(|orders| orders.hang_ups = orders.hang_ups.wrapping_add(1));
    }

    /// Ends the probe and waits until its connections are closed: a moment where the server answers, three seconds
    /// at the most where it does not.
    pub async fn stop(self) {
        let Self { orders, task } = self;
        drop(orders);
        // A task that panicked has nothing left to close.
        drop(task.await);
    }
}

/// What the engine wants of a probe. Orders are a state, not a queue: none can be lost where a probe is busy.
#[derive(Clone, Copy, Debug)]
struct Orders {
    pace: Pace,
    /// How often a fresh connection was ordered.
    probes: u64,
    /// How often a hang-up was ordered.
    hang_ups: u64,
}

impl Default for Orders {
    fn default() -> Self {
        Self { pace: Pace::Normal, probes: 0, hang_ups: 0 }
    }
}
