//! A destination: the kernel's record of a real server in one virtual service.

use std::fmt;
use std::net::SocketAddr;

/// Share of new connections a destination gets, relative to its peers.
///
/// Range 0..=2147483647 in the kernel (`IPVS_DEST_ATTR_WEIGHT`, a C int); ipvsadm(8) documents 0..=65535.
/// Zero quiesces: established connections stay, new ones go elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(pub u32);

impl Weight {
    /// No new connections; established ones stay.
    pub const QUIESCED: Self = Self(0);
    /// The largest weight that the kernel takes.
    pub const MAX: Self = Self(0x7fff_ffff);

    /// Whether new connections may arrive.
    pub const fn is_usable(self) -> bool {
        self.0 > 0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How packets reach a real server (`IPVS_DEST_ATTR_FWD_METHOD`, bits `IP_VS_CONN_F_FWD_MASK`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forwarding {
    /// Network address translation; answers pass the director (`IP_VS_CONN_F_MASQ`, 0).
    Masquerade,
    /// Delivered on the director itself (`IP_VS_CONN_F_LOCALNODE`, 1).
    Local,
    /// Encapsulated to the server (`IP_VS_CONN_F_TUNNEL`, 2).
    Tunnel,
    /// Sent to the server's link address, unchanged (`IP_VS_CONN_F_DROUTE`, 3).
    DirectRoute,
    /// Past the cache to the original address (`IP_VS_CONN_F_BYPASS`, 4); 5 to 7 have no name.
    Other(u8),
}

/// What identifies a destination within its service: address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey(pub SocketAddr);

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Limits of connections, active and inactive together; 0 turns a limit off.
///
/// `IPVS_DEST_ATTR_U_THRESH`, `IPVS_DEST_ATTR_L_THRESH`; the kernel counts connections in TIME_WAIT as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thresholds {
    /// At so many connections the destination gets no new ones.
    pub upper: u32,
    /// Below so many it gets them again; 0 stands for three quarters of `upper`.
    pub lower: u32,
}

/// How packets are encapsulated for [`Forwarding::Tunnel`]; all zero elsewhere.
///
/// `IPVS_DEST_ATTR_TUN_TYPE`, `_TUN_PORT`, `_TUN_FLAGS`; kernels before 5.2 know IPIP only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tunnel {
    /// 0 IPIP, 1 GUE, 2 GRE.
    pub kind: u8,
    /// UDP port of GUE; 0 for the others.
    pub port: u16,
    /// 0 no checksum, 1 checksum, 2 remote checksum.
    pub flags: u16,
}

impl Tunnel {
    /// IP in IP, or IPv6 in either (`IP_VS_CONN_F_TUNNEL_TYPE_IPIP`).
    pub const IPIP: u8 = 0;
    /// Generic UDP encapsulation (`IP_VS_CONN_F_TUNNEL_TYPE_GUE`, kernel 5.2).
    pub const GUE: u8 = 1;
    /// Generic routing encapsulation (`IP_VS_CONN_F_TUNNEL_TYPE_GRE`, kernel 5.3).
    pub const GRE: u8 = 2;
    /// No checksum of the outer packet (`IP_VS_TUNNEL_ENCAP_FLAG_NOCSUM`).
    pub const NO_CHECKSUM: u16 = 0;
    /// A checksum (`IP_VS_TUNNEL_ENCAP_FLAG_CSUM`).
    pub const CHECKSUM: u16 = 1;
    /// A remote checksum, GUE only (`IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM`).
    pub const REMOTE_CHECKSUM: u16 = 2;
}

/// Everything about a destination that can be set and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Its share of new connections.
    pub weight: Weight,
    /// Limits of connections.
    pub thresholds: Thresholds,
    /// Encapsulation.
    pub tunnel: Tunnel,
}

impl Destination {
    /// A destination without thresholds or encapsulation options.
    pub const fn plain(forwarding: Forwarding, weight: Weight) -> Self {
        Self {
            forwarding,
            weight,
            thresholds: Thresholds { upper: 0, lower: 0 },
            tunnel: Tunnel { kind: 0, port: 0, flags: 0 },
        }
    }

    /// The same destination with another weight.
    #[must_use]
    pub const fn with_weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }
}

/// How many connections a destination has, as the kernel counts them; never compared, only shown and waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Established or in the handshake (`IPVS_DEST_ATTR_ACTIVE_CONNS`).
    pub active: u32,
    /// Closing or in TIME_WAIT (`IPVS_DEST_ATTR_INACT_CONNS`).
    pub inactive: u32,
    /// Persistence templates (`IPVS_DEST_ATTR_PERSIST_CONNS`); 0 where /proc was read, which lacks them.
    pub persistent: u32,
}
