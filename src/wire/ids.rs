//! Commands and attributes of the IPVS generic netlink family, each declared once with number and name.
//!
//! Source: include/uapi/linux/ip_vs.h. Integers are in the host's byte order unless it says "be".

/// The family's name (`IPVS_GENL_NAME`).
pub(super) const FAMILY: &str = "IPVS";
/// The family's version (`IPVS_GENL_VERSION`).
pub(super) const VERSION: u8 = 1;

/// An attribute's number within its nest and its name in the kernel's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) number: u16,
    pub(super) name: &'static str,
}

/// u16, in the controller's answer (`CTRL_ATTR_FAMILY_ID`, include/uapi/linux/genetlink.h).
pub(super) const CTRL_FAMILY_ID: Id = id(1, "CTRL_ATTR_FAMILY_ID");

const fn id(number: u16, name: &'static str) -> Id {
    Id { number, name }
}

/// Commands (`IPVS_CMD_*`).
pub(super) mod command {
    pub(in crate::wire) const NEW_SERVICE: u8 = 1;
    pub(in crate::wire) const SET_SERVICE: u8 = 2;
    pub(in crate::wire) const DEL_SERVICE: u8 = 3;
    pub(in crate::wire) const GET_SERVICE: u8 = 4;
    pub(in crate::wire) const NEW_DEST: u8 = 5;
    pub(in crate::wire) const SET_DEST: u8 = 6;
    pub(in crate::wire) const DEL_DEST: u8 = 7;
    pub(in crate::wire) const GET_DEST: u8 = 8;
    pub(in crate::wire) const NEW_DAEMON: u8 = 9;
    pub(in crate::wire) const DEL_DAEMON: u8 = 10;
    pub(in crate::wire) const GET_DAEMON: u8 = 11;
    pub(in crate::wire) const SET_CONFIG: u8 = 12;
    pub(in crate::wire) const GET_CONFIG: u8 = 13;
    pub(in crate::wire) const SET_INFO: u8 = 14;
    pub(in crate::wire) const GET_INFO: u8 = 15;
    pub(in crate::wire) const ZERO: u8 = 16;
    pub(in crate::wire) const FLUSH: u8 = 17;
}

/// Top level of a message (`IPVS_CMD_ATTR_*`).
pub(super) mod top {
    use super::{Id, id};
    pub(in crate::wire) const SERVICE: Id = id(1, "IPVS_CMD_ATTR_SERVICE");
    pub(in crate::wire) const DEST: Id = id(2, "IPVS_CMD_ATTR_DEST");
    pub(in crate::wire) const DAEMON: Id = id(3, "IPVS_CMD_ATTR_DAEMON");
    /// u32, seconds.
    pub(in crate::wire) const TIMEOUT_TCP: Id = id(4, "IPVS_CMD_ATTR_TIMEOUT_TCP");
    /// u32, seconds.
    pub(in crate::wire) const TIMEOUT_TCP_FIN: Id = id(5, "IPVS_CMD_ATTR_TIMEOUT_TCP_FIN");
    /// u32, seconds.
    pub(in crate::wire) const TIMEOUT_UDP: Id = id(6, "IPVS_CMD_ATTR_TIMEOUT_UDP");
}

/// Top level of the answer to GET_INFO (`IPVS_INFO_ATTR_*`).
pub(super) mod info {
    use super::{Id, id};
    /// u32, 0x010201 for 1.2.1.
    pub(in crate::wire) const VERSION: Id = id(1, "IPVS_INFO_ATTR_VERSION");
    /// u32, buckets.
    pub(in crate::wire) const CONN_TAB_SIZE: Id = id(2, "IPVS_INFO_ATTR_CONN_TAB_SIZE");
}

/// A service (`IPVS_SVC_ATTR_*`).
pub(super) mod svc {
    use super::{Id, id};
    /// u16, `AF_INET` or `AF_INET6`.
    pub(in crate::wire) const AF: Id = id(1, "IPVS_SVC_ATTR_AF");
    /// u16, an IP protocol number.
    pub(in crate::wire) const PROTOCOL: Id = id(2, "IPVS_SVC_ATTR_PROTOCOL");
    /// 16 bytes, IPv4 in the first four.
    pub(in crate::wire) const ADDR: Id = id(3, "IPVS_SVC_ATTR_ADDR");
    /// be16.
    pub(in crate::wire) const PORT: Id = id(4, "IPVS_SVC_ATTR_PORT");
    /// u32; stands instead of protocol, address and port.
    pub(in crate::wire) const FWMARK: Id = id(5, "IPVS_SVC_ATTR_FWMARK");
    /// NUL-terminated, at most 15 bytes before it.
    pub(in crate::wire) const SCHED_NAME: Id = id(6, "IPVS_SVC_ATTR_SCHED_NAME");
    /// Two u32: flags, and the mask of those that are meant.
    pub(in crate::wire) const FLAGS: Id = id(7, "IPVS_SVC_ATTR_FLAGS");
    /// u32, seconds.
    pub(in crate::wire) const TIMEOUT: Id = id(8, "IPVS_SVC_ATTR_TIMEOUT");
    /// IPv4: the mask's bytes in network order. IPv6: u32, the prefix length, 1..=128.
    pub(in crate::wire) const NETMASK: Id = id(9, "IPVS_SVC_ATTR_NETMASK");
    /// Nest with 32-bit counters.
    pub(in crate::wire) const STATS: Id = id(10, "IPVS_SVC_ATTR_STATS");
    /// NUL-terminated, at most 16 bytes with it.
    pub(in crate::wire) const PE_NAME: Id = id(11, "IPVS_SVC_ATTR_PE_NAME");
    /// Nest with 64-bit counters, since Linux 4.1.
    pub(in crate::wire) const STATS64: Id = id(12, "IPVS_SVC_ATTR_STATS64");
}

/// A destination (`IPVS_DEST_ATTR_*`).
pub(super) mod dest {
    use super::{Id, id};
    /// 16 bytes, IPv4 in the first four.
    pub(in crate::wire) const ADDR: Id = id(1, "IPVS_DEST_ATTR_ADDR");
    /// be16.
    pub(in crate::wire) const PORT: Id = id(2, "IPVS_DEST_ATTR_PORT");
    /// u32, of which the lowest three bits count.
    pub(in crate::wire) const FWD_METHOD: Id = id(3, "IPVS_DEST_ATTR_FWD_METHOD");
    /// u32, at most 2147483647.
    pub(in crate::wire) const WEIGHT: Id = id(4, "IPVS_DEST_ATTR_WEIGHT");
    /// u32, connections; 0 is none.
    pub(in crate::wire) const U_THRESH: Id = id(5, "IPVS_DEST_ATTR_U_THRESH");
    /// u32, connections; 0 is three quarters of the upper one.
    pub(in crate::wire) const L_THRESH: Id = id(6, "IPVS_DEST_ATTR_L_THRESH");
    /// u32, in replies only.
    pub(in crate::wire) const ACTIVE_CONNS: Id = id(7, "IPVS_DEST_ATTR_ACTIVE_CONNS");
    /// u32, in replies only.
    pub(in crate::wire) const INACT_CONNS: Id = id(8, "IPVS_DEST_ATTR_INACT_CONNS");
    /// u32, in replies only.
    pub(in crate::wire) const PERSIST_CONNS: Id = id(9, "IPVS_DEST_ATTR_PERSIST_CONNS");
    /// Nest with 32-bit counters.
    pub(in crate::wire) const STATS: Id = id(10, "IPVS_DEST_ATTR_STATS");
    /// u16; absent or 0 is the service's, since Linux 3.18.
    pub(in crate::wire) const ADDR_FAMILY: Id = id(11, "IPVS_DEST_ATTR_ADDR_FAMILY");
    /// Nest with 64-bit counters, since Linux 4.1.
    pub(in crate::wire) const STATS64: Id = id(12, "IPVS_DEST_ATTR_STATS64");
    /// u8: 0 IPIP, 1 GUE (Linux 5.2), 2 GRE (5.3).
    pub(in crate::wire) const TUN_TYPE: Id = id(13, "IPVS_DEST_ATTR_TUN_TYPE");
    /// be16.
    pub(in crate::wire) const TUN_PORT: Id = id(14, "IPVS_DEST_ATTR_TUN_PORT");
    /// u16.
    pub(in crate::wire) const TUN_FLAGS: Id = id(15, "IPVS_DEST_ATTR_TUN_FLAGS");
}

/// Counters (`IPVS_STATS_ATTR_*`); number 11 is padding between 64-bit values and is never read.
pub(super) mod stats {
    use super::{Id, id};
    pub(in crate::wire) const CONNS: Id = id(1, "IPVS_STATS_ATTR_CONNS");
    pub(in crate::wire) const INPKTS: Id = id(2, "IPVS_STATS_ATTR_INPKTS");
    pub(in crate::wire) const OUTPKTS: Id = id(3, "IPVS_STATS_ATTR_OUTPKTS");
    /// u64 in both nests.
    pub(in crate::wire) const INBYTES: Id = id(4, "IPVS_STATS_ATTR_INBYTES");
    /// u64 in both nests.
    pub(in crate::wire) const OUTBYTES: Id = id(5, "IPVS_STATS_ATTR_OUTBYTES");
    pub(in crate::wire) const CPS: Id = id(6, "IPVS_STATS_ATTR_CPS");
    pub(in crate::wire) const INPPS: Id = id(7, "IPVS_STATS_ATTR_INPPS");
    pub(in crate::wire) const OUTPPS: Id = id(8, "IPVS_STATS_ATTR_OUTPPS");
    pub(in crate::wire) const INBPS: Id = id(9, "IPVS_STATS_ATTR_INBPS");
    pub(in crate::wire) const OUTBPS: Id = id(10, "IPVS_STATS_ATTR_OUTBPS");
}

/// A connection-sync daemon (`IPVS_DAEMON_ATTR_*`).
pub(super) mod daemon {
    use super::{Id, id};
    /// u32: 1 master, 2 backup.
    pub(in crate::wire) const STATE: Id = id(1, "IPVS_DAEMON_ATTR_STATE");
    /// NUL-terminated, at most 15 bytes before it.
    pub(in crate::wire) const MCAST_IFN: Id = id(2, "IPVS_DAEMON_ATTR_MCAST_IFN");
    /// u32, 0..=255.
    pub(in crate::wire) const SYNC_ID: Id = id(3, "IPVS_DAEMON_ATTR_SYNC_ID");
    /// u16, bytes; this and the following since Linux 4.3.
    pub(in crate::wire) const SYNC_MAXLEN: Id = id(4, "IPVS_DAEMON_ATTR_SYNC_MAXLEN");
    /// The four bytes of an IPv4 address.
    pub(in crate::wire) const MCAST_GROUP: Id = id(5, "IPVS_DAEMON_ATTR_MCAST_GROUP");
    /// The 16 bytes of an IPv6 address.
    pub(in crate::wire) const MCAST_GROUP6: Id = id(6, "IPVS_DAEMON_ATTR_MCAST_GROUP6");
    /// u16, in the host's order.
    pub(in crate::wire) const MCAST_PORT: Id = id(7, "IPVS_DAEMON_ATTR_MCAST_PORT");
    /// u8.
    pub(in crate::wire) const MCAST_TTL: Id = id(8, "IPVS_DAEMON_ATTR_MCAST_TTL");
}
