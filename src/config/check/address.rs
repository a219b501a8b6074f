//! Addresses: an IP address and a port, of a kind that a kernel can forward to.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::value::{self, Written};
use crate::config::range::{NoRange, Range};
use crate::config::report::{Draft, Report};

/// Whether 0 stands for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ZeroPort {
    /// A port is 1 to 65535.
    Refused,
    /// The port is whichever the client asks for.
    Accepted,
}

/// A server's IP address and port.
pub(super) fn socket(
    report: &mut Report,
    written: Written<'_>,
    zero: ZeroPort,
) -> Option<SocketAddr> {
    let text = value::text(report, written)?;
    let (title, help) = match text.parse::<SocketAddr>() {
        Ok(address) => match refused(address, zero) {
            None => return Some(address),
            Some(refusal) => refusal,
        },
        Err(_) => unread(text),
    };
    report.error(Draft::new(title).at(written.place, "not accepted").help(help));
    None
}

/// The virtual addresses, of which one text may name several; port 0 stands for all ports.
pub(super) fn range(report: &mut Report, written: Written<'_>) -> Option<Range> {
    let text = value::text(report, written)?;
    let (title, help) = match Range::parse(text) {
        Ok(range) => match range.ends().find_map(|end| refused(end, ZeroPort::Accepted)) {
            None => return Some(range),
            Some(refusal) => refusal,
        },
        Err(NoRange::Unread) => unread(text),
        Err(NoRange::Backwards) => (format!("{text:?} ends before it begins"), RANGES.to_owned()),
        Err(NoRange::WholeEnd) => {
            (format!("{text:?}: a range ends with its last part alone"), RANGES.to_owned())
        }
    };
    report.error(Draft::new(title).at(written.place, "not accepted").help(help));
    None
}

const RANGES: &str =
    "a range is in the last part: \"10.9.0.100-110:5432\", \"[2001:db8::10-1f]:5432\"";

/// An IP address alone.
pub(super) fn ip(report: &mut Report, written: Written<'_>) -> Option<IpAddr> {
    let text = value::text(report, written)?;
    let (title, help) = match text.parse::<IpAddr>() {
        Ok(ip) => match refused_ip(ip) {
            None => return Some(ip),
            Some(refusal) => refusal,
        },
        Err(_) => (
            format!("{text:?} is not an IP address"),
            "write an IP address without a port".to_owned(),
        ),
    };
    report.error(Draft::new(title).at(written.place, "not accepted").help(help));
    None
}

type Refusal = (String, String);

fn refused(address: SocketAddr, zero: ZeroPort) -> Option<Refusal> {
    if address.port() == 0 && zero == ZeroPort::Refused {
        return Some((
            format!("{address}: 0 is not a port"),
            format!("PostgreSQL's is {}", SocketAddr::new(address.ip(), 5432)),
        ));
    }
    if let SocketAddr::V6(v6) = address
        && v6.scope_id() != 0
        && !v6.ip().is_unicast_link_local()
    {
        return Some((
            format!("{address}: a zone is for link-local addresses"),
            "leave out the % and what follows".to_owned(),
        ));
    }
    refused_ip(address.ip())
}

fn refused_ip(ip: IpAddr) -> Option<Refusal> {
    let kind = match ip {
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        IpAddr::V4(v4) if v4.is_link_local() => "link-local",
        // All of 0.0.0.0/8: the kernel takes it for a broadcast.
        IpAddr::V4(v4) if v4.octets().first() == Some(&0) => "the unspecified address",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "link-local",
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped() {
                return Some((
                    format!("{ip} is an IPv4 address in IPv6's clothes"),
                    format!("write {v4}"),
                ));
            }
            if v6 == Ipv6Addr::UNSPECIFIED {
                "the unspecified address"
            } else if v6.is_multicast() {
                "a multicast address"
            } else {
                return None;
            }
        }
        IpAddr::V4(_) if ip.is_multicast() => "a multicast address",
        IpAddr::V4(_) => return None,
    };
    Some((format!("{ip} is {kind}"), "give an address of one host that is routed to it".to_owned()))
}

/// Why a text is not an address and a port.
fn unread(text: &str) -> Refusal {
    // `2001:db8::1:5432` is an address by itself, but hardly what was meant.
    let without_brackets =
        text.strip_suffix(":5432").and_then(|host| host.parse::<Ipv6Addr>().ok());
    if let Some(ip) = without_brackets {
        return (
            format!("{text:?}: an IPv6 address before a port stands in brackets"),
            format!("write \"{}\"", SocketAddr::new(ip.into(), 5432)),
        );
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return (
            format!("{text:?} lacks a port"),
            format!("write \"{}\"", SocketAddr::new(ip, 5432)),
        );
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return not_an_address(text);
    };
    let bare = host.trim_matches(['[', ']']);
    match (bare.parse::<IpAddr>(), port.parse::<u16>()) {
        (Ok(IpAddr::V6(ip)), Ok(port)) => (
            format!("{text:?}: an IPv6 address before a port stands in brackets"),
            format!("write \"{}\"", SocketAddr::new(ip.into(), port)),
        ),
        (Ok(_), Err(_)) => {
            (format!("{text:?}: {port:?} is not a port"), "a port is 1 to 65535".to_owned())
        }
        _ => not_an_address(text),
    }
}

fn not_an_address(text: &str) -> Refusal {
    let looks_like_a_name = text.chars().any(|c| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'))
        && text.matches(':').count() <= 1;
    let title = if looks_like_a_name {
        format!("{text:?} is a host name, and names are not looked up yet")
    } else {
        format!("{text:?} is not an IP address and a port")
    };
    (
        title,
        "write an IP address and a port: \"10.8.0.11:5432\" or \"[2001:db8::11]:5432\"".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_a_kernel_forwards_to_are_accepted() {
        for text in
            ["10.8.0.11:5432", "[2001:db8::1]:1", "127.0.0.1:65535", "[::1]:5432", "[fd00::1]:5432"]
        {
            assert_eq!(refused(text.parse().unwrap(), ZeroPort::Refused), None, "{text}");
        }
    }

    #[test]
    fn addresses_of_no_single_host_are_refused_by_their_kind() {
        for (text, word) in [
            ("10.0.0.1:0", "0 is not a port"),
            ("0.0.0.0:5432", "unspecified"),
            ("0.1.2.3:5432", "unspecified"),
            ("[::]:5432", "unspecified"),
            ("169.254.1.1:5432", "link-local"),
            ("[fe80::1]:5432", "link-local"),
            ("[fe80::1%2]:5432", "link-local"),
            ("[2001:db8::1%2]:5432", "zone"),
            ("224.0.0.81:5432", "multicast"),
            ("[ff02::1]:5432", "multicast"),
            ("255.255.255.255:5432", "broadcast"),
            ("[::ffff:10.0.0.1]:5432", "IPv4"),
        ] {
            let (title, _) = refused(text.parse().unwrap(), ZeroPort::Refused).expect(text);
            assert!(title.contains(word), "{text}: {title}");
        }
    }

    #[test]
    fn what_is_no_address_is_answered_with_one() {
        for (text, title, help) in [
            ("10.0.0.1", "lacks a port", "\"10.0.0.1:5432\""),
            ("2001:db8::1", "lacks a port", "\"[2001:db8::1]:5432\""),
            ("[2001:db8::1]", "lacks a port", "\"[2001:db8::1]:5432\""),
            ("2001:db8::1:5432", "in brackets", "\"[2001:db8::1]:5432\""),
            ("2001:db8:0:0:0:0:0:1:6432", "in brackets", "\"[2001:db8::1]:6432\""),
            ("10.0.0.1:70000", "\"70000\" is not a port", "65535"),
            ("10.0.0.1:", "\"\" is not a port", "65535"),
            ("pg1.example.com:5432", "host name", "IP address and a port"),
            ("pg1", "host name", "IP address and a port"),
            ("10.0.0.256:5432", "not an IP address", "IP address and a port"),
            ("10.0.0.0/24", "not an IP address", "IP address and a port"),
            ("", "not an IP address", "IP address and a port"),
            (" 10.0.0.1:5432", "not an IP address", "IP address and a port"),
        ] {
            let (seen_title, seen_help) = unread(text);
            assert!(seen_title.contains(title), "{text}: {seen_title}");
            assert!(seen_help.contains(help), "{text}: {seen_help}");
        }
    }
}
