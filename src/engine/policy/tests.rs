//! Policy as tables: who serves in which order, what soft evidence may take, how many are counted.

use super::*;
use crate::engine::health::Condition::{Down, Full, Hung, Suspect, Unknown, Up};
use crate::model::postgres::Facts;

/// One server, in few letters: `p`rimary or `s`tandby or `?`, `b` for a backup, `0` for weight 0, then its condition.
fn server(words: &str) -> View {
    let (letters, condition) = words.split_once(' ').unwrap_or((words, "up"));
    let condition = match condition {
        "up" => Up,
        "down" => Down,
        "full" => Full,
        "hung" => Hung,
        "silent" => Suspect,
        "unknown" => Unknown,
        other => panic!("{other}"),
    };
    let role = match letters.chars().next() {
        Some('p') => Some(Role::Primary),
        Some('s') => Some(Role::Standby),
        _ => None,
    };
    let facts = role.filter(|_| condition != Down).map(|role| Facts {
        role,
        timeline: None,
        system_identifier: None,
        read_only: None,
    });
    View {
        verdict: Verdict { condition, facts, is_misconfigured: false },
        standing: if role == Some(Role::Primary) { Standing::Writer } else { Standing::Member },
        is_another_writer: role != Some(Role::Primary),
        adopted: letters.contains('a').then_some(Adopted::Weight(Weight(100))),
        configured: if letters.contains('0') { Weight(0) } else { Weight(100) },
        is_backup: letters.contains('b'),
        starts_up: letters.contains('u'),
        is_cut: false,
    }
}

fn decided(target: Target, servers: &[&str], is_frozen: bool) -> Decided {
    let views: Vec<View> = servers.iter().map(|words| server(words)).collect();
    decide(target, OnDown::Cut, &views, is_frozen)
}

/// `+` has weight, `0` has none, `-` is absent.
fn weights(decided: &Decided) -> String {
    let one = |it: &Decision| match it.weight {
        None => '-',
        Some(weight) if weight.is_usable() => '+',
        Some(_) => '0',
    };
    decided.decisions.iter().map(one).collect()
}

#[test]
fn each_table_of_servers_gives_its_weights_and_its_count() {
    use Target::{Any, PreferStandby, Primary, Standby};
    let table: &[(Target, &[&str], &str, u32)] = &[
        // One tier: soft evidence takes what it may.
        (Standby, &["p", "s", "s"], "0++", 2),
        (Standby, &["p", "s full", "s"], "00+", 2),
        (Standby, &["p", "s full", "s full"], "0++", 2),
        (Standby, &["s full", "s hung", "s", "s"], "00++", 4),
        (Standby, &["s full", "s silent", "s hung", "s"], "+00+", 4),
        (Standby, &["s full", "s silent", "s hung", "s down"], "+++-", 3),
        (Standby, &["s down", "s0", "p"], "-00", 0),
        // The fallback primary.
        (PreferStandby, &["p", "s", "s"], "0++", 2),
        (PreferStandby, &["p", "s down", "s0"], "+-0", 1),
        (PreferStandby, &["p", "s full"], "+0", 1),
        (PreferStandby, &["p full", "s full"], "+0", 1),
        (PreferStandby, &["p0", "s full"], "0+", 1),
        (PreferStandby, &["p", "s full", "s hung", "s silent"], "0++0", 3),
        // Backups.
        (Any, &["p", "s", "sb"], "++0", 2),
        (Any, &["p down", "s down", "sb", "sb"], "--++", 2),
        (Any, &["p down", "s0", "sb"], "-0+", 1),
        (Any, &["p", "s full", "sb"], "+00", 2),
        (Any, &["p full", "s full", "sb"], "00+", 2),
        (Any, &["p full", "s hung", "s silent", "sb"], "++00", 3),
        (Any, &["p down", "s silent", "sb full"], "-0+", 1),
        (Any, &["p down", "sb silent", "sb full"], "-++", 2),
        (Any, &["pb", "sb"], "++", 2),
        (Standby, &["p", "s down", "sb"], "0-+", 1),
        (Primary, &["pb", "s", "s"], "+00", 1),
        (Primary, &["p full", "sb"], "+0", 1),
        // A primary that is no backup comes before standbys that are, and a backup primary comes last.
        (PreferStandby, &["p", "s down", "sb"], "+-0", 1),
        (PreferStandby, &["p down", "s down", "sb"], "--+", 1),
        (PreferStandby, &["pb", "s", "sb"], "0+0", 1),
        (PreferStandby, &["pb", "s down", "sb"], "0-+", 1),
        (PreferStandby, &["pb", "s down", "sb down"], "+--", 1),
        (PreferStandby, &["p full", "s down", "sb full"], "0-+", 1),
        // What the kernel had, and what counts as up before it has answered.
        (Any, &["?a unknown", "?ab unknown"], "+0", 1),
        (Any, &["? unknown", "?u unknown"], "0+", 1),
        (Any, &["?u silent", "?u unknown"], "0+", 2),
        (Standby, &["?u unknown", "s"], "0+", 1),
        (Any, &["?u0 unknown", "?ub unknown"], "0+", 1),
    ];
    for (target, servers, expected, able) in table {
        let decided = decided(*target, servers, false);
        assert_eq!(weights(&decided), *expected, "{target:?} {servers:?}");
        assert_eq!(decided.able, *able, "{target:?} {servers:?}");
    }
}

#[test]
fn frozen_silence_takes_nothing_and_other_evidence_still_counts() {
    for (servers, expected) in
        [(["s silent", "s silent", "sb"], "++0"), (["s full", "s silent", "sb"], "0+0")]
    {
        assert_eq!(weights(&decided(Target::Standby, &servers, true)), expected, "{servers:?}");
    }
}

#[test]
fn whoever_yields_to_the_sorry_server_keeps_its_place_and_says_why() {
    let mut lost = decided(Target::Standby, &["s", "s down", "s full", "p"], false);
    yield_to_sorry_server(&mut lost, 3);
    assert_eq!(weights(&lost), "0-00");
    let reasons: Vec<String> = lost.decisions.iter().map(|it| it.reason.to_string()).collect();
    let expected = [
        "quorum lost, 2 of 3: the sorry server serves",
        "down: connection refused",
        "full",
        "is a primary",
    ];
    assert_eq!(reasons, expected);
}

/// Every mixture of up to four servers of these kinds, for every target.
#[test]
fn whatever_the_servers_are_the_rules_hold() {
    const KINDS: [&str; 8] = ["s", "s full", "s0", "s down", "sb", "sb full", "p", "pb silent"];
    for number in 0..8_u32.pow(4) {
        let words: Vec<&str> = (0..4)
            .map(|place| KINDS[usize::try_from(number / 8_u32.pow(place) % 8).unwrap()])
            .collect();
        if words.iter().filter(|it| it.starts_with('p')).count() > 1 {
            continue;
        }
        for target in [Target::Primary, Target::Standby, Target::PreferStandby, Target::Any] {
            let decided = decided(target, &words, false);
            let weights = weights(&decided);
            let serves = |place: usize| weights.as_bytes()[place] == b'+';
            let serving: Vec<usize> = (0..4).filter(|&place| serves(place)).collect();
            assert_eq!(serving.is_empty(), decided.able == 0, "{target:?} {words:?} {weights}");
            let is_backup = |place: &usize| words[*place].contains('b');
            let is_one_kind = serving.iter().all(is_backup) || !serving.iter().any(is_backup);
            assert!(is_one_kind, "backups beside others: {target:?} {words:?} {weights}");
            if target == Target::Primary {
                assert!(serving.len() <= 1, "{words:?} {weights}");
            }
        }
    }
}
