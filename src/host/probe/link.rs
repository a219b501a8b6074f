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
    connection: Box<Connection<Empty, Channel>>,
}

impl Link {
    /// A connection as the library returns it.
    pub(super) fn new(client: Client, connection: Connection<Empty, Channel>) -> Self {
        Self {
            client,
            connection: Box::new(connection),
        }
    }

    /// One Sync, the least that a server can be asked. Do not drop it unanswered: the next one would queue.
    pub(super) async fn sync(&mut self) -> Result<(), ProbeError> {
        let Self { client, connection } = self;
        answered(connection, client.check_connection()).await
    }

    /// The rows of one statement, which must not be able to fail: PostgreSQL logs statements that do.
    pub(super) async fn query(&mut self, sql: &str) -> Result<Vec<SimpleQueryRow>, ProbeError> {
        let Self { client, connection } = self;
        let messages = answered(connection, client.simple_query(sql)).await?;
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// The role as the server last reported it (`in_hot_standby`, since PostgreSQL 14).
    pub(super) fn reported_role(&self) -> Option<Role> {
        Some(
            match boolean(self.connection.parameter("in_hot_standby")?)? {
                true => Role::Standby,
                false => Role::Primary,
            },
        )
    }

    /// `default_transaction_read_only` as the server last reported it (since PostgreSQL 14).
    pub(super) fn reported_read_only(&self) -> Option<bool> {
        boolean(self.connection.parameter("default_transaction_read_only")?)
    }

    /// Waits for the end of a connection of which nothing is asked. Cancel-safe.
    pub(super) async fn ended(&mut self) -> ProbeError {
        poll_fn(|cx| poll_end(&mut self.connection, cx)).await
    }

    /// Terminate, then FIN; the drop of the socket waits for the server's.
    pub(super) async fn close(self) {
        let Self {
            client,
            mut connection,
        } = self;
        drop(client);
        let end = poll_fn(|cx| {
            loop {
                match connection.poll_message(cx) {
                    Poll::Ready(Some(Ok(_))) => (),
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        // A server that owes an answer for longer gets the FIN without the Terminate.
        drop(timeout(CLOSE_LIMIT, end).await);
    }
}

/// Drives the connection until the request is answered or the connection ends.
async fn answered<T>(
    connection: &mut Connection<Empty, Channel>,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, ProbeError> {
    let mut request = pin!(request);
    poll_fn(|cx| {
        // The first poll hands the request over, the second finds what the connection has read.
        if let Poll::Ready(done) = request.as_mut().poll(cx) {
            return Poll::Ready(done.map_err(|error| failure::client(&error, Stage::Query)));
        }
        let end = poll_end(connection, cx);
        match (request.as_mut().poll(cx), end) {
            (Poll::Ready(Ok(answer)), _) => Poll::Ready(Ok(answer)),
            // The server's last word goes to whoever waits for an answer; the end of the stream comes after it.
            (Poll::Ready(Err(error)), Poll::Ready(end)) if error.as_db_error().is_none() => {
                Poll::Ready(Err(end))
            }
            (Poll::Ready(Err(error)), _) => Poll::Ready(Err(failure::client(&error, Stage::Query))),
            (Poll::Pending, Poll::Ready(end)) => Poll::Ready(Err(end)),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        }
    })
    .await
}

/// Moves bytes both ways; ready when the connection has ended, or has been told that it will.
fn poll_end(connection: &mut Connection<Empty, Channel>, cx: &mut Context<'_>) -> Poll<ProbeError> {
    loop {
        match connection.poll_message(cx) {
            Poll::Ready(Some(Ok(AsyncMessage::Notice(said)))) => {
                // Immediate stops and crashes are told as warnings; what else is told does not end anything.
                if let Some(error) = failure::server_error(&said)
                    && matches!(
                        error.sqlstate,
                        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN
                    )
                {
                    return Poll::Ready(ProbeError::Said(error));
                }
            }
            Poll::Ready(Some(Ok(_))) => (),
            Poll::Ready(Some(Err(error))) => {
                return Poll::Ready(failure::client(&error, Stage::Query));
            }
            Poll::Ready(None) => return Poll::Ready(ProbeError::Closed(Stage::Query)),
            Poll::Pending => return Poll::Pending,
        }
    }
}

fn row(message: SimpleQueryMessage) -> Option<SimpleQueryRow> {
    if let SimpleQueryMessage::Row(row) = message {
        Some(row)
    } else {
        None
    }
}

/// PostgreSQL's words for a boolean, as a parameter (`on`) and as a value (`t`); no other word is one.
pub(super) fn boolean(word: &str) -> Option<bool> {
    match word {
        "on" | "t" => Some(true),
        "off" | "f" => Some(false),
        _ => None,
    }
}
