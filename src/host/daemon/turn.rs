//! The loop: takes what happened, lets the engine step, and starts what is to be done. It never waits for an effect.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Options;
use super::desk::Clerk;
use super::waiting::{Settled, Snapshot, Waiting};
use crate::config::Config;
use crate::engine::controller::Controller;
use crate::engine::event::{Action, Event, Transition};
use crate::host::clock::{Clock, unix_millis};
use crate::host::effects::{Effects, History, kind, words};
use crate::host::notify::Notifier;
use crate::host::probe::Report;
use crate::host::signals::{Signals, Wish};
use crate::time::Time;
use crate::view::status::{Overview, Recent};

/// So long a stop may take.
const STOP: Duration = Duration::from_secs(5);

/// So long after the start the service manager is told that we run even if the kernel could not be settled.
const READY: Duration = Duration::from_secs(5);

/// So many of the last transitions a status shows.
const RECENT: usize = 50;

/// So many transitions are told without a look at what happened meanwhile.
const AT_ONCE: usize = 64;

/// What an operator wants of the loop, read and allowed.
#[derive(Debug)]
pub(super) enum Ask {
    /// How everything is.
    Status(oneshot::Sender<Box<Overview>>),
    /// A copy of the engine in a quiet moment.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Take another configuration; the answer comes when the kernel has it.
    Reload(Arc<Config>, oneshot::Sender<Settled>),
    /// The configuration on the disk cannot be used, in one line.
    ReloadRefused(String),
    /// Hands off, for so long; the answer comes when nothing is under way any more.
    Pause(Option<Duration>, oneshot::Sender<()>),
    /// Hands on.
    Resume(oneshot::Sender<Settled>),
}

/// Where things come from.
pub(super) struct Inputs {
    /// The kernel and the state file.
    pub(super) events: mpsc::Receiver<Event>,
    /// The probes.
    pub(super) reports: mpsc::Receiver<Report>,
    /// Operators.
    pub(super) requests: mpsc::Receiver<Ask>,
    /// Whoever sends signals.
    pub(super) signals: Signals,
}

enum Input {
    Event(Event),
    Ask(Ask),
    Wish(Wish),
    /// Nothing; there is something left to tell.
    Leisure,
}

/// The loop's own state; everything about the table is in the controller.
pub(super) struct Daemon {
    controller: Controller,
    clock: Clock,
    effects: Effects,
    clerk: Arc<Clerk>,
    inputs: Inputs,
    waiting: Waiting,
    notifier: Notifier,
    history: History,
    /// What happened, and is not told yet, with the milliseconds since 1970.
    untold: VecDeque<(u64, Transition)>,
    about: About,
    /// When a stop that is under way has taken too long.
    stop_by: Option<Time>,
    has_stopped: bool,
    is_paused: bool,
}

/// What a status says of the daemon itself.
#[derive(Debug, Default)]
struct About {
    director: String,
    config: PathBuf,
    is_observing: bool,
    alarms: Vec<String>,
    refused: Option<String>,
}

impl Daemon {
    pub(super) fn new(
        controller: Controller,
        clock: Clock,
        effects: Effects,
        clerk: Arc<Clerk>,
        inputs: Inputs,
    ) -> Self {
        Self {
            controller,
            clock,
            effects,
            clerk,
            inputs,
            waiting: Waiting::default(),
            notifier: Notifier::new(),
            history: History::default(),
            untold: VecDeque::new(),
            about: About::default(),
            stop_by: None,
            has_stopped: false,
            is_paused: false,
        }
    }

    /// Says what a status shows of the daemon itself.
    pub(super) fn introduce(&mut self, options: &Options, config: &Config, alarms: Vec<String>) {
        // A pause outlives the daemon.
        self.is_paused = self.controller.is_paused();
        let own_name = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.about = About {
            director: config.director.name.as_deref().map_or_else(own_name, ToOwned::to_owned),
            config: options.config.clone(),
            is_observing: options.observe,
            alarms,
            refused: None,
        };
    }

    /// Turns until it is told to stop.
    pub(super) async fn turn(mut self) -> (anyhow::Result<()>, Effects) {
        let result = self.turn_until_the_end().await;
        self.tell(usize::MAX);
        (result, self.effects)
    }

    async fn turn_until_the_end(&mut self) -> anyhow::Result<()> {
        loop {
            match self.wait().await {
                Input::Event(event) => self.step(event),
                Input::Ask(ask) => self.ask(ask),
                Input::Leisure => self.tell(AT_ONCE),
                Input::Wish(Wish::Stop) if self.stop_by.is_some() => break,
                Input::Wish(Wish::Stop) => self.stop(),
                Input::Wish(Wish::Reload) => Arc::clone(&self.clerk).reload_by_signal(),
            }
            let now = self.clock.now();
            self.waiting.quiet(self.effects.is_idle(), &self.controller, now);
            if self.waiting.is_in_vain() {
                self.waiting.failed();
                self.notifier.ready("the kernel does not answer: see pgvs status");
            }
            self.notifier.turned(now);
            if !self.notifier.is_ready() && now.since_start() >= READY {
                self.notifier.ready("the kernel's table is not as wanted yet: see pgvs status");
            }
            if let Some(what) = self.effects.broken() {
                anyhow::bail!("{what}: restart pgvs");
            }
            if self.has_stopped {
                break;
            }
            if self.stop_by.is_some_and(|limit| now >= limit) {
                tracing::error!(
                    "the stop took longer than {STOP:?}: services are left as they are"
                );
                break;
            }
        }
        Ok(())
    }

    /// The next thing that happened. What is there comes before what is due: it may change what is due.
    /// Cancel-safe in every branch.
    async fn wait(&mut self) -> Input {
        if let Some(event) = self.effects.take_own() {
            return Input::Event(event);
        }
        let due = self.deadline().map(|at| tokio::time::Instant::from_std(self.clock.instant(at)));
        let due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let has_untold = !self.untold.is_empty();
        let Inputs { events, reports, requests, signals } = &mut self.inputs;
        // By lot: operators who never stop asking do not stop the clock, nor the other way round.
        let due_or_asked = async {
            tokio::select! {
                Some(ask) = requests.recv() => Input::Ask(ask),
                () = due => Input::Event(Event::Tick),
            }
        };
        tokio::select! {
            biased;
            Some(event) = events.recv() => Input::Event(event),
            wish = signals.next() => Input::Wish(wish),
            Some(Report { probe, at, observation }) = reports.recv() => {
                Input::Event(Event::Probe { probe, at, observation })
            }
            input = due_or_asked => input,
            () = std::future::ready(()), if has_untold => Input::Leisure,
        }
    }

    fn deadline(&self) -> Option<Time> {
        let ready = (!self.notifier.is_ready()).then_some(Time::new(READY));
        let mine = [self.stop_by, self.notifier.deadline(), ready];
        mine.into_iter().flatten().chain(self.controller.next_deadline()).min()
    }

    fn step(&mut self, event: Event) {
        self.effects.note(&event);
        self.waiting.note(&event);
        let actions = self.controller.step(event, self.clock.now());
        // What is to be done begins before anything is told: one server may be in ten thousand services.
        let effects = &mut self.effects;
        let own: Vec<_> = actions.into_iter().map(|action| effects.start(action)).collect();
        for action in own {
            match action {
                Some(Action::Report(transition)) => {
                    self.waiting.told(&transition);
                    self.is_paused |= transition == Transition::Paused;
                    self.is_paused &= transition != Transition::Resumed;
                    self.untold.push_back((unix_millis(), transition));
                }
                Some(Action::Settled) => self.settled(),
                Some(Action::Stopped) => self.has_stopped = true,
                Some(_) | None => (),
            }
        }
        if self.untold.len() <= AT_ONCE {
            self.tell(AT_ONCE);
        }
    }

    /// Tells some of what there is to tell; what happens meanwhile comes first.
    fn tell(&mut self, most: usize) {
        for _ in 0..most {
            let Some((unix_ms, transition)) = self.untold.pop_front() else { return };
            self.history.tell(unix_ms, transition);
        }
    }

    fn settled(&mut self) {
        tracing::debug!("everything wanted is in the kernel");
        self.waiting.settled(self.is_paused);
        self.notifier.ready("the kernel's table is as wanted");
    }

    fn stop(&mut self) {
        tracing::info!("told to stop");
        self.notifier.stopping();
        self.stop_by = Some(self.clock.now().after(STOP));
        self.step(Event::Stop);
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            // Whoever asked may have left: a reply that nobody takes is dropped.
            Ask::Status(reply) => {
                self.tell(usize::MAX);
                drop(reply.send(Box::new(self.overview())));
            }
            Ask::Snapshot(reply) => self.waiting.for_snapshot(reply),
            Ask::Reload(config, reply) => {
                self.notifier.reloading();
                self.about.refused = None;
                self.waiting.for_settled(reply);
                self.step(Event::Reload(config));
            }
            Ask::ReloadRefused(why) => {
                tracing::error!(
                    "the configuration is refused, and the one before stays in force: {why}"
                );
                self.about.refused = Some(why);
            }
            Ask::Pause(length, reply) => {
                let until = length.map(|length| self.clock.now().after(length));
                self.step(Event::Pause(until));
                self.waiting.for_quiet(reply);
            }
            Ask::Resume(reply) if !self.is_paused => drop(reply.send(Settled::default())),
            Ask::Resume(reply) => {
                self.waiting.for_settled(reply);
                self.step(Event::Resume);
            }
        }
    }

    fn overview(&self) -> Overview {
        let now = self.clock.now();
        let mut status = self.controller.status(now);
        status.alarms.extend(self.about.alarms.iter().cloned());
        status.healthy &= status.alarms.is_empty();
        let unix_ms = unix_millis();
        let recent = self.history.newest().take(RECENT).map(|told| Recent {
            seconds_ago: unix_ms.saturating_sub(told.unix_ms) / 1000,
            kind: kind(&told.transition),
            text: words(&told.transition),
        });
        Overview {
            director: self.about.director.clone(),
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            observing: self.about.is_observing,
            up_for: now.since_start().as_secs(),
            config: self.about.config.display().to_string(),
            config_refused: self.about.refused.clone(),
            recent: recent.collect(),
            status,
        }
    }
}
