//! Addresses, protocols and methods in ipvsadm's words.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::model::destination::Forwarding;
use crate::model::service::{Family, Protocol, ServiceFlags, ServiceKey};

/// Characters of a service's name with an IPv4 address.
const SERVICE_WIDTH: usize = 33;
/// Characters of a destination's name with an IPv4 address.
const DESTINATION_WIDTH: usize = 28;

/// `TCP  10.0.0.1:5432`, `FWM  7`, `FWM  3 IPv6`.
pub(super) fn service(key: ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol, address } => {
            let name = format!("{:<4} {}", self::protocol(protocol), socket(address));
            cut(name, Family::of(address.ip()), SERVICE_WIDTH)
        }
        // ipvsadm prints the mark as a signed number.
        ServiceKey::FwMark { family: Family::V4, mark } => format!("FWM  {}", mark.cast_signed()),
        ServiceKey::FwMark { family: Family::V6, mark } => {
            format!("FWM  {} IPv6", mark.cast_signed())
        }
    }
}

/// `10.0.0.2:5432`, `[2001:db8::2]:5432`.
pub(super) fn destination(address: SocketAddr) -> String {
    cut(socket(address), Family::of(address.ip()), DESTINATION_WIDTH)
}

/// What stands under Forward; ipvsadm has no name for the methods above 3 and prints what printf does then.
pub(super) const fn forwarding(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Masquerade => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Tunnel => "Tunnel",
        Forwarding::DirectRoute => "Route",
        Forwarding::Other(_) => "(null)",
    }
}

/// The scheduler's flags in parentheses; `None` without any. `sh` and `mh` have no name for the third, so that
/// the parentheses may be empty.
pub(super) fn scheduler_flags(scheduler: &str, flags: ServiceFlags) -> Option<String> {
    let names: &[&str] = match scheduler {
        "sh" => &["sh-fallback", "sh-port"],
        "mh" => &["mh-fallback", "mh-port"],
        _ => &["flag-1", "flag-2", "flag-3"],
    };
    let bits = [ServiceFlags::SCHED_1, ServiceFlags::SCHED_2, ServiceFlags::SCHED_3];
    let is_any = bits.iter().any(|bit| flags.contains(*bit));
    let set = bits.iter().zip(names).filter(|(bit, _)| flags.contains(**bit));
    let names: Vec<_> = set.map(|(_, name)| *name).collect();
    is_any.then(|| format!("({})", names.join(",")))
}

const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::TCP => "TCP",
        Protocol::UDP => "UDP",
        Protocol::SCTP => "SCTP",
        Protocol(_) => "?",
    }
}

fn socket(address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        IpAddr::V4(ip) => format!("{ip}:{port}"),
        IpAddr::V6(ip) => format!("[{}]:{port}", ipv6(ip)),
    }
}

/// As inet_ntop(3) of glibc, which still writes IPv4-compatible addresses with dots.
fn ipv6(ip: Ipv6Addr) -> String {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            format!("::{a}.{b}.{c}.{d}")
        }
        _ => ip.to_string(),
    }
}

fn cut(mut name: String, family: Family, width: usize) -> String {
    if family == Family::V4 {
        name.truncate(width);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_are_written_as_inet_ntop_does() {
        for (address, text) in [
            ("::", "::"),
            ("::1", "::1"),
            ("::0.1.0.0", "::0.1.0.0"),
            ("::102:304", "::1.2.3.4"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ] {
            assert_eq!(ipv6(address.parse().unwrap()), text);
        }
    }

    #[test]
    fn marks_are_signed_as_in_ipvsadm() {
        let key = |family, mark| ServiceKey::FwMark { family, mark };
        assert_eq!(service(key(Family::V4, u32::MAX)), "FWM  -1");
        assert_eq!(service(key(Family::V6, 3)), "FWM  3 IPv6");
    }

    #[test]
    fn a_protocol_without_a_name_is_a_question_mark() {
        let key =
            ServiceKey::Address { protocol: Protocol(50), address: "10.0.0.1:0".parse().unwrap() };
        assert_eq!(service(key), "?    10.0.0.1:0");
    }

    #[test]
    fn flags_have_the_names_of_their_scheduler() {
        let shown = |scheduler, bits| scheduler_flags(scheduler, ServiceFlags(bits));
        assert_eq!(shown("sh", 0x38).as_deref(), Some("(sh-fallback,sh-port)"));
        assert_eq!(shown("mh", 0x10).as_deref(), Some("(mh-port)"));
        assert_eq!(shown("wlc", 0x38).as_deref(), Some("(flag-1,flag-2,flag-3)"));
        // Seen in ipvsadm 1.31: the third flag has no name there.
        assert_eq!(shown("mh", 0x20).as_deref(), Some("()"));
        assert_eq!(shown("wlc", 0x1), None);
    }
}
