//! The TOML that most configs are, read in one walk: tables with one key to a line, and plain values behind them.
//!
//! It accepts less than TOML has and nothing that TOML has not; whatever else a file holds is left to the `toml`
//! crate, which also words every mistake. A director of 10,000 services reads ten megabytes at each reload, and the
//! crate's tree of them costs ten times this.

use std::ops::Range;

use serde::Deserialize;
use serde::de::value::Error;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde_spanned::de::{SpannedDeserializer, is_spanned};

use super::file::File;

/// One file's text as [`File`]; `None`: it is not plain, or not right, or has a key that nobody knows.
pub(super) fn parse(text: &str) -> Option<File> {
    let document = Document::read(text)?;
    File::deserialize(TableAt { document: &document, number: 0, span: 0..0 }).ok()
}

/// A text as tables; the first one is the top level.
#[derive(Debug, Default)]
struct Document<'t> {
    tables: Vec<Table<'t>>,
    /// The keys of all tables, one table behind the other.
    pairs: Vec<Pair<'t>>,
    /// The values of all lists, one list behind the other.
    items: Vec<Placed<'t>>,
}

#[derive(Debug, Default)]
struct Table<'t> {
    /// Its header.
    span: Range<usize>,
    pairs: Range<usize>,
    inner: Vec<(&'t str, Inner)>,
}

/// What stands beneath a table, by number.
#[derive(Debug)]
enum Inner {
    /// `[name]`.
    One(usize),
    /// `[[name]]`, any number of times.
    Many(Vec<usize>),
}

#[derive(Clone, Copy, Debug)]
struct Pair<'t> {
    key: &'t str,
    value: Placed<'t>,
}

#[derive(Clone, Copy, Debug)]
struct Placed<'t> {
    value: Value<'t>,
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
enum Value<'t> {
    Text(&'t str),
    Integer(i64),
    Boolean(bool),
    /// From one item to another.
    List(usize, usize),
}

impl<'t> Document<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let mut document = Self { tables: vec![Table::default()], ..Self::default() };
        let (mut present, mut start) = (0, 0);
        while let Some(rest) = text.as_bytes().get(start..) {
            let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let mut cursor = Cursor { line: text.get(start..start + length)?, at: 0, start };
            start += length + 1;
            cursor.blanks();
            match cursor.peek() {
                None | Some(b'#') => (),
                Some(b'[') => {
                    let (path, is_many, span) = cursor.header()?;
                    present = document.open(path, is_many, span)?;
                }
                Some(_) => {
                    let pair = cursor.pair(&mut document.items)?;
                    document.pairs.push(pair);
                    document.tables.get_mut(present)?.pairs.end = document.pairs.len();
                }
            }
            cursor.end()?;
        }
        Some(document)
    }

    /// The table that a header begins. One that only longer headers name stands where the first of them names it.
    fn open(&mut self, path: &'t str, is_many: bool, span: Range<usize>) -> Option<usize> {
        let (mut parent, mut at) = (0, span.start + if is_many { 2 } else { 1 });
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let end = at + name.len();
            if names.peek().is_none() {
                return self.add(parent, name, is_many, span);
            }
            parent = match self.tables.get(parent)?.inner(name) {
                Some(Inner::One(number)) => *number,
                Some(Inner::Many(numbers)) => *numbers.last()?,
                None => self.add(parent, name, false, at..end)?,
            };
            at = end + 1;
        }
        None
    }

    fn add(
        &mut self,
        parent: usize,
        name: &'t str,
        is_many: bool,
        span: Range<usize>,
    ) -> Option<usize> {
        let number = self.tables.len();
        let table = self.tables.get_mut(parent)?;
        match (table.inner.iter_mut().find(|(it, _)| *it == name), is_many) {
            (None, true) => table.inner.push((name, Inner::Many(vec![number]))),
            (None, false) => table.inner.push((name, Inner::One(number))),
            (Some((_, Inner::Many(numbers))), true) => numbers.push(number),
            (Some(_), _) => return None,
        }
        let pairs = self.pairs.len()..self.pairs.len();
        self.tables.push(Table { span, pairs, inner: Vec::new() });
        Some(number)
    }
}

impl Table<'_> {
    fn inner(&self, name: &str) -> Option<&Inner> {
        self.inner.iter().find(|(it, _)| *it == name).map(|(_, inner)| inner)
    }
}

/// A place in a line.
struct Cursor<'t> {
    line: &'t str,
    at: usize,
    /// Where the line begins in the text.
    start: usize,
}

impl<'t> Cursor<'t> {
    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        self.line.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        let blanks = self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
        self.at += blanks.count();
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Nothing, or a comment.
    fn end(&mut self) -> Option<()> {
        self.blanks();
        match self.rest() {
            [] => Some(()),
            [b'#', comment @ ..] => comment.iter().all(|byte| is_printable(*byte)).then_some(()),
            _ => None,
        }
    }

    /// A key without quotes, or several with dots between them.
    fn word(&mut self, may_be_path: bool) -> Option<&'t str> {
        let is_part = |byte: &&u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'_' | b'-')
                || (may_be_path && **byte == b'.')
        };
        let length = self.rest().iter().take_while(is_part).count();
        let word = self.line.get(self.at..self.at + length)?;
        self.at += length;
        let is_whole = !word.is_empty() && (!may_be_path || !word.split('.').any(str::is_empty));
        is_whole.then_some(word)
    }

    /// `[a.b]` or `[[a.b]]`: the path, whether it may stand several times, and where it stands.
    fn header(&mut self) -> Option<(&'t str, bool, Range<usize>)> {
        let from = self.start + self.at;
        self.take(b'[')?;
        let is_many = self.take(b'[').is_some();
        let path = self.word(true)?;
        self.take(b']')?;
        if is_many {
            self.take(b']')?;
        }
        Some((path, is_many, from..self.start + self.at))
    }

    fn pair(&mut self, items: &mut Vec<Placed<'t>>) -> Option<Pair<'t>> {
        let key = self.word(false)?;
        self.blanks();
        self.take(b'=')?;
        self.blanks();
        let value = if self.peek() == Some(b'[') { self.list(items) } else { self.value() };
        Some(Pair { key, value: value? })
    }

    /// A list in one line, of anything but lists.
    fn list(&mut self, items: &mut Vec<Placed<'t>>) -> Option<Placed<'t>> {
        let (from, first) = (self.at, items.len());
        self.take(b'[')?;
        loop {
            self.blanks();
            if self.take(b']').is_some() {
                break;
            }
            items.push(self.value()?);
            self.blanks();
            if self.take(b',').is_none() {
                self.take(b']')?;
                break;
            }
        }
        Some(self.placed(from, Value::List(first, items.len())))
    }

    fn value(&mut self) -> Option<Placed<'t>> {
        let from = self.at;
        let value = match self.peek()? {
            b'"' => Value::Text(self.text()?),
            b't' | b'f' => Value::Boolean(self.word(false)?.parse().ok()?),
            _ => Value::Integer(self.integer()?),
        };
        Some(self.placed(from, value))
    }

    const fn placed(&self, from: usize, value: Value<'t>) -> Placed<'t> {
        Placed { value, start: self.start + from, end: self.start + self.at }
    }

    /// A text in quotes without anything that stands for something else.
    fn text(&mut self) -> Option<&'t str> {
        self.take(b'"')?;
        let is_end = |&byte: &u8| matches!(byte, b'"' | b'\\') || !is_printable(byte);
        let length = self.rest().iter().position(is_end)?;
        let text = self.line.get(self.at..self.at + length)?;
        self.at += length;
        self.take(b'"')?;
        // Two quotes may be the beginning of three.
        (self.peek() != Some(b'"')).then_some(text)
    }

    /// Digits as everybody writes them.
    fn integer(&mut self) -> Option<i64> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = self.line.get(self.at..self.at + digits)?;
        self.at += digits;
        let is_usual = digits == 1 || !text.starts_with('0');
        is_usual.then(|| text.parse().ok())?
    }
}

/// TOML allows no control characters in texts and comments but the tab.
const fn is_printable(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// A table to be deserialized.
#[derive(Clone)]
struct TableAt<'a, 't> {
    document: &'a Document<'t>,
    number: usize,
    span: Range<usize>,
}

impl<'a, 't> TableAt<'a, 't> {
    fn new(document: &'a Document<'t>, number: usize) -> Self {
        let span = document.tables.get(number).map_or(0..0, |table| table.span.clone());
        Self { document, number, span }
    }
}

impl<'de> IntoDeserializer<'de, Error> for TableAt<'_, 'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for TableAt<'_, 'de> {
    type Error = Error;

    /// A table where a value should stand is for others to judge.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("a table"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Some(table) = self.document.tables.get(self.number) else {
            return Err(de::Error::custom("no table"));
        };
        let pairs = self.document.pairs.get(table.pairs.clone()).unwrap_or_default();
        let (pairs, inner) = (pairs.iter(), table.inner.iter());
        visitor.visit_map(Entries { document: self.document, pairs, inner, next: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if is_spanned(name) {
            let span = self.span.clone();
            return visitor.visit_map(SpannedDeserializer::new(self, span));
        }
        self.deserialize_map(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct enum identifier ignored_any
    }
}

/// What stands in a table: its own keys first, then the tables beneath it.
struct Entries<'a, 't> {
    document: &'a Document<'t>,
    pairs: std::slice::Iter<'a, Pair<'t>>,
    inner: std::slice::Iter<'a, (&'t str, Inner)>,
    next: Option<Found<'a, 't>>,
}

enum Found<'a, 't> {
    Value(Placed<'t>),
    Inner(&'a Inner),
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let key = if let Some(pair) = self.pairs.next() {
            self.next = Some(Found::Value(pair.value));
            pair.key
        } else if let Some((name, inner)) = self.inner.next() {
            self.next = Some(Found::Inner(inner));
            name
        } else {
            return Ok(None);
        };
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let document = self.document;
        match self.next.take() {
            Some(Found::Value(value)) => seed.deserialize(ValueAt { document, value }),
            Some(Found::Inner(Inner::One(number))) => {
                seed.deserialize(TableAt::new(document, *number))
            }
            Some(Found::Inner(Inner::Many(numbers))) => {
                let tables = numbers.iter().map(|number| TableAt::new(document, *number));
                seed.deserialize(de::value::SeqDeserializer::new(tables))
            }
            None => Err(de::Error::custom("no value")),
        }
    }
}

/// A value to be deserialized.
struct ValueAt<'a, 't> {
    document: &'a Document<'t>,
    value: Placed<'t>,
}

impl<'de> IntoDeserializer<'de, Error> for ValueAt<'_, 'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for ValueAt<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::List(from, to) => {
                let items = self.document.items.get(from..to).unwrap_or_default();
                visitor.visit_seq(Items { document: self.document, items: items.iter() })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if is_spanned(name) {
            let span = self.value.start..self.value.end;
            return visitor.visit_map(SpannedDeserializer::new(self, span));
        }
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Items<'a, 't> {
    document: &'a Document<'t>,
    items: std::slice::Iter<'a, Placed<'t>>,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(&value) = self.items.next() else { return Ok(None) };
        seed.deserialize(ValueAt { document: self.document, value }).map(Some)
    }
}

#[cfg(test)]
mod tests;
