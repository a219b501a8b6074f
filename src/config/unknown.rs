//! One file's text as tables, with every key that nobody knows set aside: all of them are findings, and none of them
//! hides what else is wrong. Judges nothing.

use std::ops::Range;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::file::{File, Tables, keys_of, tables};
use super::plain;

/// One file's text as [`File`]; stops at the first mistake of syntax. Keys that nobody knows are left out and go to
/// `unknown`.
pub(super) fn parse(text: &str, unknown: &mut Vec<Unknown>) -> Result<File, toml::de::Error> {
    match plain::parse(text) {
        Some(file) => Ok(file),
        None => parse_any(text, unknown),
    }
}

/// The same for all of TOML.
pub(super) fn parse_any(text: &str, unknown: &mut Vec<Unknown>) -> Result<File, toml::de::Error> {
    let mut table = DeTable::parse(text)?;
    let tables = tables().map(|(table, keys)| (table.trim_matches(['[', ']']), keys));
    let mut stripper = Stripper { tables, path: String::new(), unknown };
    stripper.strip(table.get_mut(), keys_of::<File>());
    File::deserialize(toml::Deserializer::from(table))
}

/// A key that its table does not take.
#[derive(Debug)]
pub(super) struct Unknown {
    pub(super) key: Box<str>,
    pub(super) span: Range<usize>,
    /// What its table takes.
    pub(super) accepted: &'static [&'static str],
}

/// Takes keys that nobody knows out of a file.
struct Stripper<'a> {
    tables: Tables,
    /// The keys that lead to the present table, with dots between them.
    path: String,
    unknown: &'a mut Vec<Unknown>,
}

impl Stripper<'_> {
    fn strip(&mut self, table: &mut DeTable<'_>, accepted: &'static [&'static str]) {
        if !table.keys().all(|key| accepted.contains(&&**key.get_ref())) {
            for (key, value) in std::mem::take(table) {
                let name = &**key.get_ref();
                if accepted.contains(&name) {
                    table.insert(key, value);
                } else {
                    self.unknown.push(Unknown { key: name.into(), span: key.span(), accepted });
                }
            }
        }
        for (key, value) in table.iter_mut() {
            if matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_)) {
                self.beneath(key.get_ref(), value.get_mut());
            }
        }
    }

    fn beneath(&mut self, name: &str, value: &mut DeValue<'_>) {
        let length = self.path.len();
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
        if let Some(accepted) = self.accepted() {
            self.descend(value, accepted);
        }
        self.path.truncate(length);
    }

    fn descend(&mut self, value: &mut DeValue<'_>, accepted: &'static [&'static str]) {
        if let DeValue::Table(table) = value {
            self.strip(table, accepted);
        } else if let DeValue::Array(list) = value {
            for value in list.iter_mut() {
                if let DeValue::Table(table) = value.get_mut() {
                    self.strip(table, accepted);
                }
            }
        }
    }

    /// What the present table takes; `None` where no table stands.
    fn accepted(&self) -> Option<&'static [&'static str]> {
        // The same keys by another name.
        let path = if self.path == "defaults.postgres" { "pool.postgres" } else { &self.path };
        let found = self.tables.iter().find(|(table, _)| *table == path);
        found.map(|(_, keys)| *keys)
    }
}
