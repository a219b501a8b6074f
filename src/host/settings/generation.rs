//! The number that nf_tables counts up with every change of its rules, in the calling thread's network namespace.
//!
//! Asking for it costs one message, where listing rules costs a process (include/uapi/linux/netfilter/nf_tables.h).

use std::io;
use std::time::Duration;

use netlink_packet_core::{NetlinkBuffer, NlasIterator};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use rustix::net::sockopt;

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN`, and the same with `NFT_MSG_GETGEN`.
const NEWGEN: u16 = 10 << 8 | 15;
const GETGEN: u16 = 10 << 8 | 16;
/// `NFTA_GEN_ID`, a be32.
const ID: u16 = 1;
const NLM_F_REQUEST: u16 = 1;

/// Bytes of a netlink header, and of the `nfgenmsg` before the attributes.
const HEADER: usize = 16;
const NFGENMSG: usize = 4;

/// So long the kernel may take.
const SILENCE: Duration = Duration::from_secs(2);

/// The number as it is now.
pub(super) fn generation() -> io::Result<u32> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(SILENCE))?;
    let mut bytes = [0; HEADER + NFGENMSG];
    let mut request = NetlinkBuffer::new(&mut bytes[..]);
    request.set_length(20);
    request.set_message_type(GETGEN);
    request.set_flags(NLM_F_REQUEST);
    socket.send(&bytes, 0)?;
    let (reply, _) = socket.recv_from_full()?;
    read(&reply).ok_or_else(|| io::Error::other("the kernel has no nf_tables"))
}

fn read(reply: &[u8]) -> Option<u32> {
    let message = NetlinkBuffer::new_checked(reply).ok()?;
    if message.message_type() != NEWGEN {
        return None;
    }
    let mut attributes =
        NlasIterator::new(message.payload().get(NFGENMSG..)?).map_while(Result::ok);
    let id = attributes.find(|attribute| attribute.kind() == ID)?;
    <[u8; 4]>::try_from(id.value()).ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NFT_MSG_NEWGEN with generation 258, as Linux 6.1 sends it but for the process's name.
    fn reply() -> Vec<u8> {
        let mut reply = vec![28, 0, 0, 0, 15, 10, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
        reply.extend([0, 0, 1, 2, 8, 0, 1, 0, 0, 0, 1, 2]);
        reply
    }

    #[test]
    fn the_number_is_read_from_the_kernels_reply() {
        assert_eq!(read(&reply()), Some(258));
    }

    #[test]
    fn an_error_or_a_part_of_a_reply_holds_no_number() {
        let mut error = reply();
        error[4..6].copy_from_slice(&[2, 0]);
        assert_eq!(read(&error), None);
        for length in 0..reply().len() {
            assert_eq!(read(&reply()[..length]), None, "{length} bytes");
        }
    }
}
