//! Reading the table from a kernel that others write at the same time.

use std::collections::VecDeque;

use super::*;
use crate::host::netlink::fake::{
    self, Fake, Sent, answered, destination, done, family, refuse, requests_in,
};
use crate::model::destination::{Connections, Destination, DestinationKey, Forwarding, Weight};
use crate::model::service::{Family, Scheduler, Service};

/// Commands, include/uapi/linux/ip_vs.h.
const GET_SERVICE: u8 = 4;
const GET_DEST: u8 = 8;

#[test]
fn an_expected_service_that_the_dump_missed_is_asked_for_by_key() {
    let world = World { exist: vec![key(1), key(2)], dumped: vec![key(1)], ..World::default() };
    let (table, _) = world.dump(&[key(1), key(2), key(3)]);
    assert_eq!(table.services.keys().collect::<Vec<_>>(), [&key(1), &key(2)]);
    let (table, _) = world.dump(&[]);
    assert_eq!(table.services.keys().collect::<Vec<_>>(), [&key(1)]);
}

#[test]
fn a_service_that_comes_twice_is_one() {
    let world = World {
        exist: vec![key(1)],
        dumped: vec![key(1), key(1)],
        servers: vec![server(1), server(1)],
    };
    let (table, counters) = world.dump(&[]);
    assert_eq!(table.services.len(), 1);
    assert_eq!(table.services[&key(1)].destinations.len(), 1);
    assert_eq!(counters[&(key(1), server(1))], CONNECTIONS);
}

#[test]
fn a_service_that_vanished_meanwhile_is_not_taken_for_an_empty_one() {
    let world = World { exist: vec![key(1)], dumped: vec![key(1), key(2)], ..World::default() };
    let (table, _) = world.dump(&[]);
    assert_eq!(table.services.keys().collect::<Vec<_>>(), [&key(1)]);
    assert!(table.services[&key(1)].destinations.is_empty());
}

#[test]
fn a_list_keeps_the_order_of_the_kernel() {
    let world = World {
        exist: vec![key(2), key(1)],
        dumped: vec![key(2), key(1)],
        servers: vec![server(9), server(3)],
    };
    let list = world.kernel().list().unwrap();
    assert_eq!(list.iter().map(|it| it.key).collect::<Vec<_>>(), [key(2), key(1)]);
    let servers: Vec<_> = list[0].destinations.iter().map(|it| it.key).collect();
    assert_eq!(servers, [server(9), server(3)]);
}

#[test]
fn without_the_capability_the_error_says_so() {
    let fake = answered(|bytes| {
        let sent = &requests_in(bytes)[0];
        let reply = match sent.kind {
            fake::FAMILY => refuse(sent, 1),
            _ => family(sent, fake::FAMILY),
        };
        VecDeque::from([Ok(reply)])
    });
    let error = Kernel::over(fake).unwrap().dump(&[]).unwrap_err();
    assert!(error.is_permission());
    let text = error.to_string();
    assert!(text.starts_with("read the services of IPVS: not permitted"), "{text}");
    assert!(text.contains("CAP_NET_ADMIN"), "{text}");
}

#[test]
fn a_kernel_without_ipvs_is_named() {
    let fake = answered(|bytes| VecDeque::from([Ok(refuse(&requests_in(bytes)[0], 2))]));
    let error = Kernel::over(fake).err().unwrap();
    assert!(matches!(error, KernelError::NoIpvs));
    assert!(error.to_string().contains("modprobe ip_vs"));
}

#[test]
fn an_unknown_result_names_what_was_attempted() {
    let fake = answered(|bytes| {
        let sent = &requests_in(bytes)[0];
        match sent.kind {
            fake::FAMILY => VecDeque::new(),
            _ => VecDeque::from([Ok(family(sent, fake::FAMILY))]),
        }
    });
    let mut kernel = Kernel::over(fake).unwrap();
    let error = kernel.apply(&[Op::DeleteService(key(1))]).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("delete service TCP 10.0.0.1:1: no reply"), "{text}");
}

const CONNECTIONS: Connections = Connections { active: 3, inactive: 2, persistent: 1 };

/// What the kernel shows at each question.
#[derive(Clone, Default)]
struct World {
    /// The services that a keyed question finds.
    exist: Vec<ServiceKey>,
    /// What a dump shows.
    dumped: Vec<ServiceKey>,
    /// The destinations of every service that exists.
    servers: Vec<DestinationKey>,
}

impl World {
    fn kernel(&self) -> Kernel<Fake> {
        let world = self.clone();
        let mut resolved = false;
        let fake = answered(move |bytes| {
            let sent = requests_in(bytes);
            match std::mem::replace(&mut resolved, true) {
                false => VecDeque::from([Ok(family(&sent[0], fake::FAMILY))]),
                true => VecDeque::from([Ok(world.answer(&sent[0]))]),
            }
        });
        Kernel::over(fake).unwrap()
    }

    fn dump(&self, confirm: &[ServiceKey]) -> (Table, Counters) {
        self.kernel().dump(confirm).unwrap()
    }

    fn answer(&self, request: &Sent) -> Vec<u8> {
        let is_dump = request.flags & 0x300 == 0x300;
        let plain = Service::plain(Scheduler::new("rr").unwrap(), Family::V4);
        let show = |key: &ServiceKey| fake::service(request, *key, &plain);
        match (request.body[0], is_dump) {
            (GET_SERVICE, true) => {
                let services: Vec<_> = self.dumped.iter().map(show).collect();
                [services.concat(), done(request)].concat()
            }
            (GET_SERVICE, false) => match self.exist.iter().find(|key| asks_for(request, **key)) {
                Some(key) => [show(key), fake::acknowledge(request)].concat(),
                None => refuse(request, 3),
            },
            (GET_DEST, true) if self.exist.iter().any(|key| asks_for(request, *key)) => {
                let masq = Destination::plain(Forwarding::Masquerade, Weight(1));
                let show = |key: &DestinationKey| destination(request, *key, masq, CONNECTIONS);
                let servers: Vec<_> = self.servers.iter().map(show).collect();
                [servers.concat(), done(request)].concat()
            }
            (GET_DEST, true) => done(request),
            other => panic!("{other:?}"),
        }
    }
}

/// Whether the request names that service.
fn asks_for(request: &Sent, key: ServiceKey) -> bool {
    let mut bytes = Vec::new();
    let envelope = crate::wire::request::Envelope { family: fake::FAMILY, flags: 0, sequence: 0 };
    Request::service(key).append(envelope, &mut bytes);
    // Behind the generic netlink header, which holds the command.
    request.body[4..] == bytes[20..]
}

fn key(port: u16) -> ServiceKey {
    ServiceKey::tcp(([10, 0, 0, 1], port).into())
}

fn server(last: u8) -> DestinationKey {
    DestinationKey(([10, 0, 1, last], 5432).into())
}
