//! A `pgvs.toml` from what another program was told: keepalived.conf, haproxy.cfg, a saved table of ipvsadm.
//!
//! Pure. What is not carried over is listed with its line: every word of the input is unread until it is taken or
//! listed, and what is unread at the end is listed as such. The result is checked as `pgvs check` would.

mod guess;
mod haproxy;
mod ipvsadm;
mod keepalived;
mod ledger;
mod names;
mod place;
mod plan;
mod reasons;
mod write;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use ledger::{Kind, Listed, Place};

use crate::config::sources::check_text;
use crate::ipvsadm::values::Names;
use ledger::{Report, Statement};
use plan::Plan;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// keepalived.conf(5).
    Keepalived,
    /// HAProxy's configuration.
    Haproxy,
    /// What `ipvsadm -S` or `pgvs save` wrote.
    Ipvsadm,
}

/// Reads further files that a file names.
pub trait Loader {
    /// The files that a pattern stands for, each with its name and text, sorted by name; relative to the directory
    /// of the file `from`.
    fn load(&self, from: &str, pattern: &str) -> Result<Vec<(String, String)>, String>;
}

/// What the import may use besides the file.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The director's addresses, at most one of each family: what `*` stands for.
    pub addresses: &'a [IpAddr],
    /// Who knows names of hosts and ports.
    pub names: &'a dyn Names,
    /// Who reads included files.
    pub loader: &'a dyn Loader,
}

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The text of a config.
    pub toml: String,
    /// What was not carried over, the worst first.
    pub listed: Vec<Listed>,
    /// The lines of which at least a part was carried over.
    pub carried: BTreeSet<Place>,
    /// The files by the number that places have for them.
    pub files: Vec<String>,
}

impl Imported {
    /// What was not carried over, each with its place.
    pub fn lines(&self) -> Vec<String> {
        write::lines(&self.listed, &self.files)
    }
}

/// What a format's reader hands back.
#[derive(Debug, Default)]
struct Reading {
    plan: Plan,
    report: Report,
    statements: Vec<Statement>,
    files: Vec<String>,
}

/// Reads a file of another program; `name` is how comments call it.
pub fn import(format: Format, name: &str, text: &str, around: Around<'_>) -> Imported {
    let short = name.rsplit('/').next().unwrap_or(name);
    let (word, reading) = match format {
        Format::Keepalived => ("keepalived", keepalived::read(name, text, around)),
        Format::Haproxy => ("haproxy", haproxy::read(short, text, around)),
        Format::Ipvsadm => ("ipvsadm", ipvsadm::read(short, text, around)),
    };
    let Reading { plan, mut report, statements, files } = reading;
    report.leftovers(&statements, "not known to this import");
    let carried = ledger::carried(&statements);
    let mut listed = report.finish();
    let command = format!("{word} {short}");
    let mut toml = write::toml(&plan, &listed, &files, &command);
    let refused = refusals(&toml);
    if !refused.is_empty() {
        listed.splice(0..0, refused);
        toml = write::toml(&plan, &listed, &files, &command);
    }
    Imported { toml, listed, carried, files }
}

/// What `pgvs check` says against a result.
fn refusals(toml: &str) -> Vec<Listed> {
    let Err(error) = check_text("pgvs.toml", toml) else {
        return Vec::new();
    };
    let mut report = Report::default();
    for finding in
        error.0.all.iter().filter(|it| it.severity == crate::config::finding::Severity::Error)
    {
        let why = finding.help.as_deref().unwrap_or("correct it before it is used");
        report.result(&format!("pgvs check refuses it: {}", finding.title), why);
    }
    report.finish()
}
