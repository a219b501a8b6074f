//! The thread that owns the kernel's socket: takes jobs from a bounded queue, answers each exactly once.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::error::KernelError;
use super::kernel::{CheapList, Kernel};
use super::transport::Transport;
use crate::model::kernel::IpvsInfo;
use crate::model::op::{Errno, Op};
use crate::model::service::ServiceKey;
use crate::model::table::{Counters, Table};
use crate::wire::proc::ProcTable;

/// Jobs that may wait before the queue is full.
pub const QUEUE: usize = 8;

/// Something to be done with the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Read the whole table; ask by key for those of these services that the dump does not show.
    Dump {
        /// The services that are expected.
        confirm: Vec<ServiceKey>,
    },
    /// Read /proc/net/ip_vs.
    Check,
    /// Carry out changes in order.
    Apply(Vec<Op>),
    /// Read version and size.
    Info,
}

/// What became of a job.
#[derive(Debug)]
pub enum Answer {
    /// Of [`Job::Dump`].
    Dumped(Result<(Table, Counters), KernelError>),
    /// Of [`Job::Check`].
    Checked(Result<ProcTable, KernelError>),
    /// Of [`Job::Apply`]: the changes again, and what became of each.
    Applied {
        /// The changes.
        ops: Vec<Op>,
        /// In the same order; an error means that the results are unknown.
        outcomes: Result<Vec<Result<(), Errno>>, KernelError>,
    },
    /// Of [`Job::Info`].
    Info(Result<IpvsInfo, KernelError>),
}

/// Starts the thread. It ends when the last sender of jobs is dropped and all jobs are answered.
///
/// `answer` is called on the thread; if it blocks, so does the next job.
pub fn spawn<T>(
    kernel: Kernel<T>,
    answer: impl FnMut(Answer) + Send + 'static,
) -> io::Result<(SyncSender<Job>, JoinHandle<()>)>
where
    T: Transport + Send + 'static,
{
    let (sender, jobs) = sync_channel(QUEUE);
    let builder = std::thread::Builder::new().name("netlink".into());
    let thread = builder.spawn(move || run(kernel, &jobs, answer))?;
    Ok((sender, thread))
}

fn run<T: Transport>(mut kernel: Kernel<T>, jobs: &Receiver<Job>, mut answer: impl FnMut(Answer)) {
    let mut list = CheapList::default();
    while let Ok(job) = jobs.recv() {
        answer(match job {
            Job::Dump { confirm } => Answer::Dumped(kernel.dump(&confirm)),
            Job::Check => Answer::Checked(list.read()),
            Job::Apply(ops) => {
                let outcomes = kernel.apply(&ops);
                Answer::Applied { ops, outcomes }
            }
            Job::Info => Answer::Info(kernel.info()),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::host::netlink::fake::{self, acknowledge, answered, done, family, requests_in};

    #[test]
    fn every_job_is_answered_in_order_and_the_thread_ends_with_its_senders() {
        let fake = answered(|bytes| {
            let sent = requests_in(bytes);
            let last = sent.last().unwrap();
            VecDeque::from([Ok(match (last.kind, last.flags & 0x300) {
                (fake::FAMILY, 0) => acknowledge(last),
                (fake::FAMILY, _) => done(last),
                _ => family(last, fake::FAMILY),
            })])
        });
        let (answers, answered) = channel();
        let kernel = Kernel::over(fake).unwrap();
        let (jobs, thread) = spawn(kernel, move |answer| answers.send(answer).unwrap()).unwrap();
        let key = ServiceKey::tcp("10.0.0.1:5432".parse().unwrap());
        let ops = vec![Op::DeleteService(key)];
        jobs.send(Job::Dump { confirm: Vec::new() }).unwrap();
        jobs.send(Job::Apply(ops.clone())).unwrap();
        drop(jobs);
        thread.join().unwrap();
        let answers: Vec<_> = answered.iter().collect();
        let [Answer::Dumped(Ok((table, _))), Answer::Applied { ops: back, outcomes: Ok(outcomes) }] =
            &answers[..]
        else {
            panic!("{answers:?}");
        };
        assert_eq!(*table, Table::default());
        assert_eq!((back, &outcomes[..]), (&ops, &[Ok(())][..]));
    }
}
