//! A kernel in memory for `pgvs run --observe`: takes the same jobs and answers as the netlink thread does.
//!
//! Nothing leaves this process. It begins empty, and nobody but us writes it.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::netlink::KernelError;
use super::netlink::thread::{Answer, Job, QUEUE};
use crate::engine::table::{apply, destination_of};
use crate::model::destination::Forwarding;
use crate::model::kernel::{IpvsInfo, Version};
use crate::model::op::{Errno, Op};
use crate::model::service::{Netmask, Protocol, Service, ServiceFlags, ServiceKey};
use crate::model::table::{Counters, Table};
use crate::wire::proc::ProcTable;

/// The table, shared with whoever wants to look at it.
#[derive(Clone, Debug, Default)]
pub struct Shadow(Arc<Mutex<Table>>);

impl Shadow {
    /// The table as it stands.
    pub fn table(&self) -> Table {
        self.locked().clone()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Table> {
        // Every change is one map operation: a panic in between leaves no half of one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread. It ends with the last sender of jobs.
    pub fn spawn(
        self,
        mut answer: impl FnMut(Answer) + Send + 'static,
    ) -> io::Result<(SyncSender<Job>, JoinHandle<()>)> {
        let (sender, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("shadow".into()).spawn(move || {
            while let Ok(job) = jobs.recv() {
                answer(self.answer(job));
            }
        })?;
        Ok((sender, thread))
    }

    fn answer(&self, job: Job) -> Answer {
        match job {
            Job::Dump { .. } => Answer::Dumped(Ok((self.table(), Counters::new()))),
            Job::Check => {
                Answer::Checked(ProcTable::parse(&render(&self.locked())).map_err(|source| {
                    KernelError::ProcLine { path: "the table in memory", cause: source }
                }))
            }
            Job::Apply(ops) => {
                let mut table = self.locked();
                let outcomes = ops.iter().map(|op| change(&mut table, op)).collect();
                Answer::Applied { ops, outcomes: Ok(outcomes) }
            }
            Job::Info => Answer::Info(Ok(IpvsInfo { version: Version(0), table_size: 0 })),
        }
    }
}

/// One change, refused where the kernel refuses it (facts from net/netfilter/ipvs/ip_vs_ctl.c).
fn change(table: &mut Table, op: &Op) -> Result<(), Errno> {
    let entry = table.services.get(&op.service());
    let is_there = destination_of(op)
        .is_some_and(|to| entry.is_some_and(|it| it.destinations.contains_key(&to)));
    match (op, entry) {
        (Op::AddService(..), Some(_)) => Err(Errno::EEXIST),
        (Op::AddService(..), None) => Ok(()),
        (_, None) => Err(Errno::ESRCH),
        (Op::AddDestination(..), Some(_)) if is_there => Err(Errno::EEXIST),
        (Op::EditDestination(..) | Op::DeleteDestination(..), Some(_)) if !is_there => {
            Err(Errno::ENOENT)
        }
        (_, Some(_)) => Ok(()),
    }?;
    apply(table, op);
    Ok(())
}

/// The table as /proc/net/ip_vs shows one, without connections.
fn render(table: &Table) -> String {
    let mut text = String::from(
        "IP Virtual Server version 0.0.0 (size=0)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n",
    );
    for (key, entry) in &table.services {
        let scheduler = &entry.service.scheduler;
        let named = match key {
            ServiceKey::Address { protocol, address } => {
                format!("{} {}", protocol_name(*protocol), hex(*address))
            }
            ServiceKey::FwMark { mark, .. } => format!("FWM  {mark:08X}"),
        };
        push(&mut text, format_args!("{named} {scheduler} {}\n", flags(key, &entry.service)));
        for (to, destination) in &entry.destinations {
            let forwarding = match destination.forwarding {
                Forwarding::Masquerade | Forwarding::Other(_) => "Masq",
                Forwarding::Local => "Local",
                Forwarding::Tunnel => "Tunnel",
                Forwarding::DirectRoute => "Route",
            };
            let weight = destination.weight;
            push(&mut text, format_args!("  -> {} {forwarding} {weight} 0 0\n", hex(to.0)));
        }
    }
    text
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    text.write_fmt(piece).unwrap_or_default();
}

fn flags(key: &ServiceKey, service: &Service) -> String {
    let mut flags = String::new();
    let is_v6_address = matches!(key, ServiceKey::Address { address, .. } if address.is_ipv6());
    if service.flags.contains(ServiceFlags::ONE_PACKET) && !is_v6_address {
        flags.push_str("ops ");
    }
    if service.flags.contains(ServiceFlags::PERSISTENT) {
        let mask = match service.netmask {
            Netmask::V4(mask) => u32::from(mask),
            Netmask::V6(length) => u32::from_be_bytes(u32::from(length).to_ne_bytes()),
        };
        let jiffies = u64::from(service.timeout) * 100;
        push(&mut flags, format_args!("persistent {jiffies} {mask:08X}"));
    }
    flags
}

fn protocol_name(protocol: Protocol) -> String {
    match protocol {
        Protocol::TCP => "TCP".to_owned(),
        Protocol::UDP => "UDP".to_owned(),
        Protocol::SCTP => "SCTP".to_owned(),
        Protocol(other) => format!("IP_{other}"),
    }
}

fn hex(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(it) => format!("{:08X}:{:04X}", u32::from(*it.ip()), it.port()),
        SocketAddr::V6(it) => {
            let groups = it.ip().segments().map(|group| format!("{group:04x}"));
            format!("[{}]:{:04X}", groups.as_slice().join(":"), it.port())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::destination::{Destination, DestinationKey, Weight};
    use crate::model::service::{Family, Scheduler};

    fn to(address: &str) -> DestinationKey {
        DestinationKey(address.parse().unwrap())
    }

    fn plain(family: Family) -> Service {
        Service::plain(Scheduler::new("wlc").unwrap(), family)
    }

    fn outcomes(shadow: &Shadow, ops: Vec<Op>) -> Vec<Result<(), Errno>> {
        let Answer::Applied { outcomes, .. } = shadow.answer(Job::Apply(ops)) else {
            panic!("another answer");
        };
        outcomes.unwrap()
    }

    fn checked(shadow: &Shadow) -> ProcTable {
        let Answer::Checked(list) = shadow.answer(Job::Check) else {
            panic!("another answer");
        };
        list.unwrap()
    }

    #[test]
    fn what_was_written_is_what_a_check_and_a_dump_show() {
        let shadow = Shadow::default();
        let persistent = Service {
            flags: ServiceFlags::PERSISTENT.with(ServiceFlags::ONE_PACKET),
            timeout: 300,
            ..plain(Family::V4)
        };
        let persistent6 = Service {
            flags: ServiceFlags::PERSISTENT,
            timeout: 60,
            netmask: Netmask::V6(64),
            ..plain(Family::V6)
        };
        let v4 = ServiceKey::tcp("10.9.0.100:5432".parse().unwrap());
        let v6 = ServiceKey::tcp("[2001:db8::1]:5432".parse().unwrap());
        let mark = ServiceKey::FwMark { family: Family::V6, mark: 9 };
        let d = |weight| Destination::plain(Forwarding::Masquerade, Weight(weight));
        let ops = vec![
            Op::AddService(v4, persistent),
            Op::AddDestination(v4, to("10.8.0.11:5432"), d(100)),
            Op::AddDestination(v4, to("10.8.0.12:5432"), d(0)),
            Op::AddService(v6, persistent6),
            Op::AddDestination(v6, to("[fd00::11]:5432"), d(7)),
            Op::AddService(mark, plain(Family::V6)),
        ];
        assert!(outcomes(&shadow, ops).iter().all(Result::is_ok));
        let table = shadow.table();
        assert_eq!(table.services.len(), 3);
        assert_eq!(checked(&shadow).differences(&table), []);
        assert!(
            outcomes(&shadow, vec![Op::EditDestination(v4, to("10.8.0.12:5432"), d(5))])[0].is_ok()
        );
        assert_eq!(checked(&shadow).differences(&table), [v4]);
    }

    #[test]
    fn changes_are_refused_as_the_kernel_refuses_them() {
        let shadow = Shadow::default();
        let key = ServiceKey::tcp("10.9.0.100:5432".parse().unwrap());
        let d = Destination::plain(Forwarding::Masquerade, Weight(1));
        let add = || Op::AddDestination(key, to("10.8.0.11:5432"), d);
        let service = || Op::AddService(key, plain(Family::V4));
        let ops = vec![
            add(),
            Op::DeleteService(key),
            service(),
            service(),
            Op::EditDestination(key, to("10.8.0.11:5432"), d),
            add(),
            add(),
        ];
        let expected = [
            Err(Errno::ESRCH),
            Err(Errno::ESRCH),
            Ok(()),
            Err(Errno::EEXIST),
            Err(Errno::ENOENT),
            Ok(()),
            Err(Errno::EEXIST),
        ];
        assert_eq!(outcomes(&shadow, ops), expected);
    }
}
