//! What a probe does on its own account: how it asks, how it obeys, how it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgvs::config::PostgresProbe;
use pgvs::engine::evidence::{Observation, Stage};
use pgvs::model::postgres::{Role, SystemIdentifier, Timeline};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::cluster::PATIENCE;
use crate::fake::Fake;
use crate::watch::{Watch, admitted, ended, facts, role, settings};

/// The settings of a probe that does nothing by itself after its first connection for a long time.
fn lazy() -> PostgresProbe {
    PostgresProbe { admission: Duration::from_secs(3600), ..settings() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_report_its_role_is_asked_for_it() {
    let promoted = Arc::new(AtomicBool::new(false));
    let is_primary = Arc::clone(&promoted);
    let fake = Fake::new(move |mut conn, _| {
        let promoted = Arc::clone(&promoted);
        async move {
            conn.log_in(&[("server_version", "13.9")]).await?;
            conn.serve(|| promoted.load(Ordering::Relaxed)).await.map(drop)
        }
    })
    .await;
    let mut watch = Watch::start(fake.address, settings());
    let first = watch.pulse().await;
    assert_eq!((first.role, first.timeline, first.read_only), (Role::Standby, None, Some(false)));
    assert_eq!(first.system_identifier, Some(SystemIdentifier(u64::MAX - 1)));
    watch.settle().await;
    is_primary.store(true, Ordering::Relaxed);
    let (promoted, _) = watch.until("promotion", role(Role::Primary)).await;
    assert_eq!(promoted.timeline, Some(Timeline(11)), "timelines are hexadecimal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_probe_says_terminate_and_sends_a_fin() {
    let (heard, mut hears) = mpsc::channel(10);
    let fake = Fake::new(move |mut conn, _| {
        let heard = heard.clone();
        async move {
            conn.log_in(&[("in_hot_standby", "off")]).await?;
            let last = conn.serve(|| true).await;
            let fin = conn.closed_by_fin().await;
            heard.send((last, fin)).await.ok()
        }
    })
    .await;
    for stop in [true, false] {
        let mut watch = Watch::start(fake.address, lazy());
        watch.pulse().await;
        if stop {
            watch.probe.stop().await;
        } else {
            drop(watch);
        }
        let end = timeout(PATIENCE, hears.recv()).await.unwrap().unwrap();
        assert_eq!(end, (Some(vec![b'X']), true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_login_ends_with_a_fin_however_late_the_server_answers() {
    let (heard, mut hears) = mpsc::channel(10);
    let fake = Fake::new(move |mut conn, _| {
        let heard = heard.clone();
        async move {
            conn.untagged().await?;
            // Longer than the probe waits; what follows must not be answered by a reset.
            sleep(Duration::from_millis(1500)).await;
            conn.say(b'R', &[0; 4]).await?;
            sleep(Duration::from_millis(200)).await;
            conn.say(b'Z', b"I").await?;
            heard.send(conn.closed_by_fin().await).await.ok()
        }
    })
    .await;
    let mut watch = Watch::start(fake.address, settings());
    assert_eq!(watch.timed_out().await.0, Stage::Login);
    assert!(timeout(PATIENCE, hears.recv()).await.unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_now_is_a_connection_now() {
    let fake = Fake::new(|mut conn, _| async move {
        conn.log_in(&[("in_hot_standby", "off")]).await?;
        conn.serve(|| true).await.map(drop)
    })
    .await;
    let mut watch = Watch::start(fake.address, lazy());
    watch.pulse().await;
    assert_eq!(fake.connections(), 1);
    for count in 2..5 {
        watch.probe.probe_now();
        watch.until("admission", admitted).await;
        assert_eq!(fake.connections(), count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_session_is_replaced_as_soon_as_a_connection_is_admitted() {
    let (closed, mut closes) = mpsc::channel(10);
    let fake = Fake::new(move |mut conn, number| {
        let closed = closed.clone();
        async move {
            if (1..4).contains(&number) {
                // The server is silent to everybody for a while.
                conn.closed_by_fin().await;
                return None;
            }
            conn.log_in(&[("in_hot_standby", "off")]).await?;
            if number > 0 {
                return conn.serve(|| true).await.map(drop);
            }
            let quiet = timeout(Duration::from_millis(500), conn.serve(|| true)).await;
            assert!(quiet.is_err());
            closed.send(conn.closed_by_fin().await).await.ok()
        }
    })
    .await;
    let mut watch = Watch::start(fake.address, lazy());
    watch.pulse().await;
    assert_eq!(watch.timed_out().await.0, Stage::Login);
    let (_, before) = watch.until("admission", admitted).await;
    assert_eq!(before.iter().filter_map(ended).count(), 0, "silence is no word");
    assert_eq!(before.iter().filter_map(facts).count(), 0, "nobody answered");
    watch.pulse().await;
    assert!(timeout(PATIENCE, closes.recv()).await.unwrap().unwrap(), "the old session is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_is_followed_by_a_connection_at_once() {
    let fake = Fake::new(|mut conn, number| async move {
        conn.log_in(&[("in_hot_standby", "off")]).await?;
        if number > 0 {
            return conn.serve(|| true).await.map(drop);
        }
        let quiet = timeout(Duration::from_millis(500), conn.serve(|| true)).await;
        assert!(quiet.is_err());
        None
    })
    .await;
    let mut watch = Watch::start(fake.address, lazy());
    watch.pulse().await;
    let (word, _) = watch.until("end of the session", ended).await;
    assert_eq!(word, None);
    assert_eq!(watch.next().await, Observation::Admitted);
    assert!(facts(&watch.next().await).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_is_heard_from_a_server_that_closes_on_an_unread_question() {
    let fake = Fake::new(|mut conn, _| async move {
        conn.log_in(&[("in_hot_standby", "off")]).await?;
        let quiet = timeout(Duration::from_millis(120), conn.serve(|| true)).await;
        assert!(quiet.is_err());
        // As the kernel does for a server that closes with something unread.
        conn.0.set_zero_linger().unwrap();
        conn.error(b'E', "FATAL", "57P01").await
    })
    .await;
    let settings = PostgresProbe { pulse: Duration::from_millis(5), ..lazy() };
    let mut watch = Watch::start(fake.address, settings);
    for _ in 0..30 {
        let (word, _) = watch.until("end of the session", ended).await;
        assert_eq!(word, Some(("FATAL".into(), "57P01".into())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_that_announces_the_end_is_the_end() {
    let fake = Fake::new(|mut conn, number| async move {
        conn.log_in(&[("in_hot_standby", "off")]).await?;
        if number > 0 {
            return conn.serve(|| true).await.map(drop);
        }
        let quiet = timeout(Duration::from_millis(300), conn.serve(|| true)).await;
        assert!(quiet.is_err());
        conn.error(b'N', "WARNING", "01000").await?;
        conn.error(b'N', "WARNING", "57P02").await?;
        // The connection itself stays open.
        conn.serve(|| true).await.map(drop)
    })
    .await;
    let mut watch = Watch::start(fake.address, lazy());
    let (word, _) = watch.until("end of the session", ended).await;
    assert_eq!(word, Some(("WARNING".into(), "57P02".into())));
    watch.until("admission", admitted).await;
    watch.pulse().await;
}
