//! The daemon under test in the director's namespace: start, every way to end it, its log, and its command line.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::net::Namespace;

/// A daemon that has not said that it is ready by then will not.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// A command that has not ended by then hangs.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// What a command of the binary said.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its exit status; -1 if a signal ended it.
    pub(crate) status: i32,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
    /// How long it took, its start included.
    pub(crate) took: Duration,
}

impl Answer {
    /// Fails with what it said unless it ended with this status.
    pub(crate) fn expect(self, status: i32) -> Result<Self> {
        ensure!(
            self.status == status,
            "exit status {}, not {status}; it said:\n{}{}",
            self.status,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }

    /// Everything it said.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// One daemon with its files; it is killed when dropped.
pub(crate) struct Pgvs {
    program: PathBuf,
    directory: PathBuf,
    notify: UnixDatagram,
    child: Option<Child>,
    listener: Option<Listener>,
    /// How long it may take to be ready.
    pub(crate) ready_limit: Duration,
}

/// Takes what the daemon tells its service manager, as systemd would; stops when dropped.
struct Listener {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    fn start(notify: &UnixDatagram) -> Result<Self> {
        let (socket, stop) = (notify.try_clone()?, Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                // It waits a tenth of a second.
                drop(socket.recv(&mut [0; 4096]));
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Pgvs {
    /// Makes the files of a daemon that does not run yet; two daemons need two names.
    pub(crate) fn new(program: &Path, directory: &Path, name: &str) -> Result<Self> {
        let directory = directory.join(name);
        for part in ["", "state", "run"] {
            let path = directory.join(part);
            fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        }
        if directory.join("notify").exists() {
            fs::remove_file(directory.join("notify")).context("remove an old NOTIFY_SOCKET")?;
        }
        let notify = UnixDatagram::bind(directory.join("notify")).context("bind NOTIFY_SOCKET")?;
        notify.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(Self {
            program: program.to_owned(),
            directory,
            notify,
            child: None,
            listener: None,
            ready_limit: READY_LIMIT,
        })
    }

    /// One of its files: `pgvs.toml`, `state`, `run/pgvs.sock`, `log`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Where its messages go.
    pub(crate) fn log_path(&self) -> PathBuf {
        let name = self.directory.file_name().unwrap_or_default().to_string_lossy();
        self.directory.join(format!("{name}.log"))
    }

    /// Where its threads' last whereabouts go.
    pub(crate) fn threads_path(&self) -> PathBuf {
        self.log_path().with_extension("threads")
    }

    /// Its messages so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Its messages from a length of the log on.
    pub(crate) fn log_since(&self, length: usize) -> String {
        self.log().get(length..).unwrap_or_default().to_owned()
    }

    /// `[director]` for its files; further lines may follow.
    pub(crate) fn director(&self) -> String {
        format!(
            "[director]\nname = \"lab\"\nstate_dir = \"{}\"\ncontrol_socket = \"{}\"\n",
            self.path("state").display(),
            self.path("run/pgvs.sock").display()
        )
    }

    /// Writes its config: the text, and `[director]` before it unless the text has its own.
    pub(crate) fn write(&self, text: &str) -> Result<()> {
        let has_own = text.lines().any(|line| line.trim_end() == "[director]");
        let head = if has_own { String::new() } else { self.director() };
        fs::write(self.path("pgvs.toml"), format!("{head}\n{text}")).context("write pgvs.toml")
    }

    /// Starts it and waits until it says that it is ready; returns how long that took.
    pub(crate) fn start(&mut self) -> Result<Duration> {
        self.start_with(&[])
    }

    /// The same with further arguments.
    pub(crate) fn start_with(&mut self, arguments: &[&str]) -> Result<Duration> {
        let mut command = self.command("run");
        command.args(arguments);
        self.launch(command)
    }

    /// The same without some of root's capabilities.
    pub(crate) fn start_without(&mut self, lost: &[&str], arguments: &[&str]) -> Result<Duration> {
        let mut command = self.command_without(lost);
        command.arg("run").args(arguments);
        self.launch(command)
    }

    /// The binary without some of root's capabilities; arguments follow.
    pub(crate) fn command_without(&self, lost: &[&str]) -> Command {
        let list = lost.iter().map(|name| format!("-{name}")).collect::<Vec<_>>().join(",");
        let mut command = Command::new("setpriv");
        command.args(["--inh-caps", &list, "--bounding-set", &list, "--"]).arg(&self.program);
        self.surround(&mut command);
        command
    }

    fn launch(&mut self, mut command: Command) -> Result<Duration> {
        ensure!(self.child.is_none(), "the daemon runs already");
        self.stop_listening();
        self.forget_ready()?;
        let began = Instant::now();
        let log = File::options().create(true).append(true).open(self.log_path())?;
        command.env("NOTIFY_SOCKET", self.directory.join("notify"));
        command.stdout(log.try_clone()?).stderr(log);
        self.child =
            Some(Namespace::Director.inside(|| command.spawn().context("start pgvs run"))?);
        self.wait_ready(began + self.ready_limit)?;
        let took = began.elapsed();
        self.listener = Some(Listener::start(&self.notify)?);
        Ok(took)
    }

    /// From here on nobody takes what the daemon tells its service manager.
    pub(crate) fn stop_listening(&mut self) {
        self.listener = None;
    }

    /// What an earlier daemon said is no word of the next one.
    fn forget_ready(&self) -> Result<()> {
        self.notify.set_nonblocking(true)?;
        while self.notify.recv(&mut [0; 4096]).is_ok() {}
        self.notify.set_nonblocking(false).context("wait at NOTIFY_SOCKET again")
    }

    fn wait_ready(&mut self, deadline: Instant) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            if let Ok(length) = self.notify.recv(&mut buffer) {
                let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
                if text.lines().any(|line| line == "READY=1") {
                    return Ok(());
                }
            }
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok()?) {
                self.child = None;
                bail!("pgvs run ended with {status}:\n{}", self.log());
            }
            ensure!(
                Instant::now() < deadline,
                "pgvs run is not ready after {:?}",
                self.ready_limit
            );
        }
    }

    /// Runs `pgvs run` where it is expected to end by itself.
    pub(crate) fn run_to_end(&self) -> Result<Answer> {
        self.finish(self.command("run"))
    }

    /// Runs a command of the binary beside the daemon, in the director's namespace.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        self.finish(command)
    }

    /// A command of the binary that the scenario completes and hands to [`Pgvs::finish`].
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command
            .env("PGVS_CONFIG", self.path("pgvs.toml"))
            .env("PGVS_SOCKET", self.path("run/pgvs.sock"))
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null());
    }

    /// Runs a command to its end, with a time limit.
    pub(crate) fn finish(&self, mut command: Command) -> Result<Answer> {
        self.surround(&mut command);
        let began = Instant::now();
        let (out, err) = (self.path("stdout"), self.path("stderr"));
        command.stdout(File::create(&out)?).stderr(File::create(&err)?);
        let mut child =
            Namespace::Director.inside(|| command.spawn().context("start the binary"))?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > COMMAND_LIMIT {
                child.kill()?;
                child.wait()?;
                bail!(
                    "{command:?} hangs: no end within {COMMAND_LIMIT:?}; the daemon's threads:\n{}",
                    self.threads()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = began.elapsed();
        Ok(Answer {
            status: status.code().unwrap_or(-1),
            stdout: fs::read_to_string(&out)?,
            stderr: fs::read_to_string(&err)?,
            took,
        })
    }

    /// What `pgvs status --json` says, whatever its exit status.
    pub(crate) fn status(&self) -> Result<Value> {
        let answer = self.run(&["status", "--json"])?;
        serde_json::from_str(&answer.stdout)
            .with_context(|| format!("pgvs status --json said: {}", answer.said()))
    }

    /// The alarms of its status, one to a line.
    pub(crate) fn alarms(&self) -> Result<String> {
        let status = self.status()?;
        let alarms = status["alarms"].as_array().context("status --json without alarms")?;
        Ok(alarms.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"))
    }

    /// Waits until its status has an alarm with this text.
    pub(crate) fn wait_alarm(&self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let alarms = self.alarms()?;
            if let Some(line) = alarms.lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            ensure!(Instant::now() < deadline, "no alarm with {text:?}, only: {alarms:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until its log has a line with this text after the first `length` bytes; returns the line.
    pub(crate) fn wait_log(&self, length: usize, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(line) = self.log_since(length).lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            ensure!(Instant::now() < deadline, "the daemon's log does not say {text:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends it a signal and returns at once.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("the daemon does not run")?;
        kill_process(Pid::from_child(child), signal).context("signal the daemon")
    }

    /// Its process number.
    pub(crate) fn id(&self) -> Result<u32> {
        self.child.as_ref().map(Child::id).context("the daemon does not run")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the daemon does not run")?;
        child.kill().context("kill the daemon")?;
        child.wait().context("wait for the daemon")?;
        Ok(())
    }

    /// Stops it as systemd does; returns its exit status.
    pub(crate) fn stop(&mut self) -> Result<i32> {
        self.signal(Signal::TERM)?;
        let mut child = self.child.take().context("the daemon does not run")?;
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.code().unwrap_or(-1));
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("the daemon still runs 20 s after SIGTERM");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where each thread of the daemon is, for a failure.
    fn threads(&self) -> String {
        let Some(child) = &self.child else {
            return "it does not run".to_owned();
        };
        let tasks = fs::read_dir(format!("/proc/{}/task", child.id()));
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let lines = tasks.into_iter().flatten().flatten().map(|task| {
            let [name, call, stack] =
                ["comm", "syscall", "stack"].map(|it| read(task.path().join(it)));
            format!("{name}: system call {call}\n{stack}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Whether its process lives.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Pgvs {
    fn drop(&mut self) {
        // Shown if the scenario failed: a daemon that stands still says nothing itself.
        drop(fs::write(self.threads_path(), self.threads()));
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
