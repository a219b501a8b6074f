//! One PostgreSQL server in a server's namespace: files, start, and every way in which it can stop.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::BitXorAssign as _;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::net::{self, Namespace};
use crate::session::Session;

/// The superuser that the lab itself uses.
pub(crate) const ADMIN: &str = "postgres";
/// The role that pgvs probes with.
pub(crate) const PROBE: &str = "pgvs";
/// That role's password, where a scenario asks for one.
pub(crate) const PROBE_PASSWORD: &str = "lab-secret";

const START_LIMIT: Duration = Duration::from_secs(60);

/// How a postmaster is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Waits for the clients: SIGTERM.
    Smart,
    /// Ends the sessions, writes a checkpoint: SIGINT.
    Fast,
    /// Ends at once, recovers at the next start: SIGQUIT.
    Immediate,
    /// The postmaster alone is killed: SIGKILL.
    Kill,
}

impl Stop {
    const fn signal(self) -> Signal {
        match self {
            Self::Smart => Signal::TERM,
            Self::Fast => Signal::INT,
            Self::Immediate => Signal::QUIT,
            Self::Kill => Signal::KILL,
        }
    }
}

/// Where PostgreSQL's programs are, and whom they run as.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    bin: PathBuf,
    user: u32,
    group: u32,
}

impl Programs {
    /// Finds PostgreSQL 15 as Debian installs it, and its user.
    pub(crate) fn find() -> Result<Self> {
        let bin = PathBuf::from("/usr/lib/postgresql/15/bin");
        ensure!(bin.join("postgres").exists(), "{} has no postgres", bin.display());
        let users = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let line = users.lines().find(|line| line.starts_with("postgres:"));
        let fields: Vec<_> = line.context("no user postgres in /etc/passwd")?.split(':').collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse().ok());
        let (user, group) =
            number(2).zip(number(3)).context("/etc/passwd: postgres without ids")?;
        Ok(Self { bin, user, group })
    }

    /// A command for one of the programs, as PostgreSQL's user.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.uid(self.user).gid(self.group).current_dir("/");
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
        command
    }

    /// Makes a data directory with the lab's roles, from which every server is copied, unless `kept`
    /// holds it already. `work` is where PostgreSQL's user may go; `kept` need not be.
    pub(crate) fn make_template(&self, work: &Path, kept: &Path) -> Result<()> {
        let (recipe, stamp) =
            (format!("{LAB_CONF}{TEMPLATE_SQL}{LOCALE}"), kept.with_extension("recipe"));
        if fs::read_to_string(&stamp).is_ok_and(|text| text == recipe) {
            return Ok(());
        }
        self.initialise(work)?;
        self.copy(work, kept)?;
        make_locale(&kept.with_file_name("locale"))?;
        fs::remove_dir_all(work).with_context(|| format!("remove {}", work.display()))?;
        fs::write(&stamp, recipe).with_context(|| format!("write {}", stamp.display()))
    }

    fn initialise(&self, directory: &Path) -> Result<()> {
        self.make_directory(directory)?;
        let output = self
            .command("initdb")
            .args([
                "--auth=trust",
                "--no-sync",
                "--no-locale",
                "--encoding=UTF8",
                "--username",
                ADMIN,
            ])
            .args(["--wal-segsize=1", "--no-instructions", "-D"])
            .arg(directory)
            .output()
            .context("start initdb")?;
        succeeded("initdb", &output)?;
        // A standby refuses limits below those that the control file has from the primary.
        let path = directory.join("postgresql.conf");
        fs::write(&path, LAB_CONF).with_context(|| format!("write {}", path.display()))?;
        let mut single = self
            .command("postgres")
            .args(["--single", "-F", "-D"])
            .arg(directory)
            .arg("postgres")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("start postgres --single")?;
        if let Some(mut stdin) = single.stdin.take() {
            stdin.write_all(TEMPLATE_SQL.as_bytes()).context("write to postgres --single")?;
        }
        succeeded("postgres --single", &single.wait_with_output()?)
    }

    /// Makes an empty directory that PostgreSQL accepts as its own.
    pub(crate) fn make_directory(&self, path: &Path) -> Result<()> {
        if path.exists() {
            fs::remove_dir_all(path).with_context(|| format!("remove {}", path.display()))?;
        }
        fs::DirBuilder::new()
            .mode(0o700)
            .create(path)
            .with_context(|| format!("make {}", path.display()))?;
        self.own(path)
    }

    fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.user), Some(self.group))
            .with_context(|| format!("chown {}", path.display()))
    }

    /// Copies a data directory, owners and modes included.
    pub(crate) fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        self.make_directory(to)?;
        for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
            let entry = entry?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type()?.is_dir() {
                self.copy(&source, &target)?;
            } else {
                fs::copy(&source, &target).with_context(|| format!("copy {}", source.display()))?;
                self.own(&target)?;
            }
        }
        Ok(())
    }
}

/// What a server's configuration adds to the lab's defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// The number of the server that this one follows; none for a primary.
    pub(crate) follows: Option<u8>,
    /// Further lines of postgresql.conf.
    pub(crate) lines: Vec<String>,
    /// Lines of pg_hba.conf that come before "trust everybody".
    pub(crate) access: Vec<String>,
}

/// One server, running or not.
pub(crate) struct Server {
    programs: Programs,
    number: u8,
    data: PathBuf,
    log: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// A server that has no files yet.
    pub(crate) fn new(programs: &Programs, number: u8, work: &Path) -> Self {
        Self {
            programs: programs.clone(),
            number,
            data: work.join(format!("pg{number}")),
            log: work.join(format!("pg{number}.log")),
            process: None,
        }
    }

    /// Its name in configs: pg1, pg2, pg3.
    pub(crate) fn name(&self) -> String {
        format!("pg{}", self.number)
    }

    /// Where its messages go.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Its messages so far.
    pub(crate) fn read_log(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("read {}", self.log.display()))
    }

    /// Whether its postmaster lives.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Gives it fresh files from the template.
    pub(crate) fn make(&mut self, template: &Path) -> Result<()> {
        self.end()?;
        if self.log.exists() {
            fs::remove_file(&self.log)?;
        }
        self.programs.copy(template, &self.data)
    }

    /// Gives it fresh files of another cluster: the template with a system identifier of its own.
    pub(crate) fn make_foreign(&mut self, template: &Path) -> Result<()> {
        self.make(template)?;
        // The identifier is the first field of the control file; pg_resetwal makes the rest agree with it.
        let path = self.data.join("global/pg_control");
        let mut bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        bytes.first_mut().context("an empty pg_control")?.bitxor_assign(1);
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        let output = self
            .programs
            .command("pg_resetwal")
            .args(["--force", "--pgdata"])
            .arg(&self.data)
            .output()
            .context("start pg_resetwal")?;
        succeeded("pg_resetwal", &output)
    }

    /// Gives it fresh files from a running server, as a standby of it.
    pub(crate) fn make_from(&mut self, primary: u8) -> Result<()> {
        self.end()?;
        self.programs.make_directory(&self.data)?;
        let output = Namespace::Server(self.number).inside(|| {
            self.programs
                .command("pg_basebackup")
                .args(["--checkpoint=fast", "--no-sync", "--wal-method=stream", "-U", ADMIN, "-h"])
                .arg(net::server(primary).ip().to_string())
                .arg("-D")
                .arg(&self.data)
                .output()
                .context("start pg_basebackup")
        })?;
        succeeded("pg_basebackup", &output)
    }

    /// Writes its configuration; a running server needs [`Server::reload`] after it.
    pub(crate) fn configure(&self, settings: &Settings) -> Result<()> {
        let mut text = String::from(LAB_CONF);
        if let Some(primary) = settings.follows {
            let (host, name) = (net::server(primary).ip(), self.name());
            writeln!(
                text,
                "primary_conninfo = 'host={host} user={ADMIN} application_name={name}'"
            )?;
        }
        for line in &settings.lines {
            writeln!(text, "{line}")?;
        }
        self.write("postgresql.conf", &text)?;
        let mut access = settings.access.clone();
        for address in ["0.0.0.0/0", "::/0"] {
            access.push(format!("host all all {address} trust"));
            access.push(format!("host replication all {address} trust"));
        }
        self.write("pg_hba.conf", &(access.join("\n") + "\n"))?;
        let signal = self.data.join("standby.signal");
        match (settings.follows, signal.exists()) {
            (Some(_), false) => self.write("standby.signal", "")?,
            (None, true) => fs::remove_file(&signal)?,
            (Some(_), true) | (None, false) => (),
        }
        Ok(())
    }

    /// Starts it and returns at once.
    pub(crate) fn launch(&mut self) -> Result<()> {
        ensure!(!self.is_running(), "{} runs already", self.name());
        let log = File::options().create(true).append(true).open(&self.log)?;
        log.set_permissions(fs::Permissions::from_mode(0o644))?;
        let child = Namespace::Server(self.number).inside(|| {
            self.programs
                .command("postgres")
                .arg("-D")
                .arg(&self.data)
                .env("LOCPATH", locale_directory(&self.data))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .process_group(0)
                .spawn()
                .context("start postgres")
        })?;
        self.process = Some(child);
        Ok(())
    }

    /// Waits until it lets clients in.
    pub(crate) fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let failure = match self.session(ADMIN) {
                Ok(session) => return session.close(),
                Err(error) => error,
            };
            ensure!(self.is_running(), "{} ended: {}", self.name(), self.last_lines());
            ensure!(
                Instant::now() < deadline,
                "{} lets nobody in: {failure:#}: {}",
                self.name(),
                self.last_lines()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Opens a session straight from the director's side, past IPVS.
    pub(crate) fn session(&self, user: &str) -> Result<Session> {
        let address = net::server(self.number);
        Namespace::Server(self.number).inside(|| Session::connect(address, user))
    }

    /// Runs one query as the superuser and returns its first field.
    pub(crate) fn value(&self, sql: &str) -> Result<String> {
        let mut session = self.session(ADMIN)?;
        let value = session.value(sql)?;
        session.close()?;
        Ok(value)
    }

    /// Has it read its configuration files again, and waits until it has.
    pub(crate) fn reload(&self) -> Result<()> {
        let when = || self.value("select pg_conf_load_time()");
        let (before, deadline) = (when()?, Instant::now() + START_LIMIT);
        self.signal(Signal::HUP)?;
        while when()? == before {
            ensure!(Instant::now() < deadline, "{} does not reload", self.name());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Sends its postmaster a signal and returns at once.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).with_context(|| format!("signal {}", self.name()))
    }

    /// Tells it to stop and returns at once with the moment before the signal.
    pub(crate) fn tell(&self, how: Stop) -> Result<Instant> {
        let at = Instant::now();
        self.signal(how.signal())?;
        Ok(at)
    }

    /// Waits until its postmaster has ended.
    pub(crate) fn wait_end(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.is_running() {
            ensure!(Instant::now() < deadline, "{} still runs after {limit:?}", self.name());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.process = None;
        Ok(())
    }

    /// Ends it by force, whatever state it is in.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.is_running() {
            self.signal(Signal::QUIT)?;
            // A stopped postmaster does not hear it.
            self.signal(Signal::CONT)?;
            self.wait_end(Duration::from_secs(20))?;
        }
        self.process = None;
        Ok(())
    }

    /// Makes it the primary and returns at once.
    pub(crate) fn promote(&self) -> Result<()> {
        let answer = self.value("select pg_promote(false)")?;
        ensure!(answer == "t", "{}: pg_promote said {answer}", self.name());
        Ok(())
    }

    fn pid(&self) -> Result<Pid> {
        let child = self.process.as_ref().ok_or_else(|| anyhow!("{} does not run", self.name()))?;
        Ok(Pid::from_child(child))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.data.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        self.programs.own(&path)
    }

    fn last_lines(&self) -> String {
        let text = self.read_log().unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.end().is_err()
            && let Some(child) = &mut self.process
        {
            drop(child.kill());
        }
    }
}

/// What every server of the lab has beyond PostgreSQL's defaults: small, quick to start, nothing that
/// a prober could notice.
const LAB_CONF: &str = "\
listen_addresses = '*'
unix_socket_directories = ''
fsync = off
full_page_writes = off
shared_buffers = '16MB'
max_wal_size = '64MB'
min_wal_size = '8MB'
max_connections = 30
wal_keep_size = '32MB'
wal_retrieve_retry_interval = '200ms'
dynamic_shared_memory_type = mmap
";

/// One statement on each line. The password is [`PROBE_PASSWORD`].
const TEMPLATE_SQL: &str = "\
create role pgvs login password 'lab-secret'
grant pg_monitor to pgvs
create table note (at timestamptz default now(), text text)
";

/// A language that is not the one in which this program was written.
pub(crate) const LOCALE: &str = "de_DE.UTF-8";

/// Compiles that locale: ten times as slow in a guest.
fn make_locale(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    let output = Command::new("localedef")
        .args(["--no-archive", "-i", "de_DE", "-f", "UTF-8"])
        .arg(directory.join(LOCALE))
        .output()
        .context("start localedef")?;
    succeeded("localedef", &output)
}

/// Locales that scenarios add stand beside the data directories.
fn locale_directory(data: &Path) -> PathBuf {
    data.parent().unwrap_or(data).join("locale")
}

fn succeeded(what: &str, output: &Output) -> Result<()> {
    if !output.status.success() {
        bail!("{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
