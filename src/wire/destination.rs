//! A destination <-> the attributes of `IPVS_CMD_ATTR_DEST`.

use super::DecodeError;
use super::attr::{AttrWriter, Attrs};
use super::ids::dest;
use crate::model::destination::{
    Connections, Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use crate::model::service::Family;

/// The bits of the forwarding method (`IP_VS_CONN_F_FWD_MASK`).
const FORWARDING_MASK: u32 = 0x7;

/// Whether tunnel attributes are sent that hold only zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zeros {
    /// A new destination starts with zeros.
    Omitted,
    /// An edit says everything, so that nothing depends on what the kernel does with what is left out.
    Sent,
}

impl DestinationKey {
    /// The attributes that identify the destination in its service.
    pub(super) fn encode(self, attrs: &mut AttrWriter) {
        attrs.address(dest::ADDR, self.0.ip());
        attrs.be16(dest::PORT, self.0.port());
    }

    /// The family, which stands last; without it the kernel takes the service's.
    pub(super) fn encode_family(self, attrs: &mut AttrWriter) {
        attrs.family(dest::ADDR_FAMILY, Family::of(self.0.ip()));
    }
}

impl Destination {
    /// Everything that can be set.
    pub(super) fn encode(&self, zeros: Zeros, attrs: &mut AttrWriter) {
        attrs.u32(dest::FWD_METHOD, self.forwarding.number().into());
        attrs.u32(dest::WEIGHT, self.weight.0);
        if zeros == Zeros::Sent || self.tunnel != Tunnel::default() {
            attrs.u8(dest::TUN_TYPE, self.tunnel.kind);
            attrs.be16(dest::TUN_PORT, self.tunnel.port);
            attrs.u16(dest::TUN_FLAGS, self.tunnel.flags);
        }
        attrs.u32(dest::U_THRESH, self.thresholds.upper);
        attrs.u32(dest::L_THRESH, self.thresholds.lower);
    }

    /// What can be set. Kernels before 5.2 send no tunnel attributes: they know IPIP only.
    pub(super) fn decode(attrs: &Attrs<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            forwarding: Forwarding::from_number(attrs.u32(dest::FWD_METHOD)?),
            weight: Weight(attrs.u32(dest::WEIGHT)?),
            thresholds: Thresholds {
                upper: attrs.u32(dest::U_THRESH)?,
                lower: attrs.u32(dest::L_THRESH)?,
            },
            tunnel: Tunnel {
                kind: present(attrs.has(dest::TUN_TYPE), || attrs.u8(dest::TUN_TYPE))?,
                port: present(attrs.has(dest::TUN_PORT), || attrs.be16(dest::TUN_PORT))?,
                flags: present(attrs.has(dest::TUN_FLAGS), || attrs.u16(dest::TUN_FLAGS))?,
            },
        })
    }
}

impl Connections {
    /// The kernel's counts; every kernel sends them.
    pub(super) fn decode(attrs: &Attrs<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            active: attrs.u32(dest::ACTIVE_CONNS)?,
            inactive: attrs.u32(dest::INACT_CONNS)?,
            persistent: attrs.u32(dest::PERSIST_CONNS)?,
        })
    }
}

impl Forwarding {
    const fn number(self) -> u8 {
        match self {
            Self::Masquerade => 0,
            Self::Local => 1,
            Self::Tunnel => 2,
            Self::DirectRoute => 3,
            Self::Other(number) => number,
        }
    }

    fn from_number(number: u32) -> Self {
        match number & FORWARDING_MASK {
            0 => Self::Masquerade,
            1 => Self::Local,
            2 => Self::Tunnel,
            3 => Self::DirectRoute,
            other => Self::Other(other.to_le_bytes()[0]),
        }
    }
}

fn present<T: Default>(
    is_there: bool,
    read: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    if is_there { read() } else { Ok(T::default()) }
}
