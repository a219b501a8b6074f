//! The state file on a real file system.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::engine::memory::{LastWriter, Pause};
use crate::model::destination::DestinationKey;
use crate::model::postgres::{SystemIdentifier, Timeline};
use crate::model::service::{Family, ServiceKey};
use crate::time::Time;

fn identity() -> Identity {
    Identity { boot: "boot-1".into(), namespace: 4_026_531_840 }
}

fn moment(millis: u64, unix_ms: u64) -> Moment {
    Moment { now: Time::from_millis(millis), unix_ms }
}

fn key() -> ServiceKey {
    ServiceKey::tcp("10.9.0.100:5432".parse().unwrap())
}

fn to(address: &str) -> DestinationKey {
    DestinationKey(address.parse().unwrap())
}

fn memory() -> Memory {
    Memory {
        owned: [
            key(),
            ServiceKey::tcp("[2001:db8::1]:5432".parse().unwrap()),
            ServiceKey::FwMark { family: Family::V6, mark: 7 },
        ]
        .into(),
        draining: [
            ((key(), to("10.8.0.11:5432")), Time::from_millis(90_000)),
            ((key(), to("10.8.0.12:5432")), Time::from_millis(31_000)),
        ]
        .into(),
        paused: Some(Pause { until: Some(Time::from_millis(40_000)) }),
        writers: [
            ("orders".into(), LastWriter { timeline: Some(Timeline(7)), identity: None }),
            (
                "stock".into(),
                LastWriter { timeline: None, identity: Some(SystemIdentifier(u64::MAX)) },
            ),
        ]
        .into(),
        sync_daemons: [crate::model::kernel::SyncRole::Backup].into(),
    }
}

#[test]
fn deadlines_survive_a_restart_and_what_has_passed_is_due_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateFile::open(&directory.path().join("made/for/us")).unwrap();
    state.save(&memory(), &identity(), moment(30_000, 1_000_000)).unwrap();
    // Two seconds later a new daemon has run for 500 ms.
    let loaded = state.load(&identity(), moment(500, 1_002_000));
    assert_eq!(loaded.note, None);
    assert_eq!(loaded.memory.owned, memory().owned);
    assert_eq!(loaded.memory.writers, memory().writers);
    let draining: Vec<_> = loaded.memory.draining.into_values().collect();
    assert_eq!(draining, [Time::from_millis(58_500), Time::ZERO]);
    let left = Duration::from_millis(8_000);
    let until = Time::from_millis(500).after(left);
    assert_eq!(loaded.memory.paused, Some(Pause { until: Some(until) }));
}

#[test]
fn a_pause_without_an_end_stays_one() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateFile::open(directory.path()).unwrap();
    let memory = Memory { paused: Some(Pause { until: None }), ..Memory::default() };
    state.save(&memory, &identity(), moment(0, 0)).unwrap();
    assert_eq!(state.load(&identity(), moment(0, 5)), Loaded { memory, note: None });
}

#[test]
fn a_first_start_finds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateFile::open(directory.path()).unwrap();
    let loaded = state.load(&identity(), moment(0, 0));
    assert_eq!(loaded, Loaded { memory: Memory::default(), note: None });
}

#[test]
fn another_boot_or_namespace_makes_it_void_but_for_what_it_says_of_postgresql() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateFile::open(directory.path()).unwrap();
    state.save(&memory(), &identity(), moment(0, 0)).unwrap();
    let boot = Identity { boot: "boot-2".into(), ..identity() };
    let namespace = Identity { namespace: 4_026_532_000, ..identity() };
    for (other, what) in [(boot, "another boot"), (namespace, "another network namespace")] {
        let loaded = state.load(&other, moment(0, 0));
        assert_eq!(loaded.memory, Memory { writers: memory().writers, ..Memory::default() });
        assert!(
            matches!(&loaded.note, Some(Note::Void(text)) if text.contains(what)),
            "{loaded:?}"
        );
    }
    assert_eq!(state.load(&identity(), moment(0, 0)).memory, memory());
}

#[test]
fn a_file_of_a_version_that_knew_no_writers_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateFile::open(directory.path()).unwrap();
    let old = r#"{"version":1,"written_by":"pgvs 0.1.0","boot_id":"boot-1",
        "network_namespace":4026531840,"owned":[{"fw-mark":{"ipv6":false,"mark":7}}],"draining":[]}"#;
    fs::write(directory.path().join(NAME), old).unwrap();
    let loaded = state.load(&identity(), moment(0, 0));
    assert_eq!((loaded.memory.owned.len(), loaded.note), (1, None));
    assert_eq!(loaded.memory.writers, BTreeMap::new());
}

#[test]
fn what_cannot_be_read_is_kept_aside_and_said() {
    let newer = r#"{"version": 2, "anything": []}"#;
    let extra = r#"{"version":1,"written_by":"x","boot_id":"boot-1","network_namespace":1,
        "owned":[],"draining":[],"surprise":1}"#;
    for text in ["", "{", "[]", "null", newer, extra, "\u{0}", r#"{"version": 1}"#] {
        let directory = tempfile::tempdir().unwrap();
        let state = StateFile::open(directory.path()).unwrap();
        fs::write(directory.path().join(NAME), text).unwrap();
        let loaded = state.load(&identity(), moment(0, 77_000));
        assert_eq!(loaded.memory, Memory::default(), "{text}");
        assert!(matches!(loaded.note, Some(Note::Alarm(_))), "{text}: {loaded:?}");
        let aside = directory.path().join("state.json.unreadable-77");
        assert_eq!(fs::read_to_string(aside).unwrap(), text);
        assert_eq!(state.load(&identity(), moment(0, 0)).note, None, "{text}");
    }
}

#[test]
fn a_directory_in_the_place_of_the_file_is_kept_aside_too() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateFile::open(directory.path()).unwrap();
    fs::create_dir(directory.path().join(NAME)).unwrap();
    let loaded = state.load(&identity(), moment(0, 1000));
    assert!(matches!(loaded.note, Some(Note::Alarm(_))), "{loaded:?}");
    state.save(&memory(), &identity(), moment(0, 0)).unwrap();
}

#[test]
fn a_second_daemon_may_not_use_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = StateFile::open(directory.path()).unwrap();
    assert!(matches!(StateFile::open(directory.path()), Err(StateError::Busy(_))));
    drop(first);
    StateFile::open(directory.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = StateFile::open(&file.join("state")).unwrap_err().to_string();
    assert!(error.contains("not a directory") && error.contains("state_dir"), "{error}");
}

#[test]
fn a_failed_save_leaves_the_old_file_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateFile::open(directory.path()).unwrap();
    state.save(&memory(), &identity(), moment(0, 0)).unwrap();
    fs::create_dir(directory.path().join("state.json.new")).unwrap();
    let error = state.save(&Memory::default(), &identity(), moment(0, 0)).unwrap_err();
    assert!(error.contains("is a directory"), "{error}");
    assert_eq!(state.load(&identity(), moment(0, 0)).memory, memory());
}
