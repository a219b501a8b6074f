//! The netlink messages in a datagram: acknowledgements, errors, ends of dumps, and what families answer.

use netlink_packet_core::{
    DoneBuffer, ErrorBuffer, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer,
    ParseableParametrized,
};
use netlink_packet_generic::GenlHeader;

use super::DecodeError;
use crate::model::op::Errno;

/// Bytes of a generic netlink header (`GENL_HDRLEN`).
const GENL_HEADER: usize = 4;

/// One message from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<R> {
    /// The sequence number of the request that it answers.
    pub sequence: u32,
    /// What it says.
    pub payload: Payload<R>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload<R> {
    /// An answer of the family.
    Reply(R),
    /// The request was carried out.
    Acknowledged,
    /// The request was refused, or a dump broke off.
    Refused(Errno),
    /// A dump is complete.
    Done,
    /// Nothing.
    Noop,
}

/// Reads the messages of a datagram one by one; after an error there are no more.
///
/// Those whose sequence number is not `wanted` are left out unread: late answers to earlier requests may be
/// of another family.
pub fn messages<R>(
    datagram: &[u8],
    wanted: impl Fn(u32) -> bool,
) -> impl Iterator<Item = Result<Message<R>, DecodeError>>
where
    R: ParseableParametrized<[u8], GenlHeader>,
{
    let mut rest = datagram;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (message, length) = match first(rest, &wanted) {
                Ok(read) => read,
                Err(error) => {
                    rest = &[];
                    return Some(Err(error));
                }
            };
            rest = rest.get(length..).unwrap_or_default();
            if message.is_some() {
                return message.map(Ok);
            }
        }
        None
    })
}

/// The first message if it is wanted, and where the next one starts.
fn first<R>(
    bytes: &[u8],
    wanted: &impl Fn(u32) -> bool,
) -> Result<(Option<Message<R>>, usize), DecodeError>
where
    R: ParseableParametrized<[u8], GenlHeader>,
{
    let buffer = NetlinkBuffer::new_checked(bytes)?;
    let length = usize::try_from(buffer.length()).unwrap_or(bytes.len()).next_multiple_of(4);
    let sequence = buffer.sequence_number();
    if !wanted(sequence) {
        return Ok((None, length));
    }
    let body = buffer.payload();
    let payload = match buffer.message_type() {
        NLMSG_ERROR => match ErrorBuffer::new_checked(body)?.code() {
            None => Payload::Acknowledged,
            Some(code) => Payload::Refused(errno(code.get())),
        },
        // Linux allows an end of a dump without a code.
        NLMSG_DONE if body.is_empty() => Payload::Done,
        NLMSG_DONE => match DoneBuffer::new_checked(body)?.code() {
            0.. => Payload::Done,
            code => Payload::Refused(errno(code)),
        },
        NLMSG_OVERRUN => Payload::Refused(Errno::ENOBUFS),
        NLMSG_NOOP => Payload::Noop,
        _ => {
            let header = GenlHeader::parse(body)?;
            let attributes = body.get(GENL_HEADER..).unwrap_or_default();
            Payload::Reply(R::parse_with_param(attributes, header)?)
        }
    };
    Ok((Some(Message { sequence, payload }), length))
}

/// The kernel sends error numbers negated.
const fn errno(code: i32) -> Errno {
    Errno(code.saturating_abs())
}
