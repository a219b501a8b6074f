//! haproxy.cfg as sections of lines of words, and what a section inherits from its `defaults`.

use super::super::ledger::{Place, Statement};

/// Words that begin a section (HAProxy's configuration manual, chapters 3 and 4).
const SECTIONS: &str = include_str!("sections.txt");

fn is_section(word: &str) -> bool {
    SECTIONS.lines().any(|section| section == word)
}

/// The sections of a file, each with its lines; lines in front of the first stand by themselves.
pub(super) fn sections(text: &str) -> Vec<Statement> {
    let mut sections: Vec<Statement> = Vec::new();
    for (line, number) in text.split('\n').zip(1..) {
        let words = words(line);
        let Some(first) = words.first() else {
            continue;
        };
        let is_head = is_section(first);
        let statement = Statement::new(Place { file: 0, line: number }, words);
        match sections.last_mut() {
            Some(section) if !is_head && is_section(section.word(0)) => {
                section.end = number;
                section.block.push(statement);
            }
            _ => sections.push(statement),
        }
    }
    sections
}

/// The words of a line: quotes and backslashes as HAProxy has them, a `#` outside of them ends it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.trim_end_matches('\r').chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '#') => break,
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A frontend, backend or listen section with the defaults that hold for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proxy<'a> {
    pub(super) head: &'a Statement,
    defaults: Option<&'a Statement>,
}

/// Those of a file.
pub(super) fn proxies(sections: &[Statement]) -> Vec<Proxy<'_>> {
    let mut proxies = Vec::new();
    let mut latest = None;
    for (at, section) in sections.iter().enumerate() {
        match section.word(0) {
            "defaults" => latest = Some(section),
            "frontend" | "backend" | "listen" => {
                let earlier = sections.get(..at).unwrap_or_default();
                let named =
                    (2..section.len()).find(|at| section.word(*at) == "from").and_then(|at| {
                        let is_it = |it: &&Statement| {
                            it.word(0) == "defaults" && it.word(1) == section.word(at + 1)
                        };
                        let found = earlier.iter().rev().find(is_it)?;
                        section.take_words(at..at + 2);
                        found.take_words(1..2);
                        Some(found)
                    });
                proxies.push(Proxy { head: section, defaults: named.or(latest) });
            }
            _ => (),
        }
    }
    proxies
}

impl<'a> Proxy<'a> {
    pub(super) fn name(self) -> &'a str {
        self.head.word(1)
    }

    /// `frontend`, `backend` or `listen`.
    pub(super) fn kind(self) -> &'a str {
        self.head.word(0)
    }

    /// Its own lines behind those of its defaults: of two that contradict each other the later one holds.
    pub(super) fn lines(self) -> impl DoubleEndedIterator<Item = &'a Statement> {
        self.defaults.into_iter().flat_map(|it| &it.block).chain(&self.head.block)
    }

    /// Its own lines that begin with a word.
    pub(super) fn own(self, keyword: &'a str) -> impl Iterator<Item = &'a Statement> {
        self.head.all(keyword)
    }

    /// The line that holds among those that begin with these words.
    pub(super) fn last(self, words: &[&str]) -> Option<&'a Statement> {
        self.lines()
            .rev()
            .find(|line| words.iter().zip(0..).all(|(word, at)| line.word(at) == *word))
    }

    /// Whether HAProxy reads what it forwards here.
    pub(super) fn is_http(self) -> bool {
        self.last(&["mode"]).is_some_and(|line| line.word(1) == "http")
    }

    /// Takes its head, that of its defaults, and the lines that say what is so anyway.
    pub(super) fn take_head(self) {
        self.head.take_words(0..2);
        self.defaults.into_iter().for_each(|it| it.take_words(0..1));
        for line in self.lines().filter(|line| line.word(0) == "mode" && line.word(1) == "tcp") {
            line.take_words(0..2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_haproxy_sees() {
        for (line, expected) in [
            ("  server pg1 10.0.0.1:5432 check # the first", "server|pg1|10.0.0.1:5432|check"),
            (
                "tcp-check expect string master\\ is\\ running",
                "tcp-check|expect|string|master is running",
            ),
            ("a \"b # c\" 'd \\' e", "a|b # c|d \\|e"),
            ("a\\#b \"\" c", "a#b||c"),
            ("# nothing", ""),
            ("\t\r", ""),
            ("open \"quote", "open|quote"),
        ] {
            assert_eq!(words(line).join("|"), expected, "{line}");
        }
    }

    #[test]
    fn a_section_inherits_from_the_defaults_in_front_of_it_or_the_ones_it_names() {
        let sections = sections(
            "stray\ndefaults tcp\nmode tcp\ndefaults web\nmode http\nlisten a\nlisten b from tcp\n\
             listen c\nmode tcp\n",
        );
        let proxies = proxies(&sections);
        let http: Vec<bool> = proxies.iter().map(|it| it.is_http()).collect();
        assert_eq!(http, [true, false, false]);
        assert_eq!(sections[0].word(0), "stray");
        assert_eq!((sections[1].place.line, sections[1].end), (2, 3));
    }
}
