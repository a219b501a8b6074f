//! Counts what anybody writes to the kernel's IPVS table: an nlmon device shows every netlink message of the
//! director's namespace. Independent of the table and of what the daemon says about itself.

use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with, sockopt,
};

use crate::kernel;
use crate::net::{self, Namespace};

/// Room for what comes between two looks: 11,000 messages in the largest scenario.
const ROOM: usize = 32 << 20;
/// `NLM_F_REQUEST`, include/uapi/linux/netlink.h: towards the kernel.
const REQUEST: u16 = 1;
/// `ETH_P_ALL`, include/uapi/linux/if_ether.h: nlmon only sends, and only such sockets see what is sent.
const EVERYTHING: u16 = 3;

/// The tap; what comes from its start on waits in its socket.
pub(crate) struct Tap {
    socket: OwnedFd,
    family: u16,
}

impl Tap {
    /// Taps the director's namespace.
    pub(crate) fn start() -> Result<Self> {
        net::add_tap()?;
        let family = kernel::family()?;
        let socket = Namespace::Director.inside(|| {
            let protocol = NonZeroU32::new(u32::from(EVERYTHING.to_be())).map(Protocol::from_raw);
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, protocol)
                .context("open a packet socket")?;
            sockopt::set_socket_recv_buffer_size_force(&socket, ROOM)
                .context("widen the packet socket")?;
            Ok(socket)
        })?;
        Ok(Self { socket, family })
    }

    /// The writing commands since the start or the last call, in order.
    pub(crate) fn writes(&self) -> Result<Vec<&'static str>> {
        let mut buffer = vec![0; 1 << 20];
        let mut writes = Vec::new();
        loop {
            match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((length, _)) => {
                    let packet = buffer.get(..length).unwrap_or_default();
                    self.read(packet, &mut writes);
                }
                Err(Errno::AGAIN) => return Ok(writes),
                Err(error) => return Err(error).context("read the tap"),
            }
        }
    }

    /// From here on [`Tap::next`] waits for packets, but no longer than this.
    pub(crate) fn wait_for_packets(&self, limit: Duration) -> Result<()> {
        rustix::io::ioctl_fionbio(&self.socket, false).context("wait at the packet socket")?;
        sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Recv, Some(limit))
            .context("limit the wait at the packet socket")
    }

    /// The writing commands of the next packet; none if none came.
    ///
    /// The buffer is the caller's: to map and unmap a new one each time costs an emulated processor milliseconds.
    pub(crate) fn next(&self, buffer: &mut [u8]) -> Result<Option<Vec<&'static str>>> {
        match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((length, _)) => {
                let mut writes = Vec::new();
                self.read(buffer.get(..length).unwrap_or_default(), &mut writes);
                Ok(Some(writes).filter(|writes| !writes.is_empty()))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error).context("read the tap"),
        }
    }

    /// One packet holds what one send held. A frame of another device is none: its first bytes, the
    /// receiver's hardware address, would be a length far beyond the packet's own.
    fn read(&self, packet: &[u8], writes: &mut Vec<&'static str>) {
        let mut rest = packet;
        while let Some((head, _)) = rest.split_first_chunk::<17>() {
            let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]);
            let kind = u16::from_ne_bytes([head[4], head[5]]);
            let flags = u16::from_ne_bytes([head[6], head[7]]);
            let Some(after) = usize::try_from(length)
                .ok()
                .filter(|&length| length >= 16 && length <= rest.len())
                .map(|length| rest.get(length.next_multiple_of(4)..).unwrap_or_default())
            else {
                return;
            };
            if kind == self.family && flags & REQUEST != 0 {
                writes.extend(command(head[16]));
            }
            rest = after;
        }
    }
}

/// The name of a command that writes, `IPVS_CMD_*` in include/uapi/linux/ip_vs.h.
const fn command(number: u8) -> Option<&'static str> {
    match number {
        1 => Some("new service"),
        2 => Some("set service"),
        3 => Some("delete service"),
        5 => Some("new destination"),
        6 => Some("set destination"),
        7 => Some("delete destination"),
        9 => Some("new daemon"),
        10 => Some("delete daemon"),
        12 => Some("set config"),
        16 => Some("zero"),
        17 => Some("flush"),
        _ => None,
    }
}
