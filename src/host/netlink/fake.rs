//! A transport for tests whose other side is a function, and messages as the kernel would send them.

use std::collections::VecDeque;
use std::io;

use super::transport::{Transport, Wait};
use crate::model::destination::{Connections, Destination, DestinationKey};
use crate::model::op::Op;
use crate::model::service::{Family, Service, ServiceKey};
use crate::wire::request::{Envelope, Request};

/// The family's number.
pub(super) const FAMILY: u16 = 31;

/// What answers a send: datagrams, or errors of receiving.
pub(super) type Replies = VecDeque<io::Result<Vec<u8>>>;

type Answer = Box<dyn FnMut(&[u8]) -> Replies + Send>;

/// A kernel played by a function from the bytes of a send to the datagrams that follow.
pub(super) struct Fake {
    answer: Answer,
    /// What has not been received yet.
    pub(super) waiting: Replies,
    /// How many requests each send held.
    pub(super) batches: Vec<usize>,
    /// The longest send that is taken, in bytes.
    pub(super) longest: usize,
    /// To how many bytes datagrams are cut.
    pub(super) cut: Option<usize>,
    /// With which number every send fails, until the socket is another one.
    pub(super) dead: Option<i32>,
    /// How often it was replaced.
    pub(super) reopened: usize,
}

/// A kernel that answers like this.
pub(super) fn answered(answer: impl FnMut(&[u8]) -> Replies + Send + 'static) -> Fake {
    Fake {
        answer: Box::new(answer),
        waiting: VecDeque::new(),
        batches: Vec::new(),
        longest: usize::MAX,
        cut: None,
        dead: None,
        reopened: 0,
    }
}

impl Transport for Fake {
    fn send(&mut self, requests: &[u8]) -> io::Result<()> {
        if let Some(errno) = self.dead {
            return Err(error(errno));
        }
        if requests.len() > self.longest {
            return Err(error(libc::EMSGSIZE));
        }
        self.batches.push(requests_in(requests).len());
        self.waiting.extend((self.answer)(requests));
        Ok(())
    }

    fn receive(&mut self, buffer: &mut Vec<u8>, _: Wait) -> io::Result<usize> {
        let datagram = self.waiting.pop_front().unwrap_or_else(|| Err(error(libc::EAGAIN)))?;
        let kept = self.cut.unwrap_or(datagram.len()).min(datagram.len());
        buffer.clear();
        buffer.extend(&datagram[..kept]);
        Ok(datagram.len())
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.reopened += 1;
        self.dead = None;
        self.waiting.clear();
        Ok(())
    }
}

/// A request as it was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    /// The command and what is behind it.
    pub(super) body: Vec<u8>,
}

impl Sent {
    pub(super) fn numbered(sequence: u32) -> Self {
        Self { sequence, ..Self::default() }
    }
}

/// The requests of a batch.
pub(super) fn requests_in(mut bytes: &[u8]) -> Vec<Sent> {
    let mut sent = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(u32::from_ne_bytes(bytes[0..4].try_into().unwrap())).unwrap();
        sent.push(Sent {
            kind: u16::from_ne_bytes(bytes[4..6].try_into().unwrap()),
            flags: u16::from_ne_bytes(bytes[6..8].try_into().unwrap()),
            sequence: u32::from_ne_bytes(bytes[8..12].try_into().unwrap()),
            body: bytes[16..length].to_vec(),
        });
        bytes = &bytes[length..];
    }
    sent
}

/// Success.
pub(super) fn acknowledge(request: &Sent) -> Vec<u8> {
    refuse(request, 0)
}

/// An error number.
pub(super) fn refuse(request: &Sent, errno: i32) -> Vec<u8> {
    message(request, 2, &[&(-errno).to_ne_bytes()[..], &[0; 16]].concat())
}

/// The end of a dump.
pub(super) fn done(request: &Sent) -> Vec<u8> {
    message(request, 3, &[0; 4])
}

/// The number of the family.
pub(super) fn family(request: &Sent, number: u16) -> Vec<u8> {
    let [low, high] = number.to_ne_bytes();
    message(request, 16, &[1, 2, 0, 0, 6, 0, 1, 0, low, high, 0, 0])
}

/// Any message.
pub(super) fn message(request: &Sent, kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 16).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(request.sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

/// An error of a system call.
pub(super) fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// A service as the kernel sends it; it looks like the request that made it.
pub(super) fn service(request: &Sent, key: ServiceKey, service: &Service) -> Vec<u8> {
    let made = made_by(&Op::AddService(key, service.clone()));
    message(request, FAMILY, &made)
}

/// A destination as the kernel sends it: without its service, and with counters.
pub(super) fn destination(
    request: &Sent,
    key: DestinationKey,
    destination: Destination,
    connections: Connections,
) -> Vec<u8> {
    let any = ServiceKey::FwMark { family: Family::V4, mark: 1 };
    let made = made_by(&Op::AddDestination(any, key, destination));
    // The generic netlink header, then the nest of the service, then that of the destination.
    let service = usize::from(u16::from_ne_bytes([made[4], made[5]]));
    let nest = &made[4 + service..];
    let counters =
        [(7_u16, connections.active), (8, connections.inactive), (9, connections.persistent)];
    let counters = counters.map(|(number, count)| {
        let header = [8_u16.to_ne_bytes(), number.to_ne_bytes()].concat();
        [header, count.to_ne_bytes().to_vec()].concat()
    });
    let inner = [&nest[4..], &counters.concat()].concat();
    let length = u16::try_from(inner.len() + 4).unwrap();
    let header = [length.to_ne_bytes(), 2_u16.to_ne_bytes()].concat();
    message(request, FAMILY, &[&made[..4], &header, &inner].concat())
}

/// What is behind the netlink header of the request for a change.
fn made_by(op: &Op) -> Vec<u8> {
    let mut bytes = Vec::new();
    let envelope = Envelope { family: FAMILY, flags: 0, sequence: 0 };
    Request::op(op).append(envelope, &mut bytes);
    bytes.split_off(16)
}
