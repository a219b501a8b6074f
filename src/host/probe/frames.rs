//! The frames of what a server sends, looked at before anybody parses them: a pure bound on hostile servers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes a server may send from the start, or from one ReadyForQuery to the next.
///
/// A login takes some 400 bytes, with TLS and a long certificate chain some 10 KiB.
pub(super) const LIMIT: usize = 64 * 1024;

/// What no PostgreSQL server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// A byte that begins no message of the protocol.
    Tag(u8),
    /// A message whose length is less than its own header or more than a probe reads.
    Length(u32),
    /// More than [`LIMIT`] bytes without a ReadyForQuery.
    Endless,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "a message that begins with {:?}", char::from(*tag)),
            Self::Length(length) => write!(f, "a message of {length} bytes"),
            Self::Endless => write!(f, "more than {LIMIT} bytes without an end"),
        }
    }
}

impl std::error::Error for Violation {}

/// What is left of [`LIMIT`]; shared by the socket, which counts, and the frames, which see the end.
#[derive(Clone, Default)]
pub(super) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    /// Counts bytes that arrived.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), Violation> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > LIMIT {
            return Err(Violation::Endless);
        }
        Ok(())
    }

    /// The server has come to an end of its own accord.
    fn renew(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// The tags of a server's messages (PostgreSQL manual, "Message Formats") as far as a probe can meet them:
/// no COPY and no replication.
const TAGS: &[u8] = b"123ACDEIKNRSTZnstv";

/// Follows the frames of a stream of messages: a tag, a length in network order that counts itself, a body.
#[derive(Default)]
pub(super) struct Frames {
    allowance: Allowance,
    header: [u8; 5],
    /// How many bytes of the header are there.
    have: usize,
    /// How many bytes of the body are yet to come.
    body: usize,
}

impl Frames {
    /// Frames that give back what was spent of the allowance with each ReadyForQuery.
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, ..Self::default() }
    }

    /// Looks at bytes in the order in which they arrived.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while !bytes.is_empty() {
            if self.body > 0 {
                let skipped = self.body.min(bytes.len());
                self.body -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let [first, rest @ ..] = bytes else { break };
            if let Some(slot) = self.header.get_mut(self.have) {
                *slot = *first;
            }
            self.have += 1;
            bytes = rest;
            self.check_header()?;
        }
        Ok(())
    }

    /// Judges the header as soon as there is something to judge.
    fn check_header(&mut self) -> Result<(), Violation> {
        let [tag, length @ ..] = self.header;
        if !TAGS.contains(&tag) {
            return Err(Violation::Tag(tag));
        }
        if self.have < self.header.len() {
            return Ok(());
        }
        self.have = 0;
        let length = u32::from_be_bytes(length);
        match usize::try_from(length) {
            Ok(bytes @ 4..=LIMIT) => self.body = bytes - 4,
            Ok(_) | Err(_) => return Err(Violation::Length(length)),
        }
        if tag == b'Z' {
            self.allowance.renew();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AuthenticationOk, a ParameterStatus, ReadyForQuery.
    const LOGIN: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x0ca\0bcdef\0Z\0\0\0\x05I";

    #[test]
    fn a_login_passes_in_pieces_of_any_size() {
        for size in 1..=LOGIN.len() {
            let mut frames = Frames::default();
            for piece in LOGIN.chunks(size) {
                assert_eq!(frames.follow(piece), Ok(()), "pieces of {size}");
            }
            assert_eq!((frames.have, frames.body), (0, 0), "pieces of {size}");
        }
    }

    #[test]
    fn an_http_answer_is_refused_at_its_first_byte() {
        let mut frames = Frames::default();
        assert_eq!(frames.follow(b"HTTP/1.1 400 Bad Request\r\n"), Err(Violation::Tag(b'H')));
    }

    #[test]
    fn lengths_that_no_message_has_are_refused() {
        let too_long = u32::try_from(LIMIT).unwrap() + 1;
        for length in [0, 3, too_long, u32::MAX] {
            let mut message = vec![b'S'];
            message.extend(length.to_be_bytes());
            assert_eq!(Frames::default().follow(&message), Err(Violation::Length(length)));
        }
    }

    #[test]
    fn endless_parameters_use_up_the_allowance() {
        let allowance = Allowance::default();
        let mut frames = Frames::new(allowance.clone());
        let parameter = b"S\0\0\0\x08a\0b\0";
        let mut total = 0;
        let refused = loop {
            total += parameter.len();
            if let Err(violation) = allowance.spend(parameter.len()) {
                break violation;
            }
            frames.follow(parameter).unwrap();
        };
        assert_eq!(refused, Violation::Endless);
        assert!(total > LIMIT && total <= LIMIT + parameter.len());
    }

    #[test]
    fn each_answered_pulse_gives_the_allowance_back() {
        let allowance = Allowance::default();
        let mut frames = Frames::new(allowance.clone());
        for _ in 0..LIMIT {
            allowance.spend(LOGIN.len()).unwrap();
            frames.follow(LOGIN).unwrap();
        }
    }
}
