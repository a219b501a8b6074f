//! A PostgreSQL 15 of a test's own: made, started, hurt and thrown away.

use std::fs::{self, File, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// How long anything may take before a test fails for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server and its directory; both vanish with it.
pub(crate) struct Cluster {
    directory: TempDir,
    address: SocketAddr,
    postmaster: Option<Child>,
}

impl Cluster {
    /// A primary with trust authentication for everybody.
    pub(crate) fn primary() -> Self {
        Self::with("", "")
    }

    /// A primary with more settings, and other lines in front of pg_hba.conf's.
    pub(crate) fn with(settings: &str, hba: &str) -> Self {
        let mut cluster = Self::made();
        run(Command::new("cp").arg("-a").arg(template()).arg(cluster.data()));
        cluster.configure(settings);
        let path = cluster.data().join("pg_hba.conf");
        fs::write(
            path,
            format!(
                "{hba}\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
            ),
        )
        .unwrap();
        cluster.start();
        cluster
    }

    /// A streaming standby of `primary`.
    pub(crate) fn standby_of(primary: &Self, settings: &str) -> Self {
        let mut cluster = Self::made();
        let port = primary.address.port().to_string();
        let mut backup = as_postgres("pg_basebackup");
        backup.args([
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-X",
            "stream",
            "-c",
            "fast",
            "-R",
            "-p",
            &port,
        ]);
        run(backup.arg("-D").arg(cluster.data()));
        cluster.configure(settings);
        cluster.start();
        cluster
    }

    fn made() -> Self {
        let directory = open_directory();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        Self { directory, address, postmaster: None }
    }

    fn configure(&self, settings: &str) {
        let port = self.address.port();
        let own = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nfsync = off\n\
             shared_buffers = 16MB\nmax_connections = 20\nlogging_collector = off\n\
             log_line_prefix = '%m [%p] %q%a '\n\
             lc_messages = 'C'\ndynamic_shared_memory_type = mmap\n{settings}\n"
        );
        fs::write(self.data().join("postgresql.conf"), own).unwrap();
    }

    /// Starts the postmaster and waits until it lets somebody in, or is up as far as it will come.
    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut postgres = as_postgres("postgres");
        postgres.env("LOCPATH", locales()).arg("-D").arg(self.data());
        postgres.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        self.postmaster = Some(postgres.spawn().unwrap());
        let status = self.data().join("postmaster.pid");
        wait_for("the postmaster to be up", || {
            let text = fs::read_to_string(&status).unwrap_or_default();
            // The last line is "ready", or "standby" where hot standby is off.
            text.lines().nth(7).is_some_and(|word| ["ready", "standby"].contains(&word.trim()))
        });
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap()
    }

    /// Gives a file of the test to the server's user.
    pub(crate) fn give(&self, path: &Path) {
        let owner = fs::metadata(self.data()).unwrap();
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }

    /// Runs statements as the superuser, and returns the first column of the first row.
    pub(crate) fn sql(&self, sql: &str) -> String {
        run(&mut self.psql(sql)).trim().to_owned()
    }

    /// The command that runs statements as the superuser.
    pub(crate) fn psql(&self, sql: &str) -> Command {
        let port = self.address.port().to_string();
        let mut psql = Command::new(format!("{BIN}/psql"));
        psql.args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-XAtqc",
            sql,
        ]);
        psql.stdout(Stdio::null()).stderr(Stdio::null());
        psql
    }

    /// Sends a signal to the postmaster.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.postmaster.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Sends a signal to a backend.
    pub(crate) fn signal_backend(&self, pid: &str, signal: Signal) {
        kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits until the postmaster has ended.
    pub(crate) fn wait_for_exit(&mut self) {
        let child = self.postmaster.as_mut().unwrap();
        wait_for("the postmaster to end", || child.try_wait().unwrap().is_some());
        self.postmaster = None;
    }

    /// A role that can log in.
    pub(crate) fn create_role(&self, name: &str, options: &str) {
        self.sql(&format!("create role {name} login {options}"));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(mut child) = self.postmaster.take() else {
            return;
        };
        let pid = Pid::from_child(&child);
        for signal in [Signal::CONT, Signal::QUIT] {
            kill_process(pid, signal).unwrap();
        }
        let since = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if since.elapsed() > Duration::from_secs(10) {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A data directory that is made once and copied.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = TEMPLATE.get_or_init(|| {
        let directory = open_directory();
        let path = directory.path().join("template");
        let mut initdb = as_postgres("initdb");
        initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N"]);
        run(initdb.arg("-D").arg(&path));
        (directory, path)
    });
    path
}

/// German, made here: a machine without it has its sources.
fn locales() -> &'static Path {
    static LOCALES: OnceLock<TempDir> = OnceLock::new();
    let directory = LOCALES.get_or_init(|| {
        let directory = open_directory();
        let path = directory.path().join("de_DE.UTF-8");
        run(Command::new("localedef").args(["-i", "de_DE", "-f", "UTF-8"]).arg(path));
        directory
    });
    directory.path()
}

/// A directory that belongs to the servers' user and lets others through.
fn open_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        let id =
            |option| run(Command::new("id").args([option, "postgres"])).trim().parse().unwrap();
        chown(directory.path(), Some(id("-u")), Some(id("-g"))).unwrap();
    }
    directory
}

/// A program of PostgreSQL as a user that it accepts.
fn as_postgres(program: &str) -> Command {
    let program = format!("{BIN}/{program}");
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--", &program]);
    command.current_dir("/");
    command
}

/// Runs a command to its successful end and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for something that nobody announces.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
