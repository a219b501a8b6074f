//! A virtual service <-> the attributes of `IPVS_CMD_ATTR_SERVICE`.

use std::net::{Ipv4Addr, SocketAddr};

use super::DecodeError;
use super::attr::{self, AttrWriter, Attrs};
use super::ids::svc;
use crate::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};

impl ServiceKey {
    /// The attributes that identify the service.
    pub(super) fn encode(self, attrs: &mut AttrWriter) {
        attrs.family(svc::AF, self.family());
        match self {
            Self::Address { protocol, address } => {
                attrs.u16(svc::PROTOCOL, protocol.0);
                attrs.address(svc::ADDR, address.ip());
                attrs.be16(svc::PORT, address.port());
            }
            Self::FwMark { mark, .. } => attrs.u32(svc::FWMARK, mark),
        }
    }

    /// A firewall mark stands instead of protocol, address and port.
    pub(super) fn decode(attrs: &Attrs<'_>) -> Result<Self, DecodeError> {
        let family = attrs.family(svc::AF)?.ok_or(DecodeError::Value {
            attribute: svc::AF.name,
            value: "no address family".into(),
        })?;
        if attrs.has(svc::FWMARK) {
            let mark = attrs.u32(svc::FWMARK)?;
            return Ok(Self::FwMark { family, mark });
        }
        let protocol = Protocol(attrs.u16(svc::PROTOCOL)?);
        let address = attr::address(attrs.array(svc::ADDR)?, family);
        let port = attrs.be16(svc::PORT)?;
        Ok(Self::Address { protocol, address: SocketAddr::new(address, port) })
    }
}

impl Service {
    /// Everything that can be set. An edit replaces everything, so that what is left out is lost.
    pub(super) fn encode(&self, attrs: &mut AttrWriter) {
        attrs.text(svc::SCHED_NAME, self.scheduler.as_str());
        if let Some(name) = &self.persistence_engine {
            attrs.text(svc::PE_NAME, name);
        }
        // The mask says that every flag is meant. The kernel's own bit is never sent: a new service that has it counts
        // as found in the table already and is not put there (`ip_vs_svc_hash`), so that nothing could delete it.
        attrs.pair(svc::FLAGS, self.flags.without(ServiceFlags::HASHED).0, u32::MAX);
        attrs.u32(svc::TIMEOUT, self.timeout);
        match self.netmask {
            Netmask::V4(mask) => attrs.bytes4(svc::NETMASK, mask.octets()),
            // Sent for services without persistence too: the kernel refuses anything but 1..=128.
            Netmask::V6(length) => attrs.u32(svc::NETMASK, u32::from(length)),
        }
    }

    /// The normal form: without the flag that the kernel owns.
    pub(super) fn decode(attrs: &Attrs<'_>, key: ServiceKey) -> Result<Self, DecodeError> {
        let [f0, f1, f2, f3, ..] = attrs.array::<8>(svc::FLAGS)?;
        let flags = ServiceFlags(u32::from_ne_bytes([f0, f1, f2, f3]));
        Ok(Self {
            scheduler: scheduler(attrs)?,
            flags: flags.without(ServiceFlags::HASHED),
            timeout: attrs.u32(svc::TIMEOUT)?,
            netmask: netmask(attrs, key)?,
            persistence_engine: match attrs.has(svc::PE_NAME) {
                true => Some(attrs.text(svc::PE_NAME)?.into()),
                false => None,
            },
        })
    }
}

fn scheduler(attrs: &Attrs<'_>) -> Result<Scheduler, DecodeError> {
    let name = attrs.text(svc::SCHED_NAME)?;
    Scheduler::new(name).ok_or_else(|| DecodeError::Value {
        attribute: svc::SCHED_NAME.name,
        value: format!("{name:?}, which is no scheduler's name"),
    })
}

fn netmask(attrs: &Attrs<'_>, key: ServiceKey) -> Result<Netmask, DecodeError> {
    match key.family() {
        Family::V4 => Ok(Netmask::V4(Ipv4Addr::from(attrs.array::<4>(svc::NETMASK)?))),
        Family::V6 => {
            let length = attrs.u32(svc::NETMASK)?;
            let length = u8::try_from(length).map_err(|_| DecodeError::Value {
                attribute: svc::NETMASK.name,
                value: format!("the prefix length {length}"),
            })?;
            Ok(Netmask::V6(length))
        }
    }
}
