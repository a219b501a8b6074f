//! How services and destinations are treated, in words; nothing is said about what is as it always is.

use crate::ipvsadm::scheduler_flags;
use crate::model::destination::{Destination, Forwarding, Tunnel};
use crate::model::service::{Netmask, Service, ServiceFlags};

/// `sh (sh-fallback), persistent for 300 s by 255.255.255.0`.
pub(super) fn scheduling(service: &Service) -> String {
    let mut text = service.scheduler.to_string();
    if let Some(flags) = scheduler_flags(service.scheduler.as_str(), service.flags) {
        text.push_str(&format!(" ({flags})"));
    }
    if service.flags.contains(ServiceFlags::PERSISTENT) {
        text.push_str(&format!(", persistent for {} s", service.timeout));
        match service.netmask {
            Netmask::V4(mask) if mask.is_broadcast() => (),
            Netmask::V4(mask) => text.push_str(&format!(" by {mask}")),
            Netmask::V6(128) => (),
            Netmask::V6(length) => text.push_str(&format!(" by /{length}")),
        }
    }
    if let Some(engine) = &service.persistence_engine {
        text.push_str(&format!(", engine {engine}"));
    }
    if service.flags.contains(ServiceFlags::ONE_PACKET) {
        text.push_str(", each packet by itself");
    }
    text
}

/// As ipvsadm(8) shows it, with the tunnel: `Masq`, `Tunnel gue:6080 csum`.
pub(super) fn delivery(destination: &Destination) -> String {
    let method = match destination.forwarding {
        Forwarding::Masquerade => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Tunnel => "Tunnel",
        Forwarding::DirectRoute => "Route",
        Forwarding::Other(_) => "Other",
    };
    let Tunnel { kind, port, flags } = destination.tunnel;
    let kind = match kind {
        Tunnel::IPIP => "",
        Tunnel::GUE => " gue",
        Tunnel::GRE => " gre",
        _ => " unknown",
    };
    let port = if port == 0 { String::new() } else { format!(":{port}") };
    let checksum = match flags {
        Tunnel::NO_CHECKSUM => "",
        Tunnel::CHECKSUM => " csum",
        Tunnel::REMOTE_CHECKSUM => " remcsum",
        _ => " unknown checksum",
    };
    format!("{method}{kind}{port}{checksum}")
}

/// `weight 100, Masq, at most 100 connections, again below 80`.
pub(super) fn destination(destination: &Destination) -> String {
    let mut text = format!("weight {}, {}", destination.weight, delivery(destination));
    let limits = destination.thresholds;
    if limits.upper > 0 {
        text.push_str(&format!(", at most {} connections", limits.upper));
    }
    if limits.lower > 0 {
        text.push_str(&format!(", again below {}", limits.lower));
    }
    text
}

/// What differs between two states of a destination: `weight 100 -> 50, Masq -> Route`.
pub(super) fn edit(old: &Destination, new: &Destination) -> String {
    let mut changes = Vec::new();
    if old.weight != new.weight {
        changes.push(format!("weight {} -> {}", old.weight, new.weight));
    }
    if (old.forwarding, old.tunnel) != (new.forwarding, new.tunnel) {
        changes.push(format!("{} -> {}", delivery(old), delivery(new)));
    }
    let (from, to) = (old.thresholds, new.thresholds);
    if from.upper != to.upper {
        changes.push(format!("upper threshold {} -> {}", from.upper, to.upper));
    }
    if from.lower != to.lower {
        changes.push(format!("lower threshold {} -> {}", from.lower, to.lower));
    }
    changes.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::destination::{Thresholds, Weight};
    use crate::model::service::{Family, Scheduler};

    #[test]
    fn a_service_is_told_with_everything_that_is_not_as_usual() {
        let plain = |scheduler, family| Service::plain(Scheduler::new(scheduler).unwrap(), family);
        assert_eq!(scheduling(&plain("wlc", Family::V4)), "wlc");
        let flags = ServiceFlags::PERSISTENT.with(ServiceFlags::SCHED_1);
        let service = Service {
            flags: flags.with(ServiceFlags::SCHED_2),
            timeout: 300,
            netmask: Netmask::V4("255.255.255.0".parse().unwrap()),
            ..plain("mh", Family::V4)
        };
        let text = "mh (mh-fallback,mh-port), persistent for 300 s by 255.255.255.0";
        assert_eq!(scheduling(&service), text);
        let service = Service {
            flags: ServiceFlags::PERSISTENT.with(ServiceFlags::ONE_PACKET),
            timeout: 60,
            netmask: Netmask::V6(64),
            persistence_engine: Some("sip".into()),
            ..plain("rr", Family::V6)
        };
        let text = "rr, persistent for 60 s by /64, engine sip, each packet by itself";
        assert_eq!(scheduling(&service), text);
    }

    #[test]
    fn a_destination_is_told_with_everything_that_is_not_as_usual() {
        let plain = Destination::plain(Forwarding::Masquerade, Weight(100));
        assert_eq!(destination(&plain), "weight 100, Masq");
        let tunnel = Tunnel { kind: Tunnel::GUE, port: 6080, flags: Tunnel::CHECKSUM };
        let thresholds = Thresholds { upper: 100, lower: 80 };
        let other = Destination { forwarding: Forwarding::Tunnel, tunnel, thresholds, ..plain };
        let text = "weight 100, Tunnel gue:6080 csum, at most 100 connections, again below 80";
        assert_eq!(destination(&other), text);
        let text =
            "Masq -> Tunnel gue:6080 csum, upper threshold 0 -> 100, lower threshold 0 -> 80";
        assert_eq!(edit(&plain, &other), text);
        let ipip = Destination { tunnel: Tunnel::default(), ..other };
        assert_eq!(edit(&ipip, &other), "Tunnel -> Tunnel gue:6080 csum");
    }
}
