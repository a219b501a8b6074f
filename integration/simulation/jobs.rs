//! The simulated netlink thread: one job at a time, with its latency, its losses and its inconsistent dumps.

use std::collections::BTreeSet;

use pgvs::engine::event::Event;
use pgvs::model::op::{Errno, Op};
use pgvs::model::service::ServiceKey;
use pgvs::model::table::Table;
use pgvs::wire::proc::ProcTable;

use crate::kernel::{Author, FLUSH_LIMIT};
use crate::world::{At, MS, What, World};

/// What the thread is doing.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Reads the table; what it was at the beginning, and how often others had written it by then.
    Dump {
        confirm: Vec<ServiceKey>,
        before: Table,
        writes: u64,
    },
    Check,
    /// Carries out what is left of a transaction.
    Apply {
        ops: std::collections::VecDeque<Op>,
        results: Vec<(Op, Result<(), Errno>)>,
        /// Ends without a result when so many are left.
        breaks_at: Option<usize>,
        gap: At,
    },
}

impl World {
    fn begin(&mut self, job: Job, wait: At) {
        let daemon = self.daemon.as_mut().unwrap();
        let life = daemon.life;
        if let Some(old) = daemon.job.replace(job) {
            self.fail(&format!("a request of the kernel while another is under way: {old:?}"));
        }
        self.after(wait, What::Job(life));
    }

    fn latency(&mut self) -> At {
        match self.troubles.is_kernel_slow {
            true => self.rng.u64(MS..200 * MS),
            false => self.about(200, 20 * MS),
        }
    }

    pub(crate) fn begin_dump(&mut self, confirm: Vec<ServiceKey>) {
        let wait = self.latency();
        let (before, writes) = (self.kernel.table(), self.watch.writes_of_others);
        self.begin(Job::Dump { confirm, before, writes }, wait);
    }

    pub(crate) fn begin_check(&mut self) {
        let wait = self.latency();
        self.begin(Job::Check, wait);
    }

    pub(crate) fn begin_apply(&mut self, ops: Vec<Op>) {
        for op in &ops {
            self.note(format!("wants to {op}"));
        }
        self.watch_decision(&ops);
        let latency = match ops.first() {
            Some(Op::EditService(..)) => 130 * MS,
            Some(_) | None => self.latency(),
        };
        let gap = latency / (ops.len() as u64 + 1);
        let is_lost = self.troubles.is_kernel_flaky && self.rng.u8(0..4) == 0;
        let breaks_at = is_lost.then(|| self.rng.usize(0..=ops.len()));
        let daemon = self.daemon.as_mut().unwrap();
        daemon.transactions += 1;
        daemon.is_settled = false;
        self.begin(Job::Apply { ops: ops.into(), results: Vec::new(), breaks_at, gap }, gap);
    }

    pub(crate) fn job(&mut self, life: u64) {
        if let Some(wait) = self.standstill() {
            self.after(wait, What::Job(life));
            return;
        }
        let Some(daemon) = self.daemon.as_mut().filter(|daemon| daemon.life == life) else {
            return;
        };
        let event = match daemon.job.clone().unwrap() {
            Job::Dump { confirm, before, writes } => self.dumped(&confirm, before, writes),
            Job::Check => self.checked(),
            Job::Apply { breaks_at: Some(left), ops, .. } if ops.len() <= left => {
                self.note("the kernel's answer is lost".into());
                Event::KernelFailed("apply: no buffer space available".into())
            }
            Job::Apply { ops, results, .. } if ops.is_empty() => Event::Applied(results),
            Job::Apply { .. } if self.troubles.is_kernel_gone => self.gone(),
            Job::Apply { mut ops, mut results, breaks_at, gap } => {
                let op = ops.pop_front().unwrap();
                let result = self.carry_out(&op);
                results.push((op, result));
                let job = Job::Apply { ops, results, breaks_at, gap };
                self.daemon.as_mut().unwrap().job = Some(job);
                self.after(gap.max(1), What::Job(life));
                return;
            }
        };
        self.after(self.now % 7 * 10, What::Arrive(life, event));
    }

    /// One change by the daemon, and everything that must hold after it.
    pub(crate) fn carry_out(&mut self, op: &Op) -> Result<(), Errno> {
        if self.troubles.is_kernel_gone {
            return Err(Errno::ENOENT);
        }
        self.rival(op);
        let before = self.watch_before(op);
        let is_short = self.troubles.is_kernel_flaky && self.rng.u8(0..10) == 0;
        let flush = self.rng.u64(MS..FLUSH_LIMIT);
        let result = if is_short {
            Err(Errno::ENOMEM)
        } else {
            self.kernel.carry_out(op, Author::Daemon, flush, self.now)
        };
        self.note(format!("kernel: {op}: {result:?}"));
        self.watch_after(op, result, &before);
        result
    }

    fn dumped(&mut self, confirm: &[ServiceKey], before: Table, writes: u64) -> Event {
        if let Some(failed) = self.mute() {
            return failed;
        }
        if self.troubles.is_kernel_flaky && self.rng.u8(0..6) == 0 {
            return Event::KernelFailed("dump: no buffer space available".into());
        }
        let mut table = self.kernel.table();
        if self.watch.writes_of_others != writes {
            self.tear(&mut table, before);
            for key in confirm {
                if let Some(service) = self.kernel.services.get(key) {
                    table.services.entry(*key).or_insert_with(|| service.entry());
                }
            }
        }
        Event::Dumped(table, self.kernel.counters(self.now))
    }

    /// A dump during which others wrote: partly as it was before, and with entries missed.
    fn tear(&mut self, table: &mut Table, before: Table) {
        for (key, entry) in before.services {
            if self.rng.u8(0..4) == 0 && table.services.contains_key(&key) {
                table.services.insert(key, entry);
            }
        }
        let keys: BTreeSet<_> = table.services.keys().copied().collect();
        for key in keys {
            if self.rng.u8(0..8) == 0 {
                table.services.remove(&key);
            } else if let Some(entry) = table.services.get_mut(&key) {
                entry.destinations.retain(|_, _| self.rng.u8(0..12) > 0);
            }
        }
    }

    fn checked(&mut self) -> Event {
        if self.troubles.is_kernel_gone {
            return self.gone();
        }
        if self.troubles.is_kernel_flaky && self.rng.u8(0..10) == 0 {
            return Event::KernelFailed("read /proc/net/ip_vs: interrupted".into());
        }
        match ProcTable::parse(&self.kernel.list(self.now)) {
            Ok(list) => Event::Checked(list),
            Err(error) => self.fail(&format!("the kernel's list is not understood: {error}")),
        }
    }
}
