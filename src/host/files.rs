//! Reads what the operator wrote, the config with its includes, and looks whether the host fits.
//!
//! Decides nothing about contents. Every read is bounded, and nothing that stands in the way of a file panics.

pub mod addresses;
pub mod foreign;
pub mod modules;
pub mod whole;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::finding::ConfigError;
use crate::config::include::{Include, MAX_FILES};
use crate::config::outside::{HostView, Questions};
use crate::config::sources::{Checked, Sources};
use crate::host::command;
use crate::host::probe::password;

/// The longest file that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The most that all files of a configuration hold together, in bytes.
pub const MAX_TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// Reads and checks a configuration with everything that it includes, against the host as it is.
pub fn load(path: &Path) -> Result<Checked, ConfigError> {
    let sources = gather(path)?;
    let view = look(&sources.questions());
    sources.check(&view)
}

/// Reads a configuration with everything that it includes, unchecked.
pub fn gather(path: &Path) -> Result<Sources, ConfigError> {
    let mut sources = Sources::default();
    let main = read(path).map_err(|error| {
        ConfigError::unread(
            &format!("read {}: {}", path.display(), error.said),
            Some("name the configuration with --config FILE or $PGVS_CONFIG"),
        )
    })?;
    sources.add(path, &main.text);
    let mut reading = Reading {
        main: main.identity,
        seen: BTreeSet::from([main.identity]),
        files: 0,
        bytes: main.text.len(),
    };
    for include in sources.includes() {
        if reading.include(&mut sources, &include).is_break() {
            break;
        }
    }
    Ok(sources)
}

/// Answers what a configuration wants to know of the host.
pub fn look(questions: &Questions) -> HostView {
    HostView {
        absent: addresses::absent(&questions.addresses),
        absent_interfaces: addresses::absent_interfaces(&questions.interfaces),
        password_files: questions
            .password_files
            .iter()
            .filter_map(|path| Some((path.clone(), password::check(path).err()?.into())))
            .collect(),
        programs: questions
            .programs
            .iter()
            .filter_map(|path| Some((path.clone(), command::check(path).err()?.into())))
            .collect(),
        modules: modules::present(&questions.modules),
    }
}

/// Device and inode: what a file is, whatever the names that lead to it.
type Identity = (u64, u64);

/// What was read so far.
struct Reading {
    main: Identity,
    seen: BTreeSet<Identity>,
    files: usize,
    bytes: usize,
}

impl Reading {
    fn include(&mut self, sources: &mut Sources, include: &Include) -> std::ops::ControlFlow<()> {
        let paths = match paths(include) {
            Ok(paths) => paths,
            Err(error) => {
                let why = format!("list {}: {}", include.directory.display(), said(&error));
                sources.refuse(include, &why, "pgvs must be able to read the directory");
                return std::ops::ControlFlow::Continue(());
            }
        };
        if paths.is_empty() {
            sources.matches_nothing(include);
        }
        for path in paths {
            if self.files == MAX_FILES {
                let why = format!("more than {MAX_FILES} included files");
                sources.refuse(include, &why, "put several pools and services into one file");
                return std::ops::ControlFlow::Break(());
            }
            self.files += 1;
            self.file(sources, include, &path);
            if self.bytes > MAX_TOTAL_BYTES {
                let why =
                    format!("more than {} MiB of configuration", MAX_TOTAL_BYTES / 1024 / 1024);
                sources.refuse(include, &why, "what else does the pattern match?");
                return std::ops::ControlFlow::Break(());
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    fn file(&mut self, sources: &mut Sources, include: &Include, path: &Path) {
        match read(path) {
            Err(error) => {
                let why = format!("read {}: {}", path.display(), error.said);
                sources.refuse(include, &why, "correct the file, or the include");
            }
            Ok(file) if file.identity == self.main => {
                let why = format!("the file includes itself as {}", path.display());
                sources.refuse(
                    include,
                    &why,
                    "put included files into a directory of their own, such as conf.d",
                );
            }
            // Two patterns, or two links, may lead to one file: it counts once.
            Ok(file) if !self.seen.insert(file.identity) => (),
            Ok(file) => {
                self.bytes = self.bytes.saturating_add(file.text.len());
                sources.add(path, &file.text);
            }
        }
    }
}

/// The files that an include stands for, sorted by name; one without wildcards stands for itself.
fn paths(include: &Include) -> io::Result<Vec<PathBuf>> {
    if !include.is_pattern() {
        return Ok(vec![include.directory.join(&*include.name)]);
    }
    let directory = match include.directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => &include.directory,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if include.matches(&name.to_string_lossy()) {
            names.push(name);
        }
        // One more than is allowed is enough to say so.
        if names.len() > MAX_FILES {
            break;
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| include.directory.join(name)).collect())
}

struct Text {
    text: String,
    identity: Identity,
}

/// Why a file was not read, in the system's or our words.
struct ReadError {
    said: String,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self { said: said(&error) }
    }
}

/// A regular file of at most [`MAX_BYTES`], as text.
fn read(path: &Path) -> Result<Text, ReadError> {
    let refused = |said: String| Err(ReadError { said });
    let file = open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return refused("is a directory".to_owned());
    }
    if !metadata.is_file() {
        return refused("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return refused(format!("longer than {MAX_BYTES} bytes: split it with `include`"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Text { text, identity: (metadata.dev(), metadata.ino()) }),
        Err(error) => {
            let sound = error.utf8_error().valid_up_to();
            let lines = error.as_bytes().iter().take(sound).filter(|byte| **byte == b'\n').count();
            refused(format!("line {} is not UTF-8", lines + 1))
        }
    }
}

/// Opens without waiting: a pipe without a writer would hold the daemon forever.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// The system's word for an error, in small letters and without its number.
pub(super) fn said(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => "unknown error".to_owned(),
    }
}
