//! Arguments -> options with their values and the words left over, as popt(3) 1.19 takes them apart.

use super::options::{KNOWN, Known, Value};

/// The words of a command line, taken one option at a time.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    arguments: &'a [String],
    next: usize,
    /// The letters of the present argument that are still to be taken.
    letters: Option<&'a str>,
    left: Vec<&'a str>,
    only_left: bool,
}

/// What is wrong with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad<'a> {
    pub(super) argument: &'a str,
    pub(super) why: &'static str,
}

const UNKNOWN: &str = "unknown option";
const MISSING: &str = "missing argument";
const UNWANTED: &str = "option does not take an argument";

impl<'a> Scan<'a> {
    pub(super) const fn new(arguments: &'a [String]) -> Self {
        Self { arguments, next: 0, letters: None, left: Vec::new(), only_left: false }
    }

    /// The argument that the last option stood in, or took as its value.
    pub(super) fn last(&self) -> &'a str {
        let last = self.next.checked_sub(1).and_then(|index| self.arguments.get(index));
        last.map_or("", String::as_str)
    }

    /// The words that are no options and no values.
    pub(super) fn left(&self) -> &[&'a str] {
        &self.left
    }

    /// The next option; `None` behind the last one.
    pub(super) fn option(&mut self) -> Option<Result<(Known, Option<&'a str>), Bad<'a>>> {
        loop {
            if let Some(letters) = self.letters.take() {
                return Some(self.short(letters));
            }
            let argument = self.arguments.get(self.next)?.as_str();
            self.next += 1;
            match argument.strip_prefix('-') {
                Some(rest) if !self.only_left && !rest.is_empty() => match rest.strip_prefix('-') {
                    Some("") => self.only_left = true,
                    Some(long) => return Some(self.long(long)),
                    None => self.letters = Some(rest),
                },
                _ => self.left.push(argument),
            }
        }
    }

    fn long(&mut self, text: &'a str) -> Result<(Known, Option<&'a str>), Bad<'a>> {
        let (name, attached) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let known = KNOWN.iter().find(|known| known.long == name);
        let known = *known.ok_or_else(|| self.bad(UNKNOWN))?;
        self.with_value(known, attached, attached.is_some())
    }

    fn short(&mut self, letters: &'a str) -> Result<(Known, Option<&'a str>), Bad<'a>> {
        let mut rest = letters.chars();
        let letter = rest.next();
        let known = KNOWN.iter().find(|known| known.short == letter);
        let known = *known.ok_or_else(|| self.bad(UNKNOWN))?;
        let rest = rest.as_str();
        let (rest, equals) = match rest.strip_prefix('=') {
            Some(rest) => (Some(rest), true),
            None => (Some(rest).filter(|it| !it.is_empty()), false),
        };
        if known.value == Value::None {
            self.letters = rest.filter(|it| !it.is_empty());
        }
        self.with_value(known, rest, equals)
    }

    fn with_value(
        &mut self,
        known: Known,
        attached: Option<&'a str>,
        equals: bool,
    ) -> Result<(Known, Option<&'a str>), Bad<'a>> {
        match known.value {
            Value::None if equals => Err(self.bad(UNWANTED)),
            Value::None => Ok((known, None)),
            Value::Needed | Value::Optional if attached.is_some() => Ok((known, attached)),
            Value::Needed | Value::Optional => {
                let next = self.arguments.get(self.next).map(String::as_str);
                let is_optional = known.value == Value::Optional;
                match next.filter(|next| !is_optional || !next.starts_with('-')) {
                    Some(value) => {
                        self.next += 1;
                        Ok((known, Some(value)))
                    }
                    None if is_optional => Ok((known, None)),
                    None => Err(self.bad(MISSING)),
                }
            }
        }
    }

    fn bad(&self, why: &'static str) -> Bad<'a> {
        Bad { argument: self.last(), why }
    }
}
