//! Passwords and TLS against a real server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use pgvs::config::{PostgresProbe, SslMode};
use pgvs::engine::evidence::{Evidence, of};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::cluster::{Cluster, run, wait_for};
use crate::ends::{idle, slow};
use crate::watch::{Watch, as_pgvs, ended, own_problem, said};

/// A password file in `directory`.
pub(crate) fn password_file(directory: &TempDir, password: &str, mode: u32) -> PathBuf {
    let path = directory.path().join("pass");
    fs::write(&path, format!("{password}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn with_file(path: PathBuf) -> PostgresProbe {
    PostgresProbe { password_file: Some(path), ..as_pgvs() }
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_md5_and_plain_passwords_log_in_and_wrong_ones_do_not() {
    for (method, encryption) in
        [("scram-sha-256", "scram-sha-256"), ("md5", "md5"), ("password", "md5")]
    {
        let server = Cluster::with(
            &format!("password_encryption = '{encryption}'"),
            &format!("host all pgvs 127.0.0.1/32 {method}"),
        );
        server.create_role("pgvs", "password 'secret'");
        let directory = tempfile::tempdir().unwrap();
        let file = password_file(&directory, "secret", 0o600);
        let mut watch = Watch::start(server.address(), with_file(file));
        watch.settle().await;

        password_file(&directory, "wrong", 0o600);
        let error = watch.refusal().await;
        assert_eq!(said(&error).0, "28P01", "{method}");
        assert_eq!(of(&error), Evidence::Misconfigured);
        watch.pulse().await;

        password_file(&directory, "secret", 0o600);
        watch.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_file_that_cannot_be_used_is_named_with_the_remedy() {
    let server = Cluster::with("", "host all pgvs 127.0.0.1/32 scram-sha-256");
    server.create_role("pgvs", "password 'secret'");
    let directory = tempfile::tempdir().unwrap();
    let quiet = server.log();
    let readable = password_file(&directory, "secret", 0o644);
    let table = [
        (with_file(readable), "mode 0644"),
        (with_file(directory.path().join("none")), "no such file"),
        (with_file(directory.path().to_owned()), "is a directory"),
        (as_pgvs(), "set password_file"),
    ];
    for (settings, expected) in table {
        let mut watch = Watch::start(server.address(), settings);
        let error = watch.refusal().await;
        assert_eq!(of(&error), Evidence::Blind);
        let text = own_problem(&error);
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("secret"), "{text}");
        watch.probe.stop().await;
    }
    assert_eq!(server.log(), quiet);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_password_file_does_not_hide_what_the_server_says() {
    let server = Cluster::primary();
    server.create_role("pgvs", "");
    let missing = PathBuf::from("/nonexistent/pass");
    let mut watch = Watch::start(server.address(), with_file(missing));
    watch.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_used_where_the_server_has_it() {
    for (certificate, protocol) in [(1, "TLSv1.3"), (3, "TLSv1.3"), (3, "TLSv1.2")] {
        let server = tls_server(certificate, protocol);
        for mode in [SslMode::Prefer, SslMode::Require] {
            let directory = tempfile::tempdir().unwrap();
            let file = password_file(&directory, "secret", 0o600);
            let settings = PostgresProbe { sslmode: mode, ..with_file(file) };
            let mut watch = Watch::start(server.address(), settings);
            watch.settle().await;
            let used = "select min(version) from pg_stat_ssl join pg_stat_activity using (pid) \
                        where application_name = 'pgvs'";
            assert_eq!(server.sql(used), protocol, "certificate version {certificate}, {mode:?}");
            watch.probe.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_comes_with_a_remedy() {
    let server = tls_server(1, "TLSv1.2");
    let settings = PostgresProbe { sslmode: SslMode::Prefer, ..as_pgvs() };
    let mut watch = Watch::start(server.address(), settings);
    let text = own_problem(&watch.refusal().await);
    assert!(text.contains("TLS handshake") && text.contains("version 3"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_comes_through_tls() {
    let server = tls_server(3, "TLSv1.3");
    let directory = tempfile::tempdir().unwrap();
    let file = password_file(&directory, "secret", 0o600);
    let settings =
        PostgresProbe { sslmode: SslMode::Require, pulse: slow().pulse, ..with_file(file) };
    let mut watch = Watch::start(server.address(), settings);
    idle(&mut watch).await;
    server.signal(Signal::QUIT);
    let (end, _) = watch.until("end of the session", ended).await;
    assert_eq!(end, Some(("WARNING".into(), "57P01".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_tls_sessions_writes_no_line_into_the_log() {
    let server = tls_server(3, "TLSv1.3");
    let directory = tempfile::tempdir().unwrap();
    let file = password_file(&directory, "secret", 0o600);
    let settings = PostgresProbe { sslmode: SslMode::Require, ..with_file(file) };
    let quiet = server.log();
    let mut watch = Watch::start(server.address(), settings);
    for _ in 0..5 {
        watch.settle().await;
    }
    watch.probe.stop().await;
    wait_for("the probe's sessions to end", || {
        server.sql("select count(*) from pg_stat_activity where application_name = 'pgvs'") == "0"
    });
    assert_eq!(server.log(), quiet);
}

#[tokio::test(flavor = "multi_thread")]
async fn prefer_is_content_without_tls_and_require_is_not() {
    let server = Cluster::primary();
    server.create_role("pgvs", "");
    let with = |sslmode| PostgresProbe { sslmode, ..as_pgvs() };
    let mut watch = Watch::start(server.address(), with(SslMode::Prefer));
    watch.settle().await;
    let mut watch = Watch::start(server.address(), with(SslMode::Require));
    let text = own_problem(&watch.refusal().await);
    assert!(text.contains("offers no TLS"), "{text}");
}

/// A server with a self-signed certificate that wants TLS and SCRAM of the role `pgvs`.
fn tls_server(certificate_version: u8, protocol: &str) -> Cluster {
    let server = Cluster::with(
        "",
        "hostssl all pgvs 127.0.0.1/32 scram-sha-256\nhost all pgvs 127.0.0.1/32 reject",
    );
    server.create_role("pgvs", "password 'secret'");
    let path = |name: &str| server.data().join(name);
    let (key, request, certificate) = (path("server.key"), path("server.csr"), path("server.crt"));
    let new_key = ["req", "-new", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=pg1"];
    let mut openssl = Command::new("openssl");
    openssl.args(new_key).arg("-keyout").arg(&key);
    if certificate_version == 1 {
        run(openssl.arg("-out").arg(&request));
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-days", "2", "-in"]).arg(&request).arg("-signkey").arg(&key);
        run(sign.arg("-out").arg(&certificate));
    } else {
        run(openssl.args(["-x509", "-days", "2"]).arg("-out").arg(&certificate));
    }
    let text =
        run(Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(&certificate));
    assert!(text.contains(&format!("Version: {certificate_version} ")), "{text}");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    server.give(&key);
    server.give(&certificate);
    server.sql("alter system set ssl = on");
    server.sql(&format!("alter system set ssl_max_protocol_version = '{protocol}'"));
    server.sql("select pg_reload_conf()");
    wait_for("TLS", || {
        server.psql("select 1").env("PGSSLMODE", "require").status().unwrap().success()
    });
    server
}
