//! Meets the operator's requests: reads what has to be read, asks the loop, and puts the answer into words.
//!
//! Everything that takes time happens here, in the request's own task, never in the loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Options;
use super::turn::Ask;
use super::waiting::{Settled, Snapshot};
use crate::config::outside::HostView;
use crate::config::sources::{Checked, Sources};
use crate::config::{Config, Director};
use crate::engine::event::Event;
use crate::engine::{plan, settings};
use crate::host::control::Desk;
use crate::host::control::protocol::{Form, Reply, Request, SourceText};
use crate::host::files;
use crate::host::netlink::Kernel;
use crate::host::settings::{Imagined, Keeper};
use crate::host::shadow::Shadow;
use crate::model::setting::SettingKey;
use crate::view;

/// So long an answer of the loop may take that needs no kernel.
const SOON: Duration = Duration::from_secs(10);

/// So long the kernel may take with what a reload wants: a thousand schedulers take some 130 s.
const SETTLE: Duration = Duration::from_secs(600);

/// Where the table can be read beside the loop.
#[derive(Clone, Debug)]
pub(super) enum Tables {
    /// In the kernel.
    Kernel,
    /// In memory.
    Shadow(Shadow, Imagined),
}

impl Tables {
    fn read(&self, keys: &[SettingKey]) -> Result<plan::Kernel, String> {
        match self {
            Self::Shadow(shadow, imagined) => {
                Ok(plan::Kernel { table: shadow.table(), settings: imagined.read(keys) })
            }
            Self::Kernel => {
                let read = Kernel::open().and_then(|mut kernel| kernel.dump(&[]));
                let (table, _) = read.map_err(|error| error.to_string())?;
                Ok(plan::Kernel { table, settings: Keeper::kernel().read(keys)? })
            }
        }
    }
}

/// Whoever meets requests.
#[derive(Debug)]
pub(super) struct Clerk {
    config: PathBuf,
    started_with: Director,
    requests: mpsc::Sender<Ask>,
    tables: Tables,
    /// Reloads one after the other: the last file that was read is the last that is taken.
    reloading: Mutex<()>,
    has_signal: AtomicBool,
}

impl Clerk {
    pub(super) fn new(
        options: &Options,
        config: &Config,
        requests: mpsc::Sender<Ask>,
        tables: Tables,
    ) -> Arc<Self> {
        Arc::new(Self {
            config: options.config.clone(),
            started_with: config.director.clone(),
            requests,
            tables,
            reloading: Mutex::new(()),
            has_signal: AtomicBool::new(false),
        })
    }

    /// A reload that nobody waits for: what comes of it is logged. Signals that come while it runs are one.
    pub(super) fn reload_by_signal(self: Arc<Self>) {
        if self.has_signal.swap(true, Ordering::AcqRel) {
            return;
        }
        tokio::spawn(async move {
            let turn = self.reloading.lock().await;
            self.has_signal.store(false, Ordering::Release);
            drop(turn);
            let reply = self.reload().await;
            match reply.exit {
                0 => tracing::info!("{}", reply.out.trim_end()),
                _ => tracing::debug!("{}", reply.err.trim_end()),
            }
        });
    }

    async fn status(&self, form: Form) -> Reply {
        let (reply, answer) = oneshot::channel();
        let overview = match self.ask(Ask::Status(reply), answer, SOON).await {
            Ok(overview) => overview,
            Err(refused) => return refused,
        };
        let out = match form {
            Form::Text => view::status::text(&overview),
            Form::Json => view::status::json(&overview),
        };
        Reply { exit: u8::from(!overview.status.healthy), out, err: String::new() }
    }

    async fn reload(&self) -> Reply {
        let turn = self.reloading.lock().await;
        let path = self.config.clone();
        let Checked { config, findings } = match spawn_blocking(move || files::load(&path)).await {
            Ok(Ok(checked)) => checked,
            Ok(Err(error)) => {
                self.tell(Ask::ReloadRefused(error.line())).await;
                return Reply::refused(format!(
                    "{error}\n\n{}: refused; the configuration before it stays in force",
                    self.config.display()
                ));
            }
            Err(error) => return Reply::refused(format!("read the configuration: {error}")),
        };
        // A truncated file must not take every service away.
        if config.services.is_empty() {
            let why = format!("{}: it has no services", self.config.display());
            self.tell(Ask::ReloadRefused(why.clone())).await;
            return Reply::refused(format!(
                "{why}: refused; the configuration before it stays in force (to give up all services, stop the daemon with on_stop = \"remove\")"
            ));
        }
        let mut warnings: Vec<String> = findings.all.iter().map(ToString::to_string).collect();
        if findings.hidden > 0 {
            warnings.push(format!("and {} more: see pgvs check", findings.hidden));
        }
        warnings.extend(self.waits_for_a_start(&config));
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let (reply, answer) = oneshot::channel();
        let config = Arc::new(config);
        self.tell(Ask::Reload(config, reply)).await;
        drop(turn);
        let mut reply = match wait(answer, SETTLE).await {
            Ok(settled) => in_words("reloaded", &settled),
            Err(refused) => refused,
        };
        for warning in warnings {
            reply.err.push_str(&format!("warning: {warning}\n"));
        }
        reply
    }

    /// What a running daemon does not change.
    fn waits_for_a_start(&self, config: &Config) -> Vec<String> {
        let (old, new) = (&self.started_with, &config.director);
        let mut later = Vec::new();
        if old.state_dir != new.state_dir {
            later.push("a new state_dir is used from the next start on".to_owned());
        }
        if old.control_socket != new.control_socket {
            later.push("a new control_socket is used from the next start on".to_owned());
        }
        if old.name != new.name {
            later.push("a new name of the director is used from the next start on".to_owned());
        }
        later
    }

    async fn plan(&self, files: Vec<SourceText>) -> Reply {
        let mut sources = Sources::default();
        for SourceText { path, text } in &files {
            sources.add(path, text);
        }
        // What the host looks like is not a client's to ask.
        let config = match sources.check(&HostView::default()) {
            Ok(Checked { config, .. }) => Arc::new(config),
            Err(error) => return Reply::refused(error.to_string()),
        };
        let tables = self.tables.clone();
        let keys = settings::keys(&config);
        let kernel = match spawn_blocking(move || tables.read(&keys)).await {
            Ok(Ok(kernel)) => kernel,
            Ok(Err(why)) => return Reply::refused(why),
            Err(error) => return Reply::refused(format!("read the table: {error}")),
        };
        let (reply, answer) = oneshot::channel();
        let snapshot = match self.ask(Ask::Snapshot(reply), answer, SOON).await {
            Ok(snapshot) => snapshot,
            Err(refused) => return refused,
        };
        let planned = spawn_blocking(move || {
            let Snapshot { controller, now } = snapshot;
            let is_paused = controller.is_paused();
            let event = Event::Reload(Arc::clone(&config));
            let table = kernel.table.clone();
            let ahead = plan::ahead(&controller, kernel, event, now);
            let out = view::plan::text(&config, &table, &ahead);
            let err = if is_paused {
                "paused: nothing is written until `pgvs resume`\n".to_owned()
            } else {
                String::new()
            };
            Reply { exit: u8::from(!ahead.is_empty()), out, err }
        });
        planned.await.unwrap_or_else(|error| Reply::refused(format!("plan: {error}")))
    }

    async fn pause(&self, seconds: Option<u64>) -> Reply {
        let (reply, answer) = oneshot::channel();
        let length = seconds.map(Duration::from_secs);
        match self.ask(Ask::Pause(length, reply), answer, SOON).await {
            Ok(()) => Reply::fine("paused: nothing is written to the kernel; probing goes on\n"),
            Err(refused) => refused,
        }
    }

    async fn resume(&self) -> Reply {
        let (reply, answer) = oneshot::channel();
        match self.ask(Ask::Resume(reply), answer, SETTLE).await {
            Ok(settled) => in_words("resumed", &settled),
            Err(refused) => refused,
        }
    }

    async fn owned(&self) -> Reply {
        let (reply, answer) = oneshot::channel();
        match self.ask(Ask::Snapshot(reply), answer, SOON).await {
            Ok(Snapshot { controller, .. }) => {
                let lines = controller.owned().into_iter().map(|key| format!("{key}\n"));
                Reply { exit: 0, out: lines.collect(), err: String::new() }
            }
            Err(refused) => refused,
        }
    }

    async fn ask<T>(
        &self,
        ask: Ask,
        answer: oneshot::Receiver<T>,
        limit: Duration,
    ) -> Result<T, Reply> {
        self.tell(ask).await;
        wait(answer, limit).await
    }

    async fn tell(&self, ask: Ask) {
        // A loop that has ended answers nobody, which is seen where the answer is waited for.
        drop(self.requests.send(ask).await);
    }
}

async fn wait<T>(answer: oneshot::Receiver<T>, limit: Duration) -> Result<T, Reply> {
    match timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Reply::refused("the daemon is ending")),
        Err(_) => Err(Reply::refused(format!("no answer within {limit:?}: see pgvs status"))),
    }
}

/// What came of something that writes to the kernel.
fn in_words(done: &str, settled: &Settled) -> Reply {
    let changes = match settled.changes {
        0 => "nothing to write".to_owned(),
        1 => "1 change written".to_owned(),
        changes => format!("{changes} changes written"),
    };
    if let Some(why) = &settled.failed {
        return Reply::refused(format!(
            "{done}, and {changes} so far: {why}; it is tried again and again"
        ));
    }
    if !settled.refused.is_empty() {
        let refused = settled.refused.join("\n");
        return Reply::refused(format!("{refused}\n{done}, {changes}, the rest is tried again"));
    }
    let paused = if settled.is_paused { " (paused: see pgvs resume)" } else { "" };
    Reply::fine(format!("{done}: {changes}{paused}\n"))
}

impl Desk for Clerk {
    async fn meet(&self, request: Request) -> Reply {
        match request {
            Request::Status { form } => self.status(form).await,
            Request::Reload {} => self.reload().await,
            Request::Plan { files } => self.plan(files).await,
            Request::Pause { seconds } => self.pause(seconds).await,
            Request::Resume {} => self.resume().await,
            Request::Owned {} => self.owned().await,
        }
    }
}
