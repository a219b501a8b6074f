//! The kept session: a pulse in a steady beat, and the server's last word the moment it is said.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::Orders;
use super::attempt::Opened;
use super::facts::{self, Granted};
use super::failure::within;
use super::link::Link;
use super::outlet::Outlet;
use super::rhythm::{next_beat, pulse_interval};
use crate::config::PostgresProbe;
use crate::engine::evidence::{Observation, ProbeError, Stage};
use crate::model::postgres::{Facts, Role};
use crate::time::Time;

/// How much longer than `lost_after` an unanswered session is kept: the engine's deadlines pass first.
const GIVE_UP_MARGIN: Duration = Duration::from_millis(500);

/// How long the server may take for the questions that a session asks beside its pulse.
const QUERY_LIMIT: Duration = Duration::from_secs(1);

/// How a session came to its end.
pub(super) enum End {
    /// We closed it.
    Closed,
    /// It cannot go on: the server ended it, or it is given up.
    Failed(ProbeError, Time),
}

/// A session that lives in a task of its own.
pub(super) struct Session {
    link: Link,
    settings: Arc<PostgresProbe>,
    granted: Granted,
    facts: Facts,
    /// Whether the server reports its role by itself.
    reports_role: bool,
    outlet: Outlet,
    /// Whether an answer is overdue by `suspect_after`.
    silent: watch::Sender<bool>,
}

impl Session {
    /// A session on a connection that has just answered.
    pub(super) fn new(
        link: Link,
        opened: &Opened,
        settings: Arc<PostgresProbe>,
        outlet: Outlet,
        silent: watch::Sender<bool>,
    ) -> Self {
        let reports_role = link.reported_role().is_some();
        let (granted, facts) = (opened.granted, opened.facts);
        Self { link, settings, granted, facts, reports_role, outlet, silent }
    }

    /// Pulses until the server or `closing` (its message or its drop) ends it.
    pub(super) async fn run(
        mut self,
        own: Option<std::net::SocketAddr>,
        mut orders: watch::Receiver<Orders>,
        closing: oneshot::Receiver<()>,
    ) -> End {
        let failed = select! {
            biased;
            _ = closing => None,
            Err(error) = self.live(own, &mut orders) => Some(error),
        };
        match failed {
            Some(error) => End::Failed(error, self.outlet.now()),
            None => {
                self.link.close().await;
                End::Closed
            }
        }
    }

    /// Everything that a session does, up to what ends it.
    async fn live(
        &mut self,
        own: Option<std::net::SocketAddr>,
        orders: &mut watch::Receiver<Orders>,
    ) -> Result<Infallible, ProbeError> {
        self.outlet.pulse(self.facts);
        if let Some(own) = own {
            let preparing = facts::prepare(&mut self.link, own);
            match within(QUERY_LIMIT, Stage::Query, preparing).await {
                // Useful, not needed.
                Err(ProbeError::Said(said)) if said.severity.as_deref() == Some("ERROR") => (),
                prepared => prepared?,
            }
        }
        loop {
            self.wait_for_beat(orders).await?;
            self.facts = self.watched_pulse().await?;
            self.outlet.pulse(self.facts);
        }
    }

    /// Sleeps until the next beat, with an ear for the server.
    async fn wait_for_beat(
        &mut self,
        orders: &mut watch::Receiver<Orders>,
    ) -> Result<(), ProbeError> {
        loop {
            let interval = pulse_interval(self.settings.pulse, orders.borrow_and_update().pace);
            let now = self.outlet.now();
            let beat = next_beat(now, interval, self.outlet.address());
            select! {
                end = self.link.ended() => return Err(end),
                () = sleep(beat.since(now)) => return Ok(()),
                changed = orders.changed() => if changed.is_err() {
                    // The probe is being stopped: whoever waits for that closes this session.
                    return Err(self.link.ended().await);
                },
            }
        }
    }

    /// One pulse, waited for as long as the session is kept; says in between that it is overdue.
    async fn watched_pulse(&mut self) -> Result<Facts, ProbeError> {
        let Self { link, settings, granted, facts, reports_role, silent, .. } = self;
        let pulse = pulse(link, *granted, *facts, *reports_role);
        let watched = async {
            let mut pulse = std::pin::pin!(pulse);
            if let Ok(answered) = timeout(settings.suspect_after, pulse.as_mut()).await {
                return answered;
            }
            silent.send_replace(true);
            let answered = pulse.await;
            silent.send_replace(false);
            answered
        };
        within(settings.lost_after + GIVE_UP_MARGIN, Stage::Query, watched).await
    }
}

/// Asks once. A promotion is answered by the question for the timeline before anybody hears of it.
async fn pulse(
    link: &mut Link,
    granted: Granted,
    before: Facts,
    reports_role: bool,
) -> Result<Facts, ProbeError> {
    let (role, read_only) = if reports_role {
        link.sync().await?;
        (link.reported_role().unwrap_or(before.role), link.reported_read_only())
    } else {
        facts::role(link).await?
    };
    let timeline = match (before.role, role) {
        (_, Role::Standby) => None,
        (Role::Primary, Role::Primary) => before.timeline,
        (Role::Standby, Role::Primary) => facts::timeline(link, granted).await?,
    };
    Ok(Facts { role, read_only, timeline, ..before })
}

/// What the end of a session says to the engine; `None`: nothing that silence does not say by itself.
///
/// A session that we give up, or that the network breaks, is not the server's doing. The fresh connection that
/// follows says the rest.
pub(super) fn observation(end: &ProbeError) -> Option<Observation> {
    match end {
        ProbeError::Said(said) => Some(Observation::SessionEnded(Some(said.clone()))),
        ProbeError::Closed(_) => Some(Observation::SessionEnded(None)),
        ProbeError::TimedOut(_) | ProbeError::Unreachable(_) | ProbeError::Refused => None,
        ProbeError::Garbled(_) | ProbeError::Prober(_) => {
            Some(Observation::NotAdmitted(end.clone()))
        }
    }
}
