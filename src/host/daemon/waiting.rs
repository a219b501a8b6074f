//! Answers to the operator that wait for the kernel: a reload for its acknowledgement, others for a quiet moment.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::engine::controller::Controller;
use crate::engine::event::{Event, Transition};
use crate::host::effects::words;
use crate::model::service::ServiceKey;
use crate::time::Time;

/// So many failures of the kernel in a row are an answer too; the first is repeated at once.
const FAILURES: u32 = 2;

/// What came of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// Changes that the kernel acknowledged.
    pub(super) changes: u64,
    /// What it refused, and was not mended since.
    pub(super) refused: Vec<String>,
    /// It cannot be read or written at all.
    pub(super) failed: Option<String>,
    /// Nothing is written on the operator's word.
    pub(super) is_paused: bool,
}

/// The engine as it was in a quiet moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// A copy of it.
    pub(super) controller: Box<Controller>,
    /// The moment.
    pub(super) now: Time,
}

/// Who waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    for_settled: Vec<Reload>,
    for_quiet: Vec<Quiet>,
    failures: u32,
    last_failure: String,
}

#[derive(Debug)]
struct Reload {
    reply: oneshot::Sender<Settled>,
    changes: u64,
    refused: BTreeMap<ServiceKey, String>,
    /// Settings beside the table that could not be read or set.
    unset: Vec<String>,
}

#[derive(Debug)]
enum Quiet {
    Snapshot(oneshot::Sender<Snapshot>),
    Done(oneshot::Sender<()>),
}

impl Reload {
    fn end(self, failed: Option<String>, is_paused: bool) {
        let refused = self.unset.into_iter().chain(self.refused.into_values()).collect();
        // Whoever asked may have left.
        drop(self.reply.send(Settled { changes: self.changes, refused, failed, is_paused }));
    }
}

impl Waiting {
    /// Wants to know when everything wanted is in the kernel; asked before the engine takes what is wanted.
    pub(super) fn for_settled(&mut self, reply: oneshot::Sender<Settled>) {
        let (refused, unset) = (BTreeMap::new(), Vec::new());
        self.for_settled.push(Reload { reply, changes: 0, refused, unset });
    }

    /// Wants a copy of the engine while nothing is under way.
    pub(super) fn for_snapshot(&mut self, reply: oneshot::Sender<Snapshot>) {
        self.for_quiet.push(Quiet::Snapshot(reply));
    }

    /// Wants to know when nothing is under way.
    pub(super) fn for_quiet(&mut self, reply: oneshot::Sender<()>) {
        self.for_quiet.push(Quiet::Done(reply));
    }

    /// Counts what the kernel acknowledged.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Applied(results) => {
                let done = results.iter().filter(|(_, result)| result.is_ok());
                for (op, _) in done {
                    for reload in &mut self.for_settled {
                        reload.changes += 1;
                        reload.refused.remove(&op.service());
                    }
                }
                self.failures = 0;
            }
            Event::Dumped(..) | Event::Checked(_) => self.failures = 0,
            Event::KernelFailed(why) => {
                self.failures = self.failures.saturating_add(1);
                self.last_failure = why.to_string();
            }
            Event::SettingsApplied(results) => {
                let done = results.iter().filter(|(_, result)| result.is_ok()).count();
                for reload in &mut self.for_settled {
                    reload.changes =
                        reload.changes.saturating_add(done.try_into().unwrap_or(u64::MAX));
                }
            }
            Event::Tick
            | Event::Probe { .. }
            | Event::SettingsRead(_)
            | Event::StateSaved(_)
            | Event::Reload(_)
            | Event::Pause(_)
            | Event::Resume
            | Event::Stop => (),
        }
    }

    /// Keeps what the kernel refused.
    pub(super) fn told(&mut self, transition: &Transition) {
        if let Transition::SettingsFailed(why) = transition {
            for reload in &mut self.for_settled {
                reload.unset.push(why.to_string());
            }
        }
        if let Transition::OpRefused(op, _) = transition {
            for reload in &mut self.for_settled {
                reload.refused.insert(op.service(), words(transition));
            }
        }
    }

    /// Everything wanted is in the kernel, or would be if we were not paused.
    pub(super) fn settled(&mut self, is_paused: bool) {
        for reload in self.for_settled.drain(..) {
            reload.end(None, is_paused);
        }
    }

    /// Whether a reload waits for a kernel that does not work.
    pub(super) const fn is_in_vain(&self) -> bool {
        self.failures >= FAILURES && !self.for_settled.is_empty()
    }

    /// The kernel cannot be read or written.
    pub(super) fn failed(&mut self) {
        for reload in self.for_settled.drain(..) {
            reload.end(Some(self.last_failure.clone()), false);
        }
    }

    /// Answers those who wait for a quiet moment, if this is one.
    pub(super) fn quiet(&mut self, is_idle: bool, controller: &Controller, now: Time) {
        if is_idle {
            for quiet in self.for_quiet.drain(..) {
                match quiet {
                    Quiet::Done(reply) => drop(reply.send(())),
                    Quiet::Snapshot(reply) => {
                        let controller = Box::new(controller.clone());
                        drop(reply.send(Snapshot { controller, now }));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::op::{Errno, Op};

    fn op(last: u8) -> Op {
        Op::DeleteService(ServiceKey::tcp(std::net::SocketAddr::from(([10, 9, 0, last], 5432))))
    }

    fn waiting() -> (Waiting, oneshot::Receiver<Settled>) {
        let mut waiting = Waiting::default();
        let (reply, answer) = oneshot::channel();
        waiting.for_settled(reply);
        (waiting, answer)
    }

    fn refuse(waiting: &mut Waiting, op: Op, errno: Errno) {
        waiting.note(&Event::Applied(vec![(op.clone(), Err(errno))]));
        waiting.told(&Transition::OpRefused(op, errno));
    }

    #[test]
    fn a_reload_counts_what_was_acknowledged_since_it_was_asked_for() {
        let mut waiting = Waiting::default();
        waiting.note(&Event::Applied(vec![(op(1), Ok(()))]));
        let (reply, mut answer) = oneshot::channel();
        waiting.for_settled(reply);
        waiting.note(&Event::Applied(vec![(op(2), Ok(())), (op(3), Err(Errno::ENOMEM))]));
        waiting.note(&Event::Applied(vec![(op(4), Ok(()))]));
        assert!(answer.try_recv().is_err(), "answered too early");
        waiting.settled(false);
        assert_eq!(answer.try_recv().unwrap(), Settled { changes: 2, ..Settled::default() });
    }

    #[test]
    fn a_refusal_is_told_unless_the_service_was_written_afterwards() {
        let (mut waiting, mut answer) = waiting();
        refuse(&mut waiting, op(1), Errno::EEXIST);
        refuse(&mut waiting, op(2), Errno::ENOMEM);
        waiting.note(&Event::Applied(vec![(op(1), Ok(()))]));
        waiting.settled(false);
        let settled = answer.try_recv().unwrap();
        let [refused] = settled.refused.as_slice() else { panic!("{settled:?}") };
        assert!(refused.contains("10.9.0.2:5432"), "{refused}");
    }

    #[test]
    fn a_setting_that_could_not_be_set_is_told() {
        let (mut waiting, mut answer) = waiting();
        waiting.told(&Transition::SettingsFailed("full NAT needs nft".into()));
        waiting.settled(false);
        assert_eq!(answer.try_recv().unwrap().refused, ["full NAT needs nft"]);
    }

    #[test]
    fn a_kernel_that_fails_twice_in_a_row_is_an_answer() {
        let (mut waiting, mut answer) = waiting();
        let failed = || Event::KernelFailed("no reply".into());
        waiting.note(&failed());
        waiting.note(&Event::Checked(crate::wire::proc::ProcTable::default()));
        waiting.note(&failed());
        assert!(!waiting.is_in_vain());
        waiting.note(&failed());
        assert!(waiting.is_in_vain());
        waiting.failed();
        assert_eq!(answer.try_recv().unwrap().failed.as_deref(), Some("no reply"));
        assert!(!waiting.is_in_vain());
    }

    #[test]
    fn a_pause_is_part_of_the_answer() {
        let (mut waiting, mut answer) = waiting();
        waiting.settled(true);
        assert!(answer.try_recv().unwrap().is_paused);
    }
}
