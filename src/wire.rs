//! Bytes and text of the kernel <-> the nouns of `model`, pure: no socket, no file, no clock.
//!
//! `request` and `reply` are the IPVS generic netlink family (include/uapi/linux/ip_vs.h), `proc` is
//! /proc/net/ip_vs, `refusal` says in words what an error number means for a request.
//! Unknown attributes are skipped, since a newer kernel says more; missing ones are errors that name them.

use netlink_packet_core as core;

mod attr;
mod daemon;
mod destination;
pub mod family;
#[cfg(test)]
mod golden;
mod ids;
pub mod message;
pub mod nft;
pub mod proc;
pub mod refusal;
pub mod reply;
pub mod request;
#[cfg(test)]
mod roundtrip;
mod service;
mod traffic;

/// Why bytes of the kernel could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// An attribute that every kernel sends is not there.
    #[error("the kernel's message lacks {0}")]
    Missing(&'static str),
    /// An attribute has another size than it should.
    #[error("{attribute} is {got} bytes long, not {expected}")]
    Length {
        /// Its name in include/uapi/linux/ip_vs.h.
        attribute: &'static str,
        /// The size that belongs there.
        expected: usize,
        /// The size that was there.
        got: usize,
    },
    /// An attribute holds what no kernel known to us sends.
    #[error("{attribute} holds {value}")]
    Value {
        /// Its name in include/uapi/linux/ip_vs.h.
        attribute: &'static str,
        /// What it held.
        value: String,
    },
    /// The message is no netlink message, or is cut short.
    #[error("a message that is not understood: {0}")]
    Malformed(core::DecodeError),
}

impl From<core::DecodeError> for DecodeError {
    fn from(error: core::DecodeError) -> Self {
        Self::Malformed(error)
    }
}
