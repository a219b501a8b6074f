//! The TOML as written. Only `check` reads it; the rest of the program never sees the file.
//!
//! Every value keeps its place in the text. Here nothing is judged but which keys exist.

mod kernel;
mod scalar;

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use toml::Spanned;

pub(super) use kernel::{Kernel, SyncDaemon};
pub(super) use scalar::Scalar;

/// A value as written, absent where the key is.
pub(super) type Field = Option<Spanned<Scalar>>;

/// A table as written; its place is its header.
pub(super) type Entry<T> = Spanned<Table<T>>;

/// One file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) include: Option<Spanned<Vec<Spanned<Scalar>>>>,
    pub(super) director: Option<Entry<Director>>,
    pub(super) kernel: Option<Entry<Kernel>>,
    pub(super) sync_daemon: Vec<Entry<SyncDaemon>>,
    pub(super) defaults: Option<Entry<Defaults>>,
    pub(super) pool: Vec<Entry<Pool>>,
    pub(super) service: Vec<Entry<Service>>,
}

/// `[director]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Director {
    pub(super) name: Field,
    pub(super) state_dir: Field,
    pub(super) control_socket: Field,
    pub(super) on_stop: Field,
    pub(super) freeze_timeout: Field,
}

/// `[defaults]`: what pools, servers and services take where they say nothing themselves.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Defaults {
    pub(super) pool: Table<PoolDefaults>,
    pub(super) postgres: Table<Postgres>,
    pub(super) server: Table<ServerDefaults>,
    pub(super) service: Table<ServiceDefaults>,
}

/// `[defaults.pool]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PoolDefaults {
    pub(super) probe: Field,
    pub(super) alpha: Field,
}

/// `[defaults.server]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServerDefaults {
    pub(super) weight: Field,
    pub(super) upper_threshold: Field,
    pub(super) lower_threshold: Field,
}

/// `[defaults.service]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceDefaults {
    pub(super) protocol: Field,
    pub(super) scheduler: Field,
    pub(super) scheduler_flags: Field,
    pub(super) persistence_timeout: Field,
    pub(super) persistence_netmask: Field,
    pub(super) forwarding: Field,
    pub(super) tunnel: Field,
    pub(super) tunnel_port: Field,
    pub(super) tunnel_checksum: Field,
    pub(super) target: Field,
    pub(super) on_down: Field,
    pub(super) drain_timeout: Field,
    pub(super) source_nat: Field,
}

/// `[[pool]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pool {
    pub(super) name: Field,
    pub(super) probe: Field,
    pub(super) alpha: Field,
    pub(super) postgres: Option<Entry<Postgres>>,
    pub(super) server: Vec<Entry<Server>>,
}

/// `[pool.postgres]` and `[defaults.postgres]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Postgres {
    pub(super) user: Field,
    pub(super) password_file: Field,
    pub(super) dbname: Field,
    pub(super) sslmode: Field,
    pub(super) pulse: Field,
    pub(super) suspect_after: Field,
    pub(super) lost_after: Field,
    pub(super) admission: Field,
    pub(super) rise: Field,
    pub(super) fall: Field,
    pub(super) source: Field,
}

/// `[[pool.server]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub(super) name: Field,
    pub(super) address: Field,
    pub(super) weight: Field,
    pub(super) upper_threshold: Field,
    pub(super) lower_threshold: Field,
    pub(super) forwarding: Field,
    pub(super) tunnel: Field,
    pub(super) tunnel_port: Field,
    pub(super) tunnel_checksum: Field,
    pub(super) backup: Field,
}

/// `[[service]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Service {
    pub(super) name: Field,
    pub(super) address: Field,
    pub(super) fwmark: Field,
    pub(super) family: Field,
    pub(super) protocol: Field,
    pub(super) scheduler: Field,
    pub(super) scheduler_flags: Field,
    pub(super) persistence_timeout: Field,
    pub(super) persistence_netmask: Field,
    pub(super) pe: Field,
    pub(super) ops: Field,
    pub(super) forwarding: Field,
    pub(super) tunnel: Field,
    pub(super) tunnel_port: Field,
    pub(super) tunnel_checksum: Field,
    pub(super) pool: Field,
    pub(super) target: Field,
    pub(super) on_down: Field,
    pub(super) drain_timeout: Field,
    pub(super) source_nat: Field,
    pub(super) quorum: Field,
    pub(super) hysteresis: Field,
    pub(super) sorry_server: Field,
    pub(super) quorum_up: Field,
    pub(super) quorum_down: Field,
}

/// A table, and nothing else: derived structs would take a list of values without their keys as well.
#[derive(Debug, Default)]
pub(super) struct Table<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor(PhantomData))
    }
}

struct TableVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
    type Value = Table<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Table<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Table)
    }
}

/// Tables by their headers, and the keys of each.
pub(super) type Tables = [(&'static str, &'static [&'static str]); 12];

/// Every table with its keys, as the structs above have them.
pub(super) fn tables() -> Tables {
    [
        ("the top level", keys_of::<File>()),
        ("[director]", keys_of::<Director>()),
        ("[kernel]", keys_of::<Kernel>()),
        ("[[sync_daemon]]", keys_of::<SyncDaemon>()),
        ("[defaults]", keys_of::<Defaults>()),
        ("[defaults.pool]", keys_of::<PoolDefaults>()),
        ("[defaults.server]", keys_of::<ServerDefaults>()),
        ("[defaults.service]", keys_of::<ServiceDefaults>()),
        ("[[pool]]", keys_of::<Pool>()),
        ("[pool.postgres]", keys_of::<Postgres>()),
        ("[[pool.server]]", keys_of::<Server>()),
        ("[[service]]", keys_of::<Service>()),
    ]
}

/// The keys that a struct takes: its own `Deserialize` is asked, so that no list can fall behind it.
pub(super) fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The answer is the side effect: asking always ends in an error.
    match T::deserialize(Asking(&mut keys)) {
        Ok(_) | Err(_) => keys,
    }
}

struct Asking<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asking<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(serde::de::Error::custom("asked"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::sources::check_text;

    const EXAMPLE: &str = include_str!("../../config/pgvs.toml");

    /// The example with the keys in its comments made real, and the table that each key stands in.
    fn uncommented(left_out: &[&str]) -> String {
        let is_key = |line: &str| {
            let key = line.split(" = ").next().unwrap_or_default();
            line.contains(" = ")
                && !left_out.contains(&key)
                && !key.is_empty()
                && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let lines = EXAMPLE.lines().map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_key(rest) || rest.starts_with("[[") => rest,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_accepted_key_stands_in_the_example_in_every_table_that_takes_it() {
        let text = uncommented(&[]);
        let mut table = "the top level".to_owned();
        let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.starts_with('[') {
                table = line.to_owned();
            } else if let Some((key, _)) = line.split_once(" = ") {
                seen.insert((table.clone(), key.to_owned()));
            }
        }
        // Keys of one pool or service that are shown where they are a default.
        let shown_as_default =
            [("[pool.postgres]", "[defaults.postgres]"), ("[[service]]", "[defaults.service]")];
        let headers: BTreeSet<&str> =
            text.lines().filter_map(|line| line.split(&['#', ' '][..]).next()).collect();
        for (table, keys) in tables() {
            for key in keys {
                let stands = |table: &str| seen.contains(&(table.to_owned(), (*key).to_owned()));
                let by_default =
                    shown_as_default.iter().any(|(own, default)| *own == table && stands(default));
                let is_table = tables().iter().any(|(table, _)| {
                    let name = table.trim_matches(['[', ']']).rsplit('.').next();
                    name == Some(*key) && headers.contains(table)
                });
                let is_parent = *key == "defaults";
                assert!(
                    stands(table) || by_default || is_table || is_parent,
                    "{key} of {table} is not in the example"
                );
            }
        }
    }

    #[test]
    fn the_example_shows_the_defaults_as_they_are() {
        let (head, rest) = EXAMPLE.split_once("[director]").expect("a director");
        let (_, tables) = rest.split_once("\n[[pool]]").expect("a pool");
        let bare = format!("{head}\n[[pool]]{tables}");
        let bare =
            bare.replace("\nweight = 100 ", "\n# ").replace("\nprobe = \"postgres\" ", "\n# ");
        let with = check_text("pgvs.toml", EXAMPLE).expect("the example is valid");
        let without =
            check_text("pgvs.toml", &bare).expect("the example without its defaults is valid");
        assert_eq!(with.config, without.config);
        assert_eq!(with.findings.all, []);
    }

    #[test]
    fn the_keys_in_the_examples_comments_are_accepted_too() {
        // These stand instead of the address above them.
        let text = uncommented(&["fwmark", "family", "pe"]);
        assert!(
            text.contains("\nsource = ")
                && text.contains("\ntarget = \"any\"")
                && text.contains("\ninclude = ")
        );
        let checked = check_text("pgvs.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(checked.findings.all, []);
    }
}
