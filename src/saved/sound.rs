//! What the kernel would refuse, so that a restore ends before its first change (net/netfilter/ipvs/ip_vs_ctl.c).
//!
//! Whether a scheduler or an interface exists is the kernel's alone to say.

use std::net::{IpAddr, Ipv4Addr};

use crate::model::destination::{Destination, DestinationKey, Forwarding, Weight};
use crate::model::saved::Saved;
use crate::model::service::{Family, Netmask, Service, ServiceKey};

/// The tunnel that needs a port (`IP_VS_CONN_F_TUNNEL_TYPE_GUE`).
const GUE: u8 = 1;

/// The longest name of a persistence engine, in bytes (`IP_VS_PENAME_MAXLEN`).
const LONGEST_ENGINE: usize = 16;
/// The longest name of an interface, in bytes (`IP_VS_IFNAME_MAXLEN` without the NUL).
const LONGEST_INTERFACE: usize = 15;

fn is_name(text: &str, most: usize) -> bool {
    !text.is_empty()
        && text.len() <= most
        && !text.contains(|c: char| c == '\0' || c.is_whitespace())
}

pub(super) fn service(key: ServiceKey, service: &Service) -> Result<(), String> {
    if let Some(engine) = &service.persistence_engine
        && !is_name(engine, LONGEST_ENGINE)
    {
        return Err(format!("service {key}: {engine:?} is no persistence engine's name"));
    }
    match (key.family(), service.netmask) {
        (Family::V4, Netmask::V4(_)) | (Family::V6, Netmask::V6(1..=128)) => Ok(()),
        (Family::V4, Netmask::V6(_)) => {
            Err(format!("service {key}: an IPv4 service has a netmask like 255.255.255.0"))
        }
        (Family::V6, _) => {
            Err(format!("service {key}: an IPv6 service has a prefix length from 1 to 128"))
        }
    }
}

pub(super) fn destination(
    service: ServiceKey,
    to: DestinationKey,
    destination: &Destination,
) -> Result<(), String> {
    let Destination { forwarding, weight, thresholds, tunnel } = *destination;
    let address = to.0.ip();
    let why = if weight > Weight::MAX {
        format!("weight {weight} is above {}", Weight::MAX)
    } else if thresholds.lower > thresholds.upper {
        format!(
            "its lower threshold {} is above its upper one {}",
            thresholds.lower, thresholds.upper
        )
    } else if Family::of(address) != service.family() && forwarding != Forwarding::Tunnel {
        "only tunnels lead to the other address family".into()
    } else if forwarding == Forwarding::Tunnel && tunnel.kind == GUE && tunnel.port == 0 {
        "a GUE tunnel needs a port".into()
    } else if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        "it is no unicast address".into()
    } else {
        return Ok(());
    };
    Err(format!("destination {to} of service {service}: {why}"))
}

/// What does not fit together though each part does.
pub(super) fn whole(saved: &Saved) -> Result<(), String> {
    if saved.daemons.is_empty() {
        return Ok(());
    }
    for daemon in &saved.daemons {
        if !is_name(&daemon.interface, LONGEST_INTERFACE) {
            return Err(format!("{:?} is no interface's name", daemon.interface));
        }
    }
    for (key, entry) in &saved.table.services {
        let other = entry.destinations.keys().find(|to| Family::of(to.0.ip()) != key.family());
        if let Some(to) = other {
            return Err(format!(
                "destination {to} of service {key} is of the other address family, which the kernel refuses beside a sync daemon"
            ));
        }
    }
    Ok(())
}
