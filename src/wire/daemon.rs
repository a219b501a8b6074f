//! A connection-sync daemon <-> the attributes of `IPVS_CMD_ATTR_DAEMON`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::DecodeError;
use super::attr::{AttrWriter, Attrs};
use super::ids::daemon;
use crate::model::kernel::{SyncDaemon, SyncRole};

impl SyncRole {
    /// Which of the two is meant.
    pub(super) fn encode(self, attrs: &mut AttrWriter) {
        let number = match self {
            Self::Master => 1,
            Self::Backup => 2,
        };
        attrs.u32(daemon::STATE, number);
    }

    fn decode(attrs: &Attrs<'_>) -> Result<Self, DecodeError> {
        match attrs.u32(daemon::STATE)? {
            1 => Ok(Self::Master),
            2 => Ok(Self::Backup),
            other => Err(DecodeError::Value {
                attribute: daemon::STATE.name,
                value: format!("the role {other}"),
            }),
        }
    }
}

impl SyncDaemon {
    /// What is said of it; the kernel fills in the rest.
    pub(super) fn encode(&self, attrs: &mut AttrWriter) {
        self.role.encode(attrs);
        attrs.text(daemon::MCAST_IFN, &self.interface);
        attrs.u32(daemon::SYNC_ID, self.sync_id);
        if let Some(length) = self.max_length {
            attrs.u16(daemon::SYNC_MAXLEN, length);
        }
        if let Some(port) = self.port {
            attrs.u16(daemon::MCAST_PORT, port);
        }
        if let Some(ttl) = self.ttl {
            attrs.u8(daemon::MCAST_TTL, ttl);
        }
        match self.group {
            Some(IpAddr::V4(v4)) => attrs.bytes4(daemon::MCAST_GROUP, v4.octets()),
            Some(group @ IpAddr::V6(_)) => attrs.address(daemon::MCAST_GROUP6, group),
            None => (),
        }
    }

    /// Kernels before 4.3 tell no more than role, interface and group of directors.
    pub(super) fn decode(attrs: &Attrs<'_>) -> Result<Self, DecodeError> {
        let group = if attrs.has(daemon::MCAST_GROUP) {
            Some(IpAddr::V4(Ipv4Addr::from(attrs.array::<4>(daemon::MCAST_GROUP)?)))
        } else if attrs.has(daemon::MCAST_GROUP6) {
            Some(IpAddr::V6(Ipv6Addr::from(attrs.array::<16>(daemon::MCAST_GROUP6)?)))
        } else {
            None
        };
        let short = |id| match attrs.has(id) {
            true => attrs.u16(id).map(Some),
            false => Ok(None),
        };
        Ok(Self {
            role: SyncRole::decode(attrs)?,
            interface: attrs.text(daemon::MCAST_IFN)?.into(),
            sync_id: attrs.u32(daemon::SYNC_ID)?,
            max_length: short(daemon::SYNC_MAXLEN)?,
            group,
            port: short(daemon::MCAST_PORT)?,
            ttl: match attrs.has(daemon::MCAST_TTL) {
                true => Some(attrs.u8(daemon::MCAST_TTL)?),
                false => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_daemon_comes_back() {
        let mut daemon = SyncDaemon::new(SyncRole::Backup);
        (daemon.interface, daemon.sync_id) = ("eth0".into(), 255);
        for group in [None, Some("224.0.0.81"), Some("ff02::1")] {
            daemon.group = group.map(|group| group.parse().unwrap());
            assert_eq!(there_and_back(&daemon), daemon);
            daemon.max_length = Some(1472);
            (daemon.port, daemon.ttl) = (Some(8848), Some(1));
            assert_eq!(there_and_back(&daemon), daemon);
        }
    }

    #[test]
    fn a_role_that_no_kernel_knows_is_an_error() {
        let mut attrs = AttrWriter::default();
        attrs.u32(daemon::STATE, 3);
        let error = SyncDaemon::decode(&Attrs::read(attrs.bytes()).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "IPVS_DAEMON_ATTR_STATE holds the role 3");
    }

    fn there_and_back(daemon: &SyncDaemon) -> SyncDaemon {
        let mut attrs = AttrWriter::default();
        daemon.encode(&mut attrs);
        SyncDaemon::decode(&Attrs::read(attrs.bytes()).unwrap()).unwrap()
    }
}
