//! keepalived.conf: virtual servers become services, their real servers pools; VRRP and the like stay keepalived's.

mod address;
mod check;
mod global;
mod identity;
mod lexer;
mod real;
mod service;

use std::collections::BTreeMap;

use super::ledger::{Kind, Report, Statement};
use super::plan::Plan;
use super::reasons::Reasons;
use super::{Around, Reading};

const REASONS: Reasons = Reasons::new(include_str!("keepalived/reasons.txt"));

/// Reads a keepalived.conf with what it includes; `name` is how its includes are found.
pub(super) fn read(name: &str, text: &str, around: Around<'_>) -> Reading {
    let mut report = Report::default();
    let lexer::Text { statements, files } = lexer::text(name, text, around.loader, &mut report);
    let files = shortened(name, files);
    let mut plan = Plan::default();
    let groups: BTreeMap<&str, &Statement> = statements
        .iter()
        .filter(|it| it.keyword() == "virtual_server_group")
        .map(|it| (it.word(1), it))
        .collect();
    for statement in &statements {
        match &*statement.keyword() {
            "global_defs" => global::read(statement, &files, &mut plan, &mut report),
            "virtual_server" => service::read(statement, &groups, &mut plan, &mut report),
            _ => (),
        }
    }
    for statement in &statements {
        explain(statement, &mut report);
    }
    Reading { plan, report, statements, files }
}

/// The files' names as seen from the main file's directory.
fn shortened(main: &str, files: Vec<String>) -> Vec<String> {
    let directory = main.rfind('/').and_then(|at| main.get(..=at)).unwrap_or_default();
    let short = |file: String| file.strip_prefix(directory).map_or(file.clone(), String::from);
    files.into_iter().map(short).collect()
}

/// Lists what is unread of a statement and its block, each with the reason for it.
fn explain(statement: &Statement, report: &mut Report) {
    if !(0..statement.len()).any(|at| statement.is_unread_at(at)) {
        for inner in &statement.block {
            explain(inner, report);
        }
        return;
    }
    let keyword = statement.keyword();
    let special = match keyword.chars().next() {
        Some('@') => {
            Some((Kind::Hand, "it holds for one director alone: write what holds for this one"))
        }
        Some('~') => Some((Kind::Hand, "a sequence: write the lines that it stands for")),
        Some('$') => Some((Kind::Lost, "nothing that was carried over uses it")),
        _ => None,
    };
    match special.or_else(|| REASONS.of([&*keyword])) {
        Some((Kind::Hand, why)) => report.hand(statement, why),
        Some((Kind::Lost, why)) => report.lost(statement, why),
        None => report.lost(statement, "not known to this import"),
    }
}

/// `on`, `off` and the like; nothing is on.
fn is_on(statement: &Statement) -> Option<bool> {
    match &*statement.word(1).to_ascii_lowercase() {
        "" | "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// A number that a statement has, which is taken if it lies in the range.
fn number(statement: &Statement, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
    let number = statement.word(1).parse().ok().filter(|it| range.contains(it))?;
    statement.take_words(0..2);
    Some(number)
}
