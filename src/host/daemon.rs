//! The daemon: makes sure that it may run, starts the owners of effects, and turns the loop until it is told to stop.
//!
//! Whatever stands in the way of a start is found before anything is written to the kernel.

mod desk;
mod kernel;
mod turn;
mod waiting;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;

use super::clock::{Clock, unix_millis};
use super::control::{self, ControlSocket};
use super::effects::{self, Effects};
use super::lock::{self, NamespaceLock};
use super::netlink::thread::Answer;
use super::probe::{Prober, Report};
use super::settings::{Imagined, Keeper, Wish};
use super::shadow::Shadow;
use super::signals::Signals;
use super::state::{self, Identity, Loaded, Moment, Note, StateFile};
use super::{files, netlink, settings};
use crate::config::Config;
use crate::config::sources::Checked;
use crate::engine::controller::Controller;
use crate::engine::event::Event;
use crate::engine::memory::Memory;
use desk::{Clerk, Tables};
use turn::{Daemon, Inputs};

/// Events of the kernel and the state file that may wait. There are never more than three under way.
const EVENTS: usize = 64;

/// Reports of probes that may wait; a full queue loses pulses, which repeat themselves.
const REPORTS: usize = 4096;

/// Requests of operators that may wait.
const REQUESTS: usize = 32;

/// Threads for probes and sockets; the loop, the kernel and the disk have their own.
const WORKERS: usize = 2;

/// So long the end waits for the state file to be written.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// How the daemon is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration's main file.
    pub config: PathBuf,
    /// Probe and decide, and write nothing anywhere.
    pub observe: bool,
    /// The control socket, in the place of the configuration's; when observing there is one only if it is named.
    pub socket: Option<PathBuf>,
}

/// Runs until a signal ends it. An error means that it could not go on.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let clock = Clock::start();
    let Checked { config, findings } = files::load(&options.config)?;
    for finding in &findings.all {
        tracing::warn!("{finding}");
    }
    if findings.hidden > 0 {
        tracing::warn!("and {} more warnings: see pgvs check", findings.hidden);
    }
    let config = Arc::new(config);
    let ground = if options.observe {
        Ground::observing(options)?
    } else {
        Ground::take(options, &config, clock)?
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("worker")
        .enable_all()
        .build()
        .context("start the threads for probes and sockets")?;
    let result = runtime.block_on(live(options, config, ground, clock));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// What has to be had before anything may be written.
struct Ground {
    /// Held until the end.
    _lock: Option<NamespaceLock>,
    socket: Option<ControlSocket>,
    /// `None` when observing.
    own: Option<OwnGround>,
    memory: Memory,
    alarms: Vec<String>,
}

/// What only a daemon that writes has.
struct OwnGround {
    kernel: netlink::Kernel,
    state: StateFile,
    identity: Identity,
}

impl Ground {
    fn observing(options: &Options) -> anyhow::Result<Self> {
        let socket = options.socket.as_deref().map(ControlSocket::bind).transpose()?;
        if socket.is_none() {
            tracing::info!(
                "observing without a control socket: name one with --socket for `pgvs status`"
            );
        }
        Ok(Self { _lock: None, socket, own: None, memory: Memory::default(), alarms: Vec::new() })
    }

    /// What fails has changed nothing in the kernel.
    fn take(options: &Options, config: &Config, clock: Clock) -> anyhow::Result<Self> {
        let lock = lock::take()?;
        let state = StateFile::open(&config.director.state_dir)?;
        let path: &Path = options.socket.as_deref().unwrap_or(&config.director.control_socket);
        let socket = ControlSocket::bind(path)?;
        let identity = Identity::read()?;
        let kernel = kernel::open()?;
        let mut alarms = Vec::new();
        let moment = Moment { now: clock.now(), unix_ms: unix_millis() };
        let Loaded { memory, note } = state.load(&identity, moment);
        match note {
            Some(Note::Alarm(text)) => {
                tracing::error!("{text}");
                alarms.push(text);
            }
            Some(Note::Void(text)) => tracing::warn!("{text}"),
            None => (),
        }
        let own = Some(OwnGround { kernel, state, identity });
        Ok(Self { _lock: Some(lock), socket: Some(socket), own, memory, alarms })
    }
}

/// The threads that own effects.
struct Threads {
    effects: Effects,
    tables: Tables,
    state: Option<JoinHandle<()>>,
}

/// The loop with everything around it.
async fn live(
    options: &Options,
    config: Arc<Config>,
    mut ground: Ground,
    clock: Clock,
) -> anyhow::Result<()> {
    let signals = Signals::new().context("take signals")?;
    let (events, waiting_events) = mpsc::channel(EVENTS);
    let (reports, waiting_reports) = mpsc::channel(REPORTS);
    let (requests, waiting_requests) = mpsc::channel(REQUESTS);
    let threads = start_threads(ground.own.take(), clock, &events, reports)?;
    let clerk = Clerk::new(options, &config, requests, threads.tables);
    if let Some(socket) = &mut ground.socket
        && let Some(listener) = socket.take_listener()
    {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let path = socket.path().to_owned();
        tokio::spawn(control::serve(listener, path, Arc::clone(&clerk)));
    }
    tracing::info!(
        "pgvs {} {}: {} services, {} pools, from {}",
        env!("CARGO_PKG_VERSION"),
        if options.observe { "observes" } else { "starts" },
        config.services.len(),
        config.pools.len(),
        options.config.display()
    );
    let inputs = Inputs {
        events: waiting_events,
        reports: waiting_reports,
        requests: waiting_requests,
        signals,
    };
    let controller = Controller::new(Arc::clone(&config), ground.memory, clock.now());
    let mut daemon = Daemon::new(controller, clock, threads.effects, clerk, inputs);
    daemon.introduce(options, &config, ground.alarms);
    let (result, effects) = daemon.turn().await;
    effects.close().await;
    if let Some(thread) = threads.state {
        let joined = tokio::task::spawn_blocking(move || thread.join());
        if tokio::time::timeout(LAST_WRITE, joined).await.is_err() {
            tracing::error!("the state file could not be written in time");
        }
    }
    tracing::info!("pgvs ends; the kernel goes on");
    result
}

fn start_threads(
    own: Option<OwnGround>,
    clock: Clock,
    events: &mpsc::Sender<Event>,
    reports: mpsc::Sender<Report>,
) -> anyhow::Result<Threads> {
    let prober = Prober::new(clock.started(), reports)?;
    let mouth = events.clone();
    // The netlink thread waits where the queue is full; the loop never waits for it, so neither waits for ever.
    let answer = move |answer: Answer| {
        if let Some(event) = effects::event(answer) {
            // An answer that nobody waits for any more is none.
            drop(mouth.blocking_send(event));
        }
    };
    let Some(OwnGround { kernel, state, identity }) = own else {
        let (shadow, imagined) = (Shadow::default(), Imagined::default());
        let (jobs, _) = shadow.clone().spawn(answer).context("start the shadow's thread")?;
        let wishes = start_settings(Keeper::Memory(imagined.clone()), events)?;
        let effects = Effects::new(jobs, wishes, None, prober);
        return Ok(Threads { effects, tables: Tables::Shadow(shadow, imagined), state: None });
    };
    let wishes = start_settings(Keeper::kernel(), events)?;
    let (jobs, _) = netlink::thread::spawn(kernel, answer).context("start the netlink thread")?;
    let mouth = events.clone();
    let saved = move |result: Result<(), String>| {
        drop(mouth.blocking_send(Event::StateSaved(result.map_err(Into::into))));
    };
    let (memories, thread) = state::spawn(state, identity, clock, saved)
        .context("start the thread of the state file")?;
    let effects = Effects::new(jobs, wishes, Some(memories), prober);
    Ok(Threads { effects, tables: Tables::Kernel, state: Some(thread) })
}

fn start_settings(
    keeper: Keeper,
    events: &mpsc::Sender<Event>,
) -> anyhow::Result<SyncSender<Wish>> {
    let mouth = events.clone();
    let answer = move |event: Event| drop(mouth.blocking_send(event));
    let (wishes, _) =
        settings::spawn(keeper, answer).context("start the thread of the settings")?;
    Ok(wishes)
}
