//! Everything of the director's table that can be set, read by neli and put into the library's nouns, so
//! that the library's own reading of the kernel has something to agree with.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use neli::attr::Attribute;
use neli::consts::genl::NlAttrType;
use neli::genl::Nlattr;
use neli::types::Buffer;
use pgvs::model::destination::{
    Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use pgvs::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};
use pgvs::model::table::{Entry, Table};

use crate::kernel::{Ask, Dest, Neli, Nest, Svc, ip, sized, words};
use crate::net::Namespace;

/// `IP_VS_SVC_F_HASHED`, which the kernel owns.
const HASHED: u32 = 2;

/// The whole table of the director.
pub(crate) fn table() -> Result<Table> {
    Namespace::Director.inside(|| {
        let mut reader = Neli::open()?;
        let mut table = Table::default();
        for nest in reader.dump(Ask::GetService, None)? {
            let (key, service, identity) = read_service(&nest)?;
            let mut entry = Entry { service, destinations: [].into() };
            for nest in reader.dump(Ask::GetDestination, Some(&identity))? {
                let (key, destination) = read_destination(&nest)?;
                entry.destinations.insert(key, destination);
            }
            table.services.insert(key, entry);
        }
        Ok(table)
    })
}

fn read_service(nest: &Nest) -> Result<(ServiceKey, Service, Vec<u8>)> {
    let attributes = nest.get_attr_handle::<Svc>().map_err(words("read a service"))?;
    let field = |kind| value(attributes.get_attribute(kind));
    let number = |kind, name| Ok::<_, anyhow::Error>(u32::from_ne_bytes(sized(field(kind), name)?));
    let short = |kind, name| Ok::<_, anyhow::Error>(u16::from_ne_bytes(sized(field(kind), name)?));
    let af = short(Svc::Family, "AF")?;
    let family = match af {
        2 => Family::V4,
        10 => Family::V6,
        other => bail!("address family {other}"),
    };
    let key = if field(Svc::Mark).is_some() {
        let mark = number(Svc::Mark, "FWMARK")?;
        ServiceKey::FwMark { family, mark }
    } else {
        let port = u16::from_be_bytes(sized(field(Svc::Port), "PORT")?);
        let address = ip(af, sized(field(Svc::Address), "ADDR")?);
        ServiceKey::Address {
            protocol: Protocol(short(Svc::Protocol, "PROTOCOL")?),
            address: SocketAddr::new(address, port),
        }
    };
    let flags: [u8; 8] = sized(field(Svc::Flags), "FLAGS")?;
    let flags = u32::from_ne_bytes([flags[0], flags[1], flags[2], flags[3]]);
    let mask: [u8; 4] = sized(field(Svc::Netmask), "NETMASK")?;
    let scheduler = text(field(Svc::Scheduler)).context("a service without a scheduler")?;
    let service = Service {
        scheduler: Scheduler::new(&scheduler).context("the name of a scheduler")?,
        flags: ServiceFlags(flags & !HASHED),
        timeout: number(Svc::Timeout, "TIMEOUT")?,
        netmask: match family {
            Family::V4 => Netmask::V4(Ipv4Addr::from(mask)),
            Family::V6 => Netmask::V6(u8::try_from(u32::from_ne_bytes(mask))?),
        },
        persistence_engine: text(field(Svc::Engine)).map(String::into_boxed_str),
    };
    let identity = [Svc::Family, Svc::Protocol, Svc::Address, Svc::Port, Svc::Mark];
    let identity = identity.into_iter().filter_map(|kind| Some(raw(u16::from(kind), field(kind)?)));
    Ok((key, service, identity.flatten().collect()))
}

fn read_destination(nest: &Nest) -> Result<(DestinationKey, Destination)> {
    let attributes = nest.get_attr_handle::<Dest>().map_err(words("read a destination"))?;
    let field = |kind| value(attributes.get_attribute(kind));
    let number = |kind, name| Ok::<_, anyhow::Error>(u32::from_ne_bytes(sized(field(kind), name)?));
    let family = u16::from_ne_bytes(sized(field(Dest::Family), "ADDR_FAMILY")?);
    let port = u16::from_be_bytes(sized(field(Dest::Port), "PORT")?);
    let address = ip(family, sized(field(Dest::Address), "ADDR")?);
    let forwarding = match number(Dest::Method, "FWD_METHOD")? & 7 {
        0 => Forwarding::Masquerade,
        1 => Forwarding::Local,
        2 => Forwarding::Tunnel,
        3 => Forwarding::DirectRoute,
        other => Forwarding::Other(u8::try_from(other)?),
    };
    let [kind] = sized(field(Dest::TunnelKind), "TUN_TYPE")?;
    let destination = Destination {
        forwarding,
        weight: Weight(number(Dest::Weight, "WEIGHT")?),
        thresholds: Thresholds {
            upper: number(Dest::Upper, "U_THRESH")?,
            lower: number(Dest::Lower, "L_THRESH")?,
        },
        tunnel: Tunnel {
            kind,
            port: u16::from_be_bytes(sized(field(Dest::TunnelPort), "TUN_PORT")?),
            flags: u16::from_ne_bytes(sized(field(Dest::TunnelFlags), "TUN_FLAGS")?),
        },
    };
    Ok((DestinationKey(SocketAddr::new(address, port)), destination))
}

fn value<T: NlAttrType>(attribute: Option<&Nlattr<T, Buffer>>) -> Option<&[u8]> {
    attribute.map(|found| found.payload().as_ref())
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    let text = String::from_utf8_lossy(bytes?).into_owned();
    Some(text.trim_end_matches('\0').to_owned())
}

/// One attribute in bytes: u16 length with its own 4 bytes, u16 type, padding to 4.
fn raw(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
