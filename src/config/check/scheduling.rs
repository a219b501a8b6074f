//! How the kernel schedules a service: its scheduler with flags, persistence, and one-packet scheduling.
//!
//! The kernel takes any combination; what it would not do then, or what ipvsadm(8) refuses, is refused here.

use super::Check;
use super::choices::{FLAGS, Habit, SCHEDULERS};
use super::persistence::MaskAt;
use super::value::{self, Written, each, either, written};
use crate::config::Target;
use crate::config::file;
use crate::config::outside::module_of;
use crate::config::report::{Draft, Place};
use crate::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};

/// What all keys of a service have in common.
#[derive(Debug)]
pub(super) struct Scheduling {
    scheduler: Scheduler,
    flags: ServiceFlags,
    timeout: u32,
    mask: Option<MaskAt>,
    engine: Option<Box<str>>,
}

impl Scheduling {
    /// What the kernel is told of a service of this family.
    pub(super) fn service(&self, family: Family) -> Service {
        let mask = self.mask.and_then(|at| at.fitting(family));
        Service {
            scheduler: self.scheduler.clone(),
            flags: self.flags,
            timeout: self.timeout,
            netmask: mask.unwrap_or_else(|| Netmask::host(family)),
            persistence_engine: self.engine.clone(),
        }
    }
}

impl Check<'_> {
    /// Reads the defaults of all this by themselves.
    pub(super) fn scheduling_defaults(&mut self) {
        let none = file::Service::default();
        let scheduler = self.scheduler_word(0, &none);
        let scheduler = scheduler.as_ref().map_or("wlc", |(scheduler, ..)| scheduler.as_str());
        self.flags(0, &none, scheduler);
        self.timeout(0, &none);
        self.mask(0, &none);
    }

    /// How a service is scheduled; `None` if the scheduler was refused.
    pub(super) fn scheduling(
        &mut self,
        number: usize,
        file: &file::Service,
        pool: Option<&str>,
        target: Option<Target>,
        keys: &[(ServiceKey, Place)],
    ) -> Option<Scheduling> {
        let scheduler = self.scheduler_word(number, file);
        let name =
            scheduler.as_ref().map_or("wlc", |(scheduler, ..)| scheduler.as_str()).to_owned();
        let (mut flags, timeout) = (self.flags(number, file, &name), self.timeout(number, file));
        let mask = self.mask(number, file);
        let engine = self.engine(number, file, keys);
        self.persistence(number, file, timeout, keys);
        if let Some(mask) = mask {
            self.mask_fits(mask, keys);
        }
        if timeout > 0 {
            flags = flags.with(ServiceFlags::PERSISTENT);
        }
        if self.is_one_packet(number, file, keys) {
            flags = flags.with(ServiceFlags::ONE_PACKET);
        }
        let (scheduler, habit, written) = scheduler?;
        let place = written.map(|written| written.place).or(keys.first().map(|(_, at)| *at));
        if let Some(place) = place {
            self.missing_scheduler(&scheduler, place);
        }
        // A writer is one server: whatever the scheduler, it gets everything.
        if let (Some(habit), Some(written)) = (habit, written)
            && target != Some(Target::Primary)
        {
            let known = pool.and_then(|pool| self.pools.get(pool));
            let differing = known.and_then(|known| known.differing);
            let surprise = surprise(scheduler.as_str(), habit, written, differing);
            surprise.into_iter().for_each(|draft| self.report.warning(draft));
        }
        let mask = mask.filter(|_| timeout > 0);
        Some(Scheduling { scheduler, flags, timeout, mask, engine })
    }

    /// The scheduler, how it treats weights if that is known, and where it is written. The kernel's set is open: what
    /// it has as a module is accepted as well as what we know.
    fn scheduler_word<'a>(
        &mut self,
        number: usize,
        file: &'a file::Service,
    ) -> Option<(Scheduler, Option<Habit>, Option<Written<'a>>)>
    where
        Self: 'a,
    {
        let Some(written) = either(number, &file.scheduler, &self.defaults.service.0.scheduler)
        else {
            return Some((Scheduler::new("wlc")?, Some(Habit::Weighs), None));
        };
        let name = value::text(self.report, written)?;
        let known =
            SCHEDULERS.words.iter().find(|(word, _)| *word == name).map(|(_, habit)| *habit);
        let has_module = self.host.has_module(&module_of(name));
        let scheduler = Scheduler::new(name);
        match (known, has_module, scheduler) {
            (Some(_), _, Some(scheduler)) | (None, Some(true), Some(scheduler)) => {
                Some((scheduler, known, Some(written)))
            }
            (None, None, Some(scheduler)) if !value::is_nearly(name, &SCHEDULERS) => {
                let draft = Draft::new(format!("scheduler {name} is not known here"))
                    .at(written.place, "is it one of the kernel's?");
                self.report.warning(draft.help(format!(
                    "the kernel refuses the service unless it has a module ip_vs_{name}"
                )));
                Some((scheduler, None, Some(written)))
            }
            (None, _, _) | (Some(_), _, None) => {
                value::choice(self.report, written, &SCHEDULERS);
                None
            }
        }
    }

    /// One that we know and this kernel lacks: it may be meant for another host, so it is no error.
    fn missing_scheduler(&mut self, scheduler: &Scheduler, place: Place) {
        let module = module_of(scheduler.as_str());
        if self.host.has_module(&module) == Some(false) {
            let draft = Draft::new(format!("this host's kernel has no scheduler {scheduler}"));
            self.report.warning(draft.at(place, "not in this kernel").help(format!(
                "install the module {module}, or write another scheduler: without it the kernel refuses the service"
            )));
        }
    }

    /// The scheduler's flags. Those of the defaults go with the scheduler of the defaults.
    fn flags(&mut self, number: usize, file: &file::Service, scheduler: &str) -> ServiceFlags {
        let default = &self.defaults.service.0.scheduler_flags;
        let (place, list) = match (&file.scheduler_flags, &file.scheduler) {
            (Some(_), _) => (number, &file.scheduler_flags),
            (None, None) => (0, default),
            (None, Some(_)) => (number, &file.scheduler_flags),
        };
        if list.is_none() {
            // Without it clients of a quiesced server are refused.
            return match scheduler {
                "sh" | "mh" => ServiceFlags::SCHED_1,
                _ => ServiceFlags::default(),
            };
        }
        let mut flags = ServiceFlags::default();
        for written in each(place, list) {
            let Some((of, flag)) = value::choice(self.report, written, &FLAGS) else {
                continue;
            };
            if of.is_some_and(|of| of != scheduler) {
                let draft = Draft::new(format!(
                    "a flag of scheduler {}, and this one is {scheduler}",
                    of.unwrap_or_default()
                ));
                let help = match scheduler {
                    "sh" | "mh" => format!("write {scheduler}-fallback or {scheduler}-port"),
                    _ => "leave it out: only sh and mh have flags with names".to_owned(),
                };
                self.report.error(draft.at(written.place, "another scheduler's").help(help));
            }
            flags = flags.with(flag);
        }
        flags
    }

    fn is_one_packet(
        &mut self,
        number: usize,
        file: &file::Service,
        keys: &[(ServiceKey, Place)],
    ) -> bool {
        let Some(written) = written(number, file.ops.as_ref()) else {
            return false;
        };
        let is_on = value::boolean(self.report, Some(written), false);
        if is_on && !keys.iter().all(|(key, _)| may_be_udp(*key)) {
            let draft = Draft::new("one-packet scheduling is for UDP and firewall marks");
            let help = "leave it out: the packets of a connection must reach one server";
            self.report.error(draft.at(written.place, "not UDP").help(help));
        }
        is_on
    }
}

/// Whether its packets may be UDP's, for all that its key says.
pub(super) const fn may_be_udp(key: ServiceKey) -> bool {
    match key {
        ServiceKey::Address { protocol, .. } => matches!(protocol, Protocol::UDP),
        ServiceKey::FwMark { .. } => true,
    }
}

/// What will surprise about a scheduler.
fn surprise(
    name: &str,
    habit: Habit,
    written: Written<'_>,
    differing: Option<(Place, Place)>,
) -> Option<Draft> {
    match (habit, differing) {
        (Habit::ByDestination, _) => Some(
            Draft::new(format!("scheduler {name} chooses by the address that clients ask for"))
                .at(written.place, "the same for all clients")
                .help("it is made for caches; write wlc, or sh to keep a client at its server"),
        ),
        (Habit::Ignores, Some((one, other))) => Some(
            Draft::new(format!("scheduler {name} ignores weights"))
                .at(written.place, "ignores weights")
                .at(one, "one weight")
                .at(other, "and another")
                .help(format!("write w{name}")),
        ),
        (Habit::Ignores, None) | (Habit::Weighs | Habit::Hashes, _) => None,
    }
}
