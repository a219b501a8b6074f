//! `pgvs status`: everything at one moment, with the reason for each weight; as a table and as JSON.

use std::time::Duration;

use serde::Serialize;

use super::table::{Lean, columns};
use crate::engine::status::{
    DestinationStatus, Part, QuorumStatus, ServerStatus, ServiceStatus, Status,
};

/// Everything at one moment, with the daemon that says so. Its form in JSON is that of `pgvs status --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// The director's name.
    pub director: String,
    /// The daemon's version.
    pub version: &'static str,
    /// Its process.
    pub pid: u32,
    /// Whether it only observes: weights are those of its own table, and the kernel's are not touched.
    pub observing: bool,
    /// Seconds since its start.
    pub up_for: u64,
    /// Its configuration's main file.
    pub config: String,
    /// Why the configuration on the disk was refused at the last reload: an earlier one is in force then.
    pub config_refused: Option<String>,
    /// What the engine knows.
    #[serde(flatten)]
    pub status: Status,
    /// What changed last, the newest first.
    pub recent: Vec<Recent>,
}

/// Something that changed.
#[derive(Clone, Debug, Serialize)]
pub struct Recent {
    /// How long ago.
    pub seconds_ago: u64,
    /// A word for programs.
    pub kind: &'static str,
    /// In words.
    pub text: String,
}

/// For programs: one line.
pub fn json(overview: &Overview) -> String {
    // Numbers, texts and lists always have a form in JSON.
    let mut line = serde_json::to_string(overview).unwrap_or_default();
    line.push('\n');
    line
}

/// For people: alarms first, then each service with its destinations, what is wrong with servers, foreign services.
pub fn text(overview: &Overview) -> String {
    let status = &overview.status;
    let mut text = head(overview);
    for alarm in &status.alarms {
        text.push_str(&format!("ALARM  {alarm}\n"));
    }
    if let Some(why) = &overview.config_refused {
        text.push_str(&format!(
            "the last reload was refused, an earlier config is in force: {why}\n"
        ));
    }
    for service in &status.services {
        text.push('\n');
        text.push_str(&of_service(service, &status.servers));
    }
    let probed: Vec<_> = status.servers.iter().filter(|it| it.condition.is_some()).collect();
    if !probed.is_empty() {
        text.push_str("\nservers\n");
        text.push_str(&of_servers(&probed));
    }
    if !status.foreign.is_empty() {
        text.push_str("\nnot ours, never touched\n");
        for foreign in &status.foreign {
            text.push_str(&format!("  {foreign}\n"));
        }
    }
    text
}

fn head(overview: &Overview) -> String {
    let status = &overview.status;
    let health = if status.healthy { "healthy" } else { "degraded" };
    let observing = if overview.observing { ", observing: the kernel is not touched" } else { "" };
    let paused = match (status.paused, status.paused_for) {
        (false, _) => String::new(),
        (true, None) => ", paused until `pgvs resume`".to_owned(),
        (true, Some(seconds)) => format!(", paused for {} more", span(seconds)),
    };
    format!(
        "{}: {health}{observing}{paused}; pgvs {}, up for {}\n",
        overview.director,
        overview.version,
        span(overview.up_for)
    )
}

fn of_service(service: &ServiceStatus, servers: &[ServerStatus]) -> String {
    let serving = if service.serving { "" } else { "  NOT SERVING" };
    let quorum = service.quorum.as_ref().map(of_quorum).unwrap_or_default();
    let head = format!(
        "{}  {}  {}  {} of {}{quorum}{serving}\n",
        service.name, service.address, service.scheduler, service.target, service.pool
    );
    let titles = [
        ("server", Lean::Left),
        ("address", Lean::Left),
        ("role", Lean::Left),
        ("weight", Lean::Right),
        ("active", Lean::Right),
        ("inactive", Lean::Right),
        ("why", Lean::Left),
    ];
    let rows = service.destinations.iter().map(|it| of_destination(service, it, servers));
    head + &columns(titles, rows, 2)
}

fn of_quorum(quorum: &QuorumStatus) -> String {
    let QuorumStatus { gained, able, needed, hysteresis } = quorum;
    let hysteresis = if *hysteresis > 0 { format!(" \u{b1}{hysteresis}") } else { String::new() };
    let state = match gained {
        None => "not known yet",
        Some(true) => "there",
        Some(false) => "LOST",
    };
    format!("  quorum {able} of {needed}{hysteresis} {state}")
}

fn of_destination(
    service: &ServiceStatus,
    destination: &DestinationStatus,
    servers: &[ServerStatus],
) -> [String; 7] {
    let name = destination.server.as_deref();
    let server = name.and_then(|name| {
        let full = format!("{}/{name}", service.pool);
        servers.iter().find(|server| server.server == full)
    });
    let role = server.map(|server| match (&server.condition, &server.role) {
        (None, _) => "not probed".to_owned(),
        (Some(_), Some(role)) => role.clone(),
        (Some(_), None) => "?".to_owned(),
    });
    [
        match destination.part {
            Part::Sorry => "sorry server".to_owned(),
            Part::Backup => format!("{} (backup)", name.unwrap_or("-")),
            Part::Member | Part::Leaving => name.unwrap_or("-").to_owned(),
        },
        destination.address.clone(),
        role.unwrap_or_else(|| "-".to_owned()),
        weight(destination),
        destination.active.to_string(),
        destination.inactive.to_string(),
        destination.reason.clone(),
    ]
}

/// What the kernel has; and what is wanted, where that is not the same.
fn weight(destination: &DestinationStatus) -> String {
    let one = |weight: Option<u32>| weight.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let (have, want) = (one(destination.weight), one(destination.wanted));
    if have == want { have } else { format!("{have} -> {want}") }
}

fn of_servers(servers: &[&ServerStatus]) -> String {
    let titles = [
        ("server", Lean::Left),
        ("condition", Lean::Left),
        ("role", Lean::Left),
        ("timeline", Lean::Right),
        ("answered", Lean::Right),
        ("last failure", Lean::Left),
    ];
    let rows = servers.iter().map(|server| {
        let role = server.role.clone().unwrap_or_else(|| "?".to_owned());
        let answered = server.answered_ms_ago.map(|millis| format!("{millis} ms ago"));
        let failure = server.last_failure.as_ref();
        [
            server.server.clone(),
            server.condition.clone().unwrap_or_default(),
            if server.writer { format!("{role}, writer") } else { role },
            server.timeline.map_or_else(|| "-".to_owned(), |it| it.to_string()),
            answered.unwrap_or_else(|| "never".to_owned()),
            failure.map_or_else(String::new, |(what, ago)| format!("{} ago: {what}", span(*ago))),
        ]
    });
    columns(titles, rows, 2)
}

/// Seconds as people say them: the two largest units.
fn span(seconds: u64) -> String {
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
