//! The task of one probe: fresh connections in their rhythm, one kept session, and what the engine orders.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use super::Orders;
use super::attempt::{Admitted, Attempt, Depth, Opened};
use super::link::Link;
use super::outlet::{Outlet, Unheard};
use super::rhythm::{self, HURRIED_RETRY, admission_interval, next_beat};
use super::session::{self, End, Session};
use crate::engine::evidence::{self, Evidence, Observation, ProbeError};
use crate::time::Time;

/// How long a probe that is being stopped waits for a connection under way, so that it ends in good order.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// A probe at work.
pub(super) struct Task {
    attempt: Attempt,
    outlet: Outlet,
    orders: watch::Receiver<Orders>,
    /// The orders that have been carried out.
    obeyed: Orders,
    kept: Option<Kept>,
    /// The fresh connection under way. To forget it is not to abort it: PostgreSQL logs a TLS handshake that is
    /// broken off, so it goes on to its end and is closed there.
    fresh: Option<oneshot::Receiver<Outcome>>,
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

impl Outcome {
    /// Ends what nobody wants in good order: PostgreSQL is owed a Terminate.
    async fn close(self) {
        if let Ok(Admitted { link, .. }) = self.result {
            link.close().await;
        }
    }
}

enum Event {
    Stopped,
    Ordered,
    Due,
    Fresh(Result<Outcome, RecvError>),
    Ended(Result<End, JoinError>),
    Silence(bool),
}

impl Task {
    pub(super) fn new(attempt: Attempt, outlet: Outlet, orders: watch::Receiver<Orders>) -> Self {
        let obeyed = *orders.borrow();
        let last = outlet.now();
        Self { attempt, outlet, orders, obeyed, kept: None, fresh: None, last, next: Next::AtOnce }
    }

    /// Probes until the orders' sender or the reports' receiver is gone; then closes what is open.
    pub(super) async fn run(mut self) {
        while self.one_event().await.is_ok() {}
        // Whatever these end with, nobody is left who could be told.
        if let Some(Kept { task, closing, .. }) = self.kept.take() {
            drop(closing);
            drop(task.await);
        }
        if let Some(fresh) = self.fresh.take()
            && let Ok(Ok(outcome)) = timeout(STOP_LIMIT, fresh).await
        {
            outcome.close().await;
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
        let idle = self.fresh.is_none();
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
        let (send, outcome) = oneshot::channel();
        self.fresh = Some(outcome);
        tokio::spawn(async move {
            let result = attempt.run(depth).await;
            let at = outlet.now();
            if let Err(forgotten) = send.send(Outcome { at, result }) {
                forgotten.close().await;
            }
        });
    }

    /// Lets the fresh connection end without a report.
    fn forget_fresh(&mut self) {
        if let Some(mut fresh) = self.fresh.take() {
            fresh.close();
            if let Ok(forgotten) = fresh.try_recv() {
                drop(tokio::spawn(forgotten.close()));
            }
        }
    }

    async fn finished(&mut self, outcome: Result<Outcome, RecvError>) -> Result<(), Unheard> {
        self.fresh = None;
        let Ok(Outcome { at, result }) = outcome else {
            return self.tell_of_panic().await;
        };
        let Admitted { link, opened } = match result {
            Ok(admitted) => admitted,
            Err(error) => {
                // A probe that is set up wrongly writes a line into the server's log with each try.
                if matches!(evidence::of(&error), Evidence::Misconfigured | Evidence::Blind) {
                    self.next = Next::At(self.last.after(self.attempt.settings.admission));
                }
                return self.tell(at, Observation::NotAdmitted(error)).await;
            }
        };
        let told = self.tell(at, Observation::Admitted).await;
        match opened {
            Some(opened) if told.is_ok() && self.kept_state() != rhythm::Kept::Answering => {
                self.keep(link, &opened);
            }
            Some(_) | None => drop(tokio::spawn(link.close())),
        }
        told
    }

    /// Makes the connection the kept session, in the place of one that is silent.
    fn keep(&mut self, link: Link, opened: &Opened) {
        let (closing, closed) = oneshot::channel();
        let (silent, heard) = watch::channel(false);
        let settings = Arc::clone(&self.attempt.settings);
        let session = Session::new(link, opened, settings, self.outlet.clone(), silent);
        let task = tokio::spawn(session.run(opened.own, self.orders.clone(), closed));
        self.kept = Some(Kept { task, closing, silent: heard, opened: Instant::now() });
    }

    /// The server or the network ended the session: its word goes out, and a fresh connection follows.
    async fn ended(&mut self, end: Result<End, JoinError>) -> Result<(), Unheard> {
        let lived = self.kept.take().map_or(Duration::ZERO, |kept| kept.opened.elapsed());
        // What a connection from before the end would say is no answer to it.
        self.forget_fresh();
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
            Err(_) => self.tell_of_panic().await,
        }
    }

    async fn tell_of_panic(&mut self) -> Result<(), Unheard> {
        let what =
            format!("a task of the probe of {} panicked: please report it", self.outlet.address());
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
async fn of_fresh(fresh: &mut Option<oneshot::Receiver<Outcome>>) -> Result<Outcome, RecvError> {
    match fresh {
        Some(outcome) => outcome.await,
        None => pending().await,
    }
}
