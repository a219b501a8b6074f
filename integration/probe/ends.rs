//! How servers end, hang and come back: what a probe reports, and in which order.

use std::time::Duration;

use pgvs::config::PostgresProbe;
use pgvs::engine::evidence::{Observation, ProbeError, Stage};
use pgvs::model::postgres::Role;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::watch::{Watch, admitted, ended, facts, refused, role, said, settings};

fn word(severity: &str, sqlstate: &str) -> Option<(String, String)> {
    Some((severity.into(), sqlstate.into()))
}

/// Settings with a pulse so slow that there is a time between two.
pub(crate) fn slow() -> PostgresProbe {
    PostgresProbe { pulse: Duration::from_millis(500), ..settings() }
}

/// Waits for a moment in which the session idles: PostgreSQL keeps its word from one that it is just answering
/// when it dies.
pub(crate) async fn idle(watch: &mut Watch) {
    watch.settle().await;
    sleep(Duration::from_millis(150)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_stop_ends_the_session_with_its_word_and_then_refuses() {
    let mut server = Cluster::primary();
    let mut watch = Watch::start(server.address(), settings());
    watch.settle().await;
    server.signal(Signal::INT);
    let (end, before) = watch.until("end of the session", ended).await;
    assert_eq!(end, word("FATAL", "57P01"));
    assert!(before.iter().all(|seen| !matches!(seen, Observation::SessionEnded(_))));
    loop {
        match watch.refusal().await {
            ProbeError::Refused => break,
            ProbeError::Closed(_) => (),
            other => assert_eq!(said(&other).0, "57P03"),
        }
    }
    server.wait_for_exit();
    assert_eq!(watch.refusal().await, ProbeError::Refused);
    server.start();
    watch.until("admission", admitted).await;
    watch.pulse().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immediate_stop_is_heard_as_a_warning() {
    let server = Cluster::primary();
    let mut watch = Watch::start(server.address(), slow());
    idle(&mut watch).await;
    server.signal(Signal::QUIT);
    let (end, _) = watch.until("end of the session", ended).await;
    assert_eq!(end, word("WARNING", "57P01"));
    let gone = |seen: &Observation| refused(seen).filter(|error| *error == ProbeError::Refused);
    watch.until("refusal", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_heard_as_a_warning_and_the_server_comes_back() {
    let server = Cluster::primary();
    let mut watch = Watch::start(server.address(), slow());
    idle(&mut watch).await;
    let victim = server.sql("select pid from pg_stat_activity where backend_type = 'walwriter'");
    server.signal_backend(&victim, Signal::KILL);
    let (end, _) = watch.until("end of the session", ended).await;
    assert_eq!(end, word("WARNING", "57P02"));
    let (_, before) = watch.until("admission", admitted).await;
    for error in before.iter().filter_map(refused) {
        match error {
            ProbeError::Refused | ProbeError::Closed(_) => (),
            other => assert_eq!(said(&other).0, "57P03"),
        }
    }
    assert_eq!(watch.pulse().await.role, Role::Primary);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postmaster_is_told_by_its_orphans() {
    let mut server = Cluster::primary();
    let mut watch = Watch::start(server.address(), settings());
    watch.settle().await;
    server.signal(Signal::KILL);
    let (end, _) = watch.until("end of the session", ended).await;
    assert!(end.is_none() || end == word("FATAL", "57P01"), "{end:?}");
    server.wait_for_exit();
    let gone = |seen: &Observation| refused(seen).filter(|error| *error == ProbeError::Refused);
    watch.until("refusal", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_session_is_followed_by_an_admission() {
    let server = Cluster::primary();
    let mut watch = Watch::start(server.address(), settings());
    watch.settle().await;
    server.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgvs' \
         order by backend_start limit 1",
    );
    let (end, _) = watch.until("end of the session", ended).await;
    assert_eq!(end, word("FATAL", "57P01"));
    assert_eq!(watch.next().await, Observation::Admitted);
    assert!(facts(&watch.next().await).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smart_stop_waits_for_the_probe_to_hang_up() {
    let mut server = Cluster::primary();
    let mut watch = Watch::start(server.address(), settings());
    watch.settle().await;
    server.signal(Signal::TERM);
    assert_eq!(said(&watch.refusal().await).0, "57P03");
    for _ in 0..20 {
        watch.pulse().await;
    }
    watch.probe.hang_up();
    server.wait_for_exit();
    let gone = |seen: &Observation| refused(seen).filter(|error| *error == ProbeError::Refused);
    let (_, before) = watch.until("refusal", gone).await;
    let ends = before.iter().filter_map(ended).count();
    assert_eq!(ends, 0, "the probe ended its session itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_hung_up_needlessly_opens_a_new_session() {
    let server = Cluster::primary();
    let mut watch = Watch::start(server.address(), settings());
    watch.settle().await;
    watch.probe.hang_up();
    let pid = "select coalesce(min(pid), 0) from pg_stat_activity where application_name = 'pgvs'";
    let before = server.sql(pid);
    watch.drain();
    watch.until("admission", admitted).await;
    watch.pulse().await;
    watch.pulse().await;
    assert_ne!(server.sql(pid), "0");
    assert!(!before.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_postmaster_admits_nobody_while_the_session_pulses() {
    let server = Cluster::primary();
    let mut watch = Watch::start(server.address(), settings());
    watch.settle().await;
    server.signal(Signal::STOP);
    let (stage, before) = watch.timed_out().await;
    assert_eq!(stage, Stage::Login);
    assert!(before.iter().filter_map(facts).count() > 3, "{before:?}");
    watch.pulse().await;
    server.signal(Signal::CONT);
    let (_, before) = watch.until("admission", admitted).await;
    assert!(before.iter().filter_map(ended).next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_session_is_replaced_without_a_word() {
    let server = Cluster::primary();
    let mut watch = Watch::start(server.address(), settings());
    watch.settle().await;
    let oldest = "select pid from pg_stat_activity where application_name = 'pgvs' \
                  order by backend_start limit 1";
    let hung = server.sql(oldest);
    server.signal_backend(&hung, Signal::STOP);
    // Up to here pulses of the old session may wait in the channel.
    watch.drain();
    watch.until("admission", admitted).await;
    watch.until("pulse of a new session", role(Role::Primary)).await;
    server.signal_backend(&hung, Signal::CONT);
    for _ in 0..50 {
        assert_eq!(ended(&watch.next().await), None);
    }
    let newest = server.sql(oldest);
    assert_ne!(newest, hung);
}
