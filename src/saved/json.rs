//! JSON of a whole IPVS: `pgvs_save`, the version of the form, then timeouts, sync daemons and services.
//!
//! The words are those of the configuration. Nothing that the kernel can hold is left out; what is at the kernel's
//! default is. Keys that are not known are errors, and so is everything that stands twice.

mod service;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use self::service::One;
use super::{Wrong, sound};
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::saved::Saved;
use crate::model::service::ServiceKey;
use crate::model::table::{Entry, Table};

/// The form that is written, and the newest that is read.
const VERSION: u32 = 1;

/// Just enough to tell whether the rest can be understood.
#[derive(Deserialize)]
struct Form {
    pgvs_save: u32,
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    pgvs_save: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeouts: Option<FileTimeouts>,
    #[serde(default)]
    sync_daemons: Vec<FileDaemon>,
    #[serde(deserialize_with = "services", serialize_with = "in_order")]
    services: BTreeMap<ServiceKey, Entry>,
}

/// In seconds.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FileTimeouts {
    tcp: u32,
    tcp_fin: u32,
    udp: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FileDaemon {
    role: FileRole,
    interface: String,
    sync_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum FileRole {
    Master,
    Backup,
}

/// Everything as text with its lines indented: the same IPVS gives the same text.
pub fn write(saved: &Saved) -> Result<String, String> {
    let timeouts =
        saved.timeouts.map(|it| FileTimeouts { tcp: it.tcp, tcp_fin: it.tcp_fin, udp: it.udp });
    let file = File {
        pgvs_save: VERSION,
        timeouts,
        sync_daemons: saved.daemons.iter().map(FileDaemon::of).collect(),
        services: saved.table.services.clone(),
    };
    let text = serde_json::to_string_pretty(&file).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

pub(super) fn read(text: &str) -> Result<Saved, Wrong> {
    // A newer form may have keys that would be blamed before its version.
    let form: Form = serde_json::from_str(text).map_err(|error| wrong(&error))?;
    if form.pgvs_save != VERSION {
        let line = text.lines().position(|line| line.contains("\"pgvs_save\"")).unwrap_or(0) + 1;
        let found = form.pgvs_save;
        let why =
            format!("pgvs_save is {found}: this pgvs reads {VERSION}, take the one that wrote it");
        return Err(Wrong { line, column: None, why });
    }
    let file: File = serde_json::from_str(text).map_err(|error| wrong(&error))?;
    let at_end = |why| Wrong { line: text.lines().count().max(1), column: None, why };
    for (place, daemon) in file.sync_daemons.iter().enumerate() {
        if file.sync_daemons.iter().take(place).any(|other| other.role == daemon.role) {
            return Err(at_end("sync_daemons: two of one role".into()));
        }
    }
    let timeouts =
        file.timeouts.map(|it| Timeouts { tcp: it.tcp, tcp_fin: it.tcp_fin, udp: it.udp });
    let daemons = file.sync_daemons.into_iter().map(FileDaemon::daemon);
    let daemons = daemons.collect();
    let saved = Saved { table: Table { services: file.services }, timeouts, daemons };
    sound::whole(&saved).map_err(at_end)?;
    Ok(saved)
}

fn wrong(error: &serde_json::Error) -> Wrong {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let why = text.strip_suffix(&place).unwrap_or(&text).to_owned();
    Wrong { line: error.line().max(1), column: Some(error.column()), why }
}

impl FileDaemon {
    fn of(daemon: &SyncDaemon) -> Self {
        Self {
            role: match daemon.role {
                SyncRole::Master => FileRole::Master,
                SyncRole::Backup => FileRole::Backup,
            },
            interface: daemon.interface.clone(),
            // The kernel holds eight bits of it.
            sync_id: u8::try_from(daemon.sync_id).unwrap_or(u8::MAX),
            group: daemon.group,
            port: daemon.port.filter(|it| *it != 0),
            ttl: daemon.ttl.filter(|it| *it != 0),
            max_length: daemon.max_length.filter(|it| *it != 0),
        }
    }

    fn daemon(self) -> SyncDaemon {
        SyncDaemon {
            role: match self.role {
                FileRole::Master => SyncRole::Master,
                FileRole::Backup => SyncRole::Backup,
            },
            interface: self.interface,
            sync_id: self.sync_id.into(),
            max_length: self.max_length,
            group: self.group,
            port: self.port,
            ttl: self.ttl,
        }
    }
}

fn in_order<S: Serializer>(
    services: &BTreeMap<ServiceKey, Entry>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_seq(services.iter().map(|(&key, entry)| One::of(key, entry)))
}

/// Service by service, so that what is wrong is found where it stands.
fn services<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<ServiceKey, Entry>, D::Error> {
    struct Reader;

    impl<'de> Visitor<'de> for Reader {
        type Value = BTreeMap<ServiceKey, Entry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of services")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut services = BTreeMap::new();
            while list.next_element_seed(Next(&mut services))?.is_some() {}
            Ok(services)
        }
    }

    from.deserialize_seq(Reader)
}

/// The next service, checked while the reader stands at its end.
struct Next<'a>(&'a mut BTreeMap<ServiceKey, Entry>);

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Next<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a service")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let one = One::deserialize(MapAccessDeserializer::new(map))?;
        let (key, entry) = one.entry().map_err(A::Error::custom)?;
        match self.0.insert(key, entry) {
            Some(_) => Err(A::Error::custom(format!("service {key} stands twice"))),
            None => Ok(()),
        }
    }
}
