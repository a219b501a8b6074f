//! `pgvs restore`: IPVS as a file has it, by the difference alone and without an empty moment.
//!
//! The file is read as a whole before anything is written. What the kernel refuses ends it before anything is removed.

mod owner;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use super::check::DEFAULT_CONFIG;
use super::output;
use super::save::told;
use crate::engine::restore::{DaemonChange, Restore};
use crate::host::files::whole;
use crate::host::names::SystemNames;
use crate::host::netlink::Kernel;
use crate::model::op::{Errno, Op};
use crate::model::saved::Saved;
use crate::model::service::ServiceKey;
use crate::saved::{self, Read};
use crate::view;
use crate::wire::refusal::Refusal;

/// So often the difference is computed anew when another program wrote in between.
const TRIES: usize = 5;
/// There is something to change.
const CHANGES: u8 = 1;
/// Refusals of the kernel that are shown one by one.
const SHOWN: usize = 20;

/// What is restored how.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Show what would change, as `pgvs plan` does, and write nothing; exits 0 if nothing would, 1 if something
    #[arg(long)]
    dry_run: bool,
    /// Change services of a running daemon as well (which puts them right again, unless it is paused), and take an
    /// empty file for an empty table
    #[arg(long)]
    force: bool,
    /// The daemon's configuration, which says where it listens
    #[arg(long, value_name = "FILE", env = "PGVS_CONFIG", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// What `pgvs save` or `ipvsadm-save` wrote; standard input if absent or `-`
    file: Option<PathBuf>,
}

/// Restores, or shows what a restore would do.
pub(super) fn run(arguments: &Arguments, socket: Option<&Path>) -> u8 {
    match restore(arguments, socket) {
        Ok(code) => code,
        Err(error) => output::error(&format!("{error:#}")),
    }
}

fn restore(arguments: &Arguments, socket: Option<&Path>) -> anyhow::Result<u8> {
    let Read { saved: want, has_thresholds } = read(arguments)?;
    let mut kernel = Kernel::open().map_err(told)?;
    let owner = owner::find(arguments, socket)?;
    let mut written = 0;
    for attempt in 0..TRIES {
        let have = kernel.saved().map_err(told)?;
        let owned = owner.of(have.table.services.keys().chain(want.table.services.keys()));
        let restore = Restore::new(&have, &want, &owned);
        if attempt == 0 {
            warn(&restore, &have, &want, has_thresholds);
        }
        if !arguments.force {
            refuse_owned(&restore, &owned)?;
        }
        if arguments.dry_run {
            let text = view::restore::text(&have, &restore);
            let code = if restore.is_empty() { output::FINE } else { CHANGES };
            return Ok(output::print(&text).map_or_else(|error| output::ended(&error), |()| code));
        }
        if restore.is_empty() {
            let text = match written {
                0 => "nothing to change\n".to_owned(),
                1 => "restored: 1 change written\n".to_owned(),
                _ => format!("restored: {written} changes written\n"),
            };
            return Ok(output::print(&text).map_or_else(|error| output::ended(&error), |()| 0));
        }
        carry_out(&mut kernel, restore, &mut written)?;
    }
    bail!(
        "the table is not what the file says after {TRIES} attempts: another program keeps changing it; {written} changes written"
    )
}

fn read(arguments: &Arguments) -> anyhow::Result<Read> {
    let path = arguments.file.as_deref().filter(|path| *path != Path::new("-"));
    let name = path.map_or_else(|| "standard input".to_owned(), |it| it.display().to_string());
    let text = whole::read(path).with_context(|| format!("read {name}"))?;
    // What a broken pipe leaves must not take every service away.
    if text.trim().is_empty() && !arguments.force {
        bail!(
            "{name}: it is empty; nothing was changed (--force takes it for an empty table, which removes every service)"
        );
    }
    saved::read(&text, &SystemNames::new()).with_context(|| format!("{name}: nothing was changed"))
}

/// What the operator may not have meant.
fn warn(restore: &Restore, have: &Saved, want: &Saved, has_thresholds: bool) {
    if !restore.kept.is_empty() {
        let kept = listed(&restore.kept);
        output::say(&format!("pgvs: not in the file, and left to the running daemon: {kept}"));
    }
    let is_lost = |op: &&Op| match op {
        Op::EditDestination(key, to, new) => {
            have.table.destination(*key, *to).is_some_and(|old| old.thresholds != new.thresholds)
        }
        Op::AddService(..)
        | Op::EditService(..)
        | Op::DeleteService(_)
        | Op::AddDestination(..)
        | Op::DeleteDestination(..) => false,
    };
    let lost = if has_thresholds { 0 } else { restore.ops().filter(is_lost).count() };
    if lost > 0 {
        output::say(&format!(
            "pgvs: {lost} destinations lose their thresholds: the file has none, as `ipvsadm -S` writes none"
        ));
    }
    for daemon in &have.daemons {
        if !want.daemons.iter().any(|wanted| wanted.role == daemon.role) {
            let name = view::restore::daemon_name(daemon);
            output::say(&format!("pgvs: not in the file, and left running: {name}"));
        }
    }
}

fn refuse_owned(restore: &Restore, owned: &BTreeSet<ServiceKey>) -> anyhow::Result<()> {
    let touched: Vec<_> = restore.touched(owned).into_iter().collect();
    if touched.is_empty() {
        return Ok(());
    }
    bail!(
        "a running daemon owns what would change: {}; nothing was changed: edit its configuration instead, or use --force",
        listed(&touched)
    )
}

fn listed(keys: &[ServiceKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Step by step, so that nothing is removed before what takes its place is there.
fn carry_out(kernel: &mut Kernel, restore: Restore, written: &mut usize) -> anyhow::Result<()> {
    let Restore { timeouts, make, unmake, daemons, services, kept: _ } = restore;
    if let Some(timeouts) = timeouts {
        kernel.set_config(timeouts)?;
        *written += 1;
    }
    for ops in [make, unmake] {
        if !apply(kernel, &ops, written)? {
            return Ok(());
        }
    }
    for change in daemons {
        match change {
            DaemonChange::Stop(role) => kernel.stop_daemon(role)?,
            DaemonChange::Start(daemon) => kernel.start_daemon(&daemon).with_context(|| {
                format!(
                    "{written} changes written, but not the {}",
                    view::restore::daemon_name(&daemon)
                )
            })?,
        }
        *written += 1;
    }
    for op in services {
        if !apply(kernel, &[op], written)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Returns whether the table was what we took it for; else the difference has to be computed anew.
fn apply(kernel: &mut Kernel, ops: &[Op], written: &mut usize) -> anyhow::Result<bool> {
    if ops.is_empty() {
        return Ok(true);
    }
    let outcomes = kernel.apply(ops).map_err(told)?;
    let mut refused = Vec::new();
    let mut is_as_read = true;
    for (op, outcome) in ops.iter().zip(outcomes) {
        match outcome {
            Ok(()) => *written += 1,
            Err(errno) if is_outdated(op, errno) => is_as_read = false,
            Err(errno) => refused.push(Refusal { op, errno }.to_string()),
        }
    }
    if refused.is_empty() {
        return Ok(is_as_read);
    }
    let more = refused.len().saturating_sub(SHOWN);
    refused.truncate(SHOWN);
    if more > 0 {
        refused.push(format!("and {more} more"));
    }
    bail!("{}\n{written} changes written; what comes after these was not begun", refused.join("\n"))
}

/// Whether the kernel says that the table is another than the one that was read.
fn is_outdated(op: &Op, errno: Errno) -> bool {
    match op {
        // To a service, the same number says that there is no such scheduler.
        Op::AddService(..) | Op::EditService(..) => [Errno::EEXIST, Errno::ESRCH].contains(&errno),
        Op::DeleteService(_)
        | Op::AddDestination(..)
        | Op::EditDestination(..)
        | Op::DeleteDestination(..) => {
            [Errno::EEXIST, Errno::ESRCH, Errno::ENOENT].contains(&errno)
        }
    }
}
