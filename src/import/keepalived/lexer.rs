//! keepalived.conf as a tree of statements: comments, quotes, blocks, parameters and included files.
//!
//! Knows no keyword but `include`. Nesting, inclusion and substitution are bounded.

use std::collections::BTreeMap;

use super::super::Loader;
use super::super::ledger::{Place, Report, Statement};

/// Blocks in blocks; keepalived itself has four levels.
const DEEPEST: usize = 32;
/// Files that include files.
const MOST_INCLUDES: usize = 16;
/// Parameters within parameters.
const MOST_SUBSTITUTIONS: usize = 20;
/// The longest line after substitution, in bytes.
const LONGEST: usize = 64 * 1024;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) statements: Vec<Statement>,
    pub(super) files: Vec<String>,
}

/// Reads a file and what it includes.
pub(super) fn text(name: &str, text: &str, loader: &dyn Loader, report: &mut Report) -> Text {
    let mut lexer = Lexer {
        loader,
        report,
        files: vec![name.to_owned()],
        lengths: Vec::new(),
        open: vec![Vec::new()],
        deeper: 0,
        parameters: BTreeMap::new(),
    };
    lexer.file(0, text, 0);
    lexer.finish()
}

struct Lexer<'a> {
    loader: &'a dyn Loader,
    report: &'a mut Report,
    files: Vec<String>,
    /// The last line of each file.
    lengths: Vec<usize>,
    /// The statements of the blocks that are open, the outermost first; the last of each owns the next.
    open: Vec<Vec<Statement>>,
    /// Braces beyond the deepest level.
    deeper: usize,
    /// Values by name, with the statements that define them.
    parameters: BTreeMap<String, (String, Statement)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Open,
    Close,
}

impl Lexer<'_> {
    fn file(&mut self, file: usize, text: &str, depth: usize) {
        self.lengths.resize(self.files.len(), 0);
        if let Some(length) = self.lengths.get_mut(file) {
            *length = text.split('\n').count();
        }
        // Lines of a parameter that goes on: listed as one.
        let mut long: Option<Statement> = None;
        for (line, number) in text.split('\n').zip(1..) {
            let place = Place { file, line: number };
            let line = line.trim();
            if let Some(mut parameter) = long.take() {
                parameter.end = number;
                long = self.goes_on(line, parameter);
                continue;
            }
            if let Some((name, value)) = definition(line) {
                let statement = Statement::new(place, vec![line.to_owned()]);
                match value.ends_with('\\') {
                    true => long = Some(statement),
                    false => self.define(name, value, statement),
                }
                continue;
            }
            let line = self.substituted(line);
            self.line(place, &line, depth);
        }
        long.into_iter().for_each(|it| self.too_long(it));
    }

    fn goes_on(&mut self, line: &str, parameter: Statement) -> Option<Statement> {
        if line.ends_with('\\') {
            return Some(parameter);
        }
        self.too_long(parameter);
        None
    }

    fn too_long(&mut self, parameter: Statement) {
        self.report.hand(&parameter, "a parameter of several lines: write what it stands for");
        self.push(parameter);
    }

    fn define(&mut self, name: &str, value: &str, statement: Statement) {
        let value = value.split(['#', '!']).next().unwrap_or_default().trim_end();
        let before = self.parameters.insert(name.to_owned(), (value.to_owned(), statement));
        before.into_iter().for_each(|(_, statement)| self.push(statement));
    }

    /// A line with the values of its parameters; unknown ones stay as they are.
    fn substituted(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for _ in 0..MOST_SUBSTITUTIONS {
            let Some((start, end, name)) = self.parameter(&line) else {
                break;
            };
            let Some((value, statement)) = self.parameters.get(&name) else {
                break;
            };
            statement.take_all();
            line.replace_range(start..end, value);
            if line.len() > LONGEST {
                break;
            }
        }
        line
    }

    /// The first known parameter of a line: `${NAME}`, or `$NAME` in front of a blank.
    fn parameter(&self, line: &str) -> Option<(usize, usize, String)> {
        line.match_indices('$').find_map(|(start, _)| {
            let rest = line.get(start + 1..)?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (name, length) = match rest.strip_prefix('{') {
                Some(rest) => {
                    let (name, _) = rest.split_once('}')?;
                    (name, name.len() + 3)
                }
                None => {
                    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                    let (name, after) = rest.split_at_checked(end)?;
                    let is_alone = after.chars().next().is_none_or(char::is_whitespace);
                    (is_alone.then_some(name)?, name.len() + 1)
                }
            };
            let is_known = self.parameters.contains_key(name);
            is_known.then(|| (start, start + length, name.to_owned()))
        })
    }

    fn line(&mut self, place: Place, line: &str, depth: usize) {
        let mut words = Vec::new();
        for token in tokens(line) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => self.begin(place, std::mem::take(&mut words)),
                Token::Close => {
                    self.statement(place, std::mem::take(&mut words), depth);
                    self.end(place);
                }
            }
        }
        self.statement(place, words, depth);
    }

    fn statement(&mut self, place: Place, words: Vec<String>, depth: usize) {
        let Some(first) = words.first() else {
            return;
        };
        let includes = ["include", "includea", "includer", "includem", "includew", "includeb"];
        let is_include = includes.contains(&&**first) && words.len() > 1;
        let statement = Statement::new(place, words);
        let texts = if is_include { self.included(&statement, depth) } else { Vec::new() };
        self.push(statement);
        for (name, text) in texts {
            self.files.push(name);
            self.file(self.files.len() - 1, &text, depth + 1);
        }
    }

    /// The files that an `include` names.
    fn included(&mut self, statement: &Statement, depth: usize) -> Vec<(String, String)> {
        let from = self.files.get(statement.place.file).cloned().unwrap_or_default();
        let loaded = match depth < MOST_INCLUDES {
            true => self.loader.load(&from, statement.word(1)),
            false => Err(format!("more than {MOST_INCLUDES} files that include each other")),
        };
        match loaded {
            Err(error) => {
                self.report.hand(statement, format!("what it names is missing here: {error}"));
                Vec::new()
            }
            Ok(texts) if texts.is_empty() => {
                self.report.lost(statement, "no file is named like this");
                texts
            }
            Ok(texts) => {
                statement.take_words(0..2);
                texts
            }
        }
    }

    fn push(&mut self, statement: Statement) {
        match self.open.last_mut() {
            Some(block) => block.push(statement),
            None => self.open.push(vec![statement]),
        }
    }

    /// A brace opens; without words before it, it is the block of the statement before.
    fn begin(&mut self, place: Place, words: Vec<String>) {
        if self.open.len() > DEEPEST {
            self.deeper += 1;
            let statement = Statement::new(place, words);
            self.report.hand(&statement, format!("more than {DEEPEST} blocks in each other"));
            return self.push(statement);
        }
        let is_owned = self.open.last().is_some_and(|block| !block.is_empty());
        if !words.is_empty() || !is_owned {
            self.push(Statement::new(place, words));
        }
        self.open.push(Vec::new());
    }

    fn end(&mut self, place: Place) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        if self.open.len() < 2 {
            let brace = Statement::new(place, vec!["}".to_owned()]);
            self.report.hand(&brace, "it closes nothing");
            return self.push(brace);
        }
        self.close(place);
    }

    fn close(&mut self, place: Place) {
        let block = self.open.pop().unwrap_or_default();
        let Some(owner) = self.open.last_mut().and_then(|it| it.last_mut()) else {
            return;
        };
        // A file that is included may close what it did not open.
        let inner = block.iter().filter(|it| it.place.file == owner.place.file).map(|it| it.end);
        let own = (owner.place.file == place.file).then_some(place.line);
        owner.end = inner.chain(own).max().unwrap_or(0).max(owner.end);
        owner.block.extend(block);
    }

    fn finish(mut self) -> Text {
        while self.open.len() > 1 {
            let owner = self.open.iter().rev().nth(1).and_then(|it| it.last());
            let place = owner.map_or(Place { file: 0, line: 1 }, |it| it.place);
            let what = owner.map(|it| it.word(0).to_owned()).unwrap_or_default();
            self.report.note(
                &Statement::new(place, Vec::new()),
                &what,
                "its block is never closed",
            );
            let line = self.lengths.get(place.file).copied().unwrap_or(place.line);
            self.close(Place { line, ..place });
        }
        let parameters = std::mem::take(&mut self.parameters);
        parameters.into_values().for_each(|(_, statement)| self.push(statement));
        Text { statements: self.open.pop().unwrap_or_default(), files: self.files }
    }
}

/// `$NAME=VALUE`.
fn definition(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('$')?.split_once('=')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, value.trim()))
}

/// The words and braces of a line, up to its comment.
fn tokens(line: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut parameter = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '#' | '!') => break,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '{') if word.as_ref().is_some_and(|it| it.ends_with('$')) => {
                parameter = true;
                word.get_or_insert_default().push(c);
            }
            (None, '}') if parameter => {
                parameter = false;
                word.get_or_insert_default().push(c);
            }
            (None, '{' | '}') => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(if c == '{' { Token::Open } else { Token::Close });
            }
            (None, c) if c.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    tokens.extend(word.map(Token::Word));
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Loader for Nothing {
        fn load(&self, _: &str, pattern: &str) -> Result<Vec<(String, String)>, String> {
            match pattern {
                "two" => Ok(vec![("two".into(), "weight 7\n}\nlate".into())]),
                "loop" => Ok(vec![("loop".into(), "include loop".into())]),
                _ => Err("no such file".into()),
            }
        }
    }

    /// The tree on one line, and how much needs a hand.
    fn read(text: &str) -> (String, usize) {
        fn shown(statements: &[Statement]) -> String {
            let all = statements.iter().map(|it| {
                let words: Vec<&str> = (0..it.len()).map(|at| it.word(at)).collect();
                match it.block.is_empty() {
                    true => words.join(" "),
                    false => format!("{} {{{}}}", words.join(" "), shown(&it.block)),
                }
            });
            all.collect::<Vec<_>>().join("; ")
        }
        let mut report = Report::default();
        let tree = super::text("main", text, &Nothing, &mut report);
        (shown(&tree.statements), report.finish().len())
    }

    #[test]
    fn blocks_comments_and_quotes_are_keepaliveds() {
        for (text, tree) in [
            ("a b { # c\n d ! e\n}", "a b {d}"),
            ("a\n{\nb { c 1 }\n}", "a {b {c 1}}"),
            ("a{b}", "a {b}"),
            ("q \"x # 'y'\" 'z \"w'", "q x # 'y' z \"w"),
            ("q ab\"c d\"e", "q abc de"),
            ("$V=10.0.0.1 # net\nip ${V}0 $V $VV", "ip 10.0.0.10 10.0.0.1 $VV; $V=10.0.0.1 # net"),
            ("ip ${_PWD}/x", "ip ${_PWD}/x"),
        ] {
            assert_eq!(read(text), (tree.to_owned(), 0), "{text}");
        }
    }

    #[test]
    fn included_lines_stand_where_they_are_included() {
        assert_eq!(read("a {\ninclude two\nb"), ("a {include two; weight 7}; late; b".into(), 0));
        assert_eq!(read("include missing").1, 1);
        assert_eq!(read("include loop").1, 1);
    }

    #[test]
    fn what_is_not_closed_or_never_opened_is_listed() {
        assert_eq!(read("a {\nb {\nc"), ("a {b {c}}".into(), 2));
        assert_eq!(read("}\na").1, 1);
        assert_eq!(read("$X= \\\n a \\\n b\nc"), ("$X= \\; c".into(), 1));
    }

    #[test]
    fn nesting_and_substitution_end() {
        let deep = "a {\n".repeat(100_000) + &"}\n".repeat(100_000);
        assert!(read(&deep).1 > 0);
        let (tree, _) = read("$A=${B}${B}\n$B=${A}${A}\nx ${A}");
        assert!(tree.len() < LONGEST * 4);
    }
}
