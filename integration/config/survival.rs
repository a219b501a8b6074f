//! Nothing that can stand in a file makes the check panic, and nothing makes it slow.

use std::fmt::Write;
use std::time::Duration;

use pgvs::config::finding::Style;
use pgvs::config::sources::check_text;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::repository;

/// Pieces that mean something to the parser or to a rule.
const PIECES: &[&str] = &[
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "#",
    "\n",
    "\r\n",
    "\0",
    "\\u0000",
    "\u{202e}",
    "ä",
    "0",
    "-1",
    "99999999999999999999",
    "1e400",
    "nan",
    "2020-01-01",
    "true",
    "name",
    "address",
    "pool",
    "server",
    "service",
    "[[pool]]\n",
    "[[pool.server]]\n",
    "[[service]]\n",
    "[defaults.postgres]\n",
    "weight = 0\n",
    "pulse = \"0s\"\n",
    "10.0.0.1:1",
    "[::1]:1",
    "fe80::1%1",
    "orders",
    "include = [\"*\"]\n",
    "virtual_server 1 {\n",
];

fn all_ways_to_look_at(text: &str) {
    match check_text("t.toml", text) {
        Ok(checked) => drop(checked.findings.render(Style::Terminal)),
        Err(error) => {
            assert!(error.0.errors > 0);
            drop((error.to_string(), error.line(), error.0.render(Style::Terminal)));
        }
    }
}

proptest! {
    #[test]
    fn no_mutation_of_a_good_file_panics(edits in vec((any::<Index>(), 0..40usize, select(PIECES)), 1..8)) {
        let mut text = std::fs::read_to_string(repository("config/pgvs.toml")).unwrap();
        for (at, removed, piece) in edits {
            let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let from = starts.get(at.index(starts.len().max(1))).copied().unwrap_or(0);
            let to = text[from..].char_indices().nth(removed).map_or(text.len(), |(length, _)| from + length);
            text.replace_range(from..to, piece);
        }
        all_ways_to_look_at(&text);
    }

    #[test]
    fn no_heap_of_pieces_panics(pieces in vec(select(PIECES), 0..60)) {
        all_ways_to_look_at(&pieces.concat());
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        all_ways_to_look_at(&text);
    }
}

#[test]
fn every_prefix_of_a_good_file_is_checked_without_a_panic() {
    let text = std::fs::read_to_string(repository("config/examples/poolers.toml")).unwrap();
    for (end, _) in text.char_indices() {
        all_ways_to_look_at(&text[..end]);
    }
}

/// Ten thousand services, each with a pool of ten servers.
fn large() -> String {
    let mut text = String::new();
    for number in 0..10_000 {
        let (high, low) = (number / 250, number % 250 + 1);
        writeln!(text, "[[service]]\nname = \"s{number}\"\naddress = \"10.1.{high}.{low}:5432\"\npool = \"p{number}\"").unwrap();
        writeln!(text, "[[pool]]\nname = \"p{number}\"\nprobe = \"none\"").unwrap();
        for server in 0..10 {
            let high = high + 1;
            writeln!(
                text,
                "[[pool.server]]\nname = \"pg{server}\"\naddress = \"10.{}.{high}.{low}:5432\"",
                server + 2
            )
            .unwrap();
        }
    }
    text
}

/// What this thread has cost so far: a busy machine must not fail a test.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

/// The bound is far above what a debug build needs (see the printed figure), and far below what comparing everything
/// with everything takes.
#[test]
fn ten_thousand_services_of_ten_servers_are_checked_at_once() {
    let text = large();
    let start = processor_time();
    let config = super::accepted(&text);
    let took = processor_time() - start;
    println!("10,000 services x 10 servers, {} bytes: checked in {took:?}", text.len());
    assert_eq!(config.services.len(), 10_000);
    assert!(took.as_secs() < 10, "{took:?}");
}

/// Twenty services of 4,096 addresses each, over a pool of ten servers that are reached in several ways.
#[test]
fn eighty_thousand_addresses_in_ranges_are_checked_at_once() {
    let mut text = String::from("[[pool]]\nname = \"p\"\nprobe = \"none\"\n");
    for server in 0..10 {
        let own = if server % 2 == 0 { "forwarding = \"tun\"\n" } else { "" };
        writeln!(
            text,
            "[[pool.server]]\nname = \"s{server}\"\naddress = \"[2001:db8::{server}]:5432\"\n{own}"
        )
        .unwrap();
    }
    for service in 1..=20 {
        writeln!(text, "[[service]]\nname = \"s{service}\"\npool = \"p\"\naddress = \"[2001:db8:{service}::0-fff]:5432\"").unwrap();
    }
    let start = processor_time();
    let config = super::accepted(&text);
    let took = processor_time() - start;
    println!("20 services of 4,096 addresses: checked in {took:?}");
    assert_eq!(config.services.len(), 81_920);
    assert!(took.as_secs() < 10, "{took:?}");
}

#[test]
fn ten_thousand_services_of_an_unknown_pool_are_refused_at_once() {
    let text = large().replace("\npool = \"p", "\npool = \"q");
    let start = processor_time();
    let error = check_text("t.toml", &text).unwrap_err();
    let shown = error.to_string();
    let took = processor_time() - start;
    println!("10,000 unknown pools: refused in {took:?}");
    assert_eq!(error.0.errors, 10_000);
    assert!(shown.len() < 100_000);
    assert!(took.as_secs() < 10, "{took:?}");
}
