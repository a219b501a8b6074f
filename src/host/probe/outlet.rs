//! The way of a probe's reports to the engine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::mpsc;

use super::Report;
use crate::engine::evidence::{Observation, ProbeId};
use crate::model::postgres::Facts;
use crate::time::Time;

/// Where one probe's reports go.
///
/// A full channel means that the engine is behind. Pulses are dropped then, and counted: the next one says all
/// that they said. Every other report waits, and its probe's next connection with it; the session's pulses, and
/// the deadlines, do not.
#[derive(Clone)]
pub(super) struct Outlet {
    probe: ProbeId,
    address: SocketAddr,
    started: Instant,
    reports: mpsc::Sender<Report>,
    dropped: Arc<AtomicU64>,
}

/// Nobody takes reports any more.
pub(super) struct Unheard;

impl Outlet {
    /// Reports of `probe`, timed from `started`.
    pub(super) fn new(
        probe: ProbeId,
        address: SocketAddr,
        started: Instant,
        reports: mpsc::Sender<Report>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        Self { probe, address, started, reports, dropped }
    }

    /// The present time.
    pub(super) fn now(&self) -> Time {
        Time::new(self.started.elapsed())
    }

    /// The server that the reports are about.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reports an answered pulse, unless the channel is full.
    pub(super) fn pulse(&self, facts: Facts) {
        let report = self.report(self.now(), Observation::Pulse(facts));
        if self.reports.try_send(report).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reports what happens once, when there is room.
    pub(super) async fn tell(&self, at: Time, observation: Observation) -> Result<(), Unheard> {
        self.reports.send(self.report(at, observation)).await.map_err(|_| Unheard)
    }

    fn report(&self, at: Time, observation: Observation) -> Report {
        Report { probe: self.probe, at, observation }
    }
}
