//! The task of one probe: fresh connections in their rhythm, one kept session, and what the engine orders.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::Orders;
use super::attempt::{Admitted, Attempt, Depth, Opened};
use super::link::Link;
use super::outlet::{Outlet, Unheard};
use super::rhythm::{self, HURRIED_RETRY, admission_interval, next_beat};
use super::session::{self, End, Session};
use crate::engine::evidence::{Observation, ProbeError};
use crate::time::Time;

/// A probe at work.
pub(super) struct Task {
    attempt: Attempt,
    outlet: Outlet,
    orders: watch::Receiver<Orders>,
    /// The orders that have been carried out.
    obeyed: Orders,
    kept: Option<Kept>,
    /// The fresh connection under way: never more than one.
    fresh: JoinSet<Outcome>,
    /// When the last fresh connection was started.
    last: Time,
    next: Next,
}

/// When the next fresh connection starts, if none is under way.
#[derive(Clone, Copy)]
enum Next {
    AtOnce,
    At(Time),
    InRhythm,
}

/// The kept session. Its drop closes it, in its own time.
struct Kept {
    task: JoinHandle<End>,
    closing: oneshot::Sender<()>,
    silent: watch::Receiver<bool>,
    opened: Instant,
}

/// What became of a fresh connection, and when.
struct Outcome {
    at: Time,
    result: Result<Admitted, ProbeError>,
}

enum Event {
    Stopped,
    Ordered,
    Due,
    Fresh(Result<Outcome, JoinError>),
    Ended(Result<End, JoinError>),
    Silence(bool),
}

impl Task {
    pub(super) fn new(attempt: Attempt, outlet: Outlet, orders: watch::Receiver<Orders>) -> Self {
        let obeyed = *orders.borrow();
        let last = outlet.now();
        Self {
            attempt,
            outlet,
            orders,
            obeyed,
            kept: None,
            fresh: JoinSet::new(),
            last,
            next: Next::AtOnce,
        }
    }

    /// Probes until the orders' sender or the reports' receiver is gone; then closes what is open.
    pub(super) async fn run(mut self) {
        while self.one_event().await.is_ok() {}
        self.fresh.abort_all();
        if let Some(Kept { task, closing, .. }) = self.kept.take() {
            drop(closing);
            // Whatever it ends with, nobody is left who could be told.
            drop(task.await);
        }
    }

    async fn one_event(&mut self) -> Result<(), Unheard> {
        match self.event().await {
            Event::Stopped => return Err(Unheard),
            Event::Ordered => self.obey(),
            Event::Due => self.start(),
            Event::Silence(true) => self.next = Next::AtOnce,
            Event::Silence(false) => (),
            Event::Fresh(outcome) => self.finished(outcome).await?,
            Event::Ended(end) => self.ended(end).await?,
        }
        Ok(())
    }

    /// What happens next.
    async fn event(&mut self) -> Event {
        let wait = self.due().since(self.outlet.now());
        let idle = self.fresh.is_empty();
        select! {
            biased;
            changed = self.orders.changed() => match changed {
                Ok(()) => Event::Ordered,
                Err(_) => Event::Stopped,
            },
            event = of_session(&mut self.kept) => event,
            outcome = of_fresh(&mut self.fresh) => Event::Fresh(outcome),
            () = sleep(wait), if idle => Event::Due,
        }
    }

    /// When the next fresh connection is due.
    fn due(&self) -> Time {
        let kept = self.kept_state();
        let pace = self.obeyed.pace;
        let interval = admission_interval(self.attempt.settings.admission, kept, pace);
        match (self.next, kept) {
            (Next::AtOnce, _) => Time::ZERO,
            (Next::At(time), _) => time,
            (Next::InRhythm, rhythm::Kept::Answering) => {
                next_beat(self.last, interval, self.outlet.address())
            }
            (Next::InRhythm, rhythm::Kept::Silent | rhythm::Kept::None) => {
                self.last.after(interval)
            }
        }
    }

    fn kept_state(&self) -> rhythm::Kept {
        match &self.kept {
            None => rhythm::Kept::None,
            Some(kept) if *kept.silent.borrow() => rhythm::Kept::Silent,
            Some(_) => rhythm::Kept::Answering,
        }
    }

    fn obey(&mut self) {
        let orders = *self.orders.borrow_and_update();
        if orders.probes != self.obeyed.probes {
            self.next = Next::AtOnce;
        }
        if orders.hang_ups != self.obeyed.hang_ups {
            self.kept = None;
        }
        self.obeyed = orders;
    }

    /// Starts a fresh connection.
    fn start(&mut self) {
        let depth = match self.kept_state() {
            rhythm::Kept::Answering => Depth::Check,
            rhythm::Kept::Silent | rhythm::Kept::None => Depth::Open,
        };
        let (attempt, outlet) = (self.attempt.clone(), self.outlet.clone());
        self.last = self.outlet.now();
        self.next = Next::InRhythm;
        self.fresh.spawn(async move {
            let result = attempt.run(depth).await;
            Outcome {
                at: outlet.now(),
                result,
            }
        });
    }

    async fn finished(&mut self, outcome: Result<Outcome, JoinError>) -> Result<(), Unheard> {
        match outcome {
            Ok(Outcome {
                at,
                result: Ok(Admitted { link, opened }),
            }) => {
                self.tell(at, Observation::Admitted).await?;
                match opened {
                    Some(opened) if self.kept_state() != rhythm::Kept::Answering => {
                        self.keep(link, &opened);
                    }
                    // Its drop would do, but PostgreSQL is owed a Terminate.
                    Some(_) | None => drop(tokio::spawn(link.close())),
                }
                Ok(())
            }
            Ok(Outcome {
                at,
                result: Err(error),
            }) => self.tell(at, Observation::NotAdmitted(error)).await,
            Err(error) => self.tell_of_panic(&error).await,
        }
    }

    /// Makes the connection the kept session, in the place of one that is silent.
    fn keep(&mut self, link: Link, opened: &Opened) {
        let (closing, closed) = oneshot::channel();
        let (silent, heard) = watch::channel(false);
        let settings = Arc::clone(&self.attempt.settings);
        let session = Session::new(link, opened, settings, self.outlet.clone(), silent);
        let task = tokio::spawn(session.run(opened.own, self.orders.clone(), closed));
        self.kept = Some(Kept {
            task,
            closing,
            silent: heard,
            opened: Instant::now(),
        });
    }

    /// The server or the network ended the session: its word goes out, and a fresh connection follows.
    async fn ended(&mut self, end: Result<End, JoinError>) -> Result<(), Unheard> {
        let lived = self
            .kept
            .take()
            .map_or(Duration::ZERO, |kept| kept.opened.elapsed());
        // What a connection from before the end would say is no answer to it.
        self.fresh = JoinSet::new();
        // A server that ends every session at once is not asked faster for it.
        self.next = if lived < HURRIED_RETRY {
            Next::At(self.last.after(HURRIED_RETRY))
        } else {
            Next::AtOnce
        };
        match end {
            Ok(End::Closed) => Ok(()),
            Ok(End::Failed(error, at)) => match session::observation(&error) {
                Some(observation) => self.tell(at, observation).await,
                None => Ok(()),
            },
            Err(error) => self.tell_of_panic(&error).await,
        }
    }

    async fn tell_of_panic(&mut self, error: &JoinError) -> Result<(), Unheard> {
        let what = format!(
            "a task of the probe of {} ended: {error}",
            self.outlet.address()
        );
        let observation = Observation::NotAdmitted(ProbeError::Prober(what.into()));
        self.tell(self.outlet.now(), observation).await
    }

    /// Reports when there is room, or not at all where the probe is being stopped.
    async fn tell(&self, at: Time, observation: Observation) -> Result<(), Unheard> {
        let mut orders = self.orders.clone();
        let stopped = async { while orders.changed().await.is_ok() {} };
        select! {
            biased;
            told = self.outlet.tell(at, observation) => told,
            () = stopped => Err(Unheard),
        }
    }
}

/// What the kept session does; never, where there is none.
async fn of_session(kept: &mut Option<Kept>) -> Event {
    let Some(Kept { task, silent, .. }) = kept else {
        return pending().await;
    };
    select! {
        biased;
        end = task => Event::Ended(end),
        Ok(()) = silent.changed() => Event::Silence(*silent.borrow_and_update()),
    }
}

/// What became of the fresh connection; never, where there is none.
async fn of_fresh(fresh: &mut JoinSet<Outcome>) -> Result<Outcome, JoinError> {
    match fresh.join_next().await {
        Some(outcome) => outcome,
        None => pending().await,
    }
}
