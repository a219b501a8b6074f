//! The world around the engine in simulated time: an agenda of things to come, and whoever they happen to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;
use pgvs::config::Config;
use pgvs::engine::event::Event;
use pgvs::engine::evidence::{ProbeId, ServerError};

use crate::cluster::{self, Server, Stage};
use crate::daemon::{Daemon, Disk};
use crate::faults::Troubles;
use crate::kernel::Kernel;
use crate::settings::Settings;
use crate::watch::Watch;

pub(crate) use crate::kernel::At;
pub(crate) const MS: At = 1_000;
pub(crate) const SECOND: At = 1_000 * MS;

/// What is going to happen.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// The daemon's deadline, as it was told at the numbered step.
    Wake(u64),
    /// Something reaches the daemon of the numbered life.
    Arrive(u64, Event),
    /// The next change of the kernel job under way.
    Job(u64),
    /// The state file is written.
    Saved(u64),
    /// A probe's kept session asks; the session's and the beat's numbers.
    Ask(ProbeId, u64, u64),
    /// The answer to it is due.
    Answer(ProbeId, u64),
    /// A probe's fresh connection is due.
    Fresh(ProbeId, u64),
    /// What became of the fresh connection that began then.
    FreshResult(ProbeId, u64, At),
    /// The server ends a kept session.
    SessionEnds(ProbeId, u64, Option<ServerError>),
    /// A server goes on to another stage, if nothing else was planned meanwhile.
    Stage(usize, u64, Stage),
    /// The daemon goes on after a stall.
    GoOn(u64),
    /// The daemon is started again.
    Start,
    /// Clients come and go.
    Clients,
    /// Something breaks.
    Fault,
    /// A trouble that has a term is over.
    Relief(crate::faults::Relief),
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) now: At,
    agenda: BTreeMap<(At, u64), What>,
    next: u64,
    pub(crate) kernel: Kernel,
    /// What is set in the kernel beside its table.
    pub(crate) settings: Settings,
    pub(crate) servers: Vec<Server>,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) lives: u64,
    pub(crate) disk: Disk,
    /// The config file.
    pub(crate) config: Arc<Config>,
    pub(crate) troubles: Troubles,
    pub(crate) watch: Watch,
    history: VecDeque<String>,
}

impl World {
    /// A healthy world with that config, before the daemon starts.
    pub(crate) fn new(seed: u64, config: Config) -> Self {
        let mut world = Self {
            seed,
            rng: Rng::with_seed(seed),
            now: 0,
            agenda: BTreeMap::new(),
            next: 0,
            kernel: Kernel::default(),
            settings: Settings::default(),
            servers: cluster::servers(),
            daemon: None,
            lives: 0,
            disk: Disk::default(),
            config: Arc::new(config),
            troubles: Troubles::default(),
            watch: Watch::default(),
            history: VecDeque::new(),
        };
        world.after(0, What::Clients);
        world
    }

    pub(crate) fn after(&mut self, wait: At, what: What) {
        self.next += 1;
        self.agenda.insert((self.now + wait, self.next), what);
    }

    /// A random wait, in microseconds: mostly near the lower end.
    pub(crate) fn about(&mut self, low: At, high: At) -> At {
        let share = self.rng.f64().powi(4);
        low + ((high - low) as f64 * share) as At
    }

    /// Lets happen what happens until `end`.
    pub(crate) fn run_until(&mut self, end: At) {
        while let Some((&(at, number), _)) = self.agenda.first_key_value()
            && at <= end
        {
            let what = self.agenda.remove(&(at, number)).unwrap();
            self.now = at;
            self.happen(what);
        }
        self.now = end;
    }

    pub(crate) fn run_for(&mut self, time: At) {
        self.run_until(self.now + time);
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Wake(number) => self.wake(number),
            What::Arrive(life, event) => self.arrive(life, event),
            What::Job(life) => self.job(life),
            What::Saved(life) => self.saved(life),
            What::Ask(probe, session, beat) => self.ask(probe, session, beat),
            What::Answer(probe, session) => self.answer(probe, session),
            What::Fresh(probe, number) => self.fresh(probe, number),
            What::FreshResult(probe, number, began) => self.fresh_result(probe, number, began),
            What::SessionEnds(probe, session, word) => self.session_ends(probe, session, word),
            What::Stage(server, plan, stage) => self.staged(server, plan, stage),
            What::GoOn(life) => self.go_on(life),
            What::Start => {
                if self.daemon.is_none() {
                    self.start();
                }
            }
            What::Clients => self.clients(),
            What::Fault => self.fault(),
            What::Relief(relief) => self.relieve(relief),
        }
    }

    /// Remembers a line for the message of a failure.
    pub(crate) fn note(&mut self, line: String) {
        if std::env::var_os("SIM_TRACE").is_some() {
            eprintln!("{:>12.6} {line}", self.now as f64 / 1e6);
        }
        if self.history.len() >= 60 {
            self.history.pop_front();
        }
        self.history.push_back(format!("{:>12.6} {line}", self.now as f64 / 1e6));
    }

    /// Ends the run: what must never happen has happened.
    #[track_caller]
    pub(crate) fn fail(&self, what: &str) -> ! {
        let steps = self.daemon.as_ref().map_or(0, |daemon| daemon.steps);
        let at = self.now as f64 / 1e6;
        let last: Vec<&str> = self.history.iter().map(String::as_str).collect();
        panic!(
            "{what}\nat {at:.6} s, step {steps} of the daemon's life {}; the last events and actions:\n{}\n\
             again: SIM_SEED={} cargo test --test simulation",
            self.lives,
            last.join("\n"),
            self.seed
        );
    }

    /// New clients at every usable destination; those at the others leave in their own time.
    fn clients(&mut self) {
        let now = self.now;
        for service in self.kernel.services.values_mut() {
            for destination in service.destinations.values_mut() {
                destination.sessions.retain(|&end| end > now);
                let may_come = destination.destination.weight.is_usable();
                if may_come && destination.sessions.len() < 5 && self.rng.u8(0..4) == 0 {
                    destination.sessions.push(now + self.rng.u64(100 * MS..12 * SECOND));
                }
            }
        }
        self.after(100 * MS, What::Clients);
    }
}
