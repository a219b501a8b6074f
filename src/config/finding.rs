//! One thing that is wrong with a configuration, or will surprise: where, what, and what to do.
//!
//! Findings carry the lines that they speak of, so they can be shown long after the files have changed.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is accepted, and will surprise.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, on one line.
    pub title: String,
    /// The lines it speaks of, the first one first; empty where a file could not be read at all.
    pub marks: Vec<Mark>,
    /// What to do.
    pub help: Option<String>,
}

/// A line of a file with a stretch of it underlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The file, as it was named.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The first underlined character, from 1.
    pub column: usize,
    /// The line, or the part of a long one around the underlined stretch.
    pub(super) excerpt: String,
    /// The underlined bytes of `excerpt`.
    pub(super) span: Range<usize>,
    /// A few words beneath it.
    pub(super) label: String,
}

/// Where findings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Files, pipes and the control socket.
    Plain,
    /// A terminal with colours.
    Terminal,
}

impl Finding {
    /// A finding without a place: a file that cannot be read.
    pub(crate) fn without_place(title: &str, help: Option<&str>) -> Self {
        Self {
            severity: Severity::Error,
            title: printable(title),
            marks: Vec::new(),
            help: help.map(printable),
        }
    }

    /// The finding as compilers print it: title, lines, underlined text, help; without a last newline.
    pub fn render(&self, style: Style) -> String {
        let (level, renderer) = match (self.severity, style) {
            (Severity::Error, Style::Plain) => (Level::ERROR, Renderer::plain()),
            (Severity::Error, Style::Terminal) => (Level::ERROR, Renderer::styled()),
            (Severity::Warning, Style::Plain) => (Level::WARNING, Renderer::plain()),
            (Severity::Warning, Style::Terminal) => (Level::WARNING, Renderer::styled()),
        };
        let mut group = Group::with_title(level.primary_title(&self.title));
        for (at, mark) in self.marks.iter().enumerate() {
            // The renderer would count columns in the excerpt, which may lack a long line's beginning.
            let kind = if at == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(mark.span.clone()).label(&mark.label);
            let whole_line =
                mark.excerpt.get(..mark.span.start).map(|text| text.chars().count() + 1)
                    == Some(mark.column);
            let snippet = Snippet::source(&mark.excerpt).line_start(mark.line);
            if whole_line {
                group = group.element(snippet.path(&mark.path).annotation(annotation));
            } else {
                group = group
                    .element(Origin::path(&mark.path).line(mark.line).char_column(mark.column))
                    .element(snippet.annotation(annotation));
            }
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

/// One line, for logs: `pgvs.toml:12:11: 0 is not a port; write ...`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mark) = self.marks.first() {
            write!(f, "{}:{}:{}: ", mark.path, mark.line, mark.column)?;
        }
        f.write_str(&self.title)?;
        for mark in self.marks.iter().skip(1) {
            write!(f, " ({}:{}:{})", mark.path, mark.line, mark.column)?;
        }
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// What a check found, errors first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Those that are shown, errors first.
    pub all: Vec<Finding>,
    /// How many errors there are, shown or not.
    pub errors: usize,
    /// How many warnings there are, shown or not.
    pub warnings: usize,
    /// How many are only counted.
    pub hidden: usize,
}

impl Findings {
    /// All of them as compilers print them, an empty line between two; empty where there are none.
    pub fn render(&self, style: Style) -> String {
        let mut blocks: Vec<String> =
            self.all.iter().map(|finding| finding.render(style)).collect();
        if self.hidden > 0 {
            blocks.push(format!("and {} more of the kind", self.hidden));
        }
        blocks.join("\n\n")
    }
}

/// A configuration that is refused, with everything that was found; shown without colours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.render(Style::Plain))]
pub struct ConfigError(pub Findings);

impl ConfigError {
    /// The error of a file that cannot be read at all.
    pub(crate) fn unread(title: &str, help: Option<&str>) -> Self {
        Self(Findings {
            all: vec![Finding::without_place(title, help)],
            errors: 1,
            warnings: 0,
            hidden: 0,
        })
    }

    /// The first error on one line, for a log or a status.
    pub fn line(&self) -> String {
        let first = self.0.all.first().map(ToString::to_string).unwrap_or_default();
        match self.0.errors {
            0 | 1 => first,
            errors => format!("{first} (and {} more errors)", errors - 1),
        }
    }
}

/// The text with control characters made visible: what a file says must not reach a terminal as commands.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            // Bidirectional overrides reorder what is shown.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}
