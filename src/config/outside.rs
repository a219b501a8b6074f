//! What the check wants to know of the host it runs on, and the answers as data.
//!
//! Asked and answered by `host`; where nothing is known nothing is found.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What a configuration depends on outside its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Addresses that should be this host's own: of services, and to probe from.
    pub addresses: BTreeSet<IpAddr>,
    /// Password files, as seen from the working directory.
    pub password_files: BTreeSet<PathBuf>,
}

/// The answers, as far as there are any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostView {
    /// Addresses that are certainly not this host's own.
    pub absent: BTreeSet<IpAddr>,
    /// Password files that cannot be used.
    pub password_files: BTreeMap<PathBuf, PasswordFileError>,
}

/// Why a password file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFileError {
    /// It cannot be opened or read: what the system said.
    #[error("read password file {}: {said}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        said: Box<str>,
    },
    /// It is a directory, a device or a pipe.
    #[error("password file {} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Others than its owner may read or write it.
    #[error("password file {} is open to others than its owner (mode {mode:04o})", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Its first line is empty, longer than 1,024 bytes, not UTF-8, or holds a NUL.
    #[error("password file {} holds no password in its first line", .0.display())]
    NoPassword(PathBuf),
}

impl PasswordFileError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Unreadable { path, .. } => {
                format!("{} must exist and be readable for the user that runs pgvs", path.display())
            }
            Self::NotAFile(_) => "name a file whose first line is the password".to_owned(),
            Self::Exposed { path, .. } => format!("chmod 600 {}", path.display()),
            Self::NoPassword(_) => {
                "write the password, and nothing else, into its first line; or leave `password_file` out".to_owned()
            }
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. }
            | Self::NotAFile(path)
            | Self::Exposed { path, .. }
            | Self::NoPassword(path) => path,
        }
    }
}
