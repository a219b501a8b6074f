//! `pgvs save`: the whole of the kernel's IPVS into a file, as ipvsadm's commands or as JSON.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::output;
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
            replace(path, &text).with_context(|| format!("write {}", path.display()))?;
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

/// The file is the old one or the new one, never half of either; a pipe or a device is written to.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return File::options().write(true).open(path)?.write_all(text.as_bytes());
    }
    // Through a link, so that the link stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut new = path.clone().into_os_string();
    new.push(".new");
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&new, &path));
    // What could not be finished is not left behind; the reason counts, not this.
    replaced.inspect_err(|_| drop(fs::remove_file(&new)))
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
