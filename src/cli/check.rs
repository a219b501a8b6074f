//! `pgvs check`: says what is wrong with a configuration, and what will surprise.
//!
//! Changes nothing and needs no daemon, no privilege and no kernel module.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::config::finding::{Findings, Style};
use crate::config::sources::Checked;
use crate::config::{Config, Probe};
use crate::host::files;

/// Where the configuration is, if nobody says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/pgvs/pgvs.toml";

/// The arguments of `pgvs check`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The configuration to check
    #[arg(long, value_name = "FILE", env = "PGVS_CONFIG", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
}

/// Checks a configuration; true if it is valid. Findings go to standard error, the verdict to standard output.
pub fn run(arguments: &Arguments) -> io::Result<bool> {
    let style = match io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        true => Style::Terminal,
        false => Style::Plain,
    };
    let (findings, verdict, is_valid) = outcome(&arguments.config, style);
    io::stderr().write_all(findings.as_bytes())?;
    writeln!(io::stdout(), "{verdict}")?;
    Ok(is_valid)
}

/// What to print, the verdict, and whether the configuration is valid.
fn outcome(path: &Path, style: Style) -> (String, String, bool) {
    match files::load(path) {
        Ok(Checked { config, findings }) => {
            let verdict = format!(
                "{}: {}: valid{}",
                path.display(),
                contents(&config),
                with(", ", &counted(findings.warnings, "warning"))
            );
            (block(&findings, style) + &notes(&config), verdict, true)
        }
        Err(error) => {
            let verdict = format!(
                "{}: refused, {}{}",
                path.display(),
                counted(error.0.errors, "error"),
                with(", ", &counted(error.0.warnings, "warning"))
            );
            (block(&error.0, style), verdict, false)
        }
    }
}

fn block(findings: &Findings, style: Style) -> String {
    match findings.render(style) {
        text if text.is_empty() => text,
        text => text + "\n\n",
    }
}

/// What a configuration costs that nobody would call a mistake.
fn notes(config: &Config) -> String {
    let full = config.services.iter().filter(|service| service.source_nat.is_some());
    let names: Vec<&str> = full.map(|service| &*service.name).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(
        "note: full NAT (source_nat) of {}: servers see the director's address in the place of their clients', in pg_hba.conf and in logs; conntrack costs the director memory and time for each session\n\n",
        shortened(&names)
    )
}

/// The first names, and the number of the others.
fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(others) => format!("{shown} and {others} more"),
    }
}

/// `2 services, 1 pool, 3 servers, 3 of them probed`.
fn contents(config: &Config) -> String {
    let servers = config.pools.iter().map(|pool| pool.servers.len()).sum();
    let unprobed = config.pools.iter().filter(|pool| pool.probe == Probe::None);
    let unprobed: usize = unprobed.map(|pool| pool.servers.len()).sum();
    let mut parts = vec![
        number(config.services.len(), "service"),
        number(config.pools.len(), "pool"),
        number(servers, "server"),
    ];
    if unprobed > 0 {
        parts.push(format!("{unprobed} of them not probed"));
    }
    parts.join(", ")
}

fn number(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

/// As [`number`], but nothing where there are none.
fn counted(count: usize, what: &str) -> String {
    match count {
        0 => String::new(),
        count => number(count, what),
    }
}

fn with(before: &str, text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("{before}{text}"),
    }
}
