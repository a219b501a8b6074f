//! Netlink attributes: writing them from typed values, reading them from bytes with their lengths checked.
//!
//! Nothing outside `wire` sees an attribute.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{Emitable, NLA_F_NESTED, Nla, NlasIterator};

use super::DecodeError;
use super::ids::Id;
use crate::model::service::Family;

/// `AF_INET`.
const AF_INET: u16 = 2;
/// `AF_INET6`.
const AF_INET6: u16 = 10;

/// One attribute to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attr {
    kind: u16,
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    U8(u8),
    U16(u16),
    U32(u32),
    Be16(u16),
    Bytes4([u8; 4]),
    Pair(u32, u32),
    Address([u8; 16]),
    Text(Box<str>),
    Nest(Vec<Attr>),
}

impl Attr {
    pub(super) const fn u8(id: Id, value: u8) -> Self {
        Self::new(id, Value::U8(value))
    }

    pub(super) const fn u16(id: Id, value: u16) -> Self {
        Self::new(id, Value::U16(value))
    }

    pub(super) const fn u32(id: Id, value: u32) -> Self {
        Self::new(id, Value::U32(value))
    }

    /// Only tests send one: the kernel's counters are the only 64-bit values.
    #[cfg(test)]
    pub(super) fn u64(id: Id, value: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = value.to_ne_bytes();
        let (first, second) = ([a, b, c, d], [e, f, g, h]);
        Self::pair(id, u32::from_ne_bytes(first), u32::from_ne_bytes(second))
    }

    /// A port, in network order.
    pub(super) const fn be16(id: Id, value: u16) -> Self {
        Self::new(id, Value::Be16(value))
    }

    /// Four bytes as they stand.
    pub(super) const fn bytes4(id: Id, value: [u8; 4]) -> Self {
        Self::new(id, Value::Bytes4(value))
    }

    /// Two numbers one behind the other (`struct ip_vs_flags`).
    pub(super) const fn pair(id: Id, first: u32, second: u32) -> Self {
        Self::new(id, Value::Pair(first, second))
    }

    pub(super) const fn family(id: Id, family: Family) -> Self {
        Self::u16(
            id,
            match family {
                Family::V4 => AF_INET,
                Family::V6 => AF_INET6,
            },
        )
    }

    /// An address in 16 bytes (`union nf_inet_addr`).
    pub(super) fn address(id: Id, address: IpAddr) -> Self {
        let bytes = match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
            }
            IpAddr::V6(v6) => v6.octets(),
        };
        Self::new(id, Value::Address(bytes))
    }

    /// Text, sent with a NUL behind it.
    pub(super) fn text(id: Id, text: &str) -> Self {
        Self::new(id, Value::Text(text.into()))
    }

    pub(super) const fn nest(id: Id, inner: Vec<Self>) -> Self {
        Self::new(id, Value::Nest(inner))
    }

    const fn new(id: Id, value: Value) -> Self {
        Self { kind: id.number, value }
    }
}

impl Nla for Attr {
    fn value_len(&self) -> usize {
        match &self.value {
            Value::U8(_) => 1,
            Value::U16(_) | Value::Be16(_) => 2,
            Value::U32(_) | Value::Bytes4(_) => 4,
            Value::Pair(..) => 8,
            Value::Address(_) => 16,
            Value::Text(text) => text.len() + 1,
            Value::Nest(inner) => inner.as_slice().buffer_len(),
        }
    }

    fn kind(&self) -> u16 {
        match &self.value {
            Value::Nest(_) => self.kind | NLA_F_NESTED,
            Value::U8(_)
            | Value::U16(_)
            | Value::U32(_)
            | Value::Be16(_)
            | Value::Bytes4(_)
            | Value::Pair(..)
            | Value::Address(_)
            | Value::Text(_) => self.kind,
        }
    }

    /// Fills `buffer`, which is exactly `value_len` long.
    fn emit_value(&self, buffer: &mut [u8]) {
        match &self.value {
            Value::U8(value) => buffer.copy_from_slice(&[*value]),
            Value::U16(value) => buffer.copy_from_slice(&value.to_ne_bytes()),
            Value::U32(value) => buffer.copy_from_slice(&value.to_ne_bytes()),
            Value::Be16(value) => buffer.copy_from_slice(&value.to_be_bytes()),
            Value::Bytes4(value) => buffer.copy_from_slice(value),
            Value::Pair(first, second) => {
                let (head, tail) = buffer.split_at_mut(4);
                head.copy_from_slice(&first.to_ne_bytes());
                tail.copy_from_slice(&second.to_ne_bytes());
            }
            Value::Address(bytes) => buffer.copy_from_slice(bytes),
            Value::Text(text) => {
                if let Some((nul, head)) = buffer.split_last_mut() {
                    head.copy_from_slice(text.as_bytes());
                    *nul = 0;
                }
            }
            Value::Nest(inner) => inner.as_slice().emit(buffer),
        }
    }
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
        for attr in NlasIterator::new(bytes) {
            let attr = attr?;
            let length = usize::from(attr.length());
            let value = rest.get(4..length).unwrap_or_default();
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            if let Some(slot) = values.get_mut(usize::from(attr.kind())) {
                *slot = Some(value);
            }
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
