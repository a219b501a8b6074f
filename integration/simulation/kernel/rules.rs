//! What the kernel refuses and what it makes of what it takes, in the order in which `ip_vs_ctl.c` looks at it;
//! knows single services and destinations, no table. The lab holds it against a real kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pgvs::model::destination::{Destination, DestinationKey, Forwarding, Thresholds};
use pgvs::model::op::Errno;
use pgvs::model::service::{Family, Netmask, Protocol, Service, ServiceFlags, ServiceKey};

/// Schedulers whose modules the simulated kernel has.
pub(crate) const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];

/// The longest name of a persistence engine, in bytes (`IP_VS_PENAME_MAXLEN`).
const ENGINE_NAME: usize = 16;

/// The kind of tunnel that needs a port (`IP_VS_CONN_F_TUNNEL_TYPE_GUE`).
const GUE: u8 = 1;

/// In what one kernel differs from another.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    /// Its ticks per second.
    pub(crate) hz: u32,
    /// Whether it refuses upper thresholds above `INT_MAX`, as kernels of 2026 do.
    pub(crate) limits_thresholds: bool,
    /// Schedulers whose modules are not there at the moment.
    pub(crate) missing: BTreeSet<&'static str>,
    /// Broadcast addresses of its interfaces.
    pub(crate) broadcasts: Vec<IpAddr>,
    /// Whether a connection-sync daemon runs.
    pub(crate) syncs: bool,
}

impl Default for Build {
    fn default() -> Self {
        Self {
            hz: 250,
            limits_thresholds: false,
            missing: BTreeSet::new(),
            broadcasts: Vec::new(),
            syncs: false,
        }
    }
}

/// What the kernel finds a service by: without a mark it is the address 0.0.0.0:0.
pub(crate) fn found_by(key: ServiceKey) -> ServiceKey {
    match key {
        ServiceKey::FwMark { family, mark: 0 } => {
            let any = match family {
                Family::V4 => IpAddr::from([0; 4]),
                Family::V6 => IpAddr::from([0; 16]),
            };
            ServiceKey::Address { protocol: Protocol::TCP, address: (any, 0).into() }
        }
        ServiceKey::FwMark { .. } | ServiceKey::Address { .. } => key,
    }
}

/// What cannot even be read (`ip_vs_svc_policy`).
pub(crate) fn readable(service: &Service) -> Result<(), Errno> {
    let engine = service.persistence_engine.as_deref().unwrap_or_default();
    if engine.len() > ENGINE_NAME { Err(Errno::EINVAL) } else { Ok(()) }
}

impl Build {
    /// The service as a dump shows it, and its timeout in ticks (`ip_vs_add_service`, `ip_vs_edit_service`).
    pub(crate) fn service(
        &self,
        key: ServiceKey,
        service: &Service,
    ) -> Result<(Service, u32), Errno> {
        let name = service.scheduler.as_str();
        let has_scheduler = SCHEDULERS.contains(&name) && !self.missing.contains(name);
        if !has_scheduler && name != "none" {
            return Err(Errno::ENOENT);
        }
        let engine = service.persistence_engine.as_deref().unwrap_or_default();
        if !["", "sip"].contains(&engine) {
            return Err(Errno::ENOENT);
        }
        if key.family() == Family::V6 && !matches!(service.netmask, Netmask::V6(1..=128)) {
            return Err(Errno::EINVAL);
        }
        // In 32 bits, whatever is lost.
        let ticks = service.timeout.wrapping_mul(self.hz);
        let service = Service {
            flags: service.flags.without(ServiceFlags::HASHED),
            timeout: ticks / self.hz,
            persistence_engine: service.persistence_engine.clone().filter(|it| !it.is_empty()),
            ..service.clone()
        };
        Ok((service, ticks))
    }

    /// Whether a destination may lead out of its service's family (`ip_vs_genl_set_cmd`).
    pub(crate) fn family(
        &self,
        key: ServiceKey,
        to: DestinationKey,
        destination: &Destination,
    ) -> Result<(), Errno> {
        let is_mixed = Family::of(to.0.ip()) != key.family();
        let may_mix = !self.syncs && destination.forwarding == Forwarding::Tunnel;
        if is_mixed && !may_mix { Err(Errno::EINVAL) } else { Ok(()) }
    }

    /// The numbers of a destination (`ip_vs_add_dest`, `ip_vs_edit_dest`).
    pub(crate) fn numbers(&self, destination: &Destination) -> Result<(), Errno> {
        let Thresholds { upper, lower } = destination.thresholds;
        if i32::try_from(destination.weight.0).is_err() || lower > upper {
            return Err(Errno::ERANGE);
        }
        let is_too_high = self.limits_thresholds && i32::try_from(upper).is_err();
        let tunnel = destination.tunnel;
        if is_too_high || (tunnel.kind == GUE && tunnel.port == 0) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    /// Where a new destination may be (`ip_vs_new_dest`).
    pub(crate) fn place(&self, to: DestinationKey) -> Result<(), Errno> {
        let is_unicast = match to.0.ip() {
            IpAddr::V4(v4) => {
                // Of 0.0.0.0/8 only the first has been special since Linux 5.3.
                !v4.is_unspecified()
                    && !v4.is_multicast()
                    && !v4.is_broadcast()
                    && !self.broadcasts.contains(&v4.into())
            }
            IpAddr::V6(v6) => {
                !v6.is_unspecified()
                    && !v6.is_multicast()
                    && !v6.is_unicast_link_local()
                    && v6.to_ipv4_mapped().is_none()
            }
        };
        if is_unicast { Ok(()) } else { Err(Errno::EINVAL) }
    }
}
