//! Logs: text or JSON lines to standard error, by a thread of their own.
//!
//! Whoever reads the log may be slow, stopped or gone: lines are dropped and counted then, and nobody waits.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{self, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// So many lines may wait for the reader of the log.
const QUEUE: usize = 4096;

/// So long the end of the process waits for the last lines.
const FLUSH: Duration = Duration::from_secs(1);

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object for each line.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is none.
    #[error(
        "log level {0:?} is not understood: one of error, warn, info, debug, trace, or a list like \"info,pgvs=debug\""
    )]
    Level(String),
    /// The thread could not be started.
    #[error("start the thread that writes the log: {0}")]
    Thread(#[from] io::Error),
    /// There is a log already.
    #[error("set up the log: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Writes what waits when it is dropped.
#[derive(Debug)]
pub struct Log {
    lines: SyncSender<Line>,
    done: Receiver<()>,
}

#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    End,
}

/// Sends everything that is logged from here on to standard error.
pub fn start(format: Format, level: &str) -> Result<Log, LogError> {
    // A word that is no level would be taken for a program part, and silence everything else.
    let is_known = |part: &str| part.contains('=') || LevelFilter::from_str(part).is_ok();
    let filter = match Targets::from_str(level) {
        Ok(filter) if level.split(',').all(|part| is_known(part.trim())) => filter,
        Ok(_) | Err(_) => return Err(LogError::Level(level.to_owned())),
    };
    let (outlet, log) = spawn(io::stderr())?;
    let is_terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(outlet)
        .with_ansi(is_terminal && std::env::var_os("NO_COLOR").is_none())
        .log_internal_errors(false);
    let text = || debug_fn(|line, field, value| words(line, field.name(), value));
    let layer = match format {
        Format::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
        // The journal notes the time itself.
        Format::Text if std::env::var_os("JOURNAL_STREAM").is_some() && !is_terminal => {
            lines.with_target(false).fmt_fields(text()).without_time().boxed()
        }
        Format::Text => lines.with_target(false).fmt_fields(text()).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    Ok(log)
}

/// One field of a line for people: `kind` is for programs, and says nothing that the words do not.
fn words(line: &mut format::Writer<'_>, name: &str, value: &dyn fmt::Debug) -> fmt::Result {
    match name {
        "message" => write!(line, "{value:?}"),
        "kind" => Ok(()),
        other => write!(line, " {other}={value:?}"),
    }
}

fn spawn(to: impl Write + Send + 'static) -> io::Result<(Outlet, Log)> {
    let (lines, waiting) = sync_channel(QUEUE);
    let (finished, done) = sync_channel(1);
    let outlet = Outlet { lines: lines.clone(), lost: Arc::default() };
    let lost = Arc::clone(&outlet.lost);
    std::thread::Builder::new().name("log".into()).spawn(move || {
        write_out(&waiting, &lost, to);
        // Nobody waits where the process was not asked to end.
        finished.send(()).unwrap_or_default();
    })?;
    Ok((outlet, Log { lines, done }))
}

fn write_out(waiting: &Receiver<Line>, lost: &AtomicU64, mut to: impl Write) {
    while let Ok(Line::Text(line)) = waiting.recv() {
        // There is no other place where it could be said that the log cannot be written.
        drop(to.write_all(&line));
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            drop(writeln!(to, "{lost} log lines were dropped: the log is read too slowly"));
        }
    }
    drop(to.flush());
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.lines.try_send(Line::End).is_ok() {
            // Late lines are lost after a second: ending matters more.
            self.done.recv_timeout(FLUSH).unwrap_or_default();
        }
    }
}

/// Hands lines to the thread.
#[derive(Clone, Debug)]
struct Outlet {
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

impl Write for Outlet {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Line::Text(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Outlet {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_end_waits_for_the_last_line() {
        let shared = Shared::default();
        let (mut outlet, log) = spawn(shared.clone()).unwrap();
        for number in 0..100 {
            writeln!(outlet, "{number}").unwrap();
        }
        drop(log);
        let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        assert!(text.ends_with("99\n"), "{text}");
    }

    #[test]
    fn a_reader_that_stands_still_holds_nobody_up() {
        let shared = Shared::default();
        let (mut outlet, log) = spawn(shared.clone()).unwrap();
        let stuck = shared.0.lock().unwrap();
        for _ in 0..2 * QUEUE {
            outlet.write_all(b"line\n").unwrap();
        }
        assert!(outlet.lost.load(Ordering::Relaxed) > 0);
        drop(stuck);
        drop(log);
    }
}
