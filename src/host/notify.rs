//! What the service manager is told (sd_notify(3)); nothing where there is none.
//!
//! By a thread of its own: the manager's socket holds a few messages, and whoever sends more than it reads waits.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::time::Time;

/// Messages that may wait for the manager; more are dropped.
const QUEUE: usize = 16;

/// So long the end waits for the last message.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Tells systemd how the daemon is, and that its loop still turns.
#[derive(Debug)]
pub struct Notifier {
    /// `None`: nobody listens.
    line: Option<Line>,
    is_ready: bool,
    is_reloading: bool,
    watchdog: Option<Duration>,
    watchdog_at: Time,
}

/// The way to the thread.
#[derive(Debug)]
struct Line {
    messages: SyncSender<Message>,
    done: Receiver<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Ready(&'static str),
    Reloading,
    Stopping,
    Turned,
    End,
}

impl Notifier {
    /// Learns from the environment whether anybody listens, and whether it is a watchdog.
    pub fn new() -> Self {
        let is_heard = std::env::var_os("NOTIFY_SOCKET").is_some();
        let line = is_heard.then(|| start(tell)).and_then(|started| {
            started.inspect_err(|error| tracing::warn!("tell systemd nothing: {error}")).ok()
        });
        // Half of the limit, as sd_watchdog_enabled(3) advises.
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { line, is_ready: false, is_reloading: false, watchdog, watchdog_at: Time::ZERO }
    }

    /// Whether [`Self::ready`] was told.
    pub const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// The daemon works, for the first time or after a reload; said once.
    pub fn ready(&mut self, status: &'static str) {
        if !self.is_ready || self.is_reloading {
            self.is_ready = true;
            self.is_reloading = false;
            self.say(Message::Ready(status));
        }
    }

    /// A new configuration is being read.
    pub fn reloading(&mut self) {
        self.is_reloading = true;
        self.say(Message::Reloading);
    }

    /// The daemon ends.
    pub fn stopping(&self) {
        self.say(Message::Stopping);
    }

    /// When [`Self::turned`] wants to be called next.
    pub fn deadline(&self) -> Option<Time> {
        self.watchdog.map(|_| self.watchdog_at)
    }

    /// The loop has turned.
    pub fn turned(&mut self, now: Time) {
        if let Some(interval) = self.watchdog
            && now >= self.watchdog_at
        {
            self.watchdog_at = now.after(interval);
            self.say(Message::Turned);
        }
    }

    fn say(&self, message: Message) {
        let Some(line) = &self.line else { return };
        if line.messages.try_send(message).is_err() {
            tracing::debug!("systemd does not read what it is told: {message:?} is dropped");
        }
    }
}

impl Default for Notifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        if let Some(Line { messages, done }) = &self.line
            && messages.try_send(Message::End).is_ok()
        {
            // A manager that does not read is not waited for.
            done.recv_timeout(LAST_WORD).unwrap_or_default();
        }
    }
}

fn start(tell: impl Fn(Message) + Send + 'static) -> std::io::Result<Line> {
    let (messages, waiting) = sync_channel(QUEUE);
    let (finished, done) = sync_channel(1);
    std::thread::Builder::new().name("notify".into()).spawn(move || {
        while let Ok(message) = waiting.recv() {
            if message == Message::End {
                break;
            }
            tell(message);
        }
        // Nobody waits where the process was not asked to end.
        finished.send(()).unwrap_or_default();
    })?;
    Ok(Line { messages, done })
}

fn tell(message: Message) {
    let told = match message {
        Message::Ready(status) => {
            sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)])
        }
        Message::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
        Message::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        Message::Turned => sd_notify::notify(&[NotifyState::Watchdog]),
        Message::End => Ok(()),
    };
    if let Err(error) = told {
        tracing::debug!("tell systemd: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifier(tell: impl Fn(Message) + Send + 'static) -> Notifier {
        Notifier {
            line: Some(start(tell).unwrap()),
            is_ready: false,
            is_reloading: false,
            watchdog: Some(Duration::from_millis(1)),
            watchdog_at: Time::ZERO,
        }
    }

    #[test]
    fn readiness_is_said_once_and_again_after_a_reload() {
        let (heard, told) = std::sync::mpsc::channel();
        let mut notifier = notifier(move |message| heard.send(message).unwrap());
        for _ in 0..3 {
            notifier.ready("fine");
        }
        notifier.reloading();
        for _ in 0..3 {
            notifier.ready("fine");
        }
        notifier.stopping();
        drop(notifier);
        let ready = Message::Ready("fine");
        let expected = [ready, Message::Reloading, ready, Message::Stopping];
        assert_eq!(told.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let (let_go, stuck) = std::sync::mpsc::channel::<()>();
        let mut notifier = notifier(move |_| stuck.recv().unwrap_or_default());
        for millis in 0..1000 {
            notifier.turned(Time::from_millis(millis * 2));
        }
        drop(let_go);
        drop(notifier);
    }
}
