//! Inputs that nobody wrote on purpose: cut off, shuffled, binary, huge, deeply nested. Nothing panics, nothing is lost.

use std::time::Instant;

use fastrand::Rng;
use pgvs::import::Format;

use super::account::is_whole;
use super::{FIXTURES, fixture, import_as};

const FORMATS: [Format; 3] = [Format::Keepalived, Format::Haproxy, Format::Ipvsadm];

/// Imports a text, which must end, be accounted for, and yield a TOML text.
fn survives(format: Format, text: &str) {
    let imported = import_as(format, "input", text);
    is_whole(format, text, &imported);
    let table: Result<toml::Table, _> = imported.toml.parse();
    assert!(table.is_ok(), "{table:?}\n{}", imported.toml);
}

#[test]
fn every_beginning_of_a_fixture_is_accounted_for() {
    for (format, name) in FIXTURES {
        let text = fixture(name);
        for (end, _) in text.char_indices().step_by(7) {
            survives(format, &text[..end]);
        }
    }
}

#[test]
fn shuffled_and_damaged_fixtures_are_accounted_for() {
    let seed = std::env::var("IMPORT_SEED").ok().map_or(1, |it| it.parse().unwrap());
    println!("IMPORT_SEED={seed}");
    let mut dice = Rng::with_seed(seed);
    for round in 0..300 {
        let (format, name) = FIXTURES[dice.usize(..FIXTURES.len())];
        // Sometimes another program's file.
        let format = if round % 10 == 0 { FORMATS[dice.usize(..3)] } else { format };
        let text = fixture(name);
        let mut lines: Vec<String> = text.split('\n').map(String::from).collect();
        for _ in 0..dice.usize(1..10) {
            damage(&mut lines, &mut dice);
        }
        println!("round {round}: {format:?} {name}");
        survives(format, &lines.join("\n"));
    }
}

fn damage(lines: &mut Vec<String>, dice: &mut Rng) {
    let at = dice.usize(..lines.len());
    match dice.u8(..6) {
        0 => {
            let other = dice.usize(..lines.len());
            lines.swap(at, other);
        }
        1 => drop(lines.remove(at)),
        2 => {
            let again = lines[at].clone();
            lines.insert(dice.usize(..=lines.len()), again);
        }
        3 => {
            let junk = ['{', '}', '"', '\'', '\\', '#', '!', '$', '@', '\u{0}', 'é', '-', ':', ' '];
            let mut chars: Vec<char> = lines[at].chars().collect();
            chars.insert(dice.usize(..=chars.len()), junk[dice.usize(..junk.len())]);
            lines[at] = chars.into_iter().collect();
        }
        4 => {
            let mut words: Vec<&str> = lines[at].split(' ').collect();
            dice.shuffle(&mut words);
            lines[at] = words.join(" ");
        }
        _ => {
            let numbers = ["0", "-1", "4294967296", "99999999999999999999", "1.5", "", "999.1.1.1"];
            let mut words: Vec<&str> = lines[at].split(' ').collect();
            let word = dice.usize(..words.len());
            words[word] = numbers[dice.usize(..numbers.len())];
            lines[at] = words.join(" ");
        }
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
}

#[test]
fn what_is_no_text_is_listed() {
    let mut dice = Rng::with_seed(7);
    for format in FORMATS {
        for length in [1, 100, 10_000] {
            let bytes: Vec<u8> = std::iter::repeat_with(|| dice.u8(..)).take(length).collect();
            let imported = import_as(format, "input", &String::from_utf8_lossy(&bytes));
            assert!(imported.toml.parse::<toml::Table>().is_ok());
        }
    }
}

#[test]
fn depth_and_length_end_in_time() {
    let start = Instant::now();
    survives(Format::Keepalived, &"a {\n".repeat(50_000));
    survives(Format::Keepalived, &"}\n".repeat(20_000));
    survives(Format::Keepalived, &"virtual_server {\n".repeat(5_000));
    survives(Format::Keepalived, &format!("$A=${{A}}{}\nvirtual_server ${{A}}", "x".repeat(5_000)));
    survives(Format::Haproxy, &"listen a\n".repeat(5_000));
    survives(Format::Haproxy, &format!("listen a\n{}", " server s 10.0.0.1:5432\n".repeat(5_000)));
    survives(Format::Haproxy, &format!("listen {}", "x ".repeat(200_000)));
    survives(Format::Ipvsadm, &"-A -t 10.0.0.1:80\n".repeat(10_000));
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn thousands_of_services_are_carried_over_in_time() {
    let mut text = String::new();
    for number in 0..3_000 {
        let (high, low) = (number / 250, number % 250 + 1);
        text.push_str(&format!("-A -t 10.9.{high}.{low}:5432 -s wlc\n"));
        for server in 1..=4 {
            text.push_str(&format!(
                "-a -t 10.9.{high}.{low}:5432 -r 10.8.{server}.{}:5432 -m -w 1\n",
                number % 50 + 1
            ));
        }
    }
    let start = Instant::now();
    let imported = import_as(Format::Ipvsadm, "input", &text);
    assert_eq!(imported.listed, []);
    assert_eq!(imported.toml.matches("[[service]]").count(), 3_000);
    assert_eq!(imported.toml.matches("[[pool]]").count(), 50);
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
