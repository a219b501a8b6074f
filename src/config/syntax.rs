//! What TOML's parser could not read, said in the words of whoever wrote it.
//!
//! The parser stops at the first mistake, so one file yields one of these.

use super::file;
use super::report::{Draft, Place};
use super::unknown::Unknown;
use super::words;

/// The finding for a parser's error in the text of file number `file`.
pub(super) fn draft(file: usize, text: &str, error: &toml::de::Error) -> Draft {
    let span = error.span().unwrap_or(0..0);
    let place = Place::new(file, span.clone());
    let marked = text.get(span.clone()).unwrap_or_default();
    let message = error.message();
    let brought_along = words::elsewhere(first_word(text, span.start));
    if let (Some(here), "key with no value, expected `=`") = (brought_along, message) {
        return Draft::new("this is not TOML").at(place, "expected `key = value`").help(here);
    }
    let table = marked.trim_matches(['[', ']', ' ']);
    if message == "invalid type: map, expected a sequence" {
        return Draft::new(format!("[[{table}]] may stand several times, and takes two brackets"))
            .at(place, "one of several")
            .help(format!("write [[{table}]], and beneath it what belongs to it"));
    }
    if message.starts_with("string values must be quoted") {
        let draft = Draft::new("a value that is not in quotes").at(place, "not in quotes");
        return match marked {
            "" => draft.help("give the key a value"),
            value => draft.help(format!("write \"{}\"", value.trim())),
        };
    }
    let draft = Draft::new(message.lines().next().unwrap_or_default());
    if message == "duplicate key" {
        return draft.at(place, "stands here a second time").help("keep one of the two");
    }
    if message.ends_with("expected a sequence") {
        return draft.at(place, "not a list").help("write a list in brackets: [\"...\"]");
    }
    draft.at(place, "here")
}

/// The finding for a key that its table does not take.
pub(super) fn unknown_key(file: usize, unknown: &Unknown) -> Draft {
    let place = Place::new(file, unknown.span.clone());
    let key = &*unknown.key;
    if words::is_not_yet(key) {
        return Draft::new(format!("`{key}` is not built yet"))
            .at(place, "not yet")
            .help("leave it out: a key that has no effect is refused, never ignored");
    }
    let draft = Draft::new(format!("unknown key `{key}`")).at(place, "unknown here");
    // The words of others first: `backend` is nearer to nothing of ours.
    if let Some(here) = words::elsewhere(key) {
        return draft.help(here);
    }
    let tables: Vec<&str> = file::tables()
        .iter()
        .filter(|(_, keys)| keys.contains(&key))
        .map(|(table, _)| *table)
        .collect();
    if !tables.is_empty() {
        return draft.help(format!("`{key}` belongs to {}", tables.join(" or ")));
    }
    match words::nearest(key, unknown.accepted.iter().copied()) {
        Some(near) => draft.help(format!("did you mean `{near}`?")),
        None => draft.help(format!("known here: {}", unknown.accepted.join(", "))),
    }
}

/// The first word of the line that holds the byte `at`.
fn first_word(text: &str, at: usize) -> &str {
    let Some((before, after)) = text.split_at_checked(at) else {
        return "";
    };
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = after.find('\n').map_or(text.len(), |newline| at + newline);
    let line = text.get(start..end).unwrap_or_default();
    line.split_whitespace().next().unwrap_or_default()
}
