//! A daemon that observes, with its files in a directory that vanishes, and commands to it.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Everything that is waited for here takes milliseconds; a busy machine may need a while.
const LIMIT: Duration = Duration::from_secs(60);

/// A pool of two servers without probes, and a service.
pub(crate) const CONFIG: &str = r#"
[[pool]]
name = "orders"
probe = "none"
[[pool.server]]
name = "pg1"
address = "10.8.0.11:5432"
[[pool.server]]
name = "pg2"
address = "10.8.0.12:5432"
weight = 50
[[service]]
name = "orders-any"
address = "10.9.0.100:5432"
pool = "orders"
target = "any"
"#;

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        assert_eq!(output.status.signal(), None, "ended by a signal");
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    /// The one line of standard error that tells the operator what is wrong.
    pub(crate) fn refusal(&self) -> &str {
        assert_eq!(self.code, 2, "{self:?}");
        let lines: Vec<_> = self.err.lines().filter(|line| line.starts_with("pgvs: ")).collect();
        let [line] = lines.as_slice() else { panic!("not one line that says why: {self:?}") };
        line
    }
}

/// The binary with an environment of its own.
pub(crate) fn pgvs() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgvs"));
    for name in ["PGVS_SOCKET", "PGVS_CONFIG", "PGVS_LOG", "NOTIFY_SOCKET", "JOURNAL_STREAM"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn said(command: &mut Command) -> Said {
    command.output().unwrap().into()
}

/// Waits for something, and fails with what was there instead.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) if Instant::now() > deadline => panic!("no {what}: {instead}"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Files of a daemon, and the daemon while it runs.
pub(crate) struct Daemon {
    directory: tempfile::TempDir,
    child: Option<Child>,
}

impl Daemon {
    /// Only the files.
    pub(crate) fn files(config: &str) -> Self {
        let daemon = Self { directory: tempfile::tempdir().unwrap(), child: None };
        daemon.write(config);
        daemon
    }

    /// A daemon that observes and answers.
    pub(crate) fn observing(config: &str) -> Self {
        Self::observing_with(config, &[])
    }

    /// The same with further arguments.
    pub(crate) fn observing_with(config: &str, arguments: &[&str]) -> Self {
        Self::observing_in(config, arguments, &[])
    }

    /// The same with an environment.
    pub(crate) fn observing_in(config: &str, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut daemon = Self::files(config);
        let log = File::create(daemon.path("log")).unwrap();
        let mut command = pgvs();
        command.args(["run", "--observe", "--config"]).arg(daemon.config()).arg("--socket");
        command.arg(daemon.socket()).args(args).envs(environment.iter().copied());
        daemon.child = Some(command.stderr(log).stdout(Stdio::null()).spawn().unwrap());
        wait("daemon that answers and has settled", || {
            let said = daemon.run(&["status"]);
            if said.code == 2 { Err(format!("{said:?}\n{}", daemon.log())) } else { Ok(()) }
        });
        daemon
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("pgvs.toml")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("pgvs.sock")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Replaces the config; `state_dir` and `control_socket` lead into the directory.
    pub(crate) fn write(&self, config: &str) {
        let head = format!(
            "[director]\nname = \"lb1\"\nstate_dir = \"{}\"\ncontrol_socket = \"{}\"\n",
            self.path("state").display(),
            self.socket().display()
        );
        fs::write(self.config(), head + config).unwrap();
    }

    /// A command to the daemon by its socket.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        said(pgvs().args(arguments).arg("--config").arg(self.config()))
    }

    pub(crate) fn status(&self) -> Value {
        let said = self.run(&["status", "--json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// The weights of the first service, by server.
    pub(crate) fn weights(&self) -> Vec<(String, u64)> {
        let status = self.status();
        let destinations = status.pointer("/services/0/destinations").unwrap().as_array().unwrap();
        let named = destinations.iter().map(|it| {
            let server = it.get("server").unwrap().as_str().unwrap().to_owned();
            (server, it.get("weight").unwrap().as_u64().unwrap())
        });
        named.collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> i32 {
        let mut child = self.child.take().unwrap();
        wait("end of the daemon", || match child.try_wait().unwrap() {
            Some(status) => Ok(status.code().unwrap_or(-1)),
            None => Err("it runs".to_owned()),
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Whether a path is there.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
