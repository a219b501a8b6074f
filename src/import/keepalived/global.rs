//! `global_defs`: the few settings that pgvs has as well; the rest is keepalived's own.

use super::super::ipvsadm::{sync_daemon, timeouts};
use super::super::ledger::{Report, Statement};
use super::super::names;
use super::super::plan::{Key, Plan};
use super::REASONS;
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};

pub(super) fn read(statement: &Statement, files: &[String], plan: &mut Plan, report: &mut Report) {
    for line in &statement.block {
        match &*line.keyword() {
            "router_id" if line.len() > 1 && plan.director.is_empty() => {
                line.take_words(0..2);
                let file = files.get(line.place.file).map_or("", |name| name);
                let why = format!("{file}:{}: router_id", line.place.line);
                plan.director =
                    vec![Key::text("name", names::sanitized(line.word(1))).because(why)];
            }
            "lvs_timeouts" if plan.kernel.is_empty() => {
                let kept = lvs_timeouts(line);
                plan.kernel.extend(timeouts(kept, line.place, files));
            }
            "lvs_sync_daemon" | "lvs_sync_daemon_interface"
                if line.len() > 1 && plan.sync_daemons.is_empty() =>
            {
                lvs_sync_daemon(line, plan, report);
            }
            _ => (),
        }
    }
    let is_used = statement.block.iter().any(|line| !line.is_unread());
    if is_used {
        statement.take_all();
    }
    let is_left = |line: &Statement| (0..line.len()).any(|at| line.is_unread_at(at));
    if !is_used || statement.block.iter().any(is_left) {
        let why = REASONS.of(["global_defs"]).map_or("", |(_, why)| why);
        report.lost(statement, why);
    }
}

fn lvs_timeouts(line: &Statement) -> Timeouts {
    let seconds = |word: &str| {
        let at = (1..line.len()).find(|at| line.word(*at) == word)?;
        let seconds: u32 = line.word(at + 1).parse().ok()?;
        line.take(0);
        line.take_words(at..at + 2);
        Some(seconds)
    };
    let [tcp, tcp_fin, udp] = ["tcp", "tcpfin", "udp"].map(|it| seconds(it).unwrap_or(0));
    Timeouts { tcp, tcp_fin, udp }
}

/// Without a VRRP instance keepalived runs both roles for as long as it lives.
fn lvs_sync_daemon(line: &Statement, plan: &mut Plan, report: &mut Report) {
    line.take_words(0..2);
    let mut daemon = SyncDaemon::new(SyncRole::Master);
    daemon.interface = line.word(1).to_owned();
    let mut at = 2;
    while at < line.len() {
        let value = line.word(at + 1);
        let is_read = match line.word(at) {
            "id" => value.parse().map(|it| daemon.sync_id = it).is_ok(),
            "maxlen" => value.parse().map(|it| daemon.max_length = Some(it)).is_ok(),
            "port" => value.parse().map(|it| daemon.port = Some(it)).is_ok(),
            "ttl" => value.parse().map(|it| daemon.ttl = Some(it)).is_ok(),
            "group" => value.parse().map(|it| daemon.group = Some(it)).is_ok(),
            _ => false,
        };
        if is_read {
            line.take_words(at..at + 2);
            at += 2;
        } else {
            // A VRRP instance, with or without `inst`.
            at += 1;
        }
    }
    for role in [SyncRole::Master, SyncRole::Backup] {
        daemon.role = role;
        plan.sync_daemons.push((line.place, sync_daemon(&daemon)));
    }
    if (2..line.len()).any(|at| line.is_unread_at(at)) {
        report.hand(
            line,
            "no role follows a VRRP instance here: both are declared, remove one if you want one",
        );
    }
}
