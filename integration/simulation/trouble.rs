//! What breaks on the kernel's side: it is slow, loses replies, refuses everything, lacks a scheduler's module or IPVS
//! itself, and another program writes the same services between our look and our deed.

use pgvs::engine::event::Event;
use pgvs::engine::table::destination_of;
use pgvs::model::destination::{Destination, DestinationKey, Forwarding, Weight};
use pgvs::model::op::{Errno, Op};

use crate::faults::Relief;
use crate::kernel::SCHEDULERS;
use crate::setup;
use crate::world::{MS, SECOND, What, World};

impl World {
    pub(crate) fn break_kernel(&mut self) {
        match self.rng.u8(0..8) {
            0 => self.troubles.is_kernel_slow = true,
            1 => self.troubles.is_kernel_flaky = true,
            2 | 3 => self.refuse_everything(),
            4 => self.lose_scheduler(),
            5 => self.remove_module(),
            _ => {
                self.note("another program writes what we write".into());
                self.troubles.is_rival = true;
            }
        }
        self.note("the kernel is in trouble".into());
        let wait = self.rng.u64(100 * MS..6 * SECOND);
        self.troubles.kernel_until = self.now + wait + 40 * SECOND;
        self.after(wait, What::Relief(Relief::Kernel));
    }

    fn refuse_everything(&mut self) {
        let all = [Errno::EPERM, Errno::ENOMEM, Errno::EBUSY, Errno::EMSGSIZE, Errno::ENOPROTOOPT];
        let errno = setup::pick(&mut self.rng, &all);
        self.note(format!("the kernel refuses everything: {errno}"));
        self.kernel.refuses = Some(errno);
    }

    /// A scheduler's module cannot be loaded; mostly one that is wanted.
    fn lose_scheduler(&mut self) {
        let services = &self.config.services;
        let wanted = services[self.rng.usize(0..services.len())].service.scheduler.clone();
        let wanted = SCHEDULERS.into_iter().find(|&name| name == wanted.as_str());
        let any = setup::pick(&mut self.rng, &SCHEDULERS);
        let name = wanted.filter(|_| self.rng.u8(0..4) > 0).unwrap_or(any);
        self.note(format!("the scheduler {name} is gone"));
        self.kernel.build.missing.insert(name);
    }

    /// `ipvsadm -C; rmmod ip_vs`, and nothing loads it again for a while.
    fn remove_module(&mut self) {
        self.note("the module is removed".into());
        self.flush_all();
        self.kernel.trash.clear();
        self.troubles.is_kernel_gone = true;
    }

    pub(crate) fn relieve_kernel(&mut self) {
        if std::mem::take(&mut self.troubles.is_kernel_gone) {
            self.note("the module is back".into());
            self.settings.forget();
        }
        self.troubles.is_kernel_slow = false;
        self.troubles.is_kernel_flaky = false;
        self.troubles.is_rival = false;
        self.kernel.refuses = None;
        self.kernel.build.missing.clear();
    }

    /// Why nothing can be asked over netlink at all.
    pub(crate) fn mute(&self) -> Option<Event> {
        if self.troubles.is_kernel_gone {
            return Some(self.gone());
        }
        let is_unable = self.kernel.refuses == Some(Errno::EPERM);
        is_unable.then(|| Event::KernelFailed("read the services of IPVS: not permitted".into()))
    }

    /// What is said where the module is not there.
    pub(crate) fn gone(&self) -> Event {
        Event::KernelFailed("look for IPVS in the kernel: it has none".into())
    }

    /// The other program is quicker: it spoils what the change is about.
    pub(crate) fn rival(&mut self, op: &Op) {
        if !self.troubles.is_rival || self.rng.u8(0..3) > 0 {
            return;
        }
        let key = op.service();
        let weight = Weight(self.rng.u32(0..3));
        let theirs = Destination::plain(Forwarding::Masquerade, weight);
        let stranger = DestinationKey(([10, 8, 0, 9], 5432).into());
        let op = match (self.rng.u8(0..6), destination_of(op)) {
            (0, _) => Op::DeleteService(key),
            (1, _) => Op::AddDestination(key, stranger, theirs),
            (2, Some(to)) => Op::DeleteDestination(key, to),
            (3, Some(to)) => Op::AddDestination(key, to, theirs),
            (_, Some(to)) => Op::EditDestination(key, to, theirs),
            (_, None) => Op::AddService(key, self.any_service()),
        };
        self.write_as_other(&op);
    }
}
