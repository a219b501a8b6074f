//! `pgvs check` as operators call it: what it prints, where, and its exit code.

use std::fs;
use std::process::{Command, Output};

use super::{GOOD, good_with, repository};

fn check(arguments: &[&str], config: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgvs"));
    command.arg("check").args(arguments).env_remove("PGVS_CONFIG");
    if let Some(config) = config {
        command.env("PGVS_CONFIG", config);
    }
    command.output().expect("pgvs runs")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_valid_file_is_counted_and_exits_0() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgvs.toml");
    // Loopback addresses are everybody's, so no warning depends on the machine.
    fs::write(&path, GOOD.replace("10.9.0.", "127.0.0.")).unwrap();
    let path = path.to_str().unwrap();
    let output = check(&["--config", path], None);
    let expected = format!("{path}: 2 services, 2 pools, 4 servers, 2 of them not probed: valid\n");
    assert_eq!((stdout(&output), stderr(&output)), (&*expected, ""));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_price_of_full_nat_is_said_and_is_no_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgvs.toml");
    let text = GOOD.replace("10.9.0.", "127.0.0.").replace("\"wrr\"", "\"wrr\"\nsource_nat = true");
    fs::write(&path, text).unwrap();
    let output = check(&["--config", path.to_str().unwrap()], None);
    assert!(stdout(&output).ends_with("2 of them not probed: valid\n"), "{}", stdout(&output));
    let note = stderr(&output);
    assert!(note.starts_with("note: full NAT (source_nat) of web: servers see"), "{note}");
}

#[test]
fn warnings_are_counted_and_exit_0() {
    let output = check(&["--config", repository("config/pgvs.toml").to_str().unwrap()], None);
    assert!(
        stdout(&output).ends_with("2 services, 1 pool, 3 servers: valid, 2 warnings\n"),
        "{}",
        stdout(&output)
    );
    assert_eq!(stderr(&output).matches("warning: ").count(), 2, "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_refused_file_shows_its_errors_without_colours_and_exits_2() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgvs.toml");
    fs::write(&path, good_with("\"wrr\"", "\"wrrr\"").replace("10.9.0.", "127.0.0.")).unwrap();
    let output = check(&["--config", path.to_str().unwrap()], None);
    assert!(stdout(&output).ends_with("pgvs.toml: refused, 1 error\n"), "{}", stdout(&output));
    let shown = stderr(&output);
    assert!(shown.starts_with("error: unknown scheduler \"wrrr\"\n"), "{shown}");
    assert!(
        shown.contains("37 | scheduler = \"wrrr\"\n   |             ^^^^^^ unknown\n"),
        "{shown}"
    );
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_environment_names_the_file_unless_the_command_does() {
    let output = check(&[], Some("/nowhere/environment.toml"));
    assert!(
        stderr(&output)
            .starts_with("error: read /nowhere/environment.toml: no such file or directory\n")
    );
    assert_eq!(output.status.code(), Some(2));
    let output = check(&["--config", "/nowhere/argument.toml"], Some("/nowhere/environment.toml"));
    assert!(stderr(&output).contains("/nowhere/argument.toml"));
}
