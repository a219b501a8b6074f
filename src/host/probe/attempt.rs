//! A fresh connection: TCP, TLS, login, question. Each stage has a deadline of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_postgres::config::{SslMode as Offered, SslNegotiation};

use super::channel::{Channel, Negotiated};
use super::facts::{self, Granted};
use super::failure::{self, within};
use super::frames::Allowance;
use super::link::Link;
use super::password::{self, Password};
use super::socket::Socket;
use super::tls::Tls;
use crate::config::PostgresProbe;
use crate::engine::evidence::{ProbeError, Stage};
use crate::model::postgres::Facts;

/// The TCP handshake; a lost SYN is sent again after one second, which is too late to help.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// The TLS handshake, with the question for it.
const TLS_LIMIT: Duration = Duration::from_secs(1);

/// From the start-up message to ReadyForQuery.
const LOGIN_LIMIT: Duration = Duration::from_secs(1);

/// The questions of a fresh connection, together.
const QUERY_LIMIT: Duration = Duration::from_secs(1);

/// How long a connection may wait for its turn before that is said.
const TURN_LIMIT: Duration = Duration::from_secs(1);

/// How many connections of all probes log in at once.
///
/// Far more than healthy servers need (a login takes some 3 ms), so that many that hang, each for its second, do
/// not take the turns of the others.
const LOGINS: usize = 256;

/// What all attempts of all probes share.
pub(super) struct Means {
    tls: Tls,
    turns: Semaphore,
}

impl Means {
    /// With every turn free.
    pub(super) fn new() -> Result<Self, rustls::Error> {
        Ok(Self { tls: Tls::new()?, turns: Semaphore::new(LOGINS) })
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, ProbeError> {
        match timeout(TURN_LIMIT, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(ProbeError::Prober(
                format!("log in: {LOGINS} other logins were under way for {TURN_LIMIT:?}: wait, or probe less often")
                    .into(),
            )),
        }
    }
}

/// How far an attempt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Up to one answer, to see whether the server admits connections.
    Check,
    /// Up to everything that a session needs to know.
    Open,
}

/// A connection that was admitted.
pub(super) struct Admitted {
    /// The connection.
    pub(super) link: Link,
    /// What it learned; `None` after [`Depth::Check`].
    pub(super) opened: Option<Opened>,
}

/// What a session knows when it begins.
pub(super) struct Opened {
    /// What it may ask.
    pub(super) granted: Granted,
    /// What the server said of itself.
    pub(super) facts: Facts,
    /// The session's own address.
    pub(super) own: Option<SocketAddr>,
}

/// What one attempt needs.
#[derive(Clone)]
pub(super) struct Attempt {
    /// The server.
    pub(super) address: SocketAddr,
    /// How it is probed.
    pub(super) settings: Arc<PostgresProbe>,
    /// What is shared with all others.
    pub(super) means: Arc<Means>,
}

impl Attempt {
    /// Tries once.
    pub(super) async fn run(self, depth: Depth) -> Result<Admitted, ProbeError> {
        let Self { address, settings, means } = self;
        let allowance = Allowance::default();
        let connecting = Socket::connect(address, settings.source, allowance.clone());
        let socket = within(CONNECT_LIMIT, Stage::Connect, connecting).await?;
        let own = socket.local_addr();
        let turn = means.turn().await?;
        let negotiating = means.tls.clone().negotiate(socket, settings.sslmode, address);
        let transport = within(TLS_LIMIT, Stage::Login, negotiating).await?;
        let logging_in = log_in(Channel::new(transport, allowance), &settings);
        let mut link = within(LOGIN_LIMIT, Stage::Login, logging_in).await?;
        let asking = async {
            match depth {
                // A pooler lets in from memory; only an answer is the server's own.
                Depth::Check => link.sync().await.map(|()| None),
                Depth::Open => facts::all(&mut link).await.map(Some),
            }
        };
        let asked = within(QUERY_LIMIT, Stage::Query, asking).await?;
        drop(turn);
        let opened = asked.map(|(granted, facts)| Opened { granted, facts, own });
        Ok(Admitted { link, opened })
    }
}

/// Start-up and authentication.
///
/// A password file that cannot be used is not the end: the server may say something before it asks for a
/// password, or may not ask at all.
async fn log_in(channel: Channel, settings: &PostgresProbe) -> Result<Link, ProbeError> {
    let password = match &settings.password_file {
        None => Ok(None),
        Some(file) => read_password(file.clone()).await.map(Some),
    };
    let mut config = tokio_postgres::Config::new();
    config
        .user(&*settings.user)
        .dbname(&*settings.dbname)
        .application_name("pgvs")
        .ssl_mode(Offered::Require)
        .ssl_negotiation(SslNegotiation::Direct);
    if let Ok(Some(password)) = &password {
        config.password(password.reveal());
    }
    match (config.connect_raw(tokio::io::empty(), Negotiated(channel)).await, password) {
        (Ok((client, connection)), _) => Ok(Link::new(client, connection)),
        (Err(error), Err(problem)) if failure::wants_password(&error) => {
            Err(ProbeError::Prober(problem.into()))
        }
        (Err(error), _) => Err(failure::client(&error, Stage::Login)),
    }
}

/// Off the tasks' threads: a disk may hang.
async fn read_password(file: PathBuf) -> Result<Password, String> {
    let shown = file.display().to_string();
    tokio::task::spawn_blocking(move || password::read(&file))
        .await
        .unwrap_or_else(|error| Err(format!("read password file {shown}: {error}")))
}
