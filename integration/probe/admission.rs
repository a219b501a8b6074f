//! Servers that live and do not let the probe in.

use std::net::SocketAddr;
use std::time::Duration;

use pgvs::config::PostgresProbe;
use pgvs::engine::evidence::{Evidence, ProbeError, of};
use tokio::time::sleep;
use tokio_postgres::NoTls;

use crate::cluster::{Cluster, wait_for};
use crate::watch::{Watch, admitted, as_pgvs, ended, own_problem, said, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_full_and_the_session_lives() {
    let server = Cluster::with(
        "max_connections = 5\nsuperuser_reserved_connections = 1\nmax_wal_senders = 0",
        "",
    );
    server.create_role("pgvs", "");
    let mut watch = Watch::start(server.address(), as_pgvs());
    watch.settle().await;
    let crowd = tokio::spawn(occupy(server.address()));
    let error = watch.refusal().await;
    assert_eq!(said(&error).0, "53300");
    assert_eq!(of(&error), Evidence::Full);
    watch.pulse().await;
    crowd.abort();
    let (_, before) = watch.until("admission", admitted).await;
    assert!(before.iter().filter_map(ended).next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probes_own_limits_are_told_apart_from_a_full_server() {
    let server = Cluster::primary();
    server.create_role("pgvs", "connection limit 1");
    server.sql("create database narrow connection limit 1");
    server.create_role("other", "");
    let narrow = PostgresProbe { user: "other".into(), dbname: "narrow".into(), ..settings() };
    for (settings, routine) in [(as_pgvs(), "InitializeSessionUserId"), (narrow, "CheckMyDatabase")]
    {
        let mut watch = Watch::start(server.address(), settings);
        watch.pulse().await;
        let error = watch.refusal().await;
        assert_eq!(said(&error), ("53300".into(), routine.into()));
        assert_eq!(of(&error), Evidence::Misconfigured);
        watch.pulse().await;
        watch.probe.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_is_set_up_wrongly_hears_why_in_any_language() {
    let server = Cluster::with(
        "lc_messages = 'de_DE.UTF-8'",
        "host all barred 127.0.0.1/32 reject\nhost refused all 127.0.0.1/32 reject",
    );
    for role in ["barred", "pgvs"] {
        server.create_role(role, "");
    }
    server.sql("create database closed");
    server.sql("revoke connect on database closed from public");
    let with = |user: &str, dbname: &str| PostgresProbe {
        user: user.into(),
        dbname: dbname.into(),
        ..settings()
    };
    let table = [
        (with("barred", "postgres"), "28000"),
        (with("nobody", "postgres"), "28000"),
        (with("pgvs", "missing"), "3D000"),
        (with("pgvs", "closed"), "42501"),
    ];
    for (settings, sqlstate) in table {
        let mut watch = Watch::start(server.address(), settings);
        let error = watch.refusal().await;
        assert_eq!(said(&error).0, sqlstate);
        assert_eq!(of(&error), Evidence::Misconfigured, "{sqlstate}");
    }
    assert!(server.log().contains("FATAL:  Rolle") || server.log().contains("Rolle »nobody«"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_without_hot_standby_admits_nobody() {
    let primary = Cluster::primary();
    let standby = Cluster::standby_of(&primary, "hot_standby = off");
    let mut watch = Watch::start(standby.address(), settings());
    let error = watch.refusal().await;
    assert_eq!(said(&error).0, "57P03");
    assert_eq!(of(&error), Evidence::NotNow);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_comes_from_its_source() {
    let server = Cluster::with("", "host all pgvs 127.0.0.2/32 trust");
    server.create_role("pgvs", "");
    let source = |ip: &str| PostgresProbe { source: Some(ip.parse().unwrap()), ..as_pgvs() };
    let mut watch = Watch::start(server.address(), source("127.0.0.2"));
    watch.pulse().await;
    let seen = "select client_addr from pg_stat_activity where application_name = 'pgvs' limit 1";
    assert_eq!(server.sql(seen), "127.0.0.2");

    let mut watch = Watch::start(server.address(), source("192.0.2.1"));
    let error = watch.refusal().await;
    assert_eq!(of(&error), Evidence::Blind);
    let text = own_problem(&error);
    assert!(text.contains("source 192.0.2.1") && text.contains("address of this host"), "{text}");

    let mut watch = Watch::start(server.address(), source("::1"));
    let text = own_problem(&watch.refusal().await);
    assert!(text.contains("family"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_channel_loses_pulses_and_nothing_else() {
    let mut server = Cluster::primary();
    let mut watch = Watch::with_room(server.address(), settings(), 1);
    wait_for("dropped pulses", || watch.prober.dropped_pulses() > 20);
    server.signal(rustix::process::Signal::INT);
    server.wait_for_exit();
    let (end, _) = watch.until("end of the session", ended).await;
    assert_eq!(end, Some(("FATAL".into(), "57P01".into())));
    while watch.refusal().await != ProbeError::Refused {}
}

/// Takes every connection that the server has for `pgvs`, until it is aborted.
async fn occupy(address: SocketAddr) {
    let mut config = tokio_postgres::Config::new();
    config.host(address.ip().to_string()).port(address.port());
    config.user("pgvs").dbname("postgres");
    let mut clients = Vec::new();
    loop {
        match config.connect(NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                clients.push(client);
            }
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}
