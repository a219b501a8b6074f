//! Datagrams to and from the kernel: a netlink socket, or in tests something that plays the kernel.

use std::io;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt;

use super::error::KernelError;

/// Room for replies and for requests in the kernel, in bytes: four thousand errors fit.
const SOCKET_BUFFER: usize = 4 << 20;
/// Room for one datagram, in bytes. The kernel fills datagrams of a dump to 32 KiB at most.
const DATAGRAM: usize = 64 << 10;
/// Replies are there when the request returns, so that this is only reached if one was lost.
const SILENCE: Duration = Duration::from_secs(5);

/// Whether to wait for a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until one comes, but no longer than some seconds.
    ForReply,
    /// Only take what is there.
    No,
}

/// A way to exchange datagrams with the kernel.
pub trait Transport {
    /// Hands requests to the kernel, which carries them out before this returns.
    fn send(&mut self, requests: &[u8]) -> io::Result<()>;

    /// Replaces what is in `buffer` by the next datagram and returns its true length, which is greater than
    /// the buffer's if it did not fit. `WouldBlock` if there is none.
    fn receive(&mut self, buffer: &mut Vec<u8>, wait: Wait) -> io::Result<usize>;

    /// Begins anew on a way that has failed, with nothing left of what was on it.
    fn reopen(&mut self) -> io::Result<()>;
}

/// A generic netlink socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct NetlinkSocket {
    socket: Socket,
    /// Room in each direction, in bytes.
    room: usize,
}

impl NetlinkSocket {
    /// Opens the socket with large buffers if we may, else with those that the system allows.
    pub fn open() -> Result<Self, KernelError> {
        Self::with_buffers(SOCKET_BUFFER)
    }

    /// Opens the socket with buffers of that many bytes in each direction.
    pub fn with_buffers(bytes: usize) -> Result<Self, KernelError> {
        let failed = |doing| move |cause| KernelError::Socket { doing, cause };
        let mut socket =
            Socket::new(NETLINK_GENERIC).map_err(failed("open a generic netlink socket"))?;
        let bound = socket.bind_auto().map(drop);
        let connected = bound.and_then(|()| socket.connect(&SocketAddr::new(0, 0)));
        connected.map_err(failed("connect the netlink socket to the kernel"))?;
        // An error then carries the header of the request and not all of it.
        let short = socket.set_cap_ack(true);
        short.map_err(failed("ask for short netlink errors (Linux 4.2)"))?;
        let room = sockopt::set_socket_recv_buffer_size_force(&socket, bytes)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, bytes))
            .and_then(|()| {
                sockopt::set_socket_send_buffer_size_force(&socket, bytes)
                    .or_else(|_| sockopt::set_socket_send_buffer_size(&socket, bytes))
            });
        room.map_err(|error| failed("size the netlink socket's buffers")(error.into()))?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(SILENCE))
            .map_err(|error| failed("limit the wait for netlink replies")(error.into()))?;
        Ok(Self { socket, room: bytes })
    }
}

impl Transport for NetlinkSocket {
    fn send(&mut self, requests: &[u8]) -> io::Result<()> {
        // The kernel takes all or nothing.
        again_if_interrupted(|| self.socket.send(requests, 0)).map(drop)
    }

    fn receive(&mut self, buffer: &mut Vec<u8>, wait: Wait) -> io::Result<usize> {
        let flags = match wait {
            Wait::ForReply => libc::MSG_TRUNC,
            Wait::No => libc::MSG_TRUNC | libc::MSG_DONTWAIT,
        };
        buffer.clear();
        // The crate fills the spare capacity.
        buffer.reserve(DATAGRAM);
        again_if_interrupted(|| self.socket.recv(buffer, flags))
    }

    fn reopen(&mut self) -> io::Result<()> {
        *self = Self::with_buffers(self.room).map_err(io::Error::other)?;
        Ok(())
    }
}

fn again_if_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            result => return result,
        }
    }
}
