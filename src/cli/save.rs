//! `pgvs save`: the whole of the kernel's IPVS into a file, as ipvsadm's commands or as JSON.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::output;
use crate::host::files::whole;
use crate::host::netlink::{Kernel, KernelError};
use crate::saved::{self, Written};

/// Something could not be expressed.
const NOT_ALL: u8 = 1;

/// What is saved where.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// `text`: commands that `ipvsadm -R` reads as well; `json`: everything that the kernel can hold
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Replaced as a whole; standard output if absent or `-`
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Saves; what could not be expressed is said on standard error.
pub(super) fn run(arguments: &Arguments) -> u8 {
    match save(arguments) {
        Ok(code) => code,
        Err(error) => output::error(&format!("{error:#}")),
    }
}

fn save(arguments: &Arguments) -> anyhow::Result<u8> {
    let saved = Kernel::open().and_then(|mut kernel| kernel.saved()).map_err(told)?;
    let Written { text, notes } = match arguments.format {
        Format::Text => saved::commands(&saved),
        Format::Json => {
            let text = saved::json(&saved).map_err(|why| anyhow::anyhow!("write JSON: {why}"))?;
            Written { text, notes: Vec::new() }
        }
    };
    match arguments.file.as_deref() {
        Some(path) if path != Path::new("-") => {
            whole::replace(path, &text).with_context(|| format!("write {}", path.display()))?;
        }
        _ => {
            if let Err(error) = output::print(&text) {
                return Ok(output::ended(&error));
            }
        }
    }
    if notes.is_empty() {
        return Ok(output::FINE);
    }
    for note in &notes {
        output::say(&format!("pgvs: {note}"));
    }
    output::say("pgvs: `pgvs save --format json` keeps these as they are");
    Ok(NOT_ALL)
}

/// What the operator can do about it.
pub(super) fn told(error: KernelError) -> anyhow::Error {
    match error.is_permission() {
        true => anyhow::anyhow!(
            "the kernel does not permit to read its IPVS table: be root (CAP_NET_ADMIN)"
        ),
        false => error.into(),
    }
}
