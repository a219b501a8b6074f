//! keepalived beside us: its checkers alone, in the director, logging to a file.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::floor;
use crate::net::Namespace;

/// A running keepalived; it and its child are killed when dropped, and its services stay.
pub(super) struct Keepalived {
    child: Child,
    config: PathBuf,
}

impl Keepalived {
    /// Its version as it names itself.
    pub(super) fn version() -> Result<String> {
        let output =
            Command::new("keepalived").arg("--version").output().context("start keepalived")?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().next().unwrap_or_default();
        Ok(line.split('(').next().unwrap_or_default().trim().to_owned())
    }

    /// Starts it with this config; its files go to `directory`.
    pub(super) fn start(directory: &Path, config: &str) -> Result<Self> {
        fs::create_dir_all(directory).context("make keepalived's directory")?;
        let path = directory.join("keepalived.conf");
        fs::write(&path, config).context("write keepalived.conf")?;
        let log = File::create(directory.join("keepalived.log")).context("make its log")?;
        let mut command = Command::new("keepalived");
        command
            .args(["--check", "--dont-fork", "--log-console", "--use-file"])
            .arg(&path)
            .arg("--pid")
            .arg(directory.join("pid"))
            .arg("--checkers_pid")
            .arg(directory.join("checkers.pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = Namespace::Director.inside(|| command.spawn().context("start keepalived"))?;
        Ok(Self { child, config: path })
    }

    /// Waits until the table has so many lines; `None` if it has not by then.
    pub(super) fn wait_complete(
        since: Instant,
        lines: usize,
        limit: Duration,
    ) -> Result<Option<Duration>> {
        loop {
            let reading = floor::read_table()?;
            let now = since.elapsed();
            if reading.lines == lines {
                return Ok(Some(now));
            }
            if now > limit {
                return Ok(None);
            }
            // Not more than a tenth of the time is spent with looking.
            std::thread::sleep(reading.took * 20);
        }
    }

    /// Gives it another config and tells it to read it; returns that moment.
    pub(super) fn reload(&self, config: &str) -> Result<Instant> {
        fs::write(&self.config, config).context("write keepalived.conf")?;
        let told = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::HUP).context("signal keepalived")?;
        Ok(told)
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).unwrap_or_default();
        drop(self.child.wait());
    }
}
