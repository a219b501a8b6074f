//! `pgvs restore --dry-run`: the changes as `pgvs plan` shows them, with those of timeouts and sync daemons.

use super::plan;
use crate::engine::restore::{DaemonChange, Restore};
use crate::model::kernel::{SyncDaemon, SyncRole};
use crate::model::saved::Saved;

/// One line for each change, and their number; `have` is what is there before.
pub fn text(have: &Saved, restore: &Restore) -> String {
    let mut lines = String::new();
    if let Some(new) = restore.timeouts {
        let old = have.timeouts.unwrap_or(new);
        let changes = [("tcp", old.tcp, new.tcp), ("tcp fin", old.tcp_fin, new.tcp_fin)];
        let changes = changes.into_iter().chain([("udp", old.udp, new.udp)]);
        let changes = changes.filter(|(_, old, new)| *new != 0 && old != new);
        let changes = changes.map(|(name, old, new)| format!("{name} {old} s -> {new} s"));
        lines = format!("~ timeouts: {}\n", changes.collect::<Vec<_>>().join(", "));
    }
    for change in &restore.daemons {
        lines.push_str(&match change {
            DaemonChange::Stop(role) => format!("- {} sync daemon\n", role_name(*role)),
            DaemonChange::Start(daemon) => format!("+ {}\n", daemon_name(daemon)),
        });
    }
    let ops: Vec<_> = restore.ops().cloned().collect();
    plan::unnamed(&have.table, &ops, lines)
}

/// `master sync daemon on eth0, id 5`.
pub fn daemon_name(daemon: &SyncDaemon) -> String {
    let SyncDaemon { role, interface, sync_id, .. } = daemon;
    format!("{} sync daemon on {interface}, id {sync_id}", role_name(*role))
}

/// `master` or `backup`.
pub const fn role_name(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::kernel::Timeouts;
    use crate::model::service::{Family, Scheduler, Service, ServiceKey};
    use crate::model::table::Entry;

    #[test]
    fn what_stands_beside_the_table_is_shown_and_counted_with_it() {
        let mut have = Saved {
            timeouts: Some(Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }),
            ..Saved::default()
        };
        let service = Service::plain(Scheduler::new("wlc").unwrap(), Family::V4);
        let entry = Entry { service, destinations: Default::default() };
        have.table.services.insert(ServiceKey::tcp("10.0.0.1:80".parse().unwrap()), entry);
        let mut master = SyncDaemon::new(SyncRole::Master);
        (master.interface, master.sync_id) = ("eth0".into(), 5);
        have.daemons.push(master.clone());
        let same = Restore::new(&have, &have, &BTreeSet::new());
        assert_eq!(text(&have, &same), "nothing to change\n");
        master.sync_id = 6;
        let want = Saved {
            timeouts: Some(Timeouts { tcp: 7500, tcp_fin: 0, udp: 300 }),
            daemons: vec![master],
            ..Saved::default()
        };
        assert_eq!(
            text(&have, &Restore::new(&have, &want, &BTreeSet::new())),
            "\
~ timeouts: tcp 900 s -> 7500 s
- master sync daemon
+ master sync daemon on eth0, id 6
- service TCP 10.0.0.1:80
1 to add, 1 to change, 2 to delete
"
        );
    }
}
