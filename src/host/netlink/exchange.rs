//! Requests and their answers, matched by sequence number.
//!
//! After every failure the socket is emptied, so that neither a late reply nor an unfinished dump can
//! disturb the next request; replies to anything but the present request are ignored. A socket that fails
//! itself is replaced.

use std::io;
use std::ops::ControlFlow;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, ParseableParametrized};
use netlink_packet_generic::GenlHeader;

use super::error::KernelError;
use super::transport::{Transport, Wait};
use crate::model::op::{Errno, Op};
use crate::wire::DecodeError;
use crate::wire::family::{self, FamilyReply};
use crate::wire::message::{Message, Payload, messages};
use crate::wire::reply::Reply;
use crate::wire::request::{Envelope, Request};

/// Most changes in one send: errors for all of them fit into the smallest default buffer, and the thread is
/// not held for longer than some milliseconds.
const BATCH: usize = 256;

/// What became of each change of a batch, in order.
pub(super) type Outcomes = Vec<Result<(), Errno>>;

/// The requests' side of a netlink socket.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    transport: T,
    family: u16,
    sequence: u32,
    batch: usize,
    datagram: Vec<u8>,
}

/// Why an exchange failed, before it is known to the operator what it was for.
#[derive(Debug)]
pub(super) enum Failure {
    NoIpvs,
    Refused(Errno),
    Lost,
    Silent,
    Truncated(usize),
    Decode(DecodeError),
    Socket(io::Error),
}

impl Failure {
    pub(super) fn while_doing(self, doing: impl Into<String>) -> KernelError {
        let doing = doing.into();
        match self {
            Self::NoIpvs => KernelError::NoIpvs,
            Self::Refused(errno) => KernelError::Refused { doing, errno },
            Self::Lost => KernelError::RepliesLost { doing },
            Self::Silent => KernelError::Silent { doing },
            Self::Truncated(length) => KernelError::Truncated { doing, length },
            Self::Decode(cause) => KernelError::Decode { doing, cause },
            Self::Socket(cause) => KernelError::Socket { doing: "use the netlink socket", cause },
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOBUFS) => Self::Lost,
            _ if error.kind() == io::ErrorKind::WouldBlock => Self::Silent,
            _ => Self::Socket(error),
        }
    }
}

impl<T: Transport> Exchange<T> {
    /// Finds the family; its absence is [`Failure::NoIpvs`].
    pub(super) fn new(transport: T) -> Result<Self, Failure> {
        let mut exchange =
            Self { transport, family: 0, sequence: 0, batch: BATCH, datagram: Vec::new() };
        exchange.resolve()?;
        Ok(exchange)
    }

    #[cfg(test)]
    pub(super) const fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// One request that is answered by one message, or by an acknowledgement alone.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Option<Reply>, Failure> {
        self.again_if_reloaded(|this| {
            let sequence = this.send(request.clone(), NLM_F_REQUEST | NLM_F_ACK)?;
            let mut reply = None;
            this.read(
                |it| it == sequence,
                |message: Message<Reply>| match message.payload {
                    Payload::Reply(one) => {
                        reply = Some(one);
                        ControlFlow::Continue(())
                    }
                    Payload::Refused(errno) => ControlFlow::Break(Err(Failure::Refused(errno))),
                    Payload::Acknowledged | Payload::Done => ControlFlow::Break(Ok(())),
                    Payload::Noop => ControlFlow::Continue(()),
                },
            )?;
            Ok(reply)
        })
    }

    /// One request that is answered by any number of messages.
    pub(super) fn dump(&mut self, request: &Request) -> Result<Vec<Reply>, Failure> {
        self.again_if_reloaded(|this| match this.dump_once(request) {
            // A dump of ours was left unfinished; it is gone since the failure emptied the socket.
            Err(Failure::Refused(Errno::EBUSY)) => this.dump_once(request),
            result => result,
        })
    }

    fn dump_once(&mut self, request: &Request) -> Result<Vec<Reply>, Failure> {
        let sequence = self.send(request.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut replies = Vec::new();
        self.read(
            |it| it == sequence,
            |message: Message<Reply>| match message.payload {
                Payload::Reply(one) => {
                    replies.push(one);
                    ControlFlow::Continue(())
                }
                Payload::Refused(errno) => ControlFlow::Break(Err(Failure::Refused(errno))),
                Payload::Done => ControlFlow::Break(Ok(())),
                Payload::Acknowledged | Payload::Noop => ControlFlow::Continue(()),
            },
        )?;
        Ok(replies)
    }

    /// Changes in order, in batches with an acknowledgement of the last one: the kernel reports every error
    /// anyway and goes on behind it.
    pub(super) fn apply(&mut self, ops: &[Op]) -> Result<Outcomes, Failure> {
        let result = self.apply_all(ops);
        self.reopen_if_dead(&result);
        result
    }

    fn apply_all(&mut self, ops: &[Op]) -> Result<Outcomes, Failure> {
        let mut outcomes = Vec::with_capacity(ops.len());
        let mut rest = ops;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.batch));
            match self.apply_to_family(now) {
                Err(Failure::Socket(error)) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    // Nothing of it was carried out.
                    if now.len() == 1 {
                        outcomes.push(Err(Errno::EMSGSIZE));
                        rest = later;
                    }
                    self.batch = (now.len() / 2).max(1);
                }
                result => {
                    outcomes.extend(result?);
                    rest = later;
                }
            }
        }
        Ok(outcomes)
    }

    /// One batch. Where all of it is unknown to the kernel, the family itself may be: its module was removed, and
    /// nothing was carried out. Asking for it loads it again, and what is refused then is refused.
    fn apply_to_family(&mut self, ops: &[Op]) -> Result<Outcomes, Failure> {
        let outcomes = self.apply_batch(ops)?;
        let known = self.family;
        if outcomes.iter().any(|outcome| *outcome != Err(Errno::ENOENT)) {
            return Ok(outcomes);
        }
        self.resolve()?;
        if self.family == known { Ok(outcomes) } else { self.apply_batch(ops) }
    }

    fn apply_batch(&mut self, ops: &[Op]) -> Result<Outcomes, Failure> {
        let mut requests = Vec::with_capacity(ops.len() * 160);
        let first = self.sequence.wrapping_add(1);
        for (index, op) in ops.iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let last = index + 1 == ops.len();
            let envelope = Envelope {
                family: self.family,
                flags: NLM_F_REQUEST | if last { NLM_F_ACK } else { 0 },
                sequence: self.sequence,
            };
            Request::op(op).append(envelope, &mut requests);
        }
        self.transport.send(&requests)?;
        let mut outcomes = vec![Ok(()); ops.len()];
        let index = |sequence: u32| usize::try_from(sequence.wrapping_sub(first));
        let ours = |sequence| index(sequence).is_ok_and(|index| index < ops.len());
        self.read(ours, |message: Message<Reply>| {
            let outcome = match message.payload {
                Payload::Refused(errno) => Err(errno),
                Payload::Acknowledged => Ok(()),
                Payload::Reply(_) | Payload::Done | Payload::Noop => {
                    return ControlFlow::Continue(());
                }
            };
            let index = index(message.sequence).unwrap_or_default();
            if let Some(slot) = outcomes.get_mut(index) {
                *slot = outcome;
            }
            match index + 1 == ops.len() {
                true => ControlFlow::Break(Ok(())),
                false => ControlFlow::Continue(()),
            }
        })?;
        Ok(outcomes)
    }

    /// Learns the family's number; asking also loads the module.
    fn resolve(&mut self) -> Result<(), Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut request = Vec::new();
        family::append_lookup(sequence, &mut request);
        self.transport.send(&request)?;
        let mut number = self.family;
        self.read(
            |it| it == sequence,
            |message: Message<FamilyReply>| match message.payload {
                Payload::Reply(FamilyReply(found)) => {
                    number = found;
                    ControlFlow::Break(Ok(()))
                }
                Payload::Refused(Errno::ENOENT) => ControlFlow::Break(Err(Failure::NoIpvs)),
                Payload::Refused(errno) => ControlFlow::Break(Err(Failure::Refused(errno))),
                Payload::Acknowledged | Payload::Done | Payload::Noop => ControlFlow::Continue(()),
            },
        )?;
        self.family = number;
        Ok(())
    }

    /// The family has another number after the module was loaded anew; the old one is then unknown.
    fn again_if_reloaded<R>(
        &mut self,
        mut exchange: impl FnMut(&mut Self) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let result = match exchange(self) {
            Err(Failure::Refused(Errno::ENOENT)) => self.resolve().and_then(|()| exchange(self)),
            result => result,
        };
        self.reopen_if_dead(&result);
        result
    }

    /// A socket that fails, or on which the kernel does not answer, is given up; what was under way on it stays
    /// unknown. If there is no other one, the next request fails as well and it is tried again.
    fn reopen_if_dead<R>(&mut self, result: &Result<R, Failure>) {
        if matches!(result, Err(Failure::Socket(_) | Failure::Silent)) {
            self.transport.reopen().unwrap_or_default();
        }
    }

    fn send(&mut self, request: Request, flags: u16) -> Result<u32, Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let envelope = Envelope { family: self.family, flags, sequence: self.sequence };
        let mut bytes = Vec::new();
        request.append(envelope, &mut bytes);
        self.transport.send(&bytes)?;
        Ok(self.sequence)
    }

    /// Reads the messages with `wanted` sequence numbers until `take` says that it has what it needs.
    fn read<R>(
        &mut self,
        wanted: impl Fn(u32) -> bool,
        mut take: impl FnMut(Message<R>) -> ControlFlow<Result<(), Failure>>,
    ) -> Result<(), Failure>
    where
        R: ParseableParametrized<[u8], GenlHeader>,
    {
        let result = loop {
            match self.read_datagram(&wanted, &mut take) {
                Ok(ControlFlow::Continue(())) => (),
                Ok(ControlFlow::Break(result)) => break result,
                Err(failure) => break Err(failure),
            }
        };
        if result.is_err() {
            self.empty();
        }
        result
    }

    fn read_datagram<R>(
        &mut self,
        wanted: &impl Fn(u32) -> bool,
        take: &mut impl FnMut(Message<R>) -> ControlFlow<Result<(), Failure>>,
    ) -> Result<ControlFlow<Result<(), Failure>>, Failure>
    where
        R: ParseableParametrized<[u8], GenlHeader>,
    {
        let length = self.transport.receive(&mut self.datagram, Wait::ForReply)?;
        if length > self.datagram.len() {
            return Err(Failure::Truncated(length));
        }
        for message in messages::<R>(&self.datagram, wanted) {
            if let ControlFlow::Break(result) = take(message.map_err(Failure::Decode)?) {
                return Ok(ControlFlow::Break(result));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Takes everything that waits in the socket, which also ends a dump that was left half way.
    fn empty(&mut self) {
        loop {
            match self.transport.receive(&mut self.datagram, Wait::No) {
                Ok(_) => (),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => (),
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
