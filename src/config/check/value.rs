//! Single values: words, names, numbers, durations; each refusal says what would be accepted.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use crate::config::file::{Field, Scalar};
use crate::config::report::{Draft, Place, Report};
use crate::config::words;
use crate::model::destination::Weight;

/// A value as written, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    pub(super) value: &'a Scalar,
    pub(super) place: Place,
}

/// The value of a field in file number `file`.
pub(super) fn written(file: usize, field: Option<&Spanned<Scalar>>) -> Option<Written<'_>> {
    field.map(|field| Written { value: field.get_ref(), place: Place::new(file, field.span()) })
}

/// The field's own value, else the one of `[defaults]`, which stands in the main file.
pub(super) fn either<'a>(file: usize, own: &'a Field, default: &'a Field) -> Option<Written<'a>> {
    written(file, own.as_ref()).or_else(|| written(0, default.as_ref()))
}

/// Each value of a field that takes several, in file number `file`.
pub(super) fn each(file: usize, field: &Field) -> Vec<Written<'_>> {
    match field.as_ref().map(Spanned::get_ref) {
        Some(Scalar::List(list)) => {
            list.iter().filter_map(|value| written(file, Some(value))).collect()
        }
        _ => written(file, field.as_ref()).into_iter().collect(),
    }
}

impl Written<'_> {
    /// Says that the value has a wrong type.
    fn is_no(&self, report: &mut Report, wanted: &str, help: String) {
        let is = match self.value {
            Scalar::Text(_) => "a text",
            Scalar::Integer(_) => "a bare number",
            Scalar::Boolean(_) => "true or false",
            Scalar::List(_) => "a list",
            Scalar::Other(kind) => kind,
        };
        let draft =
            Draft::new(format!("{is}, not {wanted}")).at(self.place, format!("not {wanted}"));
        report.error(draft.help(help));
    }
}

/// A text without control characters.
pub(super) fn text<'a>(report: &mut Report, written: Written<'a>) -> Option<&'a str> {
    match written.value {
        Scalar::Text(text) if text.contains(char::is_control) => {
            let draft =
                Draft::new("a text with control characters").at(written.place, "not printable");
            report.error(draft.help("write it on one line, without \\u escapes"));
            None
        }
        Scalar::Text(text) => Some(text),
        Scalar::Integer(number) => {
            written.is_no(report, "a text", format!("write it in quotes: \"{number}\""));
            None
        }
        Scalar::Boolean(_) | Scalar::List(_) | Scalar::Other(_) => {
            written.is_no(report, "a text", "write a text in quotes".to_owned());
            None
        }
    }
}

/// A program and its arguments, as a list of texts: no shell reads it.
pub(super) fn command(report: &mut Report, written: Written<'_>) -> Option<Arc<[Box<str>]>> {
    let example = "write a list: [\"/usr/local/bin/notify\", \"argument\"]";
    let Scalar::List(values) = written.value else {
        written.is_no(report, "a program and its arguments", example.to_owned());
        return None;
    };
    let words: Option<Vec<Box<str>>> = values
        .iter()
        .map(|value| {
            let place = Place::new(written.place.file, value.span());
            text(report, Written { value: value.get_ref(), place }).map(Into::into)
        })
        .collect();
    let words = words?;
    match words.first() {
        Some(program) if program.starts_with('/') => Some(words.into()),
        Some(program) => {
            let draft = Draft::new(format!("{program:?} is not the whole path of a program"))
                .at(written.place, "no shell looks it up");
            report.error(draft.help(example));
            None
        }
        None => {
            let draft = Draft::new("no program is named").at(written.place, "an empty list");
            report.error(draft.help(example));
            None
        }
    }
}

/// A text of 1 to `max` bytes.
pub(super) fn short(report: &mut Report, written: Written<'_>, max: usize) -> Option<Box<str>> {
    let text = text(report, written)?;
    if (1..=max).contains(&text.len()) {
        return Some(text.into());
    }
    let label = if text.is_empty() { "empty".to_owned() } else { format!("{} bytes", text.len()) };
    let draft = Draft::new(format!("not 1 to {max} bytes long")).at(written.place, label);
    report.error(draft.help(format!("write 1 to {max} bytes")));
    None
}

/// The longest name of a pool, server, service or director, in bytes.
const NAME: usize = 64;

/// A name that can stand in commands, metrics and paths: `pg1`, `orders-rw`, `db.example.com`.
pub(super) fn name(report: &mut Report, written: Written<'_>) -> Option<Box<str>> {
    let text = text(report, written)?;
    let wrong = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
    let problem = match (text.chars().next(), wrong) {
        (None, _) => "a name is empty".to_owned(),
        (_, Some(c)) => format!("a name holds {c:?}"),
        (Some(first), None) if !first.is_ascii_alphanumeric() => {
            format!("a name begins with {first:?}")
        }
        _ if text.len() > NAME => format!("a name of {} characters", text.len()),
        _ => return Some(text.into()),
    };
    report.error(
        Draft::new(problem).at(written.place, "not a name").help(format!(
            "letters a-z, digits, and . _ - after the first; at most {NAME} of them"
        )),
    );
    None
}

/// `true` or `false`; the default where nothing is written or accepted.
pub(super) fn boolean(report: &mut Report, written: Option<Written<'_>>, default: bool) -> bool {
    let Some(written) = written else {
        return default;
    };
    match written.value {
        Scalar::Boolean(value) => *value,
        Scalar::Text(_) | Scalar::Integer(_) | Scalar::List(_) | Scalar::Other(_) => {
            written.is_no(
                report,
                "true or false",
                format!("write true or false, without quotes; default {default}"),
            );
            default
        }
    }
}

/// A whole number of a range.
pub(super) fn number(
    report: &mut Report,
    written: Written<'_>,
    range: RangeInclusive<u32>,
) -> Option<u32> {
    let (from, to) = (range.start(), range.end());
    let number = match written.value {
        Scalar::Integer(number) => *number,
        Scalar::Text(text) if text.parse::<u32>().is_ok() => {
            written.is_no(report, "a number", format!("write it without quotes: {text}"));
            return None;
        }
        Scalar::Text(_) | Scalar::Boolean(_) | Scalar::List(_) | Scalar::Other(_) => {
            written.is_no(report, "a number", format!("write a whole number, {from} to {to}"));
            return None;
        }
    };
    let accepted = u32::try_from(number).ok().filter(|number| range.contains(number));
    if accepted.is_none() {
        let draft =
            Draft::new(format!("{number} is not {from} to {to}")).at(written.place, "out of range");
        report.error(draft.help(format!("write a whole number, {from} to {to}")));
    }
    accepted
}

/// A weight as the kernel takes it; 100 where nothing is written or accepted.
pub(super) fn weight(report: &mut Report, written: Option<Written<'_>>) -> Weight {
    written
        .and_then(|written| number(report, written, 0..=Weight::MAX.0))
        .map_or(Weight(100), Weight)
}

/// A duration in words; the default where nothing is written or accepted.
pub(super) fn duration(
    report: &mut Report,
    written: Option<Written<'_>>,
    range: RangeInclusive<Duration>,
    default: Duration,
) -> Duration {
    let Some(written) = written else {
        return default;
    };
    let text = match written.value {
        Scalar::Text(text) => text,
        Scalar::Integer(number) => {
            let help = format!("say the unit, in quotes: \"{number}ms\" or \"{number}s\"");
            written.is_no(report, "a duration", help);
            return default;
        }
        Scalar::Boolean(_) | Scalar::List(_) | Scalar::Other(_) => {
            written.is_no(
                report,
                "a duration",
                format!("write \"{}\" or the like", in_words(default)),
            );
            return default;
        }
    };
    let (from, to) = (in_words(*range.start()), in_words(*range.end()));
    let Ok(duration) = humantime::parse_duration(text) else {
        let draft =
            Draft::new(format!("{text:?} is not a duration")).at(written.place, "not a duration");
        report
            .error(draft.help(format!("write \"250ms\", \"10s\" or \"5m\"; here {from} to {to}")));
        return default;
    };
    if range.contains(&duration) {
        return duration;
    }
    let draft =
        Draft::new(format!("{text} is not {from} to {to}")).at(written.place, "out of range");
    report.error(draft.help(format!("write {from} to {to}; default {}", in_words(default))));
    default
}

/// A duration as the config writes it.
pub(super) fn in_words(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// What a key of words takes.
pub(super) struct Choice<T: 'static> {
    /// What the words are, in the singular: "target".
    pub(super) what: &'static str,
    /// The words and what they mean.
    pub(super) words: &'static [(&'static str, T)],
    /// Words of other programs, in small letters, and ours for them.
    pub(super) synonyms: &'static [(&'static str, &'static str)],
    /// Words of the design that are not built.
    pub(super) not_yet: &'static [&'static str],
}

/// Whether a word was probably meant to be one of these.
pub(super) fn is_nearly<T>(word: &str, choice: &Choice<T>) -> bool {
    let small = word.to_ascii_lowercase();
    choice.synonyms.iter().any(|(other, _)| *other == small)
        || words::nearest(word, choice.words.iter().map(|(word, _)| *word)).is_some()
}

/// One of a few words.
pub(super) fn choice<T: Copy>(
    report: &mut Report,
    written: Written<'_>,
    choice: &Choice<T>,
) -> Option<T> {
    let text = text(report, written)?;
    if let Some((_, value)) = choice.words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let all: Vec<&str> = choice.words.iter().map(|(word, _)| *word).collect();
    let list = all.join(", ");
    if choice.not_yet.contains(&text) {
        let draft = Draft::new(format!("{} {text:?} is not built yet", choice.what))
            .at(written.place, "not yet");
        report.error(draft.help(format!("write one of: {list}")));
        return None;
    }
    let small = text.to_ascii_lowercase();
    let synonym = choice.synonyms.iter().find(|(other, _)| *other == small).map(|(_, ours)| *ours);
    let near = synonym.or_else(|| words::nearest(text, all.iter().copied()));
    let help = match near {
        Some(near) => format!("did you mean \"{near}\"? one of: {list}"),
        None => format!("write one of: {list}"),
    };
    report.error(
        Draft::new(format!("unknown {} {text:?}", choice.what))
            .at(written.place, "unknown")
            .help(help),
    );
    None
}
