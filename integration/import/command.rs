//! `pgvs import` as operators call it: what it prints, where, and its exit code.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::{fixture, path};

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgvs"))
        .arg("import")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pgvs runs");
    // Who refuses the arguments reads no input.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_is_carried_over_as_a_whole_exits_0_and_is_silent() {
    let name = path("fixtures/ipvsadm-numeric.txt");
    let output = run(&["ipvsadm", name.to_str().unwrap()], "");
    let (code, out, err) = texts(&output);
    assert_eq!((code, &*err), (Some(0), ""));
    assert!(out.contains("# ipvsadm-numeric.txt:3"), "{out}");
}

#[test]
fn what_is_not_carried_over_exits_1_and_is_told_on_standard_error_and_in_the_result() {
    let name = path("fixtures/haproxy-patroni.cfg");
    let output = run(&["haproxy", name.to_str().unwrap()], "");
    let (code, out, err) = texts(&output);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("haproxy-patroni.cfg:9, 11: timeout client 30m; timeout server 30m: "),
        "{err}"
    );
    assert!(err.ends_with("were not carried over\n"), "{err}");
    assert!(out.contains("#   haproxy-patroni.cfg:9, 11: timeout client 30m;"), "{out}");
    assert!(out.contains("\n[[service]]"), "{out}");
}

#[test]
fn the_standard_input_is_a_file_too() {
    let output = run(&["ipvsadm", "-"], &fixture("ipvsadm-numeric.txt"));
    let (code, out, err) = texts(&output);
    assert_eq!((code, &*err), (Some(0), ""));
    assert!(out.contains("# stdin:3"), "{out}");
}

#[test]
fn what_cannot_be_read_exits_2() {
    for file in ["/nonexistent/keepalived.conf", "/"] {
        let output = run(&["keepalived", file], "");
        let (code, out, err) = texts(&output);
        assert_eq!((code, &*out), (Some(2), ""), "{err}");
        assert!(err.starts_with(&format!("pgvs: read {file}: ")), "{err}");
        assert_eq!(err.lines().count(), 1);
    }
    for arguments in [&["nginx", "-"][..], &["haproxy"], &["haproxy", "-", "--address", "here"]] {
        assert_eq!(run(arguments, "").status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_directors_address_stands_for_any() {
    let text = fixture("haproxy-patroni.cfg");
    let output = run(&["haproxy", "-", "--address", "10.9.0.7"], &text);
    let (code, out, err) = texts(&output);
    assert_eq!(code, Some(1));
    assert!(out.contains("address = \"10.9.0.7:5000\""), "{out}");
    assert!(!err.contains("pgvs needs the address"), "{err}");
}

#[test]
fn an_empty_file_is_a_config_without_services() {
    for format in ["keepalived", "haproxy", "ipvsadm"] {
        let output = run(&[format, "-"], "\n# nothing\n");
        let (code, out, err) = texts(&output);
        assert_eq!((code, &*err), (Some(0), ""), "{format}");
        assert!(out.starts_with("# Made by `pgvs import"), "{out}");
    }
}

#[test]
fn host_names_are_looked_up_on_demand_alone() {
    let text = "listen pg\n mode tcp\n bind 10.9.0.1:5432\n server a localhost:5432 check\n";
    let (_, asked, _) = texts(&run(&["haproxy", "-", "--resolve"], text));
    assert!(
        asked.contains("\"127.0.0.1:5432\"") && asked.contains("localhost, looked up"),
        "{asked}"
    );
    let (_, unasked, _) = texts(&run(&["haproxy", "-"], text));
    assert!(unasked.contains("\"192.0.2.11:5432\"") && !unasked.contains("127.0.0.1"), "{unasked}");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgvs"))
        .args(["import", "haproxy", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(fixture("haproxy-patroni.cfg").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}
