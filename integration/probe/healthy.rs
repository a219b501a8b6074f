//! What healthy servers say, and that they need not log a line for it.

use std::time::Duration;

use pgvs::config::PostgresProbe;
use pgvs::engine::evidence::{Observation, Pace};
use pgvs::model::postgres::{Role, SystemIdentifier, Timeline};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, wait_for};
use crate::login::password_file;
use crate::watch::{Watch, admitted, as_pgvs, ended, facts, role, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_tells_its_role_timeline_and_identity() {
    let primary = Cluster::primary();
    let mut watch = Watch::start(primary.address(), settings());
    assert_eq!(watch.next().await, Observation::Admitted);
    let Observation::Pulse(first) = watch.next().await else {
        panic!("no pulse after the admission")
    };
    assert_eq!(first.role, Role::Primary);
    assert_eq!(first.timeline, Some(Timeline(1)));
    assert_eq!(first.system_identifier, Some(identity(&primary)));
    assert_eq!(first.read_only, Some(false));
    for _ in 0..20 {
        assert_eq!(watch.pulse().await, first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_told_with_its_timeline() {
    let primary = Cluster::primary();
    let standby = Cluster::standby_of(&primary, "");
    let mut watch = Watch::start(standby.address(), settings());
    let first = watch.pulse().await;
    assert_eq!((first.role, first.timeline), (Role::Standby, None));
    assert_eq!(first.system_identifier, Some(identity(&primary)));
    watch.settle().await;
    standby.sql("select pg_promote(false)");
    let (promoted, before) = watch.until("promotion", role(Role::Primary)).await;
    assert_eq!(promoted.timeline, Some(Timeline(2)), "the first pulse as a primary");
    assert_eq!(promoted.system_identifier, first.system_identifier);
    for observation in before {
        match observation {
            Observation::Pulse(facts) => assert_eq!(facts, first),
            other => assert_eq!(other, Observation::Admitted),
        }
    }
    assert_eq!(watch.pulse().await, promoted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_turns_read_only_says_so() {
    let primary = Cluster::primary();
    let mut watch = Watch::start(primary.address(), settings());
    assert_eq!(watch.pulse().await.read_only, Some(false));
    primary.sql("alter system set default_transaction_read_only = on");
    primary.sql("select pg_reload_conf()");
    let turned =
        |observation: &Observation| facts(observation).filter(|f| f.read_only == Some(true));
    let (facts, _) = watch.until("read-only primary", turned).await;
    assert_eq!((facts.role, facts.timeline), (Role::Primary, Some(Timeline(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_privileges_tells_what_it_may() {
    let primary = Cluster::primary();
    primary
        .sql("revoke execute on function pg_control_system(), pg_walfile_name(pg_lsn) from public");
    primary.create_role("pgvs", "");
    let quiet = primary.log();
    let mut watch = Watch::start(primary.address(), as_pgvs());
    watch.settle().await;
    let facts = watch.pulse().await;
    assert_eq!((facts.role, facts.timeline, facts.system_identifier), (Role::Primary, None, None));
    assert_eq!(primary.log(), quiet);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_seconds_of_probing_write_no_line_into_the_log() {
    for lc_messages in ["C", "de_DE.UTF-8"] {
        let line = format!("lc_messages = '{lc_messages}'");
        let primary = Cluster::with(&line, "host all pgvs 127.0.0.1/32 scram-sha-256");
        primary.create_role("pgvs", "password 'secret'");
        let standby = Cluster::standby_of(&primary, &line);
        let directory = tempfile::tempdir().unwrap();
        let settings = PostgresProbe {
            password_file: Some(password_file(&directory, "secret", 0o600)),
            ..as_pgvs()
        };
        // What the standby receives, it receives after the line in which it says that it streams.
        let written = primary.sql("select pg_logical_emit_message(true, '', '')");
        let received = format!("select pg_last_wal_receive_lsn() >= '{written}'");
        wait_for("the standby to stream", || standby.sql(&received) == "t");
        let quiet = [primary.log(), standby.log()];
        let mut watches =
            [&primary, &standby].map(|server| Watch::start(server.address(), settings.clone()));
        sleep(Duration::from_secs(10)).await;
        for watch in &mut watches {
            let seen = watch.drain();
            let admitted = seen.iter().filter_map(admitted).count();
            assert!(admitted > 0, "{seen:?}");
            assert_eq!(seen.iter().filter_map(ended).next(), None);
        }
        for watch in watches {
            watch.probe.stop().await;
        }
        for server in [&primary, &standby] {
            wait_for("the probe's sessions to end", || sessions(server) == "0");
        }
        assert_eq!([primary.log(), standby.log()], quiet, "{lc_messages}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_outlives_a_servers_idle_session_timeout() {
    let primary = Cluster::with("idle_session_timeout = '100ms'", "");
    let slow = PostgresProbe { pulse: Duration::from_millis(500), ..settings() };
    let mut watch = Watch::start(primary.address(), slow);
    watch.pulse().await;
    for _ in 0..6 {
        let (_, before) = watch.until("pulse", facts).await;
        assert!(before.iter().all(|seen| *seen == Observation::Admitted), "{before:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hurried_probe_does_not_wait_for_its_slow_pulse() {
    let primary = Cluster::primary();
    let slow = PostgresProbe { pulse: Duration::from_secs(5), ..settings() };
    let mut watch = Watch::start(primary.address(), slow);
    watch.pulse().await;
    let since = Instant::now();
    watch.probe.pace(Pace::Hurried);
    for _ in 0..20 {
        watch.pulse().await;
    }
    assert!(since.elapsed() < Duration::from_secs(50), "20 pulses took {:?}", since.elapsed());
}

/// The number of sessions that belong to probes.
fn sessions(server: &Cluster) -> String {
    server.sql("select count(*) from pg_stat_activity where application_name = 'pgvs'")
}

/// The cluster's identity as the cluster says it.
fn identity(cluster: &Cluster) -> SystemIdentifier {
    SystemIdentifier(
        cluster.sql("select system_identifier from pg_control_system()").parse().unwrap(),
    )
}
