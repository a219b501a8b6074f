//! The probe's TCP socket: its options, a count of what arrives, and an end by FIN whatever happens.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::failure;
use super::frames::{Allowance, LIMIT};
use crate::engine::evidence::ProbeError;

/// The kernel gives up a connection whose data nobody acknowledges for so long, in milliseconds
/// (`TCP_USER_TIMEOUT`). The pulse's own deadlines are shorter: this frees what they have given up.
const USER_TIMEOUT_MS: u32 = 3_000;

/// The first keepalive of a silent connection, the interval of the next, and how many.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(1), Duration::from_secs(1), 3);

/// How long a closed connection is read until the server has closed it too.
const LINGER: Duration = Duration::from_secs(3);

/// A connected socket.
///
/// However it is dropped, it ends with a FIN and is read to its end: an RST would make PostgreSQL write a line
/// into its log. (Under TLS so would a FIN without TLS's own end before it: whoever can, closes in good order.)
pub(super) struct Socket {
    /// Always there until the drop.
    tcp: Option<TcpStream>,
    allowance: Allowance,
}

impl Socket {
    /// Connects from `source`, or from where the kernel chooses.
    pub(super) async fn connect(
        address: SocketAddr,
        source: Option<IpAddr>,
        allowance: Allowance,
    ) -> Result<Self, ProbeError> {
        let socket = open(address, source)?;
        let tcp =
            socket.connect(address).await.map_err(|error| failure::connect(&error, address))?;
        Ok(Self { tcp: Some(tcp), allowance })
    }

    /// The address that the server sees, if nothing on the way translates it.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|tcp| tcp.local_addr().ok())
    }

    fn tcp(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.tcp.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// A socket with its options, bound to `source`.
fn open(address: SocketAddr, source: Option<IpAddr>) -> Result<TcpSocket, ProbeError> {
    let own = |what: &str, error: &io::Error| failure::own(&format!("{what} for {address}"), error);
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
    .map_err(|error| own("open a socket", &error))?;
    set_options(&socket).map_err(|error| own("set the options of a socket", &error))?;
    if let Some(source) = source {
        // Else every port of a connection that has just ended is taken for all servers, not only for its own.
        socket.set_reuseaddr(true).map_err(|error| own("set the options of a socket", &error))?;
        socket
            .bind(SocketAddr::new(source, 0))
            .map_err(|error| own(&format!("bind to source {source}"), &error))?;
    }
    Ok(socket)
}

fn set_options(socket: &TcpSocket) -> io::Result<()> {
    let (idle, interval, count) = KEEPALIVE;
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    sockopt::set_tcp_keepidle(socket, idle)?;
    sockopt::set_tcp_keepintvl(socket, interval)?;
    sockopt::set_tcp_keepcnt(socket, count)?;
    sockopt::set_tcp_user_timeout(socket, USER_TIMEOUT_MS)?;
    Ok(())
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.tcp()?.poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled {
            let arrived = buf.filled().len() - before;
            self.allowance.spend(arrived).map_err(io::Error::other)?;
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.tcp()?.poll_write(cx, buf);
        if let Poll::Ready(Err(error)) = &polled
            && failure::is_end(error)
        {
            // The reader finds the end by itself, and before it what the server said last.
            return Poll::Ready(Ok(buf.len()));
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp()?.poll_shutdown(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Without a runtime the process ends, and its sockets with it.
        if let (Some(tcp), Ok(runtime)) = (self.tcp.take(), Handle::try_current()) {
            runtime.spawn(linger(tcp));
        }
    }
}

/// Sends the FIN and reads until the server's own: closing with unread bytes, or before the server's last ones
/// have arrived, would send an RST.
async fn linger(mut tcp: TcpStream) {
    let end = async {
        tcp.shutdown().await?;
        let mut rest = [0; 512];
        let mut left = LIMIT;
        loop {
            let arrived = tcp.read(&mut rest).await?;
            if arrived == 0 || left < arrived {
                return io::Result::Ok(());
            }
            left -= arrived;
        }
    };
    // However it ends, nobody is left who could be told.
    drop(timeout(LINGER, end).await);
}
