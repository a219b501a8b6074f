//! Configurations from outside: every rule, what files can do to a reader, what is shown, and `pgvs check`.
//!
//! Needs no root, no network and no sleep.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod attributes;
mod command;
mod files;
mod kernel;
mod quorum;
mod rules;
mod settings;
mod shown;
mod survival;
mod written;

use std::path::PathBuf;

use pgvs::config::Config;
use pgvs::config::finding::{Finding, Severity};
use pgvs::config::sources::check_text;

/// A configuration without a finding: two pools, one of them not probed.
const GOOD: &str = r#"
[director]
name = "lb1"

[[pool]]
name = "orders"
[pool.postgres]
pulse = "100ms"
[[pool.server]]
name = "pg1"
address = "10.8.0.11:5432"
[[pool.server]]
name = "pg2"
address = "10.8.0.12:5432"
weight = 100

[[pool]]
name = "plain"
probe = "none"
[[pool.server]]
name = "a"
address = "10.8.0.21:80"
[[pool.server]]
name = "b"
address = "10.8.0.22:80"

[[service]]
name = "rw"
address = "10.9.0.100:5432"
pool = "orders"
target = "primary"

[[service]]
name = "web"
address = "10.9.0.101:80"
pool = "plain"
scheduler = "wrr"
"#;

/// [`GOOD`] with one text in place of another, which it must hold exactly once.
fn good_with(old: &str, new: &str) -> String {
    assert_eq!(GOOD.matches(old).count(), 1, "{old:?} must stand once");
    GOOD.replace(old, new)
}

/// [`GOOD`] with something before it: a setting of the director, or defaults.
fn good_after(text: &str) -> String {
    format!("{text}\n{}", GOOD.replace("[director]\nname = \"lb1\"\n", ""))
}

/// The configuration of a text that has no finding at all.
fn accepted(text: &str) -> Config {
    let checked = check_text("t.toml", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(checked.findings.render(pgvs::config::finding::Style::Plain), "");
    checked.config
}

/// The findings of a text, accepted or not.
fn findings(text: &str) -> Vec<Finding> {
    match check_text("t.toml", text) {
        Ok(checked) => checked.findings.all,
        Err(error) => error.0.all,
    }
}

/// Asserts that a text has exactly one error, with these words in its title and its help, underlining this.
fn refuses(text: &str, underlined: &str, title: &str, help: &str) {
    let errors: Vec<Finding> =
        findings(text).into_iter().filter(|finding| finding.severity == Severity::Error).collect();
    let [error] = &*errors else { panic!("one error wanted for {title:?}: {errors:#?}") };
    expect(error, text, underlined, title, help);
}

/// Asserts that a text is accepted with exactly one warning.
fn warns(text: &str, underlined: &str, title: &str, help: &str) {
    let findings = check_text("t.toml", text).unwrap_or_else(|error| panic!("{error}")).findings;
    let [warning] = &*findings.all else {
        panic!("one warning wanted for {title:?}: {findings:#?}")
    };
    expect(warning, text, underlined, title, help);
}

fn expect(finding: &Finding, text: &str, underlined: &str, title: &str, help: &str) {
    assert!(finding.title.contains(title), "{title:?} not in {:?}", finding.title);
    let seen = finding.help.as_deref().unwrap_or_default();
    assert!(seen.contains(help), "{help:?} not in {seen:?}");
    let mark = finding.marks.first().expect("a place");
    let line = text.lines().nth(mark.line - 1).unwrap_or_default();
    let rest: String = line.chars().skip(mark.column - 1).collect();
    assert!(rest.starts_with(underlined), "{underlined:?} is not what is underlined: {rest:?}");
}

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
