//! `pgvs plan`: the changes of the kernel's table as a diff.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::engine::table::{apply, destination_of};
use crate::model::destination::{Destination, DestinationKey, Forwarding};
use crate::model::op::Op;
use crate::model::service::{Service, ServiceKey};
use crate::model::table::Table;

/// One line for each change in its order, and their number; `table` is the kernel's before the first of them.
pub fn text(config: &Config, table: &Table, ops: &[Op]) -> String {
    in_words(&Names::of(config), table, ops, String::new())
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
            format!("+ {service}: {to} weight {}, {}", new.weight, forwarding(new.forwarding))
        }
        Op::DeleteDestination(key, to) => {
            format!("- {service}: {}", names.destination(*key, *to))
        }
        Op::EditDestination(key, to, new) => {
            format!("~ {service}: {} {}", names.destination(*key, *to), edit(before, new))
        }
    }
}

fn scheduling(service: &Service) -> String {
    let mut text = service.scheduler.to_string();
    if service.timeout > 0 {
        text.push_str(&format!(", persistent for {} s", service.timeout));
    }
    let flags = service.flags.0;
    if flags != 0 {
        text.push_str(&format!(", flags {flags:#x}"));
    }
    text
}

fn edit(old: Option<&Destination>, new: &Destination) -> String {
    let Some(old) = old else {
        return format!("weight {}", new.weight);
    };
    let mut changes = Vec::new();
    if old.weight != new.weight {
        changes.push(format!("weight {} -> {}", old.weight, new.weight));
    }
    if old.forwarding != new.forwarding {
        let (old, new) = (forwarding(old.forwarding), forwarding(new.forwarding));
        changes.push(format!("{old} -> {new}"));
    }
    if (old.thresholds, old.tunnel) != (new.thresholds, new.tunnel) {
        changes.push("options".to_owned());
    }
    changes.join(", ")
}

/// As ipvsadm(8) shows it.
const fn forwarding(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Masquerade => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Tunnel => "Tunnel",
        Forwarding::DirectRoute => "Route",
        Forwarding::Other(_) => "Other",
    }
}

#[cfg(test)]
mod tests;
