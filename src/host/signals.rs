//! The signals that the daemon takes: SIGHUP, SIGTERM, SIGINT.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: end.
    Stop,
}

/// The signals since it was made; before that they end the process.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals from here on; needs a tokio runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one; cancel-safe.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            Some(()) = self.terminate.recv() => Wish::Stop,
            Some(()) = self.interrupt.recv() => Wish::Stop,
            Some(()) = self.hangup.recv() => Wish::Reload,
            else => std::future::pending().await,
        }
    }
}
