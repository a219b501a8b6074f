//! The codec against what a real kernel sent and took (integration/golden/netlink.txt), both ways.

use proptest::prelude::*;

use super::DecodeError;
use super::message::{Message, Payload, messages};
use super::reply::{DestinationReply, Reply};
use super::request::{Envelope, Request};
use crate::model::destination::{
    Connections, Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use crate::model::kernel::{
    IpvsInfo, ListedService, SyncDaemon, SyncRole, Timeouts, Traffic, Version,
};
use crate::model::op::{Errno, Op};
use crate::model::service::{Family, Netmask, Scheduler, Service, ServiceFlags, ServiceKey};

const GOLDEN: &str = include_str!("../../integration/golden/netlink.txt");

/// The family's number when the bytes were captured.
const FAMILY: u16 = 28;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const ACK: u16 = 5;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;

#[test]
fn our_requests_are_the_golden_ones_byte_for_byte() {
    let v4 = ServiceKey::tcp("10.100.0.1:5432".parse().unwrap());
    let v6 = ServiceKey::tcp("[2001:db8::1]:5432".parse().unwrap());
    let wlc = Service::plain(Scheduler::new("wlc").unwrap(), Family::V4);
    let server = DestinationKey("10.200.0.5:5432".parse().unwrap());
    let masq = Destination::plain(Forwarding::Masquerade, Weight(7));
    let cases = [
        ("NEW_SERVICE 10.100.0.1:5432 tcp wlc", Request::op(&Op::AddService(v4, wlc)), ACK),
        (
            "NEW_DEST 10.200.0.5:5432 masq w7",
            Request::op(&Op::AddDestination(v4, server, masq)),
            ACK,
        ),
        ("GET_INFO", Request::info(), REQUEST),
        ("GET_CONFIG", Request::config(), REQUEST),
        ("GET_SERVICE dump", Request::services(), DUMP),
        ("GET_DAEMON dump", Request::daemons(), DUMP),
        ("GET_DEST dump svc1", Request::destinations(v4), DUMP),
        ("GET_DEST dump fwm7", Request::destinations(fwmark(7)), DUMP),
        ("GET_DEST dump v6", Request::destinations(v6), DUMP),
        ("GET_SERVICE do missing fwm 99", Request::service(fwmark(99)), REQUEST),
    ];
    for (label, request, flags) in cases {
        let golden = bytes_of(label);
        let sequence = u32::from_ne_bytes(golden[8..12].try_into().unwrap());
        assert_eq!(hex(&encode(request, flags, sequence)), hex(&golden), "{label}");
    }
}

#[test]
fn acknowledgements_and_errors_carry_the_sequence_number_of_their_request() {
    let sequence = |index: usize| replies_to("NEW_SERVICE 10.100.0.1:5432 tcp wlc")[index].clone();
    assert_eq!(sequence(0), message(2, Payload::Acknowledged));
    assert_eq!(sequence(1), message(3, Payload::Refused(Errno::EEXIST)));
    assert_eq!(
        replies_to("GET_SERVICE do missing fwm 99"),
        [message(12, Payload::Refused(Errno::ESRCH))]
    );
}

#[test]
fn info_and_config_are_read() {
    let info = IpvsInfo { version: Version(0x01_02_01), table_size: 4096 };
    assert_eq!(info.version.to_string(), "1.2.1");
    assert_eq!(replies_to("GET_INFO"), [message(5, Payload::Reply(Reply::Info(info)))]);
    let timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };
    assert_eq!(replies_to("GET_CONFIG"), [message(6, Payload::Reply(Reply::Config(timeouts)))]);
}

#[test]
fn sync_daemons_are_read() {
    let mut master = SyncDaemon::new(SyncRole::Master);
    (master.interface, master.sync_id, master.ttl) = ("d0".into(), 5, Some(1));
    (master.max_length, master.port) = (Some(1472), Some(8848));
    master.group = Some("224.0.0.81".parse().unwrap());
    let replies = replies_to("GET_DAEMON dump");
    assert_eq!(replies.first().unwrap().payload, Payload::Reply(Reply::Daemon(master)));
}

#[test]
fn services_are_read_in_their_normal_form() {
    let replies = replies_to("GET_SERVICE dump");
    assert_eq!(replies.last(), Some(&message(8, Payload::Done)));
    let services: Vec<ListedService> = replies.iter().filter_map(service_in).collect();
    let listed = |key, service| ListedService {
        key,
        service,
        traffic: Some(Traffic::default()),
        destinations: Vec::new(),
    };
    let v6 = ServiceKey::tcp("[2001:db8::1]:5432".parse().unwrap());
    let expected = [
        listed(
            ServiceKey::tcp("10.100.0.1:5432".parse().unwrap()),
            Service::plain(Scheduler::new("wlc").unwrap(), Family::V4),
        ),
        listed(
            v6,
            Service {
                scheduler: Scheduler::new("rr").unwrap(),
                flags: ServiceFlags::PERSISTENT,
                timeout: 60,
                netmask: Netmask::V6(64),
                persistence_engine: None,
            },
        ),
        listed(
            fwmark(7),
            Service {
                scheduler: Scheduler::new("sh").unwrap(),
                flags: ServiceFlags::PERSISTENT
                    .with(ServiceFlags::SCHED_1)
                    .with(ServiceFlags::SCHED_2),
                timeout: 300,
                netmask: Netmask::V4("255.255.255.0".parse().unwrap()),
                persistence_engine: None,
            },
        ),
    ];
    assert_eq!(services, expected);
}

#[test]
fn destinations_are_read_with_thresholds_and_tunnel() {
    let replies = replies_to("GET_DEST dump svc1");
    let listed: Vec<_> = replies
        .iter()
        .filter_map(|reply| Some(destination_in(reply)?.of_service(Family::V4)))
        .collect();
    let gue = Destination {
        forwarding: Forwarding::Tunnel,
        weight: Weight(3),
        thresholds: Thresholds { upper: 100, lower: 50 },
        tunnel: Tunnel { kind: 1, port: 6080, flags: 1 },
    };
    let masq = Destination::plain(Forwarding::Masquerade, Weight(7));
    let read: Vec<_> = listed.iter().map(|it| (it.key, it.destination)).collect();
    assert_eq!(
        read,
        [
            (DestinationKey("10.200.0.6:5432".parse().unwrap()), gue),
            (DestinationKey("10.200.0.5:5432".parse().unwrap()), masq),
        ]
    );
    assert!(listed.iter().all(|it| it.connections == Connections::default()));
    let key_of = |label: &str, family| {
        let replies = replies_to(label);
        destination_in(&replies[0]).unwrap().of_service(family).key
    };
    assert_eq!(key_of("GET_DEST dump fwm7", Family::V4).to_string(), "10.5.5.5:0");
    assert_eq!(key_of("GET_DEST dump v6", Family::V6).to_string(), "[2001:db8::abcd]:5432");
}

#[test]
fn every_golden_reply_is_read_to_its_end() {
    let replies = blocks().into_iter().filter(|(label, _)| label.starts_with("  "));
    for (label, bytes) in replies {
        for message in messages::<Reply>(&bytes, |_| true) {
            assert!(message.is_ok(), "{label}: {message:?}");
        }
    }
}

#[test]
fn every_prefix_of_a_golden_message_is_an_error_or_fewer_messages() {
    for (label, bytes) in blocks() {
        let whole = messages::<Reply>(&bytes, |_| true).count();
        for length in 0..bytes.len() {
            let read: Vec<_> = messages::<Reply>(&bytes[..length], |_| true).collect();
            let cut = read.len() < whole || read.iter().any(Result::is_err);
            assert!(cut, "{label}: {length} bytes of {}", bytes.len());
        }
    }
}

#[test]
fn a_prefix_inside_the_attributes_is_an_error_even_if_the_header_agrees() {
    let bytes = bytes_of("NEW_SERVICE 10.100.0.1:5432 tcp wlc");
    for length in 20..bytes.len() {
        let mut cut = bytes[..length].to_vec();
        cut[0..4].copy_from_slice(&u32::try_from(length).unwrap().to_ne_bytes());
        let read: Vec<_> = messages::<Reply>(&cut, |_| true).collect();
        assert!(matches!(read[..], [Err(_)]), "{length}: {read:?}");
    }
}

#[test]
fn the_error_for_a_missing_attribute_names_it() {
    let whole = bytes_of_reply("GET_SERVICE dump");
    for (number, name) in [
        (1, "IPVS_SVC_ATTR_AF"),
        (2, "IPVS_SVC_ATTR_PROTOCOL"),
        (3, "IPVS_SVC_ATTR_ADDR"),
        (4, "IPVS_SVC_ATTR_PORT"),
        (6, "IPVS_SVC_ATTR_SCHED_NAME"),
        (7, "IPVS_SVC_ATTR_FLAGS"),
        (8, "IPVS_SVC_ATTR_TIMEOUT"),
        (9, "IPVS_SVC_ATTR_NETMASK"),
    ] {
        assert_eq!(
            error_without(&whole, number),
            Some(format!("the kernel's message lacks {name}"))
        );
    }
    let whole = bytes_of_reply("GET_DEST dump svc1");
    for (number, name) in [
        (1, "IPVS_DEST_ATTR_ADDR"),
        (2, "IPVS_DEST_ATTR_PORT"),
        (3, "IPVS_DEST_ATTR_FWD_METHOD"),
        (4, "IPVS_DEST_ATTR_WEIGHT"),
        (5, "IPVS_DEST_ATTR_U_THRESH"),
        (6, "IPVS_DEST_ATTR_L_THRESH"),
        (7, "IPVS_DEST_ATTR_ACTIVE_CONNS"),
        (8, "IPVS_DEST_ATTR_INACT_CONNS"),
        (9, "IPVS_DEST_ATTR_PERSIST_CONNS"),
    ] {
        assert_eq!(
            error_without(&whole, number),
            Some(format!("the kernel's message lacks {name}"))
        );
    }
    // What older kernels do not send may be missing.
    for number in [10, 11, 12, 13, 14, 15] {
        assert_eq!(error_without(&whole, number), None, "{number}");
    }
}

proptest! {
    #[test]
    fn mutated_messages_never_panic(
        block in 0..64_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let blocks = blocks();
        let mut bytes = blocks[block % blocks.len()].1.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        // Whatever comes out is fine; the number of messages is bounded by their headers.
        prop_assert!(messages::<Reply>(&bytes, |_| true).count() <= bytes.len() / 16 + 1);
    }

    #[test]
    fn random_attributes_never_panic(command in 0..20_u8, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = vec![0, 0, 0, 0, 28, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, command, 1, 0, 0];
        bytes.extend(body);
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        prop_assert_eq!(messages::<Reply>(&bytes, |_| true).count(), 1);
    }
}

/// What a reply says when the attribute of that number is taken out of its nest; `None` if nothing is missed.
fn error_without(datagram: &[u8], number: u16) -> Option<String> {
    let length = usize::try_from(u32::from_ne_bytes(datagram[0..4].try_into().unwrap())).unwrap();
    let mut bytes = datagram[..length].to_vec();
    // An unknown number in place of the known one: the attribute is skipped, and its known meaning is missing.
    let mut at = 24;
    while at < bytes.len() {
        let size = u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap());
        let kind = u16::from_ne_bytes(bytes[at + 2..at + 4].try_into().unwrap());
        if kind == number {
            bytes[at + 2..at + 4].copy_from_slice(&999_u16.to_ne_bytes());
        }
        at += usize::from(size).next_multiple_of(4);
    }
    match messages::<Reply>(&bytes, |_| true).next().unwrap() {
        Ok(_) => None,
        Err(DecodeError::Malformed(error)) => Some(error.to_string()),
        Err(other) => panic!("{other}"),
    }
}

fn service_in(message: &Message<Reply>) -> Option<ListedService> {
    if let Payload::Reply(Reply::Service(service)) = &message.payload {
        return Some(service.clone());
    }
    None
}

fn destination_in(message: &Message<Reply>) -> Option<DestinationReply> {
    if let Payload::Reply(Reply::Destination(destination)) = &message.payload {
        return Some(destination.clone());
    }
    None
}

fn message(sequence: u32, payload: Payload<Reply>) -> Message<Reply> {
    Message { sequence, payload }
}

fn fwmark(mark: u32) -> ServiceKey {
    ServiceKey::FwMark { family: Family::V4, mark }
}

fn encode(request: Request, flags: u16, sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let envelope = Envelope { family: FAMILY, flags, sequence };
    request.append(envelope, &mut bytes);
    bytes
}

/// Every block of the file with its label: requests start at the margin, replies are indented.
fn blocks() -> Vec<(&'static str, Vec<u8>)> {
    let mut blocks: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut size = 0;
    for line in GOLDEN.lines() {
        if let Some((label, rest)) = line.rsplit_once(" (")
            && let Some(bytes) = rest.strip_suffix(" bytes)")
        {
            size = bytes.parse().unwrap();
            blocks.push((label, Vec::new()));
        } else if let Some((_, block)) = blocks.last_mut()
            && block.len() < size
        {
            let digits = line.as_bytes().chunks(2);
            block.extend(
                digits.map(|pair| {
                    u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()
                }),
            );
            assert!(block.len() <= size);
        }
    }
    assert!(blocks.len() > 20, "the golden file is read");
    blocks
}

fn bytes_of(label: &str) -> Vec<u8> {
    let blocks = blocks();
    let (_, bytes) = blocks.iter().find(|(it, _)| *it == label).unwrap();
    bytes.clone()
}

/// The first reply to a request.
fn bytes_of_reply(label: &str) -> Vec<u8> {
    let blocks = blocks();
    let request = blocks.iter().position(|(it, _)| *it == label).unwrap();
    blocks[request + 1].1.clone()
}

/// The messages of every reply to a request.
fn replies_to(label: &str) -> Vec<Message<Reply>> {
    let blocks = blocks();
    let request = blocks.iter().position(|(it, _)| *it == label).unwrap();
    blocks[request + 1..]
        .iter()
        .take_while(|(it, _)| it.starts_with("  "))
        .flat_map(|(_, bytes)| {
            messages::<Reply>(bytes, |_| true).map(Result::unwrap).collect::<Vec<_>>()
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
