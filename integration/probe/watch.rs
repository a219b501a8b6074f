//! A probe at work and what it reports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgvs::config::{PostgresProbe, SslMode};
use pgvs::engine::evidence::{Observation, ProbeError, ProbeId, Stage};
use pgvs::host::probe::{Probe, ProbeSpec, Prober, Report};
use pgvs::model::postgres::{Facts, Role};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::cluster::PATIENCE;

/// Settings that make tests quick: a pulse every 20 ms, a fresh connection every 200 ms.
pub(crate) fn settings() -> PostgresProbe {
    PostgresProbe {
        user: "postgres".into(),
        password_file: None,
        dbname: "postgres".into(),
        sslmode: SslMode::Disable,
        pulse: Duration::from_millis(20),
        suspect_after: Duration::from_millis(300),
        lost_after: Duration::from_millis(1500),
        admission: Duration::from_millis(200),
        rise: 3,
        fall: 1,
        source: None,
    }
}

/// The same as a role that is nobody special.
pub(crate) fn as_pgvs() -> PostgresProbe {
    PostgresProbe { user: "pgvs".into(), ..settings() }
}

/// A probe whose reports are read.
pub(crate) struct Watch {
    /// The probe itself, for orders.
    pub(crate) probe: Probe,
    /// What all probes share.
    pub(crate) prober: Prober,
    reports: mpsc::Receiver<Report>,
    seen: Vec<Observation>,
}

impl Watch {
    /// Starts a probe.
    pub(crate) fn start(address: SocketAddr, settings: PostgresProbe) -> Self {
        Self::with_room(address, settings, 1024)
    }

    /// Starts a probe whose channel holds only so many reports.
    pub(crate) fn with_room(address: SocketAddr, settings: PostgresProbe, room: usize) -> Self {
        let (sender, reports) = mpsc::channel(room);
        let prober = Prober::new(Instant::now(), sender).unwrap();
        let settings = Arc::new(settings);
        let probe = prober.start(ProbeSpec { id: ProbeId(7), address, settings });
        Self { probe, prober, reports, seen: Vec::new() }
    }

    /// The next report.
    pub(crate) async fn next(&mut self) -> Observation {
        let Ok(report) = timeout(PATIENCE, self.reports.recv()).await else {
            panic!("no report at all after {:?}", self.last_seen());
        };
        let report = report.unwrap();
        assert_eq!(report.probe, ProbeId(7));
        self.seen.push(report.observation.clone());
        report.observation
    }

    /// All reports that wait to be read.
    pub(crate) fn drain(&mut self) -> Vec<Observation> {
        std::iter::from_fn(|| self.reports.try_recv().ok())
            .map(|report| report.observation)
            .collect()
    }

    /// Waits for a report of which `wanted` makes something; what it makes, and the other reports before it.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&Observation) -> Option<T>,
    ) -> (T, Vec<Observation>) {
        let since = Instant::now();
        let mut before = Vec::new();
        loop {
            let observation = self.next().await;
            if let Some(found) = wanted(&observation) {
                return (found, before);
            }
            before.push(observation);
            assert!(since.elapsed() < PATIENCE, "no {what}; seen: {:?}", self.last_seen());
        }
    }

    /// Waits for a pulse.
    pub(crate) async fn pulse(&mut self) -> Facts {
        self.until("pulse", facts).await.0
    }

    /// Waits until the probe has a session and has seen a connection admitted beside it.
    pub(crate) async fn settle(&mut self) {
        self.pulse().await;
        self.until("admission", admitted).await;
        self.pulse().await;
    }

    /// Waits for a connection that is not admitted for a reason, not for the slowness of this machine.
    pub(crate) async fn refusal(&mut self) -> ProbeError {
        let reason = |seen: &Observation| {
            refused(seen)
                .filter(|error| !matches!(error, ProbeError::TimedOut(_)) && !is_late(error))
        };
        self.until("refusal", reason).await.0
    }

    /// Waits for a connection that runs into a deadline.
    pub(crate) async fn timed_out(&mut self) -> (Stage, Vec<Observation>) {
        let timed_out = |seen: &Observation| match seen {
            Observation::NotAdmitted(ProbeError::TimedOut(stage)) => Some(*stage),
            _ => None,
        };
        self.until("deadline", timed_out).await
    }

    /// The latest reports, the same ones counted, for a message.
    fn last_seen(&self) -> Vec<String> {
        let mut lines: Vec<(String, usize)> = Vec::new();
        for observation in &self.seen {
            let line = format!("{observation:?}");
            match lines.last_mut() {
                Some((last, count)) if *last == line => *count += 1,
                _ => lines.push((line, 1)),
            }
        }
        let skipped = lines.len().saturating_sub(20);
        lines.into_iter().skip(skipped).map(|(line, count)| format!("{count} x {line}")).collect()
    }
}

/// Whether this machine was too busy for the probe to judge.
pub(crate) fn is_late(error: &ProbeError) -> bool {
    matches!(error, ProbeError::Prober(text) if text.contains("stood still"))
}

/// A pulse's facts.
pub(crate) fn facts(observation: &Observation) -> Option<Facts> {
    match observation {
        Observation::Pulse(facts) => Some(*facts),
        _ => None,
    }
}

/// A pulse of a server in that role.
pub(crate) fn role(role: Role) -> impl Fn(&Observation) -> Option<Facts> {
    move |observation| facts(observation).filter(|facts| facts.role == role)
}

/// An admission.
pub(crate) fn admitted(observation: &Observation) -> Option<()> {
    (*observation == Observation::Admitted).then_some(())
}

/// The reason of a refusal.
pub(crate) fn refused(observation: &Observation) -> Option<ProbeError> {
    match observation {
        Observation::NotAdmitted(error) => Some(error.clone()),
        _ => None,
    }
}

/// The end of a session: severity and SQLSTATE of the server's last word, if it sent one.
pub(crate) fn ended(observation: &Observation) -> Option<Option<(String, String)>> {
    match observation {
        Observation::SessionEnded(None) => Some(None),
        Observation::SessionEnded(Some(said)) => {
            let severity = said.severity.clone().unwrap();
            Some(Some((severity.into(), said.sqlstate.as_str().into())))
        }
        _ => None,
    }
}

/// The SQLSTATE and the routine of what a server said.
pub(crate) fn said(error: &ProbeError) -> (String, String) {
    match error {
        ProbeError::Said(said) => {
            (said.sqlstate.as_str().into(), said.routine.clone().unwrap_or_default().into())
        }
        other => panic!("expected the server's word, found {other:?}"),
    }
}

/// The text of an error of the probe's own.
pub(crate) fn own_problem(error: &ProbeError) -> String {
    match error {
        ProbeError::Prober(text) => text.to_string(),
        other => panic!("expected a problem of the probe's own, found {other:?}"),
    }
}
