//! The operator's own commands: run beside everything else, one at a time for each service, in their order.
//!
//! No shell reads them. One that takes too long is killed with whatever it started; one that fails is told and
//! forgotten. Nothing waits for them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::process::Child;

use crate::engine::event::Command;

/// So long a command may take.
const LIMIT: Duration = Duration::from_secs(10);

/// So many commands of one service wait for the one that runs; the oldest is given up for a newer one.
const WAITING: usize = 8;

/// Whether a program can be run, as far as that can be told without running it.
pub fn check(path: &Path) -> Result<(), String> {
    let why = |what: &str| format!("{}: {what}", path.display());
    let about = std::fs::metadata(path).map_err(|error| why(&error.to_string()))?;
    if !about.is_file() {
        return Err(why("not a file"));
    }
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).map_err(|errno| why(&errno.to_string()))
}

/// Starts commands.
#[derive(Clone, Debug, Default)]
pub struct Commands(Arc<Mutex<BTreeMap<Box<str>, VecDeque<Command>>>>);

impl Commands {
    /// Runs a command when those of its service before it have ended.
    pub fn run(&self, command: Command) {
        let service = command.service.clone();
        if self.line_up(command) {
            tokio::spawn(self.clone().serve(service));
        }
    }

    /// Puts a command at the end of its service's line; says whether the line is new, so that nobody serves it yet.
    fn line_up(&self, command: Command) -> bool {
        let mut lines = self.lines();
        let is_new = !lines.contains_key(&command.service);
        let line = lines.entry(command.service.clone()).or_default();
        if line.len() >= WAITING
            && let Some(given_up) = line.pop_front()
        {
            tracing::warn!("{given_up} is not run: {WAITING} newer ones wait");
        }
        line.push_back(command);
        is_new
    }

    async fn serve(self, service: Box<str>) {
        while let Some(command) = self.next(&service) {
            run(&command, tokio::time::sleep(LIMIT)).await;
        }
    }

    /// The next command of a service; with the last one its line ends.
    fn next(&self, service: &str) -> Option<Command> {
        let mut lines = self.lines();
        let next = lines.get_mut(service)?.pop_front();
        if next.is_none() {
            lines.remove(service);
        }
        next
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<Box<str>, VecDeque<Command>>> {
        // Nothing that holds the lock leaves a line half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one command to its end, or until its time is up, and tells how it ended.
async fn run(command: &Command, time_is_up: impl Future<Output = ()>) {
    let mut child = match start(command) {
        Ok(child) => child,
        Err(error) => {
            tracing::error!("{command} could not be started: {error}");
            return;
        }
    };
    let end = tokio::select! {
        end = child.wait() => Some(end),
        () = time_is_up => None,
    };
    match end {
        Some(Ok(status)) if status.success() => tracing::info!("{command} has ended well"),
        Some(Ok(status)) => tracing::warn!("{command} has failed: {}", in_words(status)),
        Some(Err(error)) => tracing::error!("{command}: its end could not be seen: {error}"),
        None => {
            kill(&child);
            // It is dead, or nothing will end it.
            let end = tokio::time::timeout(LIMIT, child.wait()).await;
            let end = if end.is_ok() { "was killed" } else { "could not be killed" };
            tracing::warn!("{command} {end}: it took longer than {LIMIT:?}");
        }
    }
}

fn start(command: &Command) -> std::io::Result<Child> {
    let mut words = command.argv.iter().map(|word| &**word);
    let program = words.next().unwrap_or_default();
    let mut child = tokio::process::Command::new(program);
    child
        .args(words)
        .env("PGVS_SERVICE", &*command.service)
        .env("PGVS_ADDRESS", command.key.to_string())
        .env("PGVS_EVENT", event(command))
        .env("PGVS_SERVERS", command.able.to_string())
        .env("PGVS_QUORUM", command.needed.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own, so that what it starts can be killed with it.
        .process_group(0);
    child.spawn()
}

/// Kills a command that runs, with everything in its group.
fn kill(child: &Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
        // It may end in this very moment.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL)
            .unwrap_or_default();
    }
}

/// The name of the config's key, which is what a command is told as well.
const fn event(command: &Command) -> &'static str {
    if command.is_gained { "quorum_up" } else { "quorum_down" }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {}: {} ({})", self.service, event(self), self.argv.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::path::PathBuf;
    use std::time::Instant;

    use super::*;
    use crate::model::service::ServiceKey;

    fn command(service: &str, script: &str) -> Command {
        Command {
            service: service.into(),
            key: ServiceKey::tcp("10.9.0.101:5432".parse().unwrap()),
            argv: ["/bin/sh", "-c", script].map(Box::from).into(),
            is_gained: false,
            able: 1,
            needed: 2,
        }
    }

    fn file(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("pgvs-command-{}-{name}", std::process::id()));
        drop(std::fs::remove_file(&path));
        path
    }

    #[tokio::test]
    async fn a_command_is_told_what_has_happened() {
        let path = file("environment");
        let script = format!(
            "echo $PGVS_SERVICE $PGVS_EVENT $PGVS_ADDRESS $PGVS_SERVERS/$PGVS_QUORUM > {}",
            path.display()
        );
        run(&command("ro", &script), pending()).await;
        let told = std::fs::read_to_string(&path).unwrap();
        assert_eq!(told, "ro quorum_down TCP 10.9.0.101:5432 1/2\n");
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn commands_of_a_service_run_one_after_the_other_in_their_order() {
        let path = file("order");
        let commands = Commands::default();
        for number in 0..4 {
            // The first ones are the slowest.
            let script = format!(
                "echo {number} >> {0}; sleep 0.0{1}; echo {number} >> {0}",
                path.display(),
                6 - number
            );
            commands.line_up(command("ro", &script));
        }
        commands.clone().serve("ro".into()).await;
        assert!(commands.lines().is_empty());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0\n0\n1\n1\n2\n2\n3\n3\n");
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn a_command_whose_time_is_up_is_killed_with_what_it_started() {
        let path = file("killed");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let pipe = path.clone();
        let reader = std::thread::spawn(move || {
            // Opens when the script's own child has it open, and ends when that is gone.
            let mut pipe = std::fs::File::open(pipe).unwrap();
            started.send(()).unwrap();
            std::io::Read::read(&mut pipe, &mut [0]).unwrap()
        });
        let script = format!("sleep 300 > {} & wait", path.display());
        let begin = Instant::now();
        run(&command("ro", &script), async { has_started.await.unwrap() }).await;
        assert_eq!(reader.join().unwrap(), 0);
        assert!(begin.elapsed() < Duration::from_secs(200), "it ended by itself");
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn of_too_many_that_wait_the_oldest_are_given_up_and_the_newest_is_run() {
        let path = file("many");
        let commands = Commands::default();
        for number in 0..20 {
            let script = format!("sleep 0.02; echo {number} >> {}", path.display());
            commands.line_up(command("ro", &script));
        }
        commands.clone().serve("ro".into()).await;
        assert!(commands.lines().is_empty());
        let run = std::fs::read_to_string(&path).unwrap();
        assert!(run.lines().count() <= WAITING + 1, "{run}");
        assert_eq!(run.lines().last(), Some("19"));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_or_none_is_found_before_it_is_run() {
        assert_eq!(check(Path::new("/bin/sh")), Ok(()));
        assert!(check(Path::new("/nowhere/notify")).unwrap_err().contains("No such file"));
        assert!(check(Path::new("/bin")).unwrap_err().contains("not a file"));
        assert!(check(Path::new("/etc/passwd")).unwrap_err().contains("ermission denied"));
    }

    #[tokio::test]
    async fn what_cannot_be_started_holds_nobody_up() {
        let mut missing = command("ro", "");
        missing.argv = [Box::from("/nowhere/notify")].into();
        run(&missing, pending()).await;
    }
}
