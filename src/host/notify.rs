//! What the service manager is told (sd_notify(3)); nothing where there is none.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::time::Time;

/// Tells systemd how the daemon is, and that its loop still turns.
#[derive(Debug)]
pub struct Notifier {
    is_ready: bool,
    watchdog: Option<Duration>,
    watchdog_at: Time,
}

impl Notifier {
    /// Learns from the environment whether anybody listens, and whether it is a watchdog.
    pub fn new() -> Self {
        // Half of the limit, as sd_watchdog_enabled(3) advises.
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { is_ready: false, watchdog, watchdog_at: Time::ZERO }
    }

    /// Whether [`Self::ready`] was told.
    pub const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// The daemon works, also after a reload.
    pub fn ready(&mut self, status: &str) {
        self.is_ready = true;
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// A new configuration is being read.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!("tell systemd of the reload: {error}"),
        }
    }

    /// The daemon ends.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
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
            tell(&[NotifyState::Watchdog]);
        }
    }
}

impl Default for Notifier {
    fn default() -> Self {
        Self::new()
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("tell systemd: {error}");
    }
}
