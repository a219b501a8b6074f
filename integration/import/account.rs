//! The account: every line of the input is carried over or listed, and what counts as carried has an effect.

use std::collections::BTreeSet;

use pgvs::import::{Format, Imported};

use super::{FIXTURES, fixture, import_as};

/// The lines of the main file that say something: not blank, no comment, no brace alone.
pub(super) fn speaking(format: Format, text: &str) -> Vec<usize> {
    let is_comment = |line: &str| match format {
        Format::Keepalived => line.starts_with(['#', '!']),
        Format::Haproxy | Format::Ipvsadm => line.starts_with('#'),
    };
    let is_brace = |line: &str| {
        format == Format::Keepalived
            && line.split(['#', '!']).next().unwrap().chars().all(|c| "{} \t".contains(c))
    };
    text.split('\n')
        .zip(1..)
        .map(|(line, number)| (line.trim(), number))
        .filter(|(line, _)| !line.is_empty() && !is_comment(line) && !is_brace(line))
        // The name of the program alone is no command.
        .filter(|(line, _)| format != Format::Ipvsadm || *line != "ipvsadm")
        .map(|(_, number)| number)
        .collect()
}

/// The lines of the main file that are carried over or listed, by themselves or in a block.
pub(super) fn accounted(imported: &Imported) -> BTreeSet<usize> {
    let carried = imported.carried.iter().filter(|it| it.file == 0).map(|it| it.line);
    let listed = imported.listed.iter().filter_map(|it| {
        let place = it.place.filter(|place| place.file == 0)?;
        Some(place.line..=it.end.max(place.line))
    });
    carried.chain(listed.flatten()).collect()
}

/// Asserts that nothing was dropped.
pub(super) fn is_whole(format: Format, text: &str, imported: &Imported) {
    let accounted = accounted(imported);
    for line in speaking(format, text) {
        assert!(
            accounted.contains(&line),
            "line {line} is dropped: {:?}\n{:?}",
            text.split('\n').nth(line - 1),
            imported.listed
        );
    }
}

#[test]
fn every_line_is_carried_over_or_listed() {
    for (format, name) in FIXTURES {
        let text = fixture(name);
        let imported = import_as(format, name, &text);
        is_whole(format, &text, &imported);
        for line in imported.lines() {
            assert!(
                imported.toml.contains(line.split(": ").next().unwrap().split(',').next().unwrap())
            );
        }
    }
}

/// Changes each word in turn: a change that leaves no trace would have been dropped.
#[test]
fn no_word_can_change_without_a_trace() {
    let mut changed = 0;
    for (format, name) in FIXTURES {
        let text = fixture(name);
        let before = import_as(format, name, &text);
        // In a block that is listed as a whole the words are not repeated.
        let blocks: BTreeSet<usize> = before
            .listed
            .iter()
            .filter_map(|it| Some((it.place?, it.end)))
            .filter(|(place, end)| place.file == 0 && *end > place.line)
            .flat_map(|(place, end)| place.line + 1..=end)
            .collect();
        for number in speaking(format, &text).into_iter().filter(|it| !blocks.contains(it)) {
            let line = text.split('\n').nth(number - 1).unwrap();
            let line = line.split(['#', '!']).next().unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            for (at, word) in words.iter().enumerate() {
                // Quotes, braces and the program's name are not words of their own.
                if word.contains(['"', '\'', '{', '}']) || *word == "ipvsadm" {
                    continue;
                }
                // ipvsadm itself passes over the port of a server whose port it does not change.
                let is_ipvsadms = format == Format::Ipvsadm && !words.contains(&"-m");
                if is_ipvsadms && at > 0 && words[at - 1] == "-r" && word.contains("]:") {
                    continue;
                }
                let mut words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
                words[at] = other(word);
                let mut lines: Vec<String> = text.split('\n').map(String::from).collect();
                lines[number - 1] = words.join(" ");
                let after = import_as(format, name, &lines.join("\n"));
                let is_seen = after.toml != before.toml || after.listed != before.listed;
                assert!(is_seen, "{name}:{number}: {word:?} leaves no trace");
                changed += 1;
            }
        }
    }
    assert!(changed > 500, "only {changed} words were changed");
}

/// Another word of the same kind.
fn other(word: &str) -> String {
    match word.chars().last() {
        Some('9') => format!("{}8", &word[..word.len() - 1]),
        Some(digit @ '0'..='8') => {
            let next = char::from_digit(digit.to_digit(10).unwrap() + 1, 10).unwrap();
            format!("{}{next}", &word[..word.len() - 1])
        }
        _ => format!("{word}x"),
    }
}

#[test]
fn a_line_that_nobody_knows_is_listed_wherever_it_stands() {
    for (format, name) in FIXTURES {
        let text = fixture(name);
        let lines: Vec<&str> = text.split('\n').collect();
        for at in 0..=lines.len() {
            let mut with = lines.clone();
            with.insert(at, "frobnicate 17");
            let imported = import_as(format, name, &with.join("\n"));
            let is_listed = imported.listed.iter().any(|it| {
                it.place.is_some_and(|place| {
                    place.file == 0 && (place.line..=it.end.max(place.line)).contains(&(at + 1))
                })
            });
            assert!(is_listed, "{name}:{}: {:?}", at + 1, imported.listed);
        }
    }
}
