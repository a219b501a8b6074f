//! Collects what is wrong while files are read and checked, by place, and turns it into findings.
//!
//! Bounded: a file with a hundred thousand mistakes shows the first hundred and counts the rest.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use super::finding::{Finding, Findings, Mark, Severity, printable};

/// So many errors, and so many warnings, are kept in full.
pub(super) const SHOWN: usize = 100;

/// A file's text and where it was read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: Box<str>,
}

/// A stretch of one file's text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Place {
    pub(super) const fn new(file: usize, span: Range<usize>) -> Self {
        Self { file, start: span.start, end: span.end }
    }
}

/// A finding before its text is cut out of the files.
#[derive(Debug)]
pub(super) struct Draft {
    title: String,
    marks: Vec<(Place, String)>,
    help: Option<String>,
}

impl Draft {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), marks: Vec::new(), help: None }
    }

    /// Underlines a place, with a few words beneath it; the first one is where the finding is.
    pub(super) fn at(mut self, place: Place, label: impl Into<String>) -> Self {
        self.marks.push((place, label.into()));
        self
    }

    /// What to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Everything found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    drafts: Vec<(Severity, Draft)>,
    // One bad default is met by every pool that takes it, and is one finding.
    seen: BTreeSet<(Option<Place>, String)>,
    errors: usize,
    warnings: usize,
    refusals: usize,
}

impl Report {
    pub(super) fn error(&mut self, draft: Draft) {
        self.refusals = self.refusals.saturating_add(1);
        if self.is_new(&draft) {
            self.errors = self.errors.saturating_add(1);
            if self.errors <= SHOWN {
                self.drafts.push((Severity::Error, draft));
            }
        }
    }

    pub(super) fn warning(&mut self, draft: Draft) {
        if self.is_new(&draft) {
            self.warnings = self.warnings.saturating_add(1);
            if self.warnings <= SHOWN {
                self.drafts.push((Severity::Warning, draft));
            }
        }
    }

    pub(super) const fn errors(&self) -> usize {
        self.errors
    }

    /// How often something was refused, repetitions included: unchanged means that all went well in between.
    pub(super) const fn refusals(&self) -> usize {
        self.refusals
    }

    /// Whether another error would only be counted: no need to look for suggestions.
    pub(super) const fn is_full(&self) -> bool {
        self.errors >= SHOWN
    }

    fn is_new(&mut self, draft: &Draft) -> bool {
        let place = draft.marks.first().map(|(place, _)| *place);
        self.seen.insert((place, draft.title.clone()))
    }

    /// The findings with their lines cut out of the files, errors first, otherwise in the files' order.
    pub(super) fn finish(mut self, sources: &[Source]) -> Findings {
        self.drafts.sort_by_key(|(severity, draft)| {
            (*severity, draft.marks.first().map(|(place, _)| (place.file, place.start)))
        });
        let kept = self.drafts.len();
        let all = self
            .drafts
            .into_iter()
            .map(|(severity, draft)| Finding {
                severity,
                title: printable(&draft.title),
                marks: draft
                    .marks
                    .into_iter()
                    .filter_map(|(place, label)| cut_out(sources, place, &label))
                    .collect(),
                help: draft.help.as_deref().map(printable),
            })
            .collect();
        Findings {
            all,
            errors: self.errors,
            warnings: self.warnings,
            hidden: self.errors.saturating_add(self.warnings).saturating_sub(kept),
        }
    }
}

/// At most so many characters of a line are shown on either side of what is underlined, and of that itself.
const LINE: usize = 60;

/// The line of a place, its number and column; a place that spans lines ends with its first.
fn cut_out(sources: &[Source], place: Place, label: &str) -> Option<Mark> {
    let source = sources.get(place.file)?;
    let text = &*source.text;
    let start = boundary(text, place.start);
    let end = boundary(text, place.end).max(start);
    let (before, rest) = text.split_at_checked(start)?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let prefix = before.get(line_start..)?;
    let line_end = rest.find('\n').unwrap_or(rest.len());
    let marked_end = (end - start).min(line_end);
    let marked = rest.get(..marked_end)?.trim_end_matches('\r');
    let suffix = rest.get(marked_end..line_end)?.trim_end_matches('\r');

    let cut = prefix.char_indices().rev().nth(LINE - 1).map_or(0, |(at, _)| at);
    let mut excerpt = printable(prefix.get(cut..)?);
    let from = excerpt.len();
    excerpt.push_str(&printable(&first(marked, LINE)));
    let to = excerpt.len();
    excerpt.push_str(&printable(&first(suffix, LINE)));
    Some(Mark {
        path: printable(&source.path.to_string_lossy()),
        line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
        column: prefix.chars().count() + 1,
        excerpt,
        span: from..to,
        label: printable(label),
    })
}

fn first(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// The nearest place at or before a byte where a character begins, or the end.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
