//! Which addresses are this host's own, in the network namespace of the calling thread.
//!
//! Asks the kernel's routing by connecting datagram sockets; no packet is sent, nothing is changed.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Those of the addresses that are certainly not this host's own.
pub fn absent(addresses: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
    addresses
        .iter()
        .copied()
        .filter(|ip| is_local(*ip) == Some(false))
        .collect()
}

/// Whether an address is local; `None` where the kernel does not say.
///
/// To reach an address of its own the kernel takes that very address as the source, or, where a whole network is
/// routed to this host, an address of the loopback device. Unlike a bind this tells the truth with `ip_nonlocal_bind`, which directors often set.
fn is_local(ip: IpAddr) -> Option<bool> {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    match socket.connect((ip, 9)) {
        Ok(()) => {
            let source = socket.local_addr().ok()?.ip();
            Some(source == ip || source.is_loopback())
        }
        Err(error) => {
            let no_route = [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable];
            no_route.contains(&error.kind()).then_some(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_local_and_a_documentation_address_is_not() {
        // 127.1.2.3 is in no list of addresses: all of 127.0.0.0/8 is a local route.
        let local: [IpAddr; 2] = [
            Ipv4Addr::LOCALHOST.into(),
            Ipv4Addr::new(127, 1, 2, 3).into(),
        ];
        let foreign: IpAddr = Ipv4Addr::new(192, 0, 2, 77).into();
        let asked = BTreeSet::from_iter(local.into_iter().chain([foreign]));
        assert_eq!(absent(&asked), BTreeSet::from([foreign]));
    }
}
