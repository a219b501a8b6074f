//! The kernel's table read back three ways, none of them ours: by neli over netlink, by /proc, by ipvsadm.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};
use neli::attr::Attribute;
use neli::consts::genl::{Cmd, NlAttrType};
use neli::consts::nl::NlmF;
use neli::consts::socket::NlFamily;
use neli::genl::{
    AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, Nlattr, NlattrBuilder, NoUserHeader,
};
use neli::nl::{NlPayload, NlmsghdrBuilder};
use neli::router::synchronous::NlRouter;
use neli::socket::synchronous::NlSocketHandle;
use neli::types::{Buffer, GenlBuffer};
use neli::utils::Groups;

use crate::net::Namespace;
use crate::table::{Destination, Key, Service, Table};

/// Commands, include/uapi/linux/ip_vs.h `IPVS_CMD_*`.
#[neli::neli_enum(serialized_type = "u8")]
pub(crate) enum Ask {
    GetService = 4,
    GetDestination = 8,
}
impl Cmd for Ask {}

/// Top-level attributes, `IPVS_CMD_ATTR_*`.
#[neli::neli_enum(serialized_type = "u16")]
pub(crate) enum Top {
    Service = 1,
    Destination = 2,
}
impl NlAttrType for Top {}

/// What a service carries, `IPVS_SVC_ATTR_*`.
#[neli::neli_enum(serialized_type = "u16")]
pub(crate) enum Svc {
    Family = 1,
    Protocol = 2,
    Address = 3,
    Port = 4,
    Mark = 5,
    Scheduler = 6,
    Flags = 7,
    Timeout = 8,
    Netmask = 9,
    Engine = 11,
}
impl NlAttrType for Svc {}

/// What a destination carries, `IPVS_DEST_ATTR_*`.
#[neli::neli_enum(serialized_type = "u16")]
pub(crate) enum Dest {
    Address = 1,
    Port = 2,
    Method = 3,
    Weight = 4,
    Upper = 5,
    Lower = 6,
    Active = 7,
    Inactive = 8,
    Family = 11,
    TunnelKind = 13,
    TunnelPort = 14,
    TunnelFlags = 15,
}
impl NlAttrType for Dest {}

/// The table of the director as /proc/net/ip_vs shows it.
pub(crate) fn by_proc() -> Result<Table> {
    Table::parse(&proc_text()?)
}

/// The director's /proc/net/ip_vs.
pub(crate) fn proc_text() -> Result<String> {
    Namespace::Director.inside(|| {
        std::fs::read_to_string("/proc/thread-self/net/ip_vs").context("read /proc/net/ip_vs")
    })
}

/// What `ipvsadm` prints with these arguments in the director.
pub(crate) fn ipvsadm(arguments: &[&str]) -> Result<String> {
    Namespace::Director.inside(|| {
        let output = Command::new("ipvsadm").args(arguments).output().context("start ipvsadm")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ipvsadm {}: {}", arguments.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    })
}

/// The number that the kernel gave the netlink family IPVS.
pub(crate) fn family() -> Result<u16> {
    Namespace::Director.inside(|| Ok(Neli::open()?.family))
}

/// The table of the director as neli reads it.
pub(crate) fn by_neli() -> Result<Table> {
    Namespace::Director.inside(|| {
        let mut neli = Neli::open()?;
        let mut table = Table::default();
        for service in neli.dump(Ask::GetService, None)? {
            let mut read = read_service(&service)?;
            for bytes in neli.dump(Ask::GetDestination, Some(&read.identity))? {
                let (address, destination) = read_destination(&bytes)?;
                read.service.destinations.insert(address, destination);
            }
            table.0.insert(read.key, read.service);
        }
        Ok(table)
    })
}

pub(crate) type Nest = Nlattr<Top, Buffer>;
type Answer = Genlmsghdr<Ask, Top>;

/// neli's socket in the calling thread's network namespace.
///
/// neli's router receives on a thread of its own, and Linux cannot have that: `recvmsg` looks whether a dump is
/// under way before it takes the lock, finds it ended by the sending thread, and leaves EINVAL behind for the next
/// call (`netlink_recvmsg`, `netlink_dump`). So dumps are sent and read on one thread, without the router.
pub(crate) struct Neli {
    socket: NlSocketHandle,
    family: u16,
    sequence: u32,
}

impl Neli {
    /// Opens the socket and looks for the family; that is no dump, so the router may do it.
    pub(crate) fn open() -> Result<Self> {
        let (router, _multicast) = NlRouter::connect(NlFamily::Generic, Some(0), Groups::empty())
            .map_err(words("open a netlink socket"))?;
        let family = router.resolve_genl_family("IPVS").map_err(words("resolve IPVS"))?;
        let socket = NlSocketHandle::connect(NlFamily::Generic, None, Groups::empty());
        let socket = socket.map_err(words("open a netlink socket"))?;
        Ok(Self { socket, family, sequence: 0 })
    }

    /// One dump: the nests that came.
    pub(crate) fn dump(&mut self, ask: Ask, service: Option<&[u8]>) -> Result<Vec<Nest>> {
        let wanted = if ask == Ask::GetService { Top::Service } else { Top::Destination };
        let mut attributes = GenlBuffer::<Top, Buffer>::new();
        if let Some(bytes) = service {
            attributes.push(nest(Top::Service, bytes)?);
        }
        let request = GenlmsghdrBuilder::<Ask, Top, NoUserHeader>::default()
            .cmd(ask)
            .version(1)
            .attrs(attributes)
            .build()
            .map_err(words("build a request"))?;
        self.sequence += 1;
        let message = NlmsghdrBuilder::default()
            .nl_type(self.family)
            .nl_flags(NlmF::REQUEST | NlmF::DUMP)
            .nl_seq(self.sequence)
            .nl_payload(NlPayload::Payload(request))
            .build()
            .map_err(words("build a message"))?;
        self.socket.send(&message).map_err(words("send a request"))?;
        let mut found = Vec::new();
        loop {
            let (answers, _) =
                self.socket.recv::<u16, Answer>().map_err(words("receive an answer"))?;
            for answer in answers {
                let answer = answer.map_err(words("read an answer"))?;
                ensure!(*answer.nl_seq() == self.sequence, "neli: an answer to another request");
                match answer.nl_payload() {
                    NlPayload::Payload(body) => {
                        let nests = body.attrs().iter();
                        let nests = nests.filter(|it| *it.nla_type().nla_type() == wanted);
                        found.extend(nests.cloned());
                    }
                    NlPayload::DumpExtAck(_) | NlPayload::Empty => return Ok(found),
                    NlPayload::Ack(_) => (),
                    NlPayload::Err(error) => bail!("neli: refused: {}", error.error()),
                }
            }
        }
    }
}

struct Read {
    key: Key,
    identity: Vec<u8>,
    service: Service,
}

fn read_service(nest: &Nest) -> Result<Read> {
    let attributes = nest.get_attr_handle::<Svc>().map_err(words("read a service"))?;
    let field = |kind| attributes.get_attribute(kind).map(|found| found.payload().as_ref());
    let family: [u8; 2] = sized(field(Svc::Family), "AF")?;
    let mut identity = raw(Svc::Family, &family);
    let key = if let Some(mark) = field(Svc::Mark) {
        identity.extend(raw(Svc::Mark, mark));
        Key::Mark(u32::from_ne_bytes(sized(Some(mark), "FWMARK")?))
    } else {
        let protocol: [u8; 2] = sized(field(Svc::Protocol), "PROTOCOL")?;
        let port: [u8; 2] = sized(field(Svc::Port), "PORT")?;
        let address: [u8; 16] = sized(field(Svc::Address), "ADDR")?;
        identity.extend(raw(Svc::Protocol, &protocol));
        identity.extend(raw(Svc::Address, &address));
        identity.extend(raw(Svc::Port, &port));
        let address = ip(u16::from_ne_bytes(family), address);
        let address = SocketAddr::new(address, u16::from_be_bytes(port));
        Key::Address(u16::from_ne_bytes(protocol), address)
    };
    let name = field(Svc::Scheduler).context("a service without a scheduler")?;
    let scheduler = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
    Ok(Read { key, identity, service: Service { scheduler, destinations: BTreeMap::new() } })
}

fn read_destination(nest: &Nest) -> Result<(SocketAddr, Destination)> {
    let attributes = nest.get_attr_handle::<Dest>().map_err(words("read a destination"))?;
    let field = |kind| attributes.get_attribute(kind).map(|found| found.payload().as_ref());
    let number = |kind, name| Ok::<_, anyhow::Error>(u32::from_ne_bytes(sized(field(kind), name)?));
    let family = u16::from_ne_bytes(sized(field(Dest::Family), "ADDR_FAMILY")?);
    let port = u16::from_be_bytes(sized(field(Dest::Port), "PORT")?);
    let address = SocketAddr::new(ip(family, sized(field(Dest::Address), "ADDR")?), port);
    let method = number(Dest::Method, "FWD_METHOD")? & 7;
    let forwarding = ["Masq", "Local", "Tunnel", "Route", "Bypass"]
        .get(usize::try_from(method)?)
        .with_context(|| format!("forwarding method {method}"))?;
    let destination = Destination {
        weight: number(Dest::Weight, "WEIGHT")?,
        forwarding: (*forwarding).to_owned(),
        active: number(Dest::Active, "ACTIVE_CONNS")?,
        inactive: number(Dest::Inactive, "INACT_CONNS")?,
    };
    Ok((address, destination))
}

pub(crate) fn ip(family: u16, bytes: [u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = bytes;
    if family == 10 {
        IpAddr::V6(Ipv6Addr::from(bytes))
    } else {
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    }
}

pub(crate) fn sized<const N: usize>(bytes: Option<&[u8]>, name: &str) -> Result<[u8; N]> {
    let bytes = bytes.with_context(|| format!("attribute {name} is missing"))?;
    <[u8; N]>::try_from(bytes)
        .with_context(|| format!("attribute {name} has {} bytes", bytes.len()))
}

/// One attribute in bytes: u16 length with its own 4 bytes, u16 type, padding to 4.
pub(crate) fn raw(kind: Svc, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), u16::from(kind).to_ne_bytes()].concat();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn nest(kind: Top, bytes: &[u8]) -> Result<Nlattr<Top, Buffer>> {
    NlattrBuilder::default()
        .nla_type(
            AttrTypeBuilder::default()
                .nla_nested(true)
                .nla_type(kind)
                .build()
                .map_err(words("build an attribute"))?,
        )
        .nla_payload(Buffer::from(bytes))
        .build()
        .map_err(words("build an attribute"))
}

pub(crate) fn words<E: Debug>(what: &'static str) -> impl FnOnce(E) -> anyhow::Error {
    move |error| anyhow!("neli: {what}: {error:?}")
}
