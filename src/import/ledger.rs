//! The lines of a foreign file as statements, and the fate of each of their words: carried over, or listed.
//!
//! Nothing is dropped in silence because a word is unread until somebody takes it or lists it, and whoever imports a
//! file ends by listing what is unread.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of its file, in the order in which the files were read.
    pub file: usize,
    /// From 1.
    pub line: usize,
}

/// What became of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unread,
    Carried,
    Listed,
}

/// The words of one line, and the statements of the block that it opens.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) place: Place,
    /// The last line of its block; its own where it has none.
    pub(super) end: usize,
    words: Vec<(String, Cell<Fate>)>,
    pub(super) block: Vec<Self>,
}

impl Statement {
    pub(super) fn new(place: Place, words: Vec<String>) -> Self {
        let words = words.into_iter().map(|word| (word, Cell::new(Fate::Unread))).collect();
        Self { place, end: place.line, words, block: Vec::new() }
    }

    /// How many words there are.
    pub(super) const fn len(&self) -> usize {
        self.words.len()
    }

    /// A word, unread as it was; empty where there is none.
    pub(super) fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", |(word, _)| word)
    }

    /// What the statement begins with, in small letters.
    pub(super) fn keyword(&self) -> String {
        self.word(0).to_ascii_lowercase()
    }

    /// A word that is carried over.
    pub(super) fn take(&self, at: usize) -> &str {
        self.mark(at..at + 1, Fate::Carried);
        self.word(at)
    }

    /// The words of a range are carried over.
    pub(super) fn take_words(&self, range: Range<usize>) {
        self.mark(range, Fate::Carried);
    }

    /// All its words are carried over; those of its block are not.
    pub(super) fn take_all(&self) {
        self.mark(0..self.len(), Fate::Carried);
    }

    /// Whether nobody has taken or listed a word of it, its block aside.
    pub(super) fn is_unread(&self) -> bool {
        self.words.iter().all(|(_, fate)| fate.get() == Fate::Unread)
    }

    /// Whether a word was neither taken nor listed.
    pub(super) fn is_unread_at(&self, at: usize) -> bool {
        self.words.get(at).is_some_and(|(_, fate)| fate.get() == Fate::Unread)
    }

    /// The statements of its block that begin with a word.
    pub(super) fn all<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a Self> {
        self.block.iter().filter(move |it| it.keyword() == keyword)
    }

    /// The last statement of its block that begins with a word: where only one can hold, it is that one.
    pub(super) fn last<'a>(&'a self, keyword: &'a str) -> Option<&'a Self> {
        self.all(keyword).last()
    }

    /// Its unread words as they stood; what follows a word for a secret is not repeated.
    fn unread(&self) -> String {
        let mut text = String::new();
        let mut secret = false;
        for (at, (word, _)) in self.words.iter().enumerate() {
            if self.is_unread_at(at) {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(match &**word {
                    _ if secret => "***",
                    "" => "\"\"",
                    word => word,
                });
            }
            let small = word.to_ascii_lowercase();
            secret |= small.contains("pass") || small == "auth" || small == "user";
        }
        text
    }

    fn mark(&self, range: Range<usize>, fate: Fate) {
        for (_, cell) in self.words.iter().take(range.end).skip(range.start) {
            cell.set(fate);
        }
    }

    /// Its unread words and those of its block are listed.
    fn close(&self) {
        for (_, cell) in &self.words {
            if cell.get() == Fate::Unread {
                cell.set(Fate::Listed);
            }
        }
        self.block.iter().for_each(Self::close);
    }

    fn carried(&self, places: &mut BTreeSet<Place>) {
        if self.words.iter().any(|(_, fate)| fate.get() == Fate::Carried) {
            places.insert(self.place);
        }
        self.block.iter().for_each(|it| it.carried(places));
    }
}

/// Why something is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The result is not what was meant before somebody has looked after it.
    Hand,
    /// Nothing here does it, or nothing needs to.
    Lost,
}

/// Something that was not carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it stands; `None` for what concerns the result as a whole.
    pub place: Option<Place>,
    /// The last line of its block.
    pub end: usize,
    /// Its words.
    pub what: String,
    /// Why, and what there is instead.
    pub why: String,
    /// How bad it is.
    pub kind: Kind,
}

/// Everything that is listed, in the order of the files.
#[derive(Debug, Default)]
pub(super) struct Report {
    listed: Vec<Listed>,
}

impl Report {
    /// Lists what is unread of a statement and its block, which nothing here does.
    pub(super) fn lost(&mut self, statement: &Statement, why: impl Into<String>) {
        self.rest(Kind::Lost, statement, why.into());
    }

    /// Lists what is unread of a statement and its block, which somebody has to look after.
    pub(super) fn hand(&mut self, statement: &Statement, why: impl Into<String>) {
        self.rest(Kind::Hand, statement, why.into());
    }

    /// Lists some words of a statement, unless they were listed before.
    pub(super) fn words(
        &mut self,
        kind: Kind,
        statement: &Statement,
        range: Range<usize>,
        why: &str,
    ) {
        let unread: Vec<&str> = range
            .clone()
            .filter(|at| statement.is_unread_at(*at))
            .map(|at| statement.word(at))
            .collect();
        if !unread.is_empty() {
            let what = shown(&unread.join(" "));
            let end = statement.place.line;
            self.add(Listed { place: Some(statement.place), end, what, why: why.into(), kind });
        }
        for at in range {
            if statement.is_unread_at(at) {
                statement.mark(at..at + 1, Fate::Listed);
            }
        }
    }

    /// Something about words that are carried over all the same.
    pub(super) fn note(&mut self, statement: &Statement, what: &str, why: impl Into<String>) {
        self.told(Kind::Hand, statement, what, why);
    }

    /// The same of any kind.
    pub(super) fn told(
        &mut self,
        kind: Kind,
        statement: &Statement,
        what: &str,
        why: impl Into<String>,
    ) {
        let (place, end) = (Some(statement.place), statement.place.line);
        self.add(Listed { place, end, what: shown(what), why: why.into(), kind });
    }

    /// Something about the result as a whole.
    pub(super) fn result(&mut self, what: &str, why: &str) {
        let (what, why) = (shown(what), shown(why));
        self.add(Listed { place: None, end: 0, what, why, kind: Kind::Hand });
    }

    /// Lists whatever is unread of the statements, each by itself.
    pub(super) fn leftovers(&mut self, statements: &[Statement], why: &str) {
        for statement in statements {
            if !(0..statement.len()).any(|at| statement.is_unread_at(at)) {
                self.leftovers(&statement.block, why);
            } else {
                self.lost(statement, why);
            }
        }
    }

    fn rest(&mut self, kind: Kind, statement: &Statement, why: String) {
        let mut what = statement.unread();
        if what.is_empty() {
            what = statement.word(0).to_owned();
        }
        let (place, what) = (Some(statement.place), shown(&what));
        self.add(Listed { place, end: statement.end, what, why, kind });
        statement.close();
    }

    fn add(&mut self, listed: Listed) {
        self.listed.push(Listed { why: clean(&listed.why), ..listed });
    }

    /// Those that need a hand first, then by place.
    pub(super) fn finish(mut self) -> Vec<Listed> {
        self.listed.sort_by_key(|it| (it.kind, it.place.is_none(), it.place, it.end));
        self.listed.dedup();
        self.listed
    }
}

/// The lines of which at least one word was carried over.
pub(super) fn carried(statements: &[Statement]) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    statements.iter().for_each(|it| it.carried(&mut places));
    places
}

/// At most so many characters of a line are repeated.
const SHOWN: usize = 100;

/// A text that can stand in a comment and on a terminal.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).map(harmless).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push_str("...");
    }
    short
}

/// The same of any length.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(harmless).collect()
}

/// A character, unless it would end a comment, move a cursor or turn the direction of writing.
fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(line: usize, text: &str) -> Statement {
        let words = text.split(' ').map(String::from).collect();
        Statement::new(Place { file: 0, line }, words)
    }

    #[test]
    fn what_nobody_takes_is_listed() {
        let mut outer = statement(1, "server pg1 address maxconn 100");
        outer.take(0);
        outer.take(2);
        outer.block.push(statement(2, "inner word"));
        outer.end = 3;
        let mut report = Report::default();
        report.leftovers(&[outer], "unknown");
        let listed = report.finish();
        assert_eq!(listed.len(), 1);
        assert_eq!((&*listed[0].what, listed[0].end), ("pg1 maxconn 100", 3));
    }

    #[test]
    fn more_words_than_there_are_can_be_taken() {
        let statement = statement(1, "weight 1");
        statement.take_words(0..5);
        assert!(!statement.is_unread_at(0) && !statement.is_unread_at(1));
    }

    #[test]
    fn a_word_is_listed_once() {
        let statement = statement(1, "a b c");
        let mut report = Report::default();
        report.words(Kind::Lost, &statement, 1..3, "why");
        report.words(Kind::Lost, &statement, 0..3, "why");
        report.leftovers(std::slice::from_ref(&statement), "rest");
        let whats: Vec<String> = report.finish().into_iter().map(|it| it.what).collect();
        assert_eq!(whats, ["b c", "a"]);
    }

    #[test]
    fn secrets_and_control_characters_are_not_repeated() {
        let mut report = Report::default();
        report.lost(&statement(1, "stats auth admin:hunter2"), "why");
        report.lost(&statement(2, "a\u{1b}[2J\nb"), "why");
        let text = format!("{:?}", report.finish());
        assert!(!text.contains("hunter2") && text.contains("stats auth ***"), "{text}");
        assert_eq!(shown("a\u{1b}\nb"), "a\u{fffd}\u{fffd}b");
    }
}
