//! A connection-sync daemon <-> the attributes of `IPVS_CMD_ATTR_DAEMON`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::DecodeError;
use super::attr::{Attr, Attrs};
use super::ids::daemon;
use crate::model::kernel::{SyncDaemon, SyncRole};

impl SyncRole {
    /// Which of the two is meant.
    pub(super) fn encode(self) -> Attr {
        let number = match self {
            Self::Master => 1,
            Self::Backup => 2,
        };
        Attr::u32(daemon::STATE, number)
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
    pub(super) fn encode(&self) -> Vec<Attr> {
        let mut attrs = vec![
            self.role.encode(),
            Attr::text(daemon::MCAST_IFN, &self.interface),
            Attr::u32(daemon::SYNC_ID, self.sync_id),
        ];
        attrs.extend(self.max_length.map(|it| Attr::u16(daemon::SYNC_MAXLEN, it)));
        attrs.extend(self.port.map(|it| Attr::u16(daemon::MCAST_PORT, it)));
        attrs.extend(self.ttl.map(|it| Attr::u8(daemon::MCAST_TTL, it)));
        attrs.extend(self.group.map(|group| match group {
            IpAddr::V4(v4) => Attr::bytes4(daemon::MCAST_GROUP, v4.octets()),
            IpAddr::V6(_) => Attr::address(daemon::MCAST_GROUP6, group),
        }));
        attrs
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
    use netlink_packet_core::Emitable;

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
        let attrs = [Attr::u32(daemon::STATE, 3)];
        let mut bytes = vec![0; attrs.as_slice().buffer_len()];
        attrs.as_slice().emit(&mut bytes);
        let error = SyncDaemon::decode(&Attrs::read(&bytes).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "IPVS_DAEMON_ATTR_STATE holds the role 3");
    }

    fn there_and_back(daemon: &SyncDaemon) -> SyncDaemon {
        let attrs = daemon.encode();
        let mut bytes = vec![0; attrs.as_slice().buffer_len()];
        attrs.as_slice().emit(&mut bytes);
        SyncDaemon::decode(&Attrs::read(&bytes).unwrap()).unwrap()
    }
}
