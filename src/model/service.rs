//! A virtual service: what identifies it and how the kernel schedules it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The address family of a virtual service or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4 (`AF_INET`).
    V4,
    /// IPv6 (`AF_INET6`).
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// The transport protocol of a virtual service, by its IP protocol number (`IPVS_SVC_ATTR_PROTOCOL`).
///
/// The kernel accepts any number, so foreign services may hold others than the named ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u16);

impl Protocol {
    /// TCP, the protocol that PostgreSQL speaks.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// SCTP.
    pub const SCTP: Self = Self(132);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TCP => f.write_str("TCP"),
            Self::UDP => f.write_str("UDP"),
            Self::SCTP => f.write_str("SCTP"),
            Self(other) => write!(f, "protocol {other}"),
        }
    }
}

/// What identifies a virtual service in the kernel: protocol, address and port, or a firewall mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// A service at an address and port.
    Address {
        /// The transport protocol.
        protocol: Protocol,
        /// The virtual address and port; port 0 stands for all ports.
        address: SocketAddr,
    },
    /// A service for the packets that carry a firewall mark (`IPVS_SVC_ATTR_FWMARK`).
    FwMark {
        /// The address family of the marked packets.
        family: Family,
        /// The mark.
        mark: u32,
    },
}

impl ServiceKey {
    /// A TCP service at `address`.
    pub const fn tcp(address: SocketAddr) -> Self {
        Self::Address { protocol: Protocol::TCP, address }
    }

    /// The address family of the service.
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(address.ip()),
            Self::FwMark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address } => write!(f, "{protocol} {address}"),
            Self::FwMark { family: Family::V4, mark } => write!(f, "FWM {mark}"),
            Self::FwMark { family: Family::V6, mark } => write!(f, "FWM {mark} IPv6"),
        }
    }
}

/// The name of a scheduler: `wlc`, `rr`, `sh` and so on; an open set, each a kernel module `ip_vs_NAME`.
///
/// At most 15 bytes, without NUL (`IP_VS_SCHEDNAME_MAXLEN`, include/uapi/linux/ip_vs.h).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scheduler(Box<str>);

impl Scheduler {
    /// The longest name that the kernel takes, in bytes.
    pub const MAX_LEN: usize = 15;

    /// The scheduler of that name; `None` if it is empty, too long or holds a NUL or blank.
    pub fn new(name: &str) -> Option<Self> {
        let fits = !name.is_empty()
            && name.len() <= Self::MAX_LEN
            && !name.contains(|c: char| c == '\0' || c.is_whitespace());
        fits.then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The flags of a virtual service (`IPVS_SVC_ATTR_FLAGS`), without the bit that the kernel owns.
///
/// `IP_VS_SVC_F_*`, include/uapi/linux/ip_vs.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceFlags(pub u32);

impl ServiceFlags {
    /// Persistent port (`IP_VS_SVC_F_PERSISTENT`).
    pub const PERSISTENT: Self = Self(0x1);
    /// Hashed entry, set by the kernel in every dump (`IP_VS_SVC_F_HASHED`).
    pub const HASHED: Self = Self(0x2);
    /// One-packet scheduling (`IP_VS_SVC_F_ONEPACKET`).
    pub const ONE_PACKET: Self = Self(0x4);
    /// First flag of the scheduler: `sh-fallback`, `mh-fallback` (`IP_VS_SVC_F_SCHED1`).
    pub const SCHED_1: Self = Self(0x8);
    /// Second flag of the scheduler: `sh-port`, `mh-port` (`IP_VS_SVC_F_SCHED2`).
    pub const SCHED_2: Self = Self(0x10);
    /// Third flag of the scheduler (`IP_VS_SVC_F_SCHED3`).
    pub const SCHED_3: Self = Self(0x20);

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The netmask by which clients share a persistence template (`IPVS_SVC_ATTR_NETMASK`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Netmask {
    /// An IPv4 mask in dotted form; 255.255.255.255 for single clients.
    V4(Ipv4Addr),
    /// An IPv6 prefix length, 1..=128.
    V6(u8),
}

impl Netmask {
    /// The mask that tells every client apart, which services without persistence carry as well.
    pub const fn host(family: Family) -> Self {
        match family {
            Family::V4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Self::V6(128),
        }
    }
}

/// How the kernel treats a virtual service: everything about it that can be set and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which destination the next connection gets.
    pub scheduler: Scheduler,
    /// Flags, without `HASHED`.
    pub flags: ServiceFlags,
    /// Persistence timeout in seconds; 0 where the service is not persistent (`IPVS_SVC_ATTR_TIMEOUT`).
    pub timeout: u32,
    /// Persistence netmask.
    pub netmask: Netmask,
    /// Persistence engine: only `sip` exists (`IPVS_SVC_ATTR_PE_NAME`).
    pub persistence_engine: Option<Box<str>>,
}

impl Service {
    /// A service without flags and persistence.
    pub fn plain(scheduler: Scheduler, family: Family) -> Self {
        Self {
            scheduler,
            flags: ServiceFlags::default(),
            timeout: 0,
            netmask: Netmask::host(family),
            persistence_engine: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheduler_names_are_bounded_as_in_the_kernel() {
        assert!(Scheduler::new("wlc").is_some());
        assert!(Scheduler::new("fifteen-letters").is_some());
        for bad in ["", "sixteen-letters!", "w lc", "w\0"] {
            assert_eq!(Scheduler::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_service_key_reads_as_operators_write_it() {
        let key = ServiceKey::tcp("10.9.0.100:5432".parse().unwrap());
        assert_eq!(key.to_string(), "TCP 10.9.0.100:5432");
        let key = ServiceKey::tcp("[2001:db8::1]:5432".parse().unwrap());
        assert_eq!(key.to_string(), "TCP [2001:db8::1]:5432");
        let key = ServiceKey::FwMark { family: Family::V6, mark: 3 };
        assert_eq!(key.to_string(), "FWM 3 IPv6");
    }
}
