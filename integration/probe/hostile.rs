//! Servers that are broken, hostile or something else altogether: each is bounded in bytes and in time.

use std::net::TcpListener;
use std::time::Duration;

use pgvs::config::{PostgresProbe, SslMode};
use pgvs::engine::evidence::{ProbeError, Stage};
use tokio::time::sleep;

use crate::fake::{Conn, Fake, message};
use crate::watch::{Watch, admitted, ended, own_problem, said, settings};

/// What a probe says about a server that plays `script`.
async fn verdict<F>(
    settings: PostgresProbe,
    script: impl Fn(Conn, usize) -> F + Send + 'static,
) -> ProbeError
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    let fake = Fake::new(script).await;
    let mut watch = Watch::start(fake.address, settings);
    watch.refusal().await
}

/// In which stage a probe of such a server runs into a deadline.
async fn deadline<F>(
    settings: PostgresProbe,
    script: impl Fn(Conn, usize) -> F + Send + 'static,
) -> Stage
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    let fake = Fake::new(script).await;
    let mut watch = Watch::start(fake.address, settings);
    watch.timed_out().await.0
}

fn garbled(error: &ProbeError) -> String {
    match error {
        ProbeError::Garbled(text) => text.to_string(),
        other => panic!("expected garbage, found {other:?}"),
    }
}

fn tls(sslmode: SslMode) -> PostgresProbe {
    PostgresProbe { sslmode, ..settings() }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut watch = Watch::start(free, settings());
    assert_eq!(watch.refusal().await, ProbeError::Refused);
    assert_eq!(watch.refusal().await, ProbeError::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_runs_into_the_deadline() {
    for mode in [SslMode::Disable, SslMode::Prefer, SslMode::Require] {
        let error = deadline(tls(mode), |mut conn, _| async move {
            conn.untagged().await?;
            conn.closed_by_fin().await.then_some(())
        });
        assert_eq!(error.await, Stage::Login, "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_trickles_runs_into_the_deadline() {
    let error = deadline(settings(), |mut conn, _| async move {
        conn.untagged().await?;
        conn.say(b'R', &[0; 4]).await?;
        for byte in message(b'S', b"a\0b\0").into_iter().cycle() {
            conn.send(&[byte]).await?;
            sleep(Duration::from_millis(5)).await;
        }
        None
    });
    assert_eq!(error.await, Stage::Login);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_at_once_has_said_nothing() {
    for mode in [SslMode::Disable, SslMode::Prefer] {
        let error = verdict(tls(mode), |mut conn, _| async move {
            conn.untagged().await?;
            None
        });
        assert_eq!(error.await, ProbeError::Closed(Stage::Login));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_resets_has_said_nothing() {
    let error = verdict(settings(), |mut conn, _| async move {
        conn.untagged().await?;
        conn.0.set_zero_linger().unwrap();
        None
    });
    assert_eq!(error.await, ProbeError::Closed(Stage::Login));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_is_not_postgresql() {
    for mode in [SslMode::Disable, SslMode::Prefer, SslMode::Require] {
        let error = verdict(tls(mode), |mut conn, _| async move {
            conn.untagged().await?;
            conn.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await
        });
        let text = garbled(&error.await);
        assert!(text.contains("'H'"), "{mode:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_parameters_are_cut_off() {
    let error = verdict(settings(), |mut conn, _| async move {
        conn.untagged().await?;
        conn.say(b'R', &[0; 4]).await?;
        loop {
            conn.report("name", "value").await?;
        }
    });
    let text = garbled(&error.await);
    assert!(text.contains("without an end"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_announces_gigabytes_is_refused_at_its_header() {
    for length in [1 << 17, i32::MAX.cast_unsigned(), u32::MAX] {
        let error = verdict(settings(), move |mut conn, _| async move {
            conn.untagged().await?;
            conn.send(b"S").await?;
            conn.send(&length.to_be_bytes()).await?;
            conn.closed_by_fin().await.then_some(())
        });
        let text = garbled(&error.await);
        assert!(text.contains(&format!("{length} bytes")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_are_not_postgresql() {
    let mut dice = fastrand::Rng::with_seed(2);
    for _ in 0..50 {
        let noise: Vec<u8> = std::iter::repeat_with(|| dice.u8(..)).take(4096).collect();
        let error = verdict(settings(), move |mut conn, _| {
            let noise = noise.clone();
            async move {
                conn.untagged().await?;
                conn.send(&noise).await
            }
        });
        garbled(&error.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_make_no_sense_before_the_login_are_refused() {
    for (tag, body) in
        [(b'Z', &b"I"[..]), (b'D', b"\0\0"), (b'C', b"SELECT 1\0"), (b'S', b"no end")]
    {
        let error = verdict(settings(), move |mut conn, _| async move {
            conn.untagged().await?;
            conn.say(tag, body).await?;
            conn.closed_by_fin().await.then_some(())
        });
        garbled(&error.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_without_its_fields_is_refused() {
    for body in [&b"\0"[..], b"SFATAL\0Mtext\0\0", b"SFATAL\0C57P0\0Mtext\0\0", b"SFATAL"] {
        let error = verdict(settings(), move |mut conn, _| async move {
            conn.untagged().await?;
            conn.say(b'E', body).await
        });
        garbled(&error.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_the_probe_does_not_know_are_its_own_problem() {
    // GSSAPI, SSPI, a SASL mechanism of tomorrow.
    for body in [&b"\0\0\0\x07"[..], b"\0\0\0\x09", b"\0\0\0\x0aOAUTHBEARER\0\0"] {
        let directory = tempfile::tempdir().unwrap();
        let file = crate::login::password_file(&directory, "secret", 0o600);
        let settings = PostgresProbe { password_file: Some(file), ..settings() };
        let error = verdict(settings, move |mut conn, _| async move {
            conn.untagged().await?;
            conn.say(b'R', body).await?;
            conn.closed_by_fin().await.then_some(())
        });
        let text = own_problem(&error.await);
        assert!(text.contains("scram-sha-256"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scram_exchange_cannot_keep_the_probe_busy() {
    let directory = tempfile::tempdir().unwrap();
    let file = crate::login::password_file(&directory, "secret", 0o600);
    let settings = PostgresProbe { password_file: Some(file), ..settings() };
    let error = verdict(settings, |mut conn, _| async move {
        conn.untagged().await?;
        conn.say(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0").await?;
        let (_, first) = conn.message().await?;
        let first = String::from_utf8_lossy(&first).into_owned();
        let (_, nonce) = first.split_once("r=")?;
        let challenge = format!("r={nonce}more,s=c2FsdHNhbHRzYWx0,i=4000000000");
        let mut body = vec![0, 0, 0, 11];
        body.extend(challenge.as_bytes());
        conn.say(b'R', &body).await?;
        conn.closed_by_fin().await.then_some(())
    });
    let text = own_problem(&error.await);
    assert!(text.contains("iteration count"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_in_the_place_of_tls_is_told_as_such() {
    let error = verdict(tls(SslMode::Prefer), |mut conn, _| async move {
        conn.untagged().await?;
        conn.send(b"S").await?;
        conn.send(&[0x55; 512]).await?;
        conn.closed_by_fin().await.then_some(())
    });
    let text = own_problem(&error.await);
    assert!(text.contains("TLS handshake"), "{text}");

    let error = verdict(tls(SslMode::Require), |mut conn, _| async move {
        conn.untagged().await?;
        conn.send(b"S").await
    });
    assert_eq!(error.await, ProbeError::Closed(Stage::Login));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postmaster_that_cannot_fork_has_said_nothing() {
    let error = verdict(tls(SslMode::Prefer), |mut conn, _| async move {
        conn.untagged().await?;
        conn.send(b"Ecould not fork new process for connection\n\0").await
    });
    assert_eq!(error.await, ProbeError::Closed(Stage::Login));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_an_answer_behind_it_is_no_admission() {
    // As a pooler does whose server is gone: it lets in from memory.
    let error = deadline(settings(), |mut conn, _| async move {
        conn.log_in(&[("in_hot_standby", "off")]).await?;
        conn.closed_by_fin().await.then_some(())
    });
    assert_eq!(error.await, Stage::Query);

    let error = verdict(settings(), |mut conn, _| async move {
        conn.log_in(&[("in_hot_standby", "off")]).await?;
        conn.message().await?;
        conn.error(b'E', "FATAL", "08P01").await
    });
    assert_eq!(said(&error.await), ("08P01".into(), "routine".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_turns_to_noise_is_given_up() {
    let fake = Fake::new(|mut conn, _| async move {
        conn.log_in(&[("in_hot_standby", "off")]).await?;
        loop {
            let (tag, _) = tokio::select! {
                asked = conn.serve(|| true) => return asked.map(drop),
                () = sleep(Duration::from_millis(400)) => (b'!', ()),
            };
            conn.say(tag, b"").await?;
        }
    })
    .await;
    let mut watch = Watch::start(fake.address, settings());
    watch.pulse().await;
    let text = garbled(&watch.refusal().await);
    assert!(text.contains("'!'"), "{text}");
    watch.until("another admission", admitted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_floods_an_idle_session_is_cut_off() {
    let fake = Fake::new(|mut conn, number| async move {
        conn.log_in(&[("in_hot_standby", "off")]).await?;
        if number > 0 {
            return conn.serve(|| true).await.map(drop);
        }
        for _ in 0..2 {
            conn.message().await?;
            conn.row(&[Some("f"), Some("f"), None, None]).await?;
        }
        loop {
            conn.report("name", "value").await?;
        }
    })
    .await;
    let mut watch = Watch::start(fake.address, settings());
    let text = garbled(&watch.refusal().await);
    assert!(text.contains("without an end"), "{text}");
    watch.pulse().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_end_at_once_are_not_opened_faster_for_it() {
    let fake = Fake::new(|mut conn, _| async move {
        conn.log_in(&[("in_hot_standby", "off")]).await?;
        for _ in 0..2 {
            conn.message().await?;
            conn.row(&[Some("f"), Some("f"), None, None]).await?;
        }
        conn.error(b'E', "FATAL", "57P01").await
    })
    .await;
    let mut watch = Watch::start(fake.address, settings());
    let since = tokio::time::Instant::now();
    for _ in 0..20 {
        watch.until("end of the session", ended).await;
    }
    let limit = since.elapsed().as_millis() / 100 + 3;
    assert!(
        fake.connections() <= usize::try_from(limit).unwrap(),
        "{} connections",
        fake.connections()
    );
}
