//! A whole IPVS as a file, pure: as ipvsadm's commands, and as JSON with nothing left out.
//!
//! Both are read strictly: what comes from here may be handed to the kernel. Reads and writes no file.

mod commands;
mod json;
mod lines;
mod sound;
mod word;

#[cfg(test)]
mod tests;

use crate::ipvsadm::values::Names;
use crate::model::saved::Saved;

pub use commands::{Written, write as commands};
pub use json::write as json;

/// Why a file is not restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {why}", .column.map(|it| format!(", column {it}")).unwrap_or_default())]
pub struct Wrong {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, where the form of the file tells it.
    pub column: Option<usize>,
    /// What is wrong there.
    pub why: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it says.
    pub saved: Saved,
    /// Whether it says anything of thresholds, or could: what `ipvsadm -S` writes never does.
    pub has_thresholds: bool,
}

/// Reads a file in either form: JSON begins with a brace.
pub fn read(text: &str, names: &dyn Names) -> Result<Read, Wrong> {
    if text.trim_start().starts_with('{') {
        return Ok(Read { saved: json::read(text)?, has_thresholds: true });
    }
    let saved = lines::read(text, names)?;
    let mut servers = saved.table.services.values().flat_map(|entry| entry.destinations.values());
    let has_thresholds = servers.any(|it| it.thresholds != Default::default());
    Ok(Read { saved, has_thresholds })
}
