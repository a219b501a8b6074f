//! Netlink attributes: writing them from typed values, reading them from bytes with their lengths checked.
//!
//! Nothing outside `wire` sees an attribute.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLA_F_NESTED, NLA_TYPE_MASK};

use super::DecodeError;
use super::ids::Id;
use crate::model::service::Family;

/// `AF_INET`.
const AF_INET: u16 = 2;
/// `AF_INET6`.
const AF_INET6: u16 = 10;

/// Bytes of an attribute's header (`NLA_HDRLEN`).
const HEADER: u16 = 4;

/// Attributes to be sent, one behind the other, as the bytes that go out.
///
/// A table of 100,000 destinations is a million of them: each is written once, and nothing is kept in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AttrWriter(Vec<u8>);

impl AttrWriter {
    /// With room for the longest change of the table that is no rarity.
    pub(super) fn with_room() -> Self {
        Self(Vec::with_capacity(160))
    }

    /// What was written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn u8(&mut self, id: Id, value: u8) {
        self.header(id.number, 1);
        self.0.extend_from_slice(&[value, 0, 0, 0]);
    }

    pub(super) fn u16(&mut self, id: Id, value: u16) {
        self.two(id, value.to_ne_bytes());
    }

    pub(super) fn u32(&mut self, id: Id, value: u32) {
        self.bytes4(id, value.to_ne_bytes());
    }

    /// Only tests send one: the kernel's counters are the only 64-bit values.
    #[cfg(test)]
    pub(super) fn u64(&mut self, id: Id, value: u64) {
        self.header(id.number, 8);
        self.0.extend_from_slice(&value.to_ne_bytes());
    }

    /// A port, in network order.
    pub(super) fn be16(&mut self, id: Id, value: u16) {
        self.two(id, value.to_be_bytes());
    }

    /// Four bytes as they stand.
    pub(super) fn bytes4(&mut self, id: Id, value: [u8; 4]) {
        self.header(id.number, 4);
        self.0.extend_from_slice(&value);
    }

    /// Two numbers one behind the other (`struct ip_vs_flags`).
    pub(super) fn pair(&mut self, id: Id, first: u32, second: u32) {
        self.header(id.number, 8);
        self.0.extend_from_slice(&first.to_ne_bytes());
        self.0.extend_from_slice(&second.to_ne_bytes());
    }

    pub(super) fn family(&mut self, id: Id, family: Family) {
        let number = match family {
            Family::V4 => AF_INET,
            Family::V6 => AF_INET6,
        };
        self.u16(id, number);
    }

    /// An address in 16 bytes (`union nf_inet_addr`).
    pub(super) fn address(&mut self, id: Id, address: IpAddr) {
        let bytes = match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
            }
            IpAddr::V6(v6) => v6.octets(),
        };
        self.header(id.number, 16);
        self.0.extend_from_slice(&bytes);
    }

    /// Text, sent with a NUL behind it.
    pub(super) fn text(&mut self, id: Id, text: &str) {
        self.header(id.number, text.len() + 1);
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// A level of its own; what `inner` writes is always a multiple of four bytes.
    pub(super) fn nest(&mut self, id: Id, inner: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.header(id.number | NLA_F_NESTED, 0);
        inner(self);
        let length = length(self.0.len() - start).to_ne_bytes();
        if let Some(place) = self.0.get_mut(start..start + length.len()) {
            place.copy_from_slice(&length);
        }
    }

    fn two(&mut self, id: Id, value: [u8; 2]) {
        let [a, b] = value;
        self.header(id.number, 2);
        self.0.extend_from_slice(&[a, b, 0, 0]);
    }

    fn header(&mut self, kind: u16, value: usize) {
        let [a, b] = length(value + usize::from(HEADER)).to_ne_bytes();
        let [c, d] = kind.to_ne_bytes();
        self.0.extend_from_slice(&[a, b, c, d]);
    }
}

/// A length as an attribute carries it. Nothing here comes near the limit: the longest text has 16 bytes.
fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

/// The attributes of one level of a message, by number; those with a number that no kernel known to us uses are gone.
pub(super) struct Attrs<'a> {
    values: [Option<&'a [u8]>; 16],
}

impl<'a> Attrs<'a> {
    /// Reads one level. Of an attribute that comes twice the last one counts, as in the kernel's own parser.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut values = [None; 16];
        let mut rest = bytes;
        while let Some((header, _)) = rest.split_first_chunk::<4>() {
            let [a, b, c, d] = *header;
            let length = usize::from(u16::from_ne_bytes([a, b]));
            let kind = u16::from_ne_bytes([c, d]) & NLA_TYPE_MASK;
            let value = rest.get(usize::from(HEADER)..length).ok_or_else(cut_short)?;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            if let Some(slot) = values.get_mut(usize::from(kind)) {
                *slot = Some(value);
            }
        }
        if !rest.is_empty() {
            return Err(cut_short());
        }
        Ok(Self { values })
    }

    pub(super) fn optional(&self, id: Id) -> Option<&'a [u8]> {
        self.values.get(usize::from(id.number)).copied().flatten()
    }

    pub(super) fn bytes(&self, id: Id) -> Result<&'a [u8], DecodeError> {
        self.optional(id).ok_or(DecodeError::Missing(id.name))
    }

    pub(super) fn u8(&self, id: Id) -> Result<u8, DecodeError> {
        self.array(id).map(u8::from_ne_bytes)
    }

    pub(super) fn u16(&self, id: Id) -> Result<u16, DecodeError> {
        self.array(id).map(u16::from_ne_bytes)
    }

    pub(super) fn be16(&self, id: Id) -> Result<u16, DecodeError> {
        self.array(id).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&self, id: Id) -> Result<u32, DecodeError> {
        self.array(id).map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&self, id: Id) -> Result<u64, DecodeError> {
        self.array(id).map(u64::from_ne_bytes)
    }

    pub(super) fn array<const N: usize>(&self, id: Id) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes(id)?;
        bytes.try_into().map_err(|_| DecodeError::Length {
            attribute: id.name,
            expected: N,
            got: bytes.len(),
        })
    }

    /// Whether the attribute is there, for those that older kernels do not send.
    pub(super) fn has(&self, id: Id) -> bool {
        self.optional(id).is_some()
    }

    /// An address family; 0 is `None`.
    pub(super) fn family(&self, id: Id) -> Result<Option<Family>, DecodeError> {
        match self.u16(id)? {
            0 => Ok(None),
            AF_INET => Ok(Some(Family::V4)),
            AF_INET6 => Ok(Some(Family::V6)),
            other => Err(DecodeError::Value {
                attribute: id.name,
                value: format!("the address family {other}"),
            }),
        }
    }

    /// Text up to its NUL.
    pub(super) fn text(&self, id: Id) -> Result<&'a str, DecodeError> {
        let bytes = self.bytes(id)?;
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        std::str::from_utf8(text).map_err(|_| DecodeError::Value {
            attribute: id.name,
            value: format!("text that is not UTF-8: {}", text.escape_ascii()),
        })
    }
}

fn cut_short() -> DecodeError {
    DecodeError::Malformed("an attribute that is cut short".into())
}

/// The address in the first bytes of `union nf_inet_addr`.
pub(super) fn address(bytes: [u8; 16], family: Family) -> IpAddr {
    match family {
        Family::V4 => {
            let [a, b, c, d, ..] = bytes;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        Family::V6 => IpAddr::V6(Ipv6Addr::from(bytes)),
    }
}
