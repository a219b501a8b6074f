//! Addresses, protocols and methods in ipvsadm's words.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4};

use super::numbers::left_number;
use super::values::Names;
use super::words;
use crate::model::destination::Forwarding;
use crate::model::service::{Family, Protocol, ServiceFlags, ServiceKey};

/// Characters of a service's name with an IPv4 address.
const SERVICE_WIDTH: usize = 33;
/// Characters of a destination's name with an IPv4 address.
const DESTINATION_WIDTH: usize = 28;
/// Characters of an address with its port.
const BUFFER: usize = 59;

/// How addresses and ports are written: as numbers, or by name where there is one.
#[derive(Clone, Copy)]
pub(super) struct Writing<'a> {
    /// `None` for numbers.
    pub(super) names: Option<&'a dyn Names>,
}

impl fmt::Debug for Writing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.names.is_some() { "by name" } else { "by number" })
    }
}

impl Writing<'_> {
    /// `TCP  10.0.0.1:5432`, `FWM  7`, `FWM  3 IPv6`.
    pub(super) fn service(self, key: ServiceKey) -> String {
        match key {
            ServiceKey::Address { protocol, address } => {
                let socket = self.socket(address, protocol);
                let name = format!("{:<4} {socket}", protocol_name(protocol));
                cut(name, Family::of(address.ip()), SERVICE_WIDTH)
            }
            // ipvsadm prints the mark as a signed number.
            ServiceKey::FwMark { family: Family::V4, mark } => {
                format!("FWM  {}", mark.cast_signed())
            }
            ServiceKey::FwMark { family: Family::V6, mark } => {
                format!("FWM  {} IPv6", mark.cast_signed())
            }
        }
    }

    /// `-t 10.0.0.1:5432`, `-f 7`, `-f 3 -6`.
    pub(super) fn option(self, key: ServiceKey) -> String {
        match key {
            ServiceKey::Address { protocol, address } => {
                let option = match protocol {
                    Protocol::TCP => "-t",
                    Protocol::UDP => "-u",
                    Protocol::SCTP => "--sctp-service",
                    Protocol(_) => "--xxx-service",
                };
                format!("{option} {}", self.socket(address, protocol))
            }
            ServiceKey::FwMark { family: Family::V4, mark } => format!("-f {}", mark.cast_signed()),
            ServiceKey::FwMark { family: Family::V6, mark } => {
                format!("-f {} -6", mark.cast_signed())
            }
        }
    }

    /// `10.0.0.2:5432`, `[2001:db8::2]:5432`.
    pub(super) fn destination(self, address: SocketAddr, protocol: Protocol) -> String {
        let name = self.socket(address, protocol);
        if self.names.is_none() && address.is_ipv4() {
            // Never too long.
            return name;
        }
        cut(name, Family::of(address.ip()), DESTINATION_WIDTH)
    }

    /// Address and port, as long as ipvsadm's buffer.
    pub(super) fn socket(self, address: SocketAddr, protocol: Protocol) -> String {
        if let (None, SocketAddr::V4(address)) = (self.names, address) {
            return numeric(address);
        }
        let host = self.names.and_then(|names| names.host_name(address.ip()));
        let host = host.unwrap_or_else(|| match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => ipv6(ip),
        });
        let port = self.names.and_then(|names| names.port_name(address.port(), protocol));
        let port = port.unwrap_or_else(|| address.port().to_string());
        let text =
            if address.is_ipv6() { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        words::cut(&text, BUFFER)
    }
}

/// `10.0.0.2:5432`: most of what a long list is made of.
fn numeric(address: SocketAddrV4) -> String {
    let mut text = String::with_capacity(21);
    for (place, octet) in address.ip().octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        left_number(&mut text, octet.into(), 0);
    }
    text.push(':');
    left_number(&mut text, address.port().into(), 0);
    text
}

/// The protocol by which ports are named: services by mark carry TCP in the kernel's lists of destinations.
pub(super) const fn protocol_of(key: ServiceKey) -> Protocol {
    match key {
        ServiceKey::Address { protocol, .. } => protocol,
        ServiceKey::FwMark { .. } => Protocol(0),
    }
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

/// The scheduler's flags with commas; `None` without any. `sh` and `mh` have no name for the third, so that
/// the text may be empty.
pub fn scheduler_flags(scheduler: &str, flags: ServiceFlags) -> Option<String> {
    let names: &[&str] = match scheduler {
        "sh" => &["sh-fallback", "sh-port"],
        "mh" => &["mh-fallback", "mh-port"],
        _ => &["flag-1", "flag-2", "flag-3"],
    };
    let bits = [ServiceFlags::SCHED_1, ServiceFlags::SCHED_2, ServiceFlags::SCHED_3];
    let is_any = bits.iter().any(|bit| flags.contains(*bit));
    let set = bits.iter().zip(names).filter(|(bit, _)| flags.contains(**bit));
    let names: Vec<_> = set.map(|(_, name)| *name).collect();
    is_any.then(|| names.join(","))
}

const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::TCP => "TCP",
        Protocol::UDP => "UDP",
        Protocol::SCTP => "SCTP",
        Protocol(_) => "?",
    }
}

/// As inet_ntop(3) of glibc, which still writes IPv4-compatible addresses with dots.
pub(super) fn ipv6(ip: Ipv6Addr) -> String {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            format!("::{a}.{b}.{c}.{d}")
        }
        _ => ip.to_string(),
    }
}

fn cut(name: String, family: Family, width: usize) -> String {
    if family == Family::V4 {
        return words::cut(&name, width);
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
        assert_eq!(Writing { names: None }.service(key(Family::V4, u32::MAX)), "FWM  -1");
        assert_eq!(Writing { names: None }.service(key(Family::V6, 3)), "FWM  3 IPv6");
    }

    #[test]
    fn a_protocol_without_a_name_is_a_question_mark() {
        let key =
            ServiceKey::Address { protocol: Protocol(50), address: "10.0.0.1:0".parse().unwrap() };
        assert_eq!(Writing { names: None }.service(key), "?    10.0.0.1:0");
    }

    #[test]
    fn flags_have_the_names_of_their_scheduler() {
        let shown = |scheduler, bits| scheduler_flags(scheduler, ServiceFlags(bits));
        assert_eq!(shown("sh", 0x38).as_deref(), Some("sh-fallback,sh-port"));
        assert_eq!(shown("mh", 0x10).as_deref(), Some("mh-port"));
        assert_eq!(shown("wlc", 0x38).as_deref(), Some("flag-1,flag-2,flag-3"));
        // Seen in ipvsadm 1.31: the third flag has no name there.
        assert_eq!(shown("mh", 0x20).as_deref(), Some(""));
        assert_eq!(shown("wlc", 0x1), None);
    }
}
