//! The engine's actions, each handed to the thread or task that owns the effect; nothing here waits.
//!
//! Results come back as events. What is under way is counted, because some answers to the operator have to wait
//! for it; nothing else is remembered.

mod told;

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::command::Commands;
use super::netlink::thread::{Answer, Job};
use super::probe::{Probe, ProbeSpec, Prober};
use super::settings::Wish;
use crate::engine::event::{Action, Event};
use crate::engine::evidence::ProbeId;
use crate::engine::memory::Memory;
pub use told::{History, Told, kind, words};

/// So long the end of the daemon waits for the probes' sessions to be closed.
const HANG_UP: Duration = Duration::from_secs(1);

/// Everything that actions need.
pub struct Effects {
    kernel: SyncSender<Job>,
    settings: SyncSender<Wish>,
    /// `None`: nothing is written down.
    state: Option<SyncSender<Memory>>,
    /// `None`: no command is run.
    commands: Option<Commands>,
    prober: Prober,
    probes: BTreeMap<ProbeId, Probe>,
    /// Results that were there at once.
    own: VecDeque<Event>,
    is_kernel_busy: bool,
    is_setting: bool,
    is_saving: bool,
    broken: Option<&'static str>,
}

impl Effects {
    /// Effects on these threads; without `state` memories count as saved, and no command of the operator's is run.
    pub fn new(
        kernel: SyncSender<Job>,
        settings: SyncSender<Wish>,
        state: Option<SyncSender<Memory>>,
        prober: Prober,
    ) -> Self {
        Self {
            kernel,
            settings,
            // Whoever writes nothing runs nothing.
            commands: state.as_ref().map(|_| Commands::default()),
            state,
            prober,
            probes: BTreeMap::new(),
            own: VecDeque::new(),
            is_kernel_busy: false,
            is_setting: false,
            is_saving: false,
            broken: None,
        }
    }

    /// Starts what an action asks for and returns at once. Reports and the engine's words to the daemon itself
    /// (`Report`, `Settled`, `Stopped`) are the daemon's own business and come back.
    pub fn start(&mut self, action: Action) -> Option<Action> {
        match action {
            Action::Dump { confirm } => self.ask_kernel(Job::Dump { confirm }),
            Action::Check => self.ask_kernel(Job::Check),
            Action::Apply(ops) => self.ask_kernel(Job::Apply(ops)),
            Action::ReadSettings(keys) => self.ask_settings(Wish::Read(keys)),
            Action::Set(settings) => self.ask_settings(Wish::Set(settings)),
            Action::SaveState(memory) => self.save(memory),
            Action::Run(command) => match &self.commands {
                Some(commands) => commands.run(command),
                None => tracing::info!("{command} would be run"),
            },
            Action::StartProbe { probe: id, address, settings } => {
                let probe = self.prober.start(ProbeSpec { id, address, settings });
                self.probes.insert(id, probe);
            }
            Action::StopProbe(id) => {
                if let Some(probe) = self.probes.remove(&id) {
                    // It closes its session in its own time.
                    drop(tokio::spawn(probe.stop()));
                }
            }
            Action::Pace(id, pace) => self.with_probe(id, |probe| probe.pace(pace)),
            Action::ProbeNow(id) => self.with_probe(id, Probe::probe_now),
            Action::HangUp(id) => self.with_probe(id, Probe::hang_up),
            Action::Report(_) | Action::Settled | Action::Stopped => return Some(action),
        }
        None
    }

    /// A result that was there at once.
    pub fn take_own(&mut self) -> Option<Event> {
        self.own.pop_front()
    }

    /// Notes what an event ends, before the engine takes it.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Dumped(..) | Event::Checked(_) | Event::Applied(_) | Event::KernelFailed(_) => {
                self.is_kernel_busy = false;
            }
            Event::SettingsRead(_) | Event::SettingsApplied(_) => self.is_setting = false,
            Event::StateSaved(_) => self.is_saving = false,
            Event::Tick
            | Event::Probe { .. }
            | Event::Reload(_)
            | Event::Pause(_)
            | Event::Resume
            | Event::Stop => (),
        }
    }

    /// Whether neither the kernel nor the state file is being written or read.
    pub const fn is_idle(&self) -> bool {
        !self.is_kernel_busy && !self.is_setting && !self.is_saving
    }

    /// A thread of ours that is gone, which only a mistake of ours can do: a restart mends it.
    pub const fn broken(&self) -> Option<&'static str> {
        self.broken
    }

    /// Ends the probes and lets go of the threads, which end when they have done what they were told.
    pub async fn close(self) {
        let mut ending = JoinSet::new();
        for probe in self.probes.into_values() {
            ending.spawn(probe.stop());
        }
        let all = async { while ending.join_next().await.is_some() {} };
        if tokio::time::timeout(HANG_UP, all).await.is_err() {
            tracing::debug!("some sessions of probes could not be closed in time");
        }
    }

    fn ask_kernel(&mut self, job: Job) {
        match self.kernel.try_send(job) {
            Ok(()) => self.is_kernel_busy = true,
            // There is never more than one job under way.
            Err(TrySendError::Full(_)) => {
                self.own.push_back(Event::KernelFailed("the netlink thread is busy".into()));
            }
            Err(TrySendError::Disconnected(_)) => {
                self.broken = Some("the netlink thread has ended");
            }
        }
    }

    fn ask_settings(&mut self, wish: Wish) {
        match self.settings.try_send(wish) {
            Ok(()) => self.is_setting = true,
            // There is never more than one wish under way.
            Err(TrySendError::Full(_)) => {
                let why = "the thread of the settings is busy".into();
                self.own.push_back(Event::SettingsRead(Err(why)));
            }
            Err(TrySendError::Disconnected(_)) => {
                self.broken = Some("the thread of the settings has ended");
            }
        }
    }

    fn save(&mut self, memory: Memory) {
        let Some(state) = &self.state else {
            self.own.push_back(Event::StateSaved(Ok(())));
            return;
        };
        match state.try_send(memory) {
            Ok(()) => self.is_saving = true,
            Err(TrySendError::Full(_)) => {
                let why = "the state file is still being written".into();
                self.own.push_back(Event::StateSaved(Err(why)));
            }
            Err(TrySendError::Disconnected(_)) => {
                self.broken = Some("the thread of the state file has ended");
            }
        }
    }

    fn with_probe(&self, id: ProbeId, order: impl FnOnce(&Probe)) {
        if let Some(probe) = self.probes.get(&id) {
            order(probe);
        }
    }
}

/// What the engine learns from an answer of the kernel; the other answers are asked for by nobody here.
pub fn event(answer: Answer) -> Option<Event> {
    let failed = |error: super::netlink::KernelError| Event::KernelFailed(error.to_string().into());
    match answer {
        Answer::Dumped(result) => {
            Some(result.map_or_else(failed, |(table, counters)| Event::Dumped(table, counters)))
        }
        Answer::Checked(result) => Some(result.map_or_else(failed, Event::Checked)),
        Answer::Applied { ops, outcomes } => Some(outcomes.map_or_else(failed, |outcomes| {
            Event::Applied(ops.into_iter().zip(outcomes).collect())
        })),
        Answer::Info(_) => None,
    }
}
