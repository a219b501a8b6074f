//! The state file: what must outlive the daemon, on a disk that may be full, read-only or damaged.
//!
//! Replaced as a whole, so that it is always either the old or the new one. What is in it counts only in the boot
//! and the network namespace in which it was written: elsewhere the kernel's table is another one.

mod record;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rustix::fs::FlockOperation;

use super::clock::{Clock, unix_millis};
use super::files::said;
use crate::engine::memory::Memory;
use crate::time::Time;
pub use record::{Identity, Moment};
use record::{Record, Unusable};

/// The file's name in the state directory.
pub const NAME: &str = "state.json";

/// The longest state file that is read, in bytes: some 300,000 destinations that drain.
const MAX_BYTES: u64 = 64 << 20;

/// Why the daemon cannot start with this state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be made, opened or written.
    #[error(
        "{doing} {}: {said}; make it writable for the user that runs pgvs, or name another one with state_dir in [director]",
        .path.display()
    )]
    Directory {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        said: String,
    },
    /// Another daemon uses it.
    #[error(
        "the state directory {} is in use by another pgvs, of another network namespace; give each its own state_dir in [director]",
        .0.display()
    )]
    Busy(PathBuf),
    /// This process does not know its boot or its namespace.
    #[error("read {path}: {said}; pgvs needs /proc")]
    Proc {
        /// The file.
        path: &'static str,
        /// What the system said.
        said: String,
    },
}

/// A state directory that this process alone may write.
#[derive(Debug)]
pub struct StateFile {
    directory: PathBuf,
    /// Open for as long as the directory is ours: the kernel unlocks it when the process dies.
    lock: File,
}

/// What was found at start.
#[derive(Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What counts.
    pub memory: Memory,
    /// What the operator should know about the file.
    pub note: Option<Note>,
}

/// What the operator should know about the state file that was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Note {
    /// It is of another boot or another network namespace: it says nothing about this table.
    Void(String),
    /// It could not be used, and was kept aside.
    Alarm(String),
}

impl StateFile {
    /// Makes the directory where it is missing, and makes sure that it can be written.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let failed = |doing| {
            move |error: io::Error| StateError::Directory {
                doing,
                path: directory.to_owned(),
                said: said(&error),
            }
        };
        let made = DirBuilder::new().recursive(true).mode(0o750).create(directory);
        made.map_err(failed("make the state directory"))?;
        let lock = File::open(directory).map_err(failed("open the state directory"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => (),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StateError::Busy(directory.to_owned()));
            }
            Err(error) => return Err(failed("lock the state directory")(error.into())),
        }
        let state = Self { directory: directory.to_owned(), lock };
        let probe = state.create_new_file().and_then(|(path, _)| fs::remove_file(path));
        probe.map_err(failed("write into the state directory"))?;
        Ok(state)
    }

    /// Reads what a daemon before us left. A file that cannot be used is kept under another name.
    pub fn load(&self, identity: &Identity, moment: Moment) -> Loaded {
        let nothing = |note| Loaded { memory: Memory::default(), note };
        let text = match read(&self.path()) {
            Ok(Some(text)) => text,
            Ok(None) => return nothing(None),
            Err(why) => return nothing(Some(self.keep_aside(&why, moment))),
        };
        match Record::parse(&text).and_then(|record| record.memory(identity, moment)) {
            Ok(memory) => Loaded { memory, note: None },
            Err(Unusable::Elsewhere(what, left)) => {
                let path = self.path();
                let note = Note::Void(format!(
                    "{} is of another {what}: what it says of services and drains is void",
                    path.display()
                ));
                Loaded { memory: *left, note: Some(note) }
            }
            Err(Unusable::Unreadable(why)) => nothing(Some(self.keep_aside(&why, moment))),
        }
    }

    /// Replaces the file; on return it is on the disk.
    pub fn save(&self, memory: &Memory, identity: &Identity, moment: Moment) -> Result<(), String> {
        let text = Record::new(memory, identity, moment).render();
        let written = self.create_new_file().and_then(|(new, mut file)| {
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
            // What could not be written is not left to fill the disk; the reason counts, not this.
            written.inspect_err(|_| drop(fs::remove_file(&new)))?;
            fs::rename(&new, self.path())?;
            self.lock.sync_all()
        });
        written.map_err(|error| {
            format!(
                "write {}: {}; until it can be written a restart forgets which services are ours",
                self.path().display(),
                said(&error)
            )
        })
    }

    fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    fn create_new_file(&self) -> io::Result<(PathBuf, File)> {
        let path = self.directory.join(format!("{NAME}.new"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.custom_flags(libc::O_NOFOLLOW).open(&path)?;
        Ok((path, file))
    }

    fn keep_aside(&self, why: &str, moment: Moment) -> Note {
        let path = self.path();
        let aside = self.directory.join(format!("{NAME}.unreadable-{}", moment.unix_ms / 1000));
        let kept = match fs::rename(&path, &aside) {
            Ok(()) => format!("kept as {}", aside.display()),
            Err(error) => format!("and could not be renamed: {}", said(&error)),
        };
        Note::Alarm(format!(
            "the state file {} is not usable: {why}; {kept}; only the services of the config are ours, so remove those that left it by hand",
            path.display()
        ))
    }
}

/// What the state file of a directory says, without a claim to the directory; nothing where it is void.
pub fn peek(directory: &Path) -> Result<Memory, String> {
    let identity = Identity::read().map_err(|error| error.to_string())?;
    let moment = Moment { now: Time::ZERO, unix_ms: unix_millis() };
    let path = directory.join(NAME);
    let told = |why: String| format!("{}: {why}", path.display());
    let Some(text) = read(&path).map_err(told)? else {
        return Ok(Memory::default());
    };
    match Record::parse(&text).and_then(|record| record.memory(&identity, moment)) {
        Ok(memory) => Ok(memory),
        Err(Unusable::Elsewhere(_, left)) => Ok(*left),
        Err(Unusable::Unreadable(why)) => Err(told(why)),
    }
}

/// The file's text; `None` where there is no file.
fn read(path: &Path) -> Result<Option<String>, String> {
    let mut options = OpenOptions::new();
    // A pipe without a writer would hold the start for ever.
    let file = match options.read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(said(&error)),
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| said(&error))?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= MAX_BYTES => Ok(Some(text)),
        Ok(_) | Err(_) => Err(format!("longer than {MAX_BYTES} bytes")),
    }
}

impl Identity {
    /// Of this process, by /proc.
    pub fn read() -> Result<Self, StateError> {
        const BOOT: &str = "/proc/sys/kernel/random/boot_id";
        const NAMESPACE: &str = "/proc/self/ns/net";
        let failed = |path| move |error: io::Error| StateError::Proc { path, said: said(&error) };
        let boot = fs::read_to_string(BOOT).map_err(failed(BOOT))?;
        let namespace = fs::metadata(NAMESPACE).map_err(failed(NAMESPACE))?;
        Ok(Self { boot: boot.trim().into(), namespace: namespace.ino() })
    }
}

/// Starts the thread that writes the file, one memory after the other; it ends with the last sender.
pub fn spawn(
    file: StateFile,
    identity: Identity,
    clock: Clock,
    saved: impl Fn(Result<(), String>) + Send + 'static,
) -> io::Result<(SyncSender<Memory>, JoinHandle<()>)> {
    let (sender, memories) = sync_channel::<Memory>(1);
    let thread = std::thread::Builder::new().name("state".into()).spawn(move || {
        while let Ok(memory) = memories.recv() {
            let moment = Moment { now: clock.now(), unix_ms: unix_millis() };
            saved(file.save(&memory, &identity, moment));
        }
    })?;
    Ok((sender, thread))
}

#[cfg(test)]
mod tests;
