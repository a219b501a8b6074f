//! Which packets a namespace sees, by their outermost addresses: proof of the way they went, from outside of IPVS.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};

use crate::net::Namespace;

/// Room for what comes between two looks.
const ROOM: usize = 16 << 20;
/// `ETH_P_ALL`, include/uapi/linux/if_ether.h.
const EVERYTHING: u16 = 3;
/// An IPv6 header is the longer one.
const HEADERS: usize = 40;

/// The outermost header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Packet {
    /// What the packet carries: 4 and 41 another packet, 6 TCP, 17 UDP, 47 GRE.
    pub(crate) protocol: u8,
    /// The sender.
    pub(crate) from: IpAddr,
    /// The receiver.
    pub(crate) to: IpAddr,
}

/// An open capture; what passes from its start on waits in its socket.
pub(crate) struct Capture {
    socket: OwnedFd,
    seen: BTreeSet<Packet>,
}

impl Capture {
    /// Looks at every device of a namespace, in both directions.
    pub(crate) fn start(namespace: Namespace) -> Result<Self> {
        let socket = namespace.inside(|| {
            let protocol = NonZeroU32::new(u32::from(EVERYTHING.to_be())).map(Protocol::from_raw);
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            // Without the hardware's header: what comes begins with the network's.
            let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, protocol)
                .context("open a packet socket")?;
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, ROOM)
                .context("widen the packet socket")?;
            Ok(socket)
        })?;
        Ok(Self { socket, seen: BTreeSet::new() })
    }

    /// What has passed since the start.
    pub(crate) fn seen(&mut self) -> Result<&BTreeSet<Packet>> {
        let mut buffer = [0; HEADERS];
        loop {
            match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((length, _)) => self.seen.extend(buffer.get(..length).and_then(read)),
                Err(Errno::AGAIN) => return Ok(&self.seen),
                Err(error) => return Err(error).context("read the packet socket"),
            }
        }
    }
}

/// The addresses of an IPv4 or IPv6 header; ARP and the like have none.
fn read(head: &[u8]) -> Option<Packet> {
    let four = |at: usize| {
        let bytes: [u8; 4] = head.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(bytes)))
    };
    let six = |at: usize| {
        let bytes: [u8; 16] = head.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(bytes)))
    };
    match head.first()? >> 4 {
        4 => Some(Packet { protocol: *head.get(9)?, from: four(12)?, to: four(16)? }),
        6 => Some(Packet { protocol: *head.get(6)?, from: six(8)?, to: six(24)? }),
        _ => None,
    }
}
