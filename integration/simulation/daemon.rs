//! The simulated daemon: the loop around the real engine, its bounded queue, its life and death.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pgvs::config::Config;
use pgvs::engine::controller::Controller;
use pgvs::engine::event::{Action, Event, Transition};
use pgvs::engine::evidence::{Observation, ProbeId};
use pgvs::engine::health::Condition;
use pgvs::engine::memory::{Memory, Pause};
use pgvs::model::service::ServiceKey;
use pgvs::time::Time;

use crate::jobs::Job;
use crate::prober::Prober;
use crate::world::{At, MS, SECOND, What, World};

/// Reports that wait while the loop stands still; a pulse more is dropped, as a newer one will come.
const QUEUE: usize = 256;

pub(crate) struct Daemon {
    pub(crate) controller: Controller,
    /// When it was started.
    pub(crate) base: At,
    pub(crate) life: u64,
    pub(crate) steps: u64,
    queue: VecDeque<Event>,
    pub(crate) stall: Option<Stall>,
    /// When it went on after a long stall.
    went_on: Option<At>,
    pub(crate) probers: BTreeMap<ProbeId, Prober>,
    pub(crate) last_report: BTreeMap<ProbeId, At>,
    pub(crate) job: Option<Job>,
    /// What is being written to the state file.
    saving: Option<Memory>,
    /// Services in state files that were written, or could not be.
    pub(crate) durable: BTreeSet<ServiceKey>,
    pub(crate) config: Arc<Config>,
    /// Until when the operator wants nothing written.
    pub(crate) paused_until: At,
    pub(crate) is_stopping: bool,
    /// Whether `Settled` was the last word about the table.
    pub(crate) is_settled: bool,
    /// Transactions so far.
    pub(crate) transactions: u64,
    /// Steps without an event in the second that began then.
    idle: (At, u64),
    /// Steps at this very moment.
    standing: (At, u64),
}

#[derive(Clone, Copy)]
pub(crate) struct Stall {
    pub(crate) until: At,
    /// Whether probers and the kernel's thread stand still as well.
    pub(crate) is_whole: bool,
}

/// The state file, with moments of the world instead of the daemon's.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) memory: Memory,
    pub(crate) is_full: bool,
    /// Something was forgotten with a daemon that could not write it.
    pub(crate) has_lost: bool,
    pub(crate) is_slow: bool,
}

impl Disk {
    /// A daemon that took these services for its own is gone.
    fn forget(&mut self, durable: &BTreeSet<ServiceKey>) {
        self.has_lost |= *durable != self.memory.owned || self.is_full;
    }
}

fn time(at: At) -> Time {
    Time::new(Duration::from_micros(at))
}

pub(crate) fn micros(time: Time) -> At {
    u64::try_from(time.since_start().as_micros()).unwrap()
}

/// The same memory with other moments.
fn moved(memory: &Memory, shift: impl Fn(At) -> At) -> Memory {
    let shift = |at: Time| time(shift(micros(at)));
    let draining = memory.draining.iter().map(|(&key, &at)| (key, shift(at)));
    let paused = memory.paused.map(|pause| Pause { until: pause.until.map(&shift) });
    let sync_daemons = memory.sync_daemons.clone();
    Memory {
        owned: memory.owned.clone(),
        draining: draining.collect(),
        paused,
        writers: memory.writers.clone(),
        sync_daemons,
    }
}

impl World {
    pub(crate) fn daemon_time(&self) -> Time {
        time(self.now - self.daemon.as_ref().map_or(self.now, |daemon| daemon.base))
    }

    /// So much longer everything of the daemon's process stands still.
    pub(crate) fn standstill(&self) -> Option<At> {
        let stall = self.daemon.as_ref()?.stall?;
        (stall.is_whole && stall.until > self.now).then_some(stall.until - self.now)
    }

    /// Starts the daemon with the config file and the state file as they are.
    pub(crate) fn start(&mut self) {
        self.lives += 1;
        let base = self.now;
        let memory = moved(&self.disk.memory, |at| at.saturating_sub(base));
        self.note(format!("the daemon starts, owning {} services", memory.owned.len()));
        let durable = memory.owned.clone();
        let paused_until = match memory.paused {
            Some(Pause { until }) => until.map_or(At::MAX, |until| base + micros(until)),
            None => 0,
        };
        self.daemon = Some(Daemon {
            controller: Controller::new(Arc::clone(&self.config), memory, Time::ZERO),
            base,
            life: self.lives,
            steps: 0,
            queue: VecDeque::new(),
            stall: None,
            went_on: None,
            probers: BTreeMap::new(),
            last_report: BTreeMap::new(),
            job: None,
            saving: None,
            durable,
            config: Arc::clone(&self.config),
            paused_until,
            is_stopping: false,
            is_settled: false,
            transactions: 0,
            idle: (base, 0),
            standing: (base, 0),
        });
        self.watch_start();
        self.plan_wake();
    }

    /// The daemon is killed; a transaction under way may still be carried out by the kernel.
    pub(crate) fn kill(&mut self) {
        let Some(daemon) = self.daemon.take() else {
            return;
        };
        self.note("the daemon is killed".into());
        self.disk.forget(&daemon.durable);
        if let Some(Job::Apply { ops, .. }) = daemon.job
            && self.rng.bool()
        {
            for op in ops {
                // Nobody is left to be told what the kernel says.
                self.carry_out(&op).unwrap_or_default();
            }
        }
    }

    pub(crate) fn arrive(&mut self, life: u64, event: Event) {
        let Some(daemon) = self.daemon.as_mut().filter(|daemon| daemon.life == life) else {
            return;
        };
        if daemon.stall.is_some() {
            let is_pulse = matches!(event, Event::Probe { observation: Observation::Pulse(_), .. });
            if daemon.queue.len() < QUEUE || !is_pulse {
                daemon.queue.push_back(event);
            }
            return;
        }
        self.step(event);
    }

    pub(crate) fn wake(&mut self, number: u64) {
        let Some(daemon) = &self.daemon else { return };
        if daemon.stall.is_none() && (daemon.life << 32 | daemon.steps) == number {
            self.step(Event::Tick);
        }
    }

    /// Puts the loop, or the whole process, to sleep.
    pub(crate) fn stall(&mut self, time: At, is_whole: bool) {
        if let Some(daemon) = &mut self.daemon {
            let life = daemon.life;
            let earlier = daemon.stall.map_or(0, |stall| stall.until);
            let until = earlier.max(self.now + time);
            daemon.stall = Some(Stall { until, is_whole });
            daemon.went_on = (time > SECOND).then_some(until);
            self.note(format!("stall of {} ms, whole: {is_whole}", time / MS));
            self.watch_disturbed(until);
            self.after(time, What::GoOn(life));
        }
    }

    pub(crate) fn go_on(&mut self, life: u64) {
        let now = self.now;
        let Some(daemon) = self.daemon.as_mut().filter(|daemon| daemon.life == life) else {
            return;
        };
        if daemon.stall.is_none_or(|stall| stall.until > now) {
            return;
        }
        daemon.stall = None;
        let waiting = std::mem::take(&mut daemon.queue);
        self.note(format!("the daemon goes on, {} events waited", waiting.len()));
        if waiting.is_empty() {
            self.step(Event::Tick);
        }
        for event in waiting {
            self.step(event);
        }
    }

    /// One turn of the daemon's loop.
    pub(crate) fn step(&mut self, event: Event) {
        let Some(life) = self.daemon.as_ref().map(|daemon| daemon.life) else {
            return;
        };
        self.count_step(matches!(event, Event::Tick));
        self.watch_event(&event);
        let now = self.daemon_time();
        let daemon = self.daemon.as_mut().unwrap();
        if matches!(
            event,
            Event::Dumped(..) | Event::Checked(_) | Event::Applied(_) | Event::KernelFailed(_)
        ) {
            daemon.job = None;
        }
        let actions = daemon.controller.step(event, now);
        for action in actions {
            self.act(action);
            if self.daemon.as_ref().is_none_or(|daemon| daemon.life != life) {
                return;
            }
        }
        self.plan_wake();
    }

    fn plan_wake(&mut self) {
        let now = self.now;
        let jitter = self.rng.u64(0..1_500);
        let Some(daemon) = &self.daemon else { return };
        let number = daemon.life << 32 | daemon.steps;
        let Some(deadline) = daemon.controller.next_deadline() else {
            return;
        };
        let due = daemon.base + micros(deadline);
        let wait = if due <= now { 0 } else { due - now + jitter };
        self.after(wait, What::Wake(number));
    }

    /// No busy loop: few steps without an event, and never many at one moment.
    fn count_step(&mut self, is_tick: bool) {
        let now = self.now;
        let daemon = self.daemon.as_mut().unwrap();
        daemon.steps += 1;
        if now - daemon.idle.0 >= SECOND {
            daemon.idle = (now, 0);
        }
        daemon.idle.1 += u64::from(is_tick);
        if daemon.standing.0 != now || !is_tick {
            daemon.standing = (now, 0);
        }
        daemon.standing.1 += 1;
        let (idle, standing) = (daemon.idle.1, daemon.standing.1);
        if idle > 150 || standing > 8 {
            self.fail(&format!("busy loop: {idle} ticks in a second, {standing} at one moment"));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::StartProbe { probe, address, settings } => {
                self.start_probe(probe, address, settings);
            }
            Action::StopProbe(probe) => {
                self.daemon.as_mut().unwrap().probers.remove(&probe);
            }
            Action::Pace(probe, pace) => self.set_pace(probe, pace),
            Action::ProbeNow(probe) => self.fresh_in(probe, 0),
            Action::HangUp(probe) => self.hang_up(probe),
            Action::Dump { confirm } => self.begin_dump(confirm),
            Action::Check => self.begin_check(),
            Action::Apply(ops) => self.begin_apply(ops),
            Action::ReadSettings(keys) => {
                let event = match self.troubles.is_kernel_gone {
                    true => Event::SettingsRead(Err("the kernel has no IPVS".into())),
                    false => self.settings.read(&keys),
                };
                self.answer_settings(event);
            }
            Action::Set(settings) => {
                let event = self.settings.set(settings);
                self.answer_settings(event);
            }
            Action::SaveState(memory) => self.begin_save(memory),
            Action::Run(command) => {
                self.note(format!(
                    "runs: {} of {}, {} of {}",
                    command.argv.join(" "),
                    command.service,
                    command.able,
                    command.needed
                ));
            }
            Action::Report(transition) => {
                if let Transition::Late(by) = transition {
                    self.watch_late(by);
                }
                if let Transition::Condition {
                    from: Condition::Up,
                    to: Condition::Suspect | Condition::Lost,
                    ..
                } = &transition
                {
                    self.watch_blame();
                }
                if let Transition::Writer { pool, timeline: Some(timeline), .. } = &transition {
                    self.watch.ears.newest.insert(pool.clone(), *timeline);
                }
                self.note(format!("says: {transition}"));
            }
            Action::Settled => {
                self.note("settled".into());
                self.daemon.as_mut().unwrap().is_settled = true;
            }
            Action::Stopped => {
                self.note("stopped".into());
                self.watch_stopped();
                if let Some(daemon) = self.daemon.take() {
                    self.disk.forget(&daemon.durable);
                }
            }
        }
    }

    /// Nobody is to blame for time in which the daemon stood still.
    fn watch_blame(&self) {
        let went_on = self.daemon.as_ref().and_then(|daemon| daemon.went_on);
        if went_on.is_some_and(|at| self.now >= at && self.now < at + 140 * MS) {
            self.fail("a server is blamed for silence while the daemon stood still");
        }
    }

    fn begin_save(&mut self, memory: Memory) {
        let daemon = self.daemon.as_ref().unwrap();
        let (life, base) = (daemon.life, daemon.base);
        if daemon.saving.is_some() {
            self.fail("the state file is written while it is being written");
        }
        let memory = moved(&memory, |at| at + base);
        self.daemon.as_mut().unwrap().saving = Some(memory);
        let wait = match self.disk.is_slow {
            true => self.rng.u64(200 * MS..3 * SECOND),
            false => self.about(300, 30 * MS),
        };
        self.after(wait, What::Saved(life));
    }

    pub(crate) fn saved(&mut self, life: u64) {
        if let Some(wait) = self.standstill() {
            self.after(wait, What::Saved(life));
            return;
        }
        let Some(daemon) = self.daemon.as_mut().filter(|daemon| daemon.life == life) else {
            return;
        };
        let Some(memory) = daemon.saving.take() else {
            return;
        };
        daemon.durable = memory.owned.clone();
        let result = if self.disk.is_full {
            Err("the state file could not be written: no space left on device".into())
        } else {
            self.disk.memory = memory;
            Ok(())
        };
        self.note(format!("state saved: {result:?}"));
        self.arrive(life, Event::StateSaved(result));
    }

    pub(crate) fn reload(&mut self, config: Config) {
        self.config = Arc::new(config);
        self.watch_disturbed(self.now + 3 * SECOND);
        let Some(life) = self.daemon.as_ref().map(|daemon| daemon.life) else {
            return;
        };
        self.arrive(life, Event::Reload(Arc::clone(&self.config)));
    }
}
