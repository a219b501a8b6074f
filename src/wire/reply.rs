//! What the kernel answers: the messages of the IPVS family that carry services, destinations, info and config.

use std::net::SocketAddr;

use netlink_packet_core::{self as core, ParseableParametrized};
use netlink_packet_generic::GenlHeader;

use super::DecodeError;
use super::attr::{self, Attrs};
use super::ids::{command, dest, info, svc, top};
use crate::model::destination::{Connections, Destination, DestinationKey};
use crate::model::kernel::{
    IpvsInfo, ListedDestination, ListedService, SyncDaemon, Timeouts, Traffic, Version,
};
use crate::model::service::{Family, Service, ServiceKey};

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A service, to `GET_SERVICE`; without its destinations.
    Service(ListedService),
    /// A destination, to `GET_DEST`.
    Destination(DestinationReply),
    /// To `GET_INFO`.
    Info(IpvsInfo),
    /// To `GET_CONFIG`.
    Config(Timeouts),
    /// A connection-sync daemon, to `GET_DAEMON`.
    Daemon(SyncDaemon),
    /// Another command, which we did not ask for.
    Other(u8),
}

/// A destination as it was sent, which does not tell the service that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationReply {
    address: [u8; 16],
    port: u16,
    family: Option<Family>,
    destination: Destination,
    connections: Connections,
    traffic: Option<Traffic>,
}

impl DestinationReply {
    /// The destination of a service of that family, which holds where the kernel names none (before Linux 3.18).
    pub fn of_service(&self, service: Family) -> ListedDestination {
        let family = self.family.unwrap_or(service);
        let address = attr::address(self.address, family);
        ListedDestination {
            key: DestinationKey(SocketAddr::new(address, self.port)),
            destination: self.destination,
            connections: self.connections,
            traffic: self.traffic,
        }
    }

    fn decode(attrs: &Attrs<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            address: attrs.array(dest::ADDR)?,
            port: attrs.be16(dest::PORT)?,
            family: match attrs.has(dest::ADDR_FAMILY) {
                true => attrs.family(dest::ADDR_FAMILY)?,
                false => None,
            },
            destination: Destination::decode(attrs)?,
            connections: Connections::decode(attrs)?,
            traffic: Traffic::decode(attrs, dest::STATS64, dest::STATS)?,
        })
    }
}

impl Reply {
    /// Reads the attributes behind the generic netlink header.
    ///
    /// The kernel answers `GET_X` with the command `NEW_X` or `SET_X`.
    pub(super) fn decode(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let attrs = Attrs::read(bytes)?;
        match header.cmd {
            command::NEW_SERVICE => {
                let attrs = Attrs::read(attrs.bytes(top::SERVICE)?)?;
                let key = ServiceKey::decode(&attrs)?;
                Ok(Self::Service(ListedService {
                    key,
                    service: Service::decode(&attrs, key)?,
                    traffic: Traffic::decode(&attrs, svc::STATS64, svc::STATS)?,
                    destinations: Vec::new(),
                }))
            }
            command::NEW_DEST => {
                let attrs = Attrs::read(attrs.bytes(top::DEST)?)?;
                DestinationReply::decode(&attrs).map(Self::Destination)
            }
            command::NEW_DAEMON => {
                let attrs = Attrs::read(attrs.bytes(top::DAEMON)?)?;
                SyncDaemon::decode(&attrs).map(Self::Daemon)
            }
            command::SET_INFO => Ok(Self::Info(IpvsInfo {
                version: Version(attrs.u32(info::VERSION)?),
                table_size: attrs.u32(info::CONN_TAB_SIZE)?,
            })),
            command::SET_CONFIG => Ok(Self::Config(Timeouts {
                tcp: attrs.u32(top::TIMEOUT_TCP)?,
                tcp_fin: attrs.u32(top::TIMEOUT_TCP_FIN)?,
                udp: attrs.u32(top::TIMEOUT_UDP)?,
            })),
            other => Ok(Self::Other(other)),
        }
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Reply {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, core::DecodeError> {
        Self::decode(bytes, header).map_err(|error| core::DecodeError::from(error.to_string()))
    }
}
