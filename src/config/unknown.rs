//! One file's text as tables, with every key that nobody knows set aside: all of them are findings, and none of them
//! hides what else is wrong. Judges nothing.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::file::{File, Tables, keys_of, tables};

/// One file's text as [`File`]; stops at the first mistake of syntax. Where there are keys that nobody knows they all go
/// to `unknown`, and the file is an empty one.
pub(super) fn parse(text: &str, unknown: &mut Vec<Unknown>) -> Result<File, toml::de::Error> {
    let result = toml::from_str(text);
    let stops_at_a_key = |error: &toml::de::Error| error.message().starts_with("unknown field");
    if !result.as_ref().is_err_and(stops_at_a_key) {
        return result;
    }
    // The parser tells the first one alone.
    let table = DeTable::parse(text)?;
    let mut search = Search { tables: tables(), path: String::new(), unknown };
    search.look_into(table.get_ref(), keys_of::<File>());
    if unknown.is_empty() { result } else { Ok(File::default()) }
}

/// A key that its table does not take.
#[derive(Debug)]
pub(super) struct Unknown {
    pub(super) key: Box<str>,
    pub(super) span: Range<usize>,
    /// What its table takes.
    pub(super) accepted: &'static [&'static str],
}

/// Looks for keys that nobody knows.
struct Search<'a> {
    tables: Tables,
    /// The keys that lead to the present table, with dots between them.
    path: String,
    unknown: &'a mut Vec<Unknown>,
}

impl Search<'_> {
    fn look_into(&mut self, table: &DeTable<'_>, accepted: &'static [&'static str]) {
        for (key, value) in table {
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
                self.descend(value.get_ref(), accepted);
            }
            self.path.truncate(length);
        }
    }

    fn descend(&mut self, value: &DeValue<'_>, accepted: &'static [&'static str]) {
        if let DeValue::Table(table) = value {
            self.look_into(table, accepted);
        } else if let DeValue::Array(list) = value {
            for value in list {
                if let DeValue::Table(table) = value.get_ref() {
                    self.look_into(table, accepted);
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
