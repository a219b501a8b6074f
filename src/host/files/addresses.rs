//! Which addresses are this host's own, in the network namespace of the calling thread.
//!
//! Asks the kernel's list of addresses and its routing; sends no packet and changes nothing.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use netlink_packet_core::{NetlinkBuffer, NlasIterator};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

/// Those of the addresses that are certainly not this host's own; none where the kernel does not say.
pub fn absent(addresses: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
    if addresses.is_empty() {
        return BTreeSet::new();
    }
    let mut routes = Routes::default();
    match assigned() {
        Ok(assigned) => addresses
            .iter()
            .copied()
            .filter(|ip| !assigned.contains(ip) && !ip.is_loopback() && !routes.lead_here(*ip))
            .collect(),
        // Only a warning hangs on it.
        Err(_) => BTreeSet::new(),
    }
}

/// Those of the interfaces that are not in the network namespace of the calling thread.
pub fn absent_interfaces(names: &BTreeSet<Box<str>>) -> BTreeSet<Box<str>> {
    if names.is_empty() {
        return BTreeSet::new();
    }
    // The directory of sysfs belongs to the namespace in which it was mounted; this list belongs to the thread.
    let Ok(list) = std::fs::read_to_string("/proc/thread-self/net/dev") else {
        return BTreeSet::new();
    };
    let present: BTreeSet<&str> =
        list.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    names.iter().filter(|name| !present.contains(&***name)).cloned().collect()
}

/// What the kernel's routing says of addresses: a socket for each family, made when it is first needed and kept for
/// all that are asked for.
#[derive(Default)]
struct Routes {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Routes {
    /// Whether the kernel delivers an address to itself by a local route for a whole network (`ip route add local`).
    ///
    /// To reach such an address it takes that very address as the source. A bind would tell less: with
    /// `ip_nonlocal_bind`, which directors often set, it succeeds for every address.
    fn lead_here(&mut self, ip: IpAddr) -> bool {
        let (socket, any): (_, IpAddr) = match ip {
            IpAddr::V4(_) => (&mut self.v4, Ipv4Addr::UNSPECIFIED.into()),
            IpAddr::V6(_) => (&mut self.v6, Ipv6Addr::UNSPECIFIED.into()),
        };
        if socket.is_none() {
            *socket = UdpSocket::bind((any, 0)).ok();
        }
        let Some(connected) = socket.as_ref() else {
            return false;
        };
        let source = connected.connect((ip, 9)).and_then(|()| connected.local_addr());
        // It forgets its source again; one that cannot is replaced.
        if rustix::net::connect_unspec(connected).is_err() {
            *socket = None;
        }
        source.is_ok_and(|source| source.ip() == ip)
    }
}

// include/uapi/linux/netlink.h, rtnetlink.h, if_addr.h
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Bytes of a netlink header, and of the `ifaddrmsg` before the attributes.
const HEADER: usize = 16;
const IFADDRMSG: usize = 8;

/// Every address of every interface.
fn assigned() -> io::Result<BTreeSet<IpAddr>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    let mut bytes = [0; HEADER + IFADDRMSG];
    let mut request = NetlinkBuffer::new(&mut bytes[..]);
    request.set_length(24);
    request.set_message_type(RTM_GETADDR);
    request.set_flags(NLM_F_REQUEST_DUMP);
    socket.send(&bytes, 0)?;
    let mut addresses = BTreeSet::new();
    loop {
        let (reply, _) = socket.recv_from_full()?;
        if read_all(&reply, &mut addresses)? {
            return Ok(addresses);
        }
    }
}

/// Reads the messages of one datagram; true after the last one of the dump.
fn read_all(mut bytes: &[u8], addresses: &mut BTreeSet<IpAddr>) -> io::Result<bool> {
    while !bytes.is_empty() {
        let message = NetlinkBuffer::new_checked(bytes).map_err(io::Error::other)?;
        match message.message_type() {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(io::Error::other("the kernel lists no addresses")),
            RTM_NEWADDR => addresses.extend(address(message.payload())),
            _ => (),
        }
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// The address of one RTM_NEWADDR: `IFA_LOCAL`, or `IFA_ADDRESS` where that is absent, as for IPv6.
fn address(payload: &[u8]) -> Option<IpAddr> {
    let attributes = payload.get(IFADDRMSG..)?;
    let value = |kind: u16| {
        NlasIterator::new(attributes)
            .map_while(Result::ok)
            .find(|attribute| attribute.kind() == kind)
            .and_then(|attribute| ip(attribute.value()))
    };
    value(IFA_LOCAL).or_else(|| value(IFA_ADDRESS))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_socket_tells_of_one_address_after_the_other() {
        let mut kept = Routes::default();
        // Whatever this machine makes of them, in any order.
        for ip in
            ["127.0.0.9", "192.0.2.1", "127.0.0.1", "::1", "192.0.2.2", "2001:db8::1", "127.0.0.9"]
        {
            let ip = ip.parse().unwrap();
            assert_eq!(kept.lead_here(ip), Routes::default().lead_here(ip), "{ip}");
        }
        assert!(kept.lead_here("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn loopback_is_local_and_a_documentation_address_is_not() {
        // 127.1.2.3 is in no list of addresses: all of 127.0.0.0/8 is a local route.
        let local: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(127, 1, 2, 3).into()];
        let foreign: IpAddr = Ipv4Addr::new(192, 0, 2, 77).into();
        let asked = BTreeSet::from_iter(local.into_iter().chain([foreign]));
        assert_eq!(absent(&asked), BTreeSet::from([foreign]));
    }

    #[test]
    fn the_kernels_list_holds_the_loopback_address() {
        assert!(assigned().unwrap().contains(&IpAddr::from(Ipv4Addr::LOCALHOST)));
    }

    #[test]
    fn every_prefix_of_a_reply_is_read_without_a_panic() {
        // RTM_NEWADDR of 127.0.0.1 with IFA_ADDRESS and IFA_LOCAL, then NLMSG_DONE (rtnetlink(7)).
        let mut reply = vec![0_u8; 0];
        reply.extend([40_u32.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat());
        reply[4..6].copy_from_slice(&RTM_NEWADDR.to_ne_bytes());
        reply.extend([2, 8, 0, 254, 1, 0, 0, 0]);
        for kind in [IFA_ADDRESS, IFA_LOCAL] {
            reply.extend(8_u16.to_ne_bytes());
            reply.extend(kind.to_ne_bytes());
            reply.extend([127, 0, 0, 1]);
        }
        let mut done = [20_u32.to_ne_bytes(), [0; 4], [0; 4], [0; 4], [0; 4]].concat();
        done[4..6].copy_from_slice(&NLMSG_DONE.to_ne_bytes());
        reply.extend(done);
        let mut addresses = BTreeSet::new();
        assert!(read_all(&reply, &mut addresses).unwrap());
        assert_eq!(addresses, BTreeSet::from([IpAddr::from(Ipv4Addr::LOCALHOST)]));
        for end in 0..reply.len() {
            let mut addresses = BTreeSet::new();
            assert!(!matches!(read_all(&reply[..end], &mut addresses), Ok(true)), "{end}");
        }
    }
}
