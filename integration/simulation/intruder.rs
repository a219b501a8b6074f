//! Another program that writes the kernel's table: services of its own, and ours.

use std::net::SocketAddr;

use pgvs::model::destination::{
    Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use pgvs::model::op::Op;
use pgvs::model::service::{Family, Scheduler, Service, ServiceKey};

use crate::kernel::{Author, FLUSH_LIMIT, SCHEDULERS};
use crate::setup;
use crate::world::{MS, World};

impl World {
    /// One change by the other program, of its own services or of ours.
    pub(crate) fn intrude(&mut self) {
        match self.rng.u8(0..10) {
            0..3 => self.intrude_own(),
            3 => self.flush_all(),
            _ => self.intrude_ours(),
        }
    }

    /// `ipvsadm -C`, and sysctls and timeouts as in a kernel that was just started.
    pub(crate) fn flush_all(&mut self) {
        self.note("another program clears the table and the settings".into());
        self.settings.forget();
        let keys: Vec<_> = self.kernel.services.keys().copied().collect();
        let flush = self.rng.u64(MS..FLUSH_LIMIT);
        self.kernel.flush(Author::Intruder, flush, self.now);
        for key in keys {
            self.watch_other(key);
        }
        self.watch.foreign.clear();
    }

    pub(crate) fn write_as_other(&mut self, op: &Op) {
        if self.troubles.is_kernel_gone {
            return;
        }
        let flush = self.rng.u64(MS..FLUSH_LIMIT);
        // What does not fit is refused to them as well.
        if self.kernel.carry_out(op, Author::Intruder, flush, self.now).is_ok() {
            self.note(format!("another program: {op}"));
            self.watch_other(op.service());
        }
    }

    pub(crate) fn intrude_own(&mut self) {
        let key = setup::foreign(self.rng.u8(1..5));
        let to = DestinationKey(SocketAddr::from(([10, 99, 0, self.rng.u8(1..5)], 80)));
        let destination = Destination::plain(Forwarding::DirectRoute, Weight(self.rng.u32(0..5)));
        let op = match self.rng.u8(0..5) {
            0 | 1 => Op::AddService(key, self.any_service()),
            2 => Op::DeleteService(key),
            3 => Op::AddDestination(key, to, destination),
            _ => Op::EditDestination(key, to, destination),
        };
        self.write_as_other(&op);
        match self.kernel.services.get(&key) {
            Some(service) => self.watch.foreign.insert(key, service.entry()),
            None => self.watch.foreign.remove(&key),
        };
    }

    pub(crate) fn any_service(&mut self) -> Service {
        let scheduler = Scheduler::new(setup::pick(&mut self.rng, &SCHEDULERS)).unwrap();
        Service::plain(scheduler, Family::V4)
    }

    fn intrude_ours(&mut self) {
        let place = self.rng.usize(0..self.config.services.len());
        let key = self.config.services[place].key;
        let Some(there) = self.destinations(key) else { return };
        let any = (!there.is_empty()).then(|| setup::pick(&mut self.rng, &there));
        let weight = Weight(setup::pick(&mut self.rng, &[0, 0, 1, 100, 500]));
        let op = match (self.rng.u8(0..9), any) {
            (0, Some((to, old))) => {
                let thresholds = Thresholds { upper: 7, lower: 0 };
                let tunnel = Tunnel { kind: Tunnel::GUE, port: 7, flags: 0 };
                Op::EditDestination(key, to, Destination { thresholds, tunnel, ..old })
            }
            (1..4, Some((to, old))) => Op::EditDestination(key, to, old.with_weight(weight)),
            (4 | 5, Some((to, _))) => Op::DeleteDestination(key, to),
            (6, _) => Op::DeleteService(key),
            (7, _) => Op::EditService(key, self.any_service()),
            _ => {
                let number = self.rng.u8(1..=9);
                let to = DestinationKey(SocketAddr::from(([10, 8, 0, number], 5432)));
                Op::AddDestination(key, to, Destination::plain(Forwarding::Masquerade, weight))
            }
        };
        self.write_as_other(&op);
    }

    fn destinations(&self, key: ServiceKey) -> Option<Vec<(DestinationKey, Destination)>> {
        let service = self.kernel.services.get(&key)?;
        Some(service.destinations.iter().map(|(&to, it)| (to, it.destination)).collect())
    }
}
