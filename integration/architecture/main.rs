//! The layers of the library, checked by reading its sources: imports point one way, and nothing before `host`
//! touches the world.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};

/// The layers with their rank: each may name itself and those of lower rank.
const LAYERS: [(&str, u8); 12] = [
    ("time", 0),
    ("model", 1),
    ("wire", 2),
    ("config", 2),
    ("ipvsadm", 2),
    ("saved", 3),
    // Beside the engine: both read configs, and neither knows the other.
    ("import", 3),
    ("engine", 3),
    ("view", 4),
    ("host", 5),
    ("cli", 6),
    ("main", 7),
];

/// What only `host` and those after it may use: effects, clocks, randomness, logging, and maps without an order.
const EFFECTS: [&str; 26] = [
    "tokio",
    "tokio_postgres",
    "futures_util",
    "sd_notify",
    "netlink_sys",
    "rustix",
    "rustls",
    "tracing",
    "log",
    "rand",
    "fastrand",
    "getrandom",
    "Instant",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "RandomState",
    "HashMap",
    "HashSet",
    "println",
    "eprintln",
    "dbg",
];

/// Modules of the standard library that are effects as a whole.
const MODULES: [&str; 6] =
    ["std::fs", "std::env", "std::process", "std::thread", "std::os", "std::io::stdin"];

fn rank(layer: &str) -> u8 {
    LAYERS.iter().find(|(name, _)| *name == layer).unwrap().1
}

/// The code without comments, and without the tests at the end of a file.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The names in a text, each with what precedes it.
fn words(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut start = 0;
    std::iter::from_fn(move || {
        let begin = start + code[start..].find(is_word)?;
        let length = code[begin..].find(|c| !is_word(c)).unwrap_or(code.len() - begin);
        start = begin + length;
        Some((&code[..begin], &code[begin..start]))
    })
}

/// The names that a path ending in `prefix` leads to: one, or those of a list in braces.
fn named(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let is_part = code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
        let list = rest.strip_prefix('{').map(top_level);
        if !is_part {
            names.extend(list.unwrap_or_else(|| vec![first_word(rest)]));
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first names of a list in braces, without what is nested in them.
fn top_level(list: &str) -> Vec<String> {
    let (mut depth, mut names) = (0, vec![String::new()]);
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            c if depth == 0 => names.last_mut().unwrap().push(c),
            _ => (),
        }
    }
    names.iter().map(|name| first_word(name)).filter(|name| !name.is_empty()).collect()
}

/// What is wrong with the code of a layer; `depth` is how deep in it the file lies.
fn faults(layer: &str, depth: usize, text: &str) -> Vec<String> {
    let code = code(text);
    let mut faults = Vec::new();
    let upwards = "super::".repeat(depth + 1);
    for prefix in ["crate::", "pgvs::", &upwards] {
        for name in named(&code, prefix) {
            let known = LAYERS.iter().find(|(layer, _)| *layer == name);
            let is_wrong = known.is_some_and(|&(other, to)| other != layer && to >= rank(layer));
            if is_wrong {
                faults.push(format!("{layer} names {name}"));
            }
        }
    }
    if rank(layer) < rank("host") {
        let used = words(&code).filter(|(before, word)| {
            let is_field = before.ends_with('.') || before.ends_with("fn ");
            EFFECTS.contains(word) && !is_field
        });
        faults.extend(used.map(|(_, word)| format!("{layer} uses {word}")));
        let modules = MODULES.iter().filter(|module| code.contains(**module));
        faults.extend(modules.map(|module| format!("{layer} uses {module}")));
        let std = named(&code, "std::");
        let fs = ["fs", "env", "process", "thread", "os"];
        let grouped = std.iter().filter(|name| fs.contains(&name.as_str()));
        faults.extend(grouped.map(|name| format!("{layer} uses std::{name}")));
    }
    faults
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_point_one_way_and_effects_stay_in_the_host() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 30, "only {} sources", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let inner = file.strip_prefix(&root).unwrap().with_extension("");
        let parts: Vec<_> = inner.iter().map(|part| part.to_str().unwrap()).collect();
        // Tests in files of their own are no more part of a layer than those at a file's end.
        if parts == ["lib"] || parts.contains(&"tests") {
            continue;
        }
        assert!(LAYERS.iter().any(|(layer, _)| *layer == parts[0]), "{parts:?} is in no layer");
        let text = std::fs::read_to_string(&file).unwrap();
        let faults = faults(parts[0], parts.len() - 1, &text);
        wrong.extend(faults.iter().map(|fault| format!("{}: {fault}", inner.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_forbidden_thing_is_found() {
    let table = [
        ("engine", 1, "use crate::host::clock::Clock;", "engine names host"),
        ("model", 1, "use crate::{time::Time, engine::{table, plan}};", "model names engine"),
        ("wire", 1, "fn f() -> crate::config::Config {}", "wire names config"),
        ("engine", 1, "use super::super::view::table;", "engine names view"),
        ("engine", 0, "use super::view;", "engine names view"),
        ("engine", 1, "use crate::import::Format;", "engine names import"),
        ("import", 1, "use crate::engine::plan;", "import names engine"),
        ("config", 1, "use crate::ipvsadm::args;", "config names ipvsadm"),
        ("host", 1, "use crate::cli;", "host names cli"),
        ("engine", 1, "let now = std::time::Instant::now();", "engine uses Instant"),
        ("config", 1, "use std::fs::File;", "config uses std::fs"),
        ("config", 1, "use std::{fmt, fs};", "config uses std::fs"),
        ("wire", 1, "use std::net::{IpAddr, TcpStream};", "wire uses TcpStream"),
        ("engine", 1, "tokio::spawn(async {});", "engine uses tokio"),
        ("engine", 1, "tracing::info!(\"\");", "engine uses tracing"),
        ("view", 1, "println!();", "view uses println"),
        ("engine", 1, "use std::collections::HashMap;", "engine uses HashMap"),
        ("time", 0, "use std::time::{Duration, SystemTime};", "time uses SystemTime"),
        ("model", 1, "let x = fastrand::u8(..);", "model uses fastrand"),
    ];
    for (layer, depth, text, fault) in table {
        assert!(faults(layer, depth, text).contains(&fault.to_owned()), "{text}");
    }
}

#[test]
fn what_is_allowed_is_let_pass() {
    let table = [
        ("engine", 1, "use crate::{config::Config, model::op::Op, time::Time};"),
        ("engine", 1, "use super::table; use crate::engine::plan;"),
        ("import", 1, "use crate::{config::sources, ipvsadm::args};"),
        ("host", 1, "use tokio::net::TcpStream; use crate::engine::event::Event;"),
        ("engine", 1, "// crate::host owns it; tokio is far away"),
        ("engine", 1, "fn f() {}\n#[cfg(test)]\nmod tests {\n use std::fs; }"),
        ("model", 1, "use std::net::{IpAddr, SocketAddr};"),
        ("main", 0, "use pgvs::cli;"),
        ("engine", 2, "use super::super::view::View;"),
    ];
    for (layer, depth, text) in table {
        assert_eq!(faults(layer, depth, text), [""; 0], "{text}");
    }
}
