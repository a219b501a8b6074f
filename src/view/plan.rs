//! `pgvs plan`: the changes of the kernel's table, and of what is set beside it, as a diff.

use std::collections::BTreeMap;

use super::attributes::{self, scheduling};
use crate::config::Config;
use crate::engine::plan::Ahead;
use crate::engine::settings;
use crate::engine::table::{apply, destination_of};
use crate::model::destination::DestinationKey;
use crate::model::op::Op;
use crate::model::service::ServiceKey;
use crate::model::table::Table;

/// One line for each change in its order, and their number; `table` is the kernel's before the first of them.
pub fn text(config: &Config, table: &Table, ahead: &Ahead) -> String {
    let settings = ahead.settings.iter();
    let before = settings.map(|(from, to)| settings::planned(from.as_ref(), to) + "\n");
    in_words(&Names::of(config), table, &ahead.ops, before.collect())
}

/// The same without a configuration, behind lines of changes (each begins with `+`, `-` or `~`) beside the table.
pub fn unnamed(table: &Table, ops: &[Op], before: String) -> String {
    in_words(&Names::default(), table, ops, before)
}

fn in_words(names: &Names<'_>, table: &Table, ops: &[Op], before: String) -> String {
    let mut table = table.clone();
    let counted = |sign| before.lines().filter(|line| line.starts_with(sign)).count();
    let (mut adds, mut edits, mut deletes) = (counted('+'), counted('~'), counted('-'));
    let mut text = before;
    for op in ops {
        text.push_str(&line(names, &table, op));
        text.push('\n');
        match op {
            Op::AddService(..) | Op::AddDestination(..) => adds += 1,
            Op::EditService(..) | Op::EditDestination(..) => edits += 1,
            Op::DeleteService(_) | Op::DeleteDestination(..) => deletes += 1,
        }
        apply(&mut table, op);
    }
    match (adds, edits, deletes) {
        (0, 0, 0) => text.push_str("nothing to change\n"),
        _ => text.push_str(&format!("{adds} to add, {edits} to change, {deletes} to delete\n")),
    }
    text
}

/// What the operator calls things.
#[derive(Default)]
struct Names<'a> {
    services: BTreeMap<ServiceKey, &'a str>,
    servers: BTreeMap<(ServiceKey, DestinationKey), &'a str>,
}

impl<'a> Names<'a> {
    fn of(config: &'a Config) -> Self {
        let services = config.services.iter().map(|service| (service.key, &*service.name));
        let pools = config.pools_by_name();
        let members = config.services.iter().flat_map(|service| {
            let pool = pools.get(&*service.pool);
            let servers = pool.into_iter().flat_map(|pool| &pool.servers);
            servers.map(|it| {
                let to = service.destination_key(it.address, it.delivery);
                ((service.key, to), &*it.name)
            })
        });
        Self { services: services.collect(), servers: members.collect() }
    }

    fn service(&self, key: ServiceKey) -> String {
        match self.services.get(&key) {
            Some(name) => format!("{name} ({key})"),
            None => key.to_string(),
        }
    }

    fn destination(&self, service: ServiceKey, to: DestinationKey) -> String {
        match self.servers.get(&(service, to)) {
            Some(name) => format!("{name} ({to})"),
            None => to.to_string(),
        }
    }
}

fn line(names: &Names<'_>, table: &Table, op: &Op) -> String {
    let service = names.service(op.service());
    let before = destination_of(op).and_then(|to| table.destination(op.service(), to));
    match op {
        Op::AddService(_, new) => format!("+ service {service}: {}", scheduling(new)),
        Op::DeleteService(_) => format!("- service {service}"),
        Op::EditService(key, new) => {
            let old = table.services.get(key).map(|entry| scheduling(&entry.service));
            let old = old.unwrap_or_else(|| "?".to_owned());
            format!("~ service {service}: {old} -> {}", scheduling(new))
        }
        Op::AddDestination(key, to, new) => {
            let to = names.destination(*key, *to);
            format!("+ {service}: {to} {}", attributes::destination(new))
        }
        Op::DeleteDestination(key, to) => {
            format!("- {service}: {}", names.destination(*key, *to))
        }
        Op::EditDestination(key, to, new) => {
            let to = names.destination(*key, *to);
            match before {
                Some(old) => format!("~ {service}: {to} {}", attributes::edit(old, new)),
                None => format!("~ {service}: {to} {}", attributes::destination(new)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
