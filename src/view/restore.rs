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
