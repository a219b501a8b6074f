//! A negotiated connection as the client library wants it: plain or TLS alike, every frame looked at first.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Empty, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::failure::Hangup;
use super::frames::{Allowance, Frames};
use super::tls::Transport;

/// The messages' way to the server and back.
pub(super) struct Channel {
    transport: Transport,
    frames: Frames,
}

impl Channel {
    /// A channel over a connection that spends `allowance`.
    pub(super) fn new(transport: Transport, allowance: Allowance) -> Self {
        Self { transport, frames: Frames::new(allowance) }
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        };
        match polled {
            Poll::Ready(Ok(())) => (),
            // The end of TCP without the end of TLS before it: servers that die do not say goodbye.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Poll::Ready(Err(Hangup::error()));
            }
            other @ (Poll::Ready(Err(_)) | Poll::Pending) => return other,
        }
        let arrived = buf.filled().get(before..).unwrap_or_default();
        if arrived.is_empty() {
            return Poll::Ready(Err(Hangup::error()));
        }
        Poll::Ready(self.frames.follow(arrived).map_err(io::Error::other))
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

impl TlsStream for Channel {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.transport {
            Transport::Plain(_) => ChannelBinding::none(),
            Transport::Tls(tls) => tls.channel_binding(),
        }
    }
}

/// Hands a channel to the library in the place of TLS that is yet to be made.
///
/// The library's own negotiation has one deadline, one error and two types for plain and TLS connections; with
/// `sslnegotiation=direct` it leaves the negotiation to its connector, which has it behind it.
pub(super) struct Negotiated(pub(super) Channel);

impl TlsConnect<Empty> for Negotiated {
    type Stream = Channel;
    type Error = io::Error;
    type Future = Ready<io::Result<Channel>>;

    fn connect(self, _: Empty) -> Self::Future {
        ready(Ok(self.0))
    }
}
