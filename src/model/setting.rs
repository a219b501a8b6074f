//! What is set in the kernel beside the table: sysctls of IPVS, timeouts, connection-sync daemons, rules of nftables.
//!
//! Nouns only; which value is wanted is decided elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::kernel::{SyncDaemon, SyncRole, Timeouts};

/// A sysctl below net.ipv4.vs (Documentation/networking/ipvs-sysctl.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sysctl(&'static str);

impl Sysctl {
    /// With 1 a deleted destination's connections are closed; with 0 they hang.
    pub const EXPIRE_NODEST_CONN: Self = Self("expire_nodest_conn");
    /// With 1 persistence does not lead new connections to a destination of weight 0.
    pub const EXPIRE_QUIESCENT_TEMPLATE: Self = Self("expire_quiescent_template");
    /// With 1 connections of IPVS are connections of netfilter too, which rules of nftables can match and rewrite.
    pub const CONNTRACK: Self = Self("conntrack");

    /// The sysctl with this name below net.ipv4.vs.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name in its directory.
    pub const fn file(self) -> &'static str {
        self.0
    }

    /// Whether the kernel itself turns 1 into 2 and back (`update_defense_level`): 1 and 2 mean the same wish.
    const fn is_defence(self) -> bool {
        matches!(self.0.as_bytes(), b"drop_entry" | b"drop_packet" | b"secure_tcp")
    }
}

/// Its name as in sysctl(8).
impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net.ipv4.vs.{}", self.0)
    }
}

/// The value of a sysctl as sysctl(8) prints it, with single blanks between its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SysctlValue(Box<str>);

impl SysctlValue {
    /// A value as written or read.
    pub fn new(text: &str) -> Self {
        Self(text.split_whitespace().collect::<Vec<_>>().join(" ").into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SysctlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose address the servers see on packets of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceNat {
    /// The address of the interface on which the packet leaves the director.
    Masquerade,
    /// This one, of the servers' family.
    Address(IpAddr),
}

/// Our table of nftables as nft(8) lists it with `-n`, one rule to a line and without indents; empty: no table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NftTable(Box<str>);

impl NftTable {
    /// A table as written or listed.
    pub fn new(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Self(lines.collect::<Vec<_>>().join("\n").into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no table.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a setting is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SettingKey {
    /// A sysctl.
    Sysctl(Sysctl),
    /// The three timeouts (`IPVS_CMD_SET_CONFIG`).
    Timeouts,
    /// The connection-sync daemon of a role.
    Daemon(SyncRole),
    /// The rules for full NAT.
    SourceNat,
}

/// A setting with its value, as it is or as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A sysctl.
    Sysctl(Sysctl, SysctlValue),
    /// The three timeouts; where they are wanted, 0 leaves the kernel's value.
    Timeouts(Timeouts),
    /// The connection-sync daemon of a role; `None`: none runs.
    Daemon(SyncRole, Option<SyncDaemon>),
    /// The rules for full NAT.
    SourceNat(NftTable),
}

/// What was read of the kernel, or in words why it could not be.
pub type Found = BTreeMap<SettingKey, Result<Setting, Box<str>>>;

impl Setting {
    /// What it is about.
    pub const fn key(&self) -> SettingKey {
        match self {
            Self::Sysctl(sysctl, _) => SettingKey::Sysctl(*sysctl),
            Self::Timeouts(_) => SettingKey::Timeouts,
            Self::Daemon(role, _) => SettingKey::Daemon(*role),
            Self::SourceNat(_) => SettingKey::SourceNat,
        }
    }

    /// Whether what was found is what this one, as a wish, asks for; what a wish leaves open is fulfilled.
    pub fn is_met_by(&self, found: &Self) -> bool {
        match (self, found) {
            (Self::Sysctl(sysctl, wanted), Self::Sysctl(_, found)) => {
                let is_on = |value: &SysctlValue| matches!(value.as_str(), "1" | "2");
                wanted == found || (sysctl.is_defence() && is_on(wanted) && is_on(found))
            }
            (Self::Timeouts(wanted), Self::Timeouts(found)) => wanted.with(*found) == *found,
            (Self::Daemon(_, wanted), Self::Daemon(_, found)) => match (wanted, found) {
                (Some(wanted), Some(found)) => wanted.is_met_by(found),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            },
            (wanted, found) => wanted == found,
        }
    }
}

impl Timeouts {
    /// No wish at all.
    pub const NONE: Self = Self { tcp: 0, tcp_fin: 0, udp: 0 };

    /// These where they are not 0, and otherwise those.
    pub const fn with(self, found: Self) -> Self {
        const fn or(wanted: u32, found: u32) -> u32 {
            if wanted == 0 { found } else { wanted }
        }
        Self {
            tcp: or(self.tcp, found.tcp),
            tcp_fin: or(self.tcp_fin, found.tcp_fin),
            udp: or(self.udp, found.udp),
        }
    }
}

impl SyncRole {
    /// The word as ipvsadm(8) and the config spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Backup => "backup",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sysctl(name: &'static str, value: &str) -> Setting {
        Setting::Sysctl(Sysctl::new(name), SysctlValue::new(value))
    }

    #[test]
    fn a_wish_is_met_by_what_it_leaves_open() {
        let wanted = Setting::Timeouts(Timeouts { tcp: 7500, ..Timeouts::NONE });
        let found = |tcp| Setting::Timeouts(Timeouts { tcp, tcp_fin: 120, udp: 300 });
        assert!(wanted.is_met_by(&found(7500)));
        assert!(!wanted.is_met_by(&found(900)));
        let plain = SyncDaemon::new(SyncRole::Master);
        let full = SyncDaemon { port: Some(8848), ttl: Some(1), ..plain.clone() };
        let other = SyncDaemon { port: Some(1), ..plain.clone() };
        let daemon = |it: &SyncDaemon| Setting::Daemon(SyncRole::Master, Some(it.clone()));
        assert!(daemon(&plain).is_met_by(&daemon(&full)));
        assert!(!daemon(&other).is_met_by(&daemon(&full)));
        assert!(!daemon(&plain).is_met_by(&Setting::Daemon(SyncRole::Master, None)));
    }

    #[test]
    fn what_the_kernel_prints_with_tabs_is_the_same_value() {
        assert!(sysctl("sync_threshold", "3 50").is_met_by(&sysctl("sync_threshold", "3\t50\n")));
    }

    #[test]
    fn the_kernel_itself_moves_a_defence_between_1_and_2() {
        assert!(sysctl("drop_entry", "1").is_met_by(&sysctl("drop_entry", "2")));
        assert!(!sysctl("drop_entry", "1").is_met_by(&sysctl("drop_entry", "3")));
        assert!(!sysctl("conn_reuse_mode", "1").is_met_by(&sysctl("conn_reuse_mode", "2")));
    }
}
