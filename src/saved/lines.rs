//! A table from ipvsadm's commands, as `ipvsadm -S`, `pgvs save` or an administrator wrote them.
//!
//! Carried out in the mind, in their order: one that the kernel would refuse is an error with its line.

use std::collections::BTreeMap;

use super::{Wrong, sound};
use crate::ipvsadm::args::{self, Change, Command};
use crate::ipvsadm::restore;
use crate::ipvsadm::values::Names;
use crate::model::op::Op;
use crate::model::saved::Saved;
use crate::model::service::ServiceKey;
use crate::model::table::{Entry, Table};

/// Characters of a line in an error.
const SHOWN: usize = 100;

pub(super) fn read(text: &str, names: &dyn Names) -> Result<Saved, Wrong> {
    let mut saved = Saved::default();
    let mut last = 1;
    for (line, text) in (1..).zip(text.lines()) {
        last = line;
        let Some(words) = words(text) else { continue };
        let taken = take(&mut saved, &words, names);
        taken.map_err(|why| Wrong {
            line,
            column: None,
            why: format!("{why}: {}", shown(text)),
        })?;
    }
    sound::whole(&saved).map_err(|why| Wrong { line: last, column: None, why })?;
    Ok(saved)
}

/// The words of a command; nothing of an empty line or a comment, which ipvsadm itself does not know.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = restore::lines(line).next()?;
    if words.first().is_some_and(|word| word.starts_with('#')) {
        return None;
    }
    let mut is_mark = false;
    for word in &mut words {
        // ipvsadm saves large marks with a sign, and does not read them back.
        if is_mark && let Ok(mark @ ..0) = word.parse::<i32>() {
            *word = mark.cast_unsigned().to_string();
        }
        is_mark = ["-f", "--fwmark-service"].contains(&word.as_str());
    }
    Some(words)
}

fn shown(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} ...", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}

fn take(saved: &mut Saved, words: &[String], names: &dyn Names) -> Result<(), String> {
    let command = args::parse("ipvsadm", words, names);
    let change = match command.map_err(|refused| refused.text.trim_end().to_owned())? {
        Command::Change(change) => change,
        Command::Help
        | Command::Version
        | Command::List(..)
        | Command::Save(_)
        | Command::Restore => return Err("this says nothing of a table".into()),
    };
    match change {
        Change::Op(op) => carry_out(&mut saved.table, op),
        Change::Flush => {
            saved.table = Table::default();
            Ok(())
        }
        Change::Zero(_) => Err("a restore leaves the counters alone".into()),
        Change::Timeouts(new) => {
            let old = saved.timeouts.unwrap_or(new);
            let mut timeouts = new;
            for (new, old) in [
                (&mut timeouts.tcp, old.tcp),
                (&mut timeouts.tcp_fin, old.tcp_fin),
                (&mut timeouts.udp, old.udp),
            ] {
                if *new == 0 {
                    *new = old;
                }
            }
            saved.timeouts = Some(timeouts);
            Ok(())
        }
        Change::StartDaemon(daemon) => {
            if saved.daemons.iter().any(|other| other.role == daemon.role) {
                return Err("this sync daemon has been started before".into());
            }
            saved.daemons.push(daemon);
            Ok(())
        }
        Change::StopDaemon(role) => {
            let before = saved.daemons.len();
            saved.daemons.retain(|daemon| daemon.role != role);
            match saved.daemons.len() == before {
                true => Err("this sync daemon has not been started before".into()),
                false => Ok(()),
            }
        }
    }
}

/// One change as the kernel takes or refuses it.
fn carry_out(table: &mut Table, op: Op) -> Result<(), String> {
    let key = op.service();
    match op {
        Op::AddService(_, service) => {
            sound::service(key, &service)?;
            let entry = Entry { service, destinations: BTreeMap::new() };
            match table.services.insert(key, entry) {
                Some(_) => Err(format!("service {key} is there already")),
                None => Ok(()),
            }
        }
        Op::EditService(_, service) => {
            sound::service(key, &service)?;
            entry(table, key)?.service = service;
            Ok(())
        }
        Op::DeleteService(_) => table.services.remove(&key).map(drop).ok_or_else(|| missing(key)),
        Op::AddDestination(_, to, destination) => {
            sound::destination(key, to, &destination)?;
            match entry(table, key)?.destinations.insert(to, destination) {
                Some(_) => Err(format!("destination {to} of service {key} is there already")),
                None => Ok(()),
            }
        }
        Op::EditDestination(_, to, destination) => {
            sound::destination(key, to, &destination)?;
            match entry(table, key)?.destinations.insert(to, destination) {
                Some(_) => Ok(()),
                None => Err(format!("service {key} has no destination {to} before this line")),
            }
        }
        Op::DeleteDestination(_, to) => {
            let removed = entry(table, key)?.destinations.remove(&to);
            let none = || format!("service {key} has no destination {to} before this line");
            removed.map(drop).ok_or_else(none)
        }
    }
}

fn entry(table: &mut Table, key: ServiceKey) -> Result<&mut Entry, String> {
    table.services.get_mut(&key).ok_or_else(|| missing(key))
}

fn missing(key: ServiceKey) -> String {
    format!("there is no service {key} before this line")
}
