//! One connection to a server and the few things that are asked over it.
//!
//! The library's `Connection` is polled here and nowhere else: only so are its parameters read and the server's
//! last words heard, which come as notices and unasked.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::Empty;
use tokio::time::timeout;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Connection, Error, SimpleQueryMessage, SimpleQueryRow};

use super::channel::Channel;
use super::failure;
use crate::engine::evidence::{ProbeError, Stage};
use crate::model::postgres::{Role, SqlState};

/// How long a server may take to answer what is still open when a connection is closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// A connection that is logged in.
pub(super) struct Link {
    client: Client,
    wire: Box<Wire>,
}

/// The library's connection, and how it ended.
struct Wire {
    connection: Connection<Empty, Channel>,
    /// Kept where the end came together with an answer: the library tells it once and must not be asked again.
    end: Option<ProbeError>,
}

impl Link {
    /// A connection as the library returns it.
    pub(super) fn new(client: Client, connection: Connection<Empty, Channel>) -> Self {
        let wire = Box::new(Wire { connection, end: None });
        Self { client, wire }
    }

    /// One Sync, the least that a server can be asked. Do not drop it unanswered: the next one would queue.
    pub(super) async fn sync(&mut self) -> Result<(), ProbeError> {
        let Self { client, wire } = self;
        wire.answer(client.check_connection()).await
    }

    /// The rows of one statement, which must not be able to fail: PostgreSQL logs statements that do.
    pub(super) async fn query(&mut self, sql: &str) -> Result<Vec<SimpleQueryRow>, ProbeError> {
        let Self { client, wire } = self;
        let messages = wire.answer(client.simple_query(sql)).await?;
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// The role as the server last reported it (`in_hot_standby`, since PostgreSQL 14).
    pub(super) fn reported_role(&self) -> Option<Role> {
        Some(match boolean(self.wire.connection.parameter("in_hot_standby")?)? {
            true => Role::Standby,
            false => Role::Primary,
        })
    }

    /// `default_transaction_read_only` as the server last reported it (since PostgreSQL 14).
    pub(super) fn reported_read_only(&self) -> Option<bool> {
        boolean(self.wire.connection.parameter("default_transaction_read_only")?)
    }

    /// Waits for the end of a connection of which nothing is asked. Cancel-safe.
    pub(super) async fn ended(&mut self) -> ProbeError {
        poll_fn(|cx| self.wire.poll_end(cx)).await
    }

    /// Terminate, then FIN; the drop of the socket waits for the server's.
    pub(super) async fn close(self) {
        let Self { client, mut wire } = self;
        drop(client);
        let end = poll_fn(|cx| wire.poll_end(cx));
        // A server that owes an answer for longer gets the FIN without the Terminate.
        drop(timeout(CLOSE_LIMIT, end).await);
    }
}

impl Wire {
    /// Drives the connection until the request is answered or the connection ends.
    async fn answer<T>(
        &mut self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, ProbeError> {
        let mut request = pin!(request);
        poll_fn(|cx| {
            // The first poll hands the request over, the second finds what the connection has read.
            let mut polled = request.as_mut().poll(cx);
            let mut end = Poll::Pending;
            if polled.is_pending() {
                end = self.poll_end(cx);
                polled = request.as_mut().poll(cx);
            }
            match (polled, end) {
                (Poll::Ready(Ok(answer)), _) => Poll::Ready(Ok(answer)),
                // The server's last word goes to whoever waits for an answer; the end of the stream follows it.
                (Poll::Ready(Err(error)), Poll::Pending) => Poll::Ready(Err(self.failed(&error))),
                (Poll::Ready(Err(error)), Poll::Ready(_)) if error.as_db_error().is_some() => {
                    Poll::Ready(Err(self.failed(&error)))
                }
                (_, Poll::Ready(end)) => Poll::Ready(Err(end)),
                (Poll::Pending, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }

    /// Why a request failed: because of itself, or because the connection had ended before it.
    fn failed(&self, error: &Error) -> ProbeError {
        match &self.end {
            Some(end) if error.is_closed() => end.clone(),
            Some(_) | None => failure::client(error, Stage::Query),
        }
    }

    /// Moves bytes both ways; ready when the connection has ended, or has been told that it will.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<ProbeError> {
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone());
        }
        loop {
            let end = match self.connection.poll_message(cx) {
                Poll::Ready(Some(Ok(AsyncMessage::Notice(said)))) => match farewell(&said) {
                    Some(end) => end,
                    None => continue,
                },
                Poll::Ready(Some(Ok(_))) => continue,
                Poll::Ready(Some(Err(error))) => failure::client(&error, Stage::Query),
                Poll::Ready(None) => ProbeError::Closed(Stage::Query),
                Poll::Pending => return Poll::Pending,
            };
            self.end = Some(end.clone());
            return Poll::Ready(end);
        }
    }
}

/// A notice that announces the end: immediate stops and crashes are told as warnings. Others end nothing.
fn farewell(said: &DbError) -> Option<ProbeError> {
    let error = failure::server_error(said)?;
    let ends = matches!(error.sqlstate, SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN);
    ends.then_some(ProbeError::Said(error))
}

fn row(message: SimpleQueryMessage) -> Option<SimpleQueryRow> {
    if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }
}

/// PostgreSQL's words for a boolean, as a parameter (`on`) and as a value (`t`); no other word is one.
pub(super) fn boolean(word: &str) -> Option<bool> {
    match word {
        "on" | "t" => Some(true),
        "off" | "f" => Some(false),
        _ => None,
    }
}
