//! What is said over the control socket: one request, one reply, each one line of JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The longest request, in bytes: a plan brings its configuration along.
pub const MAX_REQUEST: usize = 4 << 20;

/// The longest request that brings nothing along, in bytes.
pub const MAX_PLAIN_REQUEST: usize = 64 << 10;

/// The longest reply that a client reads, in bytes.
pub const MAX_REPLY: usize = 256 << 20;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How everything is.
    Status {
        /// In which form.
        form: Form,
    },
    /// Read the configuration again.
    Reload {},
    /// What a reload would write, of a configuration that the client has read: the daemon opens no file on a
    /// client's word.
    Plan {
        /// The files, the main one first.
        files: Vec<SourceText>,
    },
    /// Hands off the kernel.
    Pause {
        /// For so many seconds; absent: until `resume`.
        seconds: Option<u64>,
    },
    /// Hands on again.
    Resume {},
    /// Which services are the daemon's: one in a line, as it is shown everywhere.
    Owned {},
}

impl Request {
    /// Whether it changes anything.
    pub const fn is_change(&self) -> bool {
        match self {
            Self::Reload {} | Self::Pause { .. } | Self::Resume {} => true,
            Self::Status { .. } | Self::Plan { .. } | Self::Owned {} => false,
        }
    }

    /// The subcommand that makes it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Reload {} => "reload",
            Self::Plan { .. } => "plan",
            Self::Pause { .. } => "pause",
            Self::Resume {} => "resume",
            Self::Owned {} => "restore",
        }
    }
}

/// The form of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A table for people.
    Text,
    /// For programs.
    Json,
}

/// One file of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceText {
    /// Its name, for findings only.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// What the client is to print, and how it is to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The exit status.
    pub exit: u8,
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub err: String,
}

impl Reply {
    /// The request was met.
    pub fn fine(out: impl Into<String>) -> Self {
        Self { exit: 0, out: out.into(), err: String::new() }
    }

    /// It was not.
    pub fn refused(why: impl Into<String>) -> Self {
        Self { exit: 2, out: String::new(), err: why.into() }
    }
}
