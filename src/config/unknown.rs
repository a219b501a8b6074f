//! One file's text as tables, with every key that nobody knows set aside: all of them are findings, and none of them
//! hides what else is wrong. Judges nothing.

use std::ops::Range;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::file::{File, Tables, keys_of, tables};

/// One file's text as [`File`]; stops at the first mistake of syntax. Keys that nobody knows are left out and go to
/// `unknown`.
pub(super) fn parse(text: &str, unknown: &mut Vec<Unknown>) -> Result<File, toml::de::Error> {
    let mut table = DeTable::parse(text)?;
    let mut stripper = Stripper { tables: tables(), path: String::new(), unknown };
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
        for (key, mut value) in std::mem::take(table) {
            let name = &**key.get_ref();
            if !accepted.contains(&name) {
                self.unknown.push(Unknown { key: name.into(), span: key.span(), accepted });
                continue;
            }
            let length = self.path.len();
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(name);
            if let Some(accepted) = self.accepted() {
                self.descend(value.get_mut(), accepted);
            }
            self.path.truncate(length);
            table.insert(key, value);
        }
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
        let found = self.tables.iter().find(|(table, _)| table.trim_matches(['[', ']']) == path);
        found.map(|(_, keys)| *keys)
    }
}
