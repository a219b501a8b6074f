//! The codec against itself: whatever we can send is read back as the same nouns, counters included.

use netlink_packet_core::Emitable;
use netlink_packet_generic::GenlHeader;
use proptest::option;
use proptest::prelude::*;

use super::attr::{AttrWriter, Attrs};
use super::ids::{Id, command, dest, stats, svc, top};
use super::reply::Reply;
use super::request::Request;
use crate::model::destination::{
    Connections, Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use crate::model::kernel::{ListedDestination, Rate, Traffic};
use crate::model::op::Op;
use crate::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};
use std::net::{IpAddr, SocketAddr};

proptest! {
    #[test]
    fn services_survive_the_way_to_bytes_and_back((key, service) in any_service()) {
        for op in [Op::AddService(key, service.clone()), Op::EditService(key, service.clone())] {
            let read = Reply::decode(&body(&Request::op(&op)), header(command::NEW_SERVICE));
            let Ok(Reply::Service(read)) = read else { panic!("{read:?}") };
            prop_assert_eq!(read.key, key);
            prop_assert_eq!(&read.service, &service);
            prop_assert_eq!(read.traffic, None);
        }
    }

    #[test]
    fn destinations_survive_the_way_to_bytes_and_back(
        service in any_service(),
        (key, destination) in any_destination(),
        connections in any::<(u32, u32, u32)>(),
    ) {
        let (service, _) = service;
        for op in [
            Op::AddDestination(service, key, destination),
            Op::EditDestination(service, key, destination),
        ] {
            let request = Request::op(&op);
            let read = as_reply(&request, connections);
            prop_assert_eq!(read.of_service(service.family()), ListedDestination {
                key,
                destination,
                connections: Connections {
                    active: connections.0,
                    inactive: connections.1,
                    persistent: connections.2,
                },
                traffic: None,
            });
        }
    }
}

#[test]
fn an_edit_of_a_destination_says_everything_even_zeros() {
    let service = ServiceKey::tcp("10.0.0.1:5432".parse().unwrap());
    let key = DestinationKey("10.0.0.2:5432".parse().unwrap());
    let plain = Destination::plain(Forwarding::Masquerade, Weight(1));
    let request = body(&Request::op(&Op::EditDestination(service, key, plain)));
    let attrs = Attrs::read(&request).unwrap();
    let destination = Attrs::read(attrs.bytes(top::DEST).unwrap()).unwrap();
    for id in [
        dest::ADDR,
        dest::PORT,
        dest::FWD_METHOD,
        dest::WEIGHT,
        dest::U_THRESH,
        dest::L_THRESH,
        dest::ADDR_FAMILY,
        dest::TUN_TYPE,
        dest::TUN_PORT,
        dest::TUN_FLAGS,
    ] {
        assert!(destination.has(id), "{}", id.name);
    }
}

#[test]
fn a_service_without_persistence_still_sends_the_whole_ipv6_netmask() {
    let key = ServiceKey::tcp("[2001:db8::1]:5432".parse().unwrap());
    let service = Service::plain(Scheduler::new("rr").unwrap(), Family::V6);
    let request = body(&Request::op(&Op::AddService(key, service)));
    let attrs = Attrs::read(&request).unwrap();
    let attrs = Attrs::read(attrs.bytes(top::SERVICE).unwrap()).unwrap();
    assert_eq!(attrs.u32(svc::NETMASK).unwrap(), 128);
}

#[test]
fn the_flag_of_the_kernel_is_not_part_of_the_normal_form() {
    let flags = ServiceFlags::PERSISTENT.with(ServiceFlags::HASHED);
    let bytes = emit(|attrs| {
        attrs.text(svc::SCHED_NAME, "rr");
        attrs.pair(svc::FLAGS, flags.0, u32::MAX);
        attrs.u32(svc::TIMEOUT, 300);
        attrs.bytes4(svc::NETMASK, [255; 4]);
    });
    let key = ServiceKey::tcp("10.0.0.1:5432".parse().unwrap());
    let service = Service::decode(&Attrs::read(&bytes).unwrap(), key).unwrap();
    assert_eq!(service.flags, ServiceFlags::PERSISTENT);
}

#[test]
fn of_the_forwarding_method_only_the_lowest_three_bits_count() {
    let bytes = emit(|attrs| {
        attrs.u32(dest::FWD_METHOD, 0x0100 | 3);
        attrs.u32(dest::WEIGHT, 1);
        attrs.u32(dest::U_THRESH, 0);
        attrs.u32(dest::L_THRESH, 0);
    });
    let read = Destination::decode(&Attrs::read(&bytes).unwrap()).unwrap();
    assert_eq!(read.forwarding, Forwarding::DirectRoute);
}

#[test]
fn a_destination_without_a_family_has_its_services() {
    let plain = Destination::plain(Forwarding::Masquerade, Weight(1));
    for has_zero in [false, true] {
        let bytes = emit(|attrs| {
            attrs.nest(top::DEST, |attrs| {
                attrs.address(dest::ADDR, "2001:db8::5".parse().unwrap());
                attrs.be16(dest::PORT, 5432);
                plain.encode(super::destination::Zeros::Omitted, attrs);
                counters(attrs, (0, 0, 0));
                if has_zero {
                    attrs.u16(dest::ADDR_FAMILY, 0);
                }
            });
        });
        let Ok(Reply::Destination(read)) = Reply::decode(&bytes, header(command::NEW_DEST)) else {
            panic!("a destination");
        };
        let key = read.of_service(Family::V6).key;
        assert_eq!(key.to_string(), "[2001:db8::5]:5432");
    }
}

#[test]
fn counters_of_64_bits_are_preferred_to_those_of_32() {
    let wide = u64::from(u32::MAX) + 7;
    let write_narrow =
        |attrs: &mut AttrWriter| attrs.nest(dest::STATS, |attrs| narrow_counters(attrs, 3));
    let narrow = emit(write_narrow);
    let both = emit(|attrs| {
        write_narrow(attrs);
        attrs.nest(dest::STATS64, |attrs| wide_counters(attrs, wide));
    });
    let read = |bytes: &[u8]| {
        Traffic::decode(&Attrs::read(bytes).unwrap(), dest::STATS64, dest::STATS).unwrap()
    };
    assert_eq!(read(&both), Some(all_counters(wide)));
    assert_eq!(read(&narrow), Some(all_counters(3)));
    assert_eq!(read(&[]), None);
}

#[test]
fn unknown_attributes_are_skipped_and_wrong_lengths_are_not() {
    let future = Id { number: 77, name: "IPVS_CMD_ATTR_FUTURE" };
    let info = super::ids::info::VERSION;
    let size = super::ids::info::CONN_TAB_SIZE;
    let fine = emit(|attrs| {
        attrs.u32(info, 1);
        attrs.text(future, "hello");
        attrs.u32(size, 4096);
    });
    assert!(matches!(Reply::decode(&fine, header(command::SET_INFO)), Ok(Reply::Info(_))));
    let short = emit(|attrs| {
        attrs.u32(info, 1);
        attrs.u16(size, 4096);
    });
    assert_eq!(
        Reply::decode(&short, header(command::SET_INFO)).unwrap_err().to_string(),
        "IPVS_INFO_ATTR_CONN_TAB_SIZE is 2 bytes long, not 4"
    );
}

/// The request's destination as the kernel would send it back, with counters.
fn as_reply(request: &Request, connections: (u32, u32, u32)) -> super::reply::DestinationReply {
    let bytes = body(request);
    let attrs = Attrs::read(&bytes).unwrap();
    let mut nest = attrs.bytes(top::DEST).unwrap().to_vec();
    nest.extend(emit(|attrs| counters(attrs, connections)));
    let length = u16::try_from(nest.len() + 4).unwrap();
    let mut reply = [length.to_ne_bytes(), top::DEST.number.to_ne_bytes()].concat();
    reply.extend(nest);
    match Reply::decode(&reply, header(command::NEW_DEST)) {
        Ok(Reply::Destination(destination)) => destination,
        other => panic!("{other:?}"),
    }
}

fn counters(attrs: &mut AttrWriter, (active, inactive, persistent): (u32, u32, u32)) {
    attrs.u32(dest::ACTIVE_CONNS, active);
    attrs.u32(dest::INACT_CONNS, inactive);
    attrs.u32(dest::PERSIST_CONNS, persistent);
}

const COUNTERS: [Id; 10] = [
    stats::CONNS,
    stats::INPKTS,
    stats::OUTPKTS,
    stats::INBYTES,
    stats::OUTBYTES,
    stats::CPS,
    stats::INPPS,
    stats::OUTPPS,
    stats::INBPS,
    stats::OUTBPS,
];

/// With the padding that the kernel puts before 64-bit values.
fn wide_counters(attrs: &mut AttrWriter, value: u64) {
    let padding = Id { number: 11, name: "IPVS_STATS_ATTR_PAD" };
    for id in COUNTERS {
        attrs.nest(padding, |_| ());
        attrs.u64(id, value);
    }
}

fn narrow_counters(attrs: &mut AttrWriter, value: u32) {
    for id in COUNTERS {
        match id {
            stats::INBYTES | stats::OUTBYTES => attrs.u64(id, value.into()),
            _ => attrs.u32(id, value),
        }
    }
}

fn all_counters(value: u64) -> Traffic {
    Traffic {
        connections: value,
        packets_in: value,
        packets_out: value,
        bytes_in: value,
        bytes_out: value,
        rate: Rate {
            connections: value,
            packets_in: value,
            packets_out: value,
            bytes_in: value,
            bytes_out: value,
        },
    }
}

fn header(cmd: u8) -> GenlHeader {
    GenlHeader { cmd, version: 1 }
}

fn body(request: &Request) -> Vec<u8> {
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(&mut bytes);
    bytes
}

fn emit(write: impl FnOnce(&mut AttrWriter)) -> Vec<u8> {
    let mut attrs = AttrWriter::default();
    write(&mut attrs);
    attrs.bytes().to_vec()
}

fn any_service() -> impl Strategy<Value = (ServiceKey, Service)> {
    let key = prop_oneof![
        (any::<u16>(), any::<IpAddr>(), any::<u16>()).prop_map(|(protocol, ip, port)| {
            ServiceKey::Address { protocol: Protocol(protocol), address: SocketAddr::new(ip, port) }
        }),
        (any_family(), any::<u32>()).prop_map(|(family, mark)| ServiceKey::FwMark { family, mark }),
    ];
    let engine = option::of("[a-z]{1,15}").prop_map(|name| name.map(String::into_boxed_str));
    (key, "[a-z0-9-]{1,15}", any::<u32>(), any::<u32>(), any::<[u8; 4]>(), engine).prop_map(
        |(key, scheduler, flags, timeout, mask, persistence_engine)| {
            let service = Service {
                scheduler: Scheduler::new(&scheduler).unwrap(),
                flags: ServiceFlags(flags).without(ServiceFlags::HASHED),
                timeout,
                netmask: match key.family() {
                    Family::V4 => Netmask::V4(mask.into()),
                    Family::V6 => Netmask::V6(mask[0]),
                },
                persistence_engine,
            };
            (key, service)
        },
    )
}

fn any_destination() -> impl Strategy<Value = (DestinationKey, Destination)> {
    let forwarding = prop_oneof![
        Just(Forwarding::Masquerade),
        Just(Forwarding::Local),
        Just(Forwarding::Tunnel),
        Just(Forwarding::DirectRoute),
        (4..=7_u8).prop_map(Forwarding::Other),
    ];
    let tunnel = (any::<u8>(), any::<u16>(), any::<u16>());
    let numbers = any::<(u32, u32, u32)>();
    (any::<(IpAddr, u16)>(), forwarding, numbers, tunnel).prop_map(
        |((ip, port), forwarding, (weight, upper, lower), (kind, tunnel_port, flags))| {
            let destination = Destination {
                forwarding,
                weight: Weight(weight),
                thresholds: Thresholds { upper, lower },
                tunnel: Tunnel { kind, port: tunnel_port, flags },
            };
            (DestinationKey(SocketAddr::new(ip, port)), destination)
        },
    )
}

fn any_family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}
