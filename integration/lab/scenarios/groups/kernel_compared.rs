//! The simulated kernel of the unit tests beside the real one: the same random commands for both, and every error
//! number, table, list, timeout and daemon compared.

use std::net::IpAddr;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use pgvs::host::netlink::{CheapList, Kernel, KernelError};
use pgvs::model::destination::{Destination, DestinationKey, Forwarding, Thresholds, Weight};
use pgvs::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use pgvs::model::op::{Errno, Op};
use pgvs::model::service::{Family, Scheduler, Service, ServiceFlags, ServiceKey};
use pgvs::model::table::{Entry, Table};

use super::Scenario;
use super::kernel_tables::seed;
use crate::commands::{self, BROADCAST, Other};
use crate::lab::Lab;
use crate::net::{self, Namespace};
use crate::simulated::{self, Author, found_by};
use crate::{full, kernel, random};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "kernel-compared",
    shows: "random commands, good and bad: the simulated kernel of the unit tests answers and looks as the real one",
    run: compared,
}];

/// Changes that are tried, unless `PGVS_LAB_OPS` says how many.
const OPS: usize = 5000;
/// At most so many changes are sent at once.
const BATCH: usize = 150;
/// So many differences are told.
const TOLD: usize = 12;

/// What kernels of all builds have alike: the timeouts before anybody sets them, in seconds.
const TIMEOUTS: Timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };
/// Bytes of the headers of IPv4 and UDP.
const HEADERS: u16 = 28;

/// The simulated kernel with what only this scenario asks of it.
struct Simulated {
    kernel: simulated::Kernel,
    timeouts: Timeouts,
    master: Option<SyncDaemon>,
    backup: Option<SyncDaemon>,
}

fn compared(lab: &mut Lab) -> Result<()> {
    let seed = seed()?;
    let wanted = match std::env::var("PGVS_LAB_OPS") {
        Ok(given) if !given.is_empty() => given.parse().context("PGVS_LAB_OPS")?,
        _ => OPS,
    };
    lab.step(format!("seed {seed}, {wanted} changes"));
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut real = Namespace::Director.inside(|| Ok(Kernel::open()?))?;
    let mut simulated = Simulated::like(&mut real)?;
    let build = &simulated.kernel.build;
    lab.step(format!(
        "this kernel: {} ticks a second, upper thresholds limited: {}",
        build.hz, build.limits_thresholds
    ));
    let (mut tried, mut refused, mut others, mut batches) = (0, 0, 0, 0);
    let mut differences = Vec::new();
    while tried < wanted && differences.len() < TOLD {
        batches += 1;
        let ops: Vec<_> = (0..dice.usize(1..=BATCH)).map(|_| commands::op(&mut dice)).collect();
        let outcomes = real.apply(&ops)?;
        refused += outcomes.iter().filter(|outcome| outcome.is_err()).count();
        tried += ops.len();
        differences.extend(simulated.batch(&ops, &outcomes));
        if dice.u8(..3) == 0 {
            let other = commands::other(&mut dice);
            differences.extend(one_other(&mut real, &mut simulated, &other).err());
            others += 1;
        }
        if let Err(difference) = same_state(&mut real, &simulated) {
            differences.push(difference.context(format!("after batch {batches}")));
            // What is the same from here on is told as well.
            simulated.adopt(&mut real)?;
        }
    }
    real.flush()?;
    for role in [SyncRole::Master, SyncRole::Backup] {
        drop(real.stop_daemon(role));
    }
    for difference in &differences {
        lab.step(format!("{difference:#}"));
    }
    ensure!(differences.is_empty(), "seed {seed}: the kernels differ, see above");
    ensure!(refused * 5 > tried, "only {refused} of {tried} were refused");
    ensure!((tried - refused) * 5 > tried, "{refused} of {tried} were refused");
    lab.figure(format!(
        "{tried} changes ({refused} refused) and {others} other requests in {batches} batches: every error \
         number and every table agree (seed {seed})"
    ))
}

fn one_other(real: &mut Kernel, simulated: &mut Simulated, other: &Other) -> Result<()> {
    let outcome = number(match other {
        Other::Flush => real.flush(),
        Other::Zero(key) => real.zero(*key),
        Other::SetTimeouts(timeouts) => real.set_config(*timeouts),
        Other::StartDaemon(daemon) => real.start_daemon(daemon),
        Other::StopDaemon(role) => real.stop_daemon(*role),
    })?;
    let expected = simulated.carry_out(other);
    ensure!(outcome == expected, "{other:?}: the real kernel {outcome:?}, simulated {expected:?}");
    Ok(())
}

/// The number of a refusal; everything else is a failure of the scenario.
fn number(outcome: Result<(), KernelError>) -> Result<Result<(), Errno>> {
    match outcome {
        Ok(()) => Ok(Ok(())),
        Err(error) => match error.errno() {
            Some(errno) => Ok(Err(errno)),
            None => Err(error.into()),
        },
    }
}

/// Everything that can be read: by neli, by our own client, and in /proc.
fn same_state(real: &mut Kernel, simulated: &Simulated) -> Result<()> {
    let expected = simulated.kernel.table();
    same_table("neli", &full::table()?, &expected)?;
    same_table("our own client", &real.dump(&[])?.0, &expected)?;
    let list = Namespace::Director.inside(|| Ok(CheapList::default().read()?))?;
    let different = list.differences(&expected);
    ensure!(different.is_empty(), "/proc, as we read it, differs in {different:?}");
    let text = kernel::proc_text()?;
    let (shown, ours) = (blocks(&text), blocks(&simulated.kernel.list(0)));
    for (shown, ours) in shown.iter().zip(&ours) {
        ensure!(shown == ours, "/proc has\n{shown}\nsimulated\n{ours}");
    }
    ensure!(shown.len() == ours.len(), "/proc:\n{text}\nsimulated:\n{}", simulated.kernel.list(0));
    let timeouts = real.config()?;
    ensure!(timeouts == simulated.timeouts, "{timeouts:?}, simulated {:?}", simulated.timeouts);
    let daemons = real.daemons()?;
    let expected: Vec<_> = simulated.master.iter().chain(&simulated.backup).cloned().collect();
    ensure!(daemons == expected, "{daemons:?}, simulated {expected:?}");
    Ok(())
}

fn same_table(who: &str, read: &Table, expected: &Table) -> Result<()> {
    for (key, entry) in &expected.services {
        let found = read.services.get(key);
        ensure!(found == Some(entry), "{who}: {key} is\n{found:?}\nsimulated\n{entry:?}");
    }
    let more = read.services.keys().find(|key| !expected.services.contains_key(key));
    ensure!(more.is_none(), "{who}: {more:?} is there, and not in the simulated kernel");
    Ok(())
}

/// The services of /proc/net/ip_vs with their destinations, sorted: the kernel's order is its own. Counters are
/// left out.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks: Vec<Vec<String>> = Vec::new();
    for line in text.lines().skip(3) {
        match (line.starts_with("  -> "), blocks.last_mut()) {
            (true, Some(block)) => {
                // The last two columns have ten characters each.
                let end = line.len().saturating_sub(21);
                block.push(line.get(..end).unwrap_or(line).to_owned());
            }
            _ => blocks.push(vec![line.to_owned()]),
        }
    }
    for block in &mut blocks {
        block.sort_unstable_by(|a, b| a.starts_with(' ').cmp(&b.starts_with(' ')).then(a.cmp(b)));
    }
    let mut blocks: Vec<_> = blocks.into_iter().map(|lines| lines.join("\n")).collect();
    blocks.sort_unstable();
    blocks
}

impl Simulated {
    /// An empty one that is built as the real one, whose table is empty as well.
    fn like(real: &mut Kernel) -> Result<Self> {
        let key = ServiceKey::tcp(net::vip(3));
        let scheduler = Scheduler::new("rr").context("rr")?;
        let mut service = Service::plain(scheduler, Family::V4);
        (service.flags, service.timeout) = (ServiceFlags::PERSISTENT, 1);
        let high = Destination {
            thresholds: Thresholds { upper: 1 << 31, lower: 0 },
            ..Destination::plain(Forwarding::Masquerade, Weight(1))
        };
        let to = DestinationKey(net::server(1));
        let ops = [Op::AddService(key, service), Op::AddDestination(key, to, high)];
        let limits_thresholds = match real.apply(&ops)?[..] {
            [Ok(()), Ok(())] => false,
            [Ok(()), Err(Errno::EINVAL)] => true,
            ref other => bail!("a persistent service and a high threshold: {other:?}"),
        };
        let list = kernel::proc_text()?;
        let mut words = list.split_whitespace().skip_while(|word| *word != "persistent");
        let hz = words.nth(1).context("no ticks in /proc/net/ip_vs")?.parse()?;
        real.flush()?;
        let broadcasts = vec![IpAddr::from(BROADCAST)];
        let mut kernel = simulated::Kernel::default();
        kernel.build.hz = hz;
        kernel.build.limits_thresholds = limits_thresholds;
        kernel.build.broadcasts = broadcasts;
        Ok(Self { kernel, timeouts: TIMEOUTS, master: None, backup: None })
    }

    /// What the real kernel answered otherwise.
    fn batch(&mut self, ops: &[Op], outcomes: &[Result<(), Errno>]) -> Vec<Error> {
        let mut differences = Vec::new();
        for (op, outcome) in ops.iter().zip(outcomes) {
            let expected = self.kernel.carry_out(op, Author::Intruder, 0, 0);
            if expected != *outcome {
                differences
                    .push(anyhow!("{op:?}: the real kernel {outcome:?}, simulated {expected:?}"));
            }
        }
        differences
    }

    /// Goes on from where the real one is.
    fn adopt(&mut self, real: &mut Kernel) -> Result<()> {
        let (table, _) = real.dump(&[])?;
        self.kernel.flush(Author::Intruder, 0, 0);
        self.kernel.build.syncs = false;
        for op in random::ops(&Table::default(), &table) {
            // What it refuses is a difference that is told again.
            self.kernel.carry_out(&op, Author::Intruder, 0, 0).unwrap_or_default();
        }
        self.timeouts = real.config()?;
        let daemons = real.daemons()?;
        let of = |role| daemons.iter().find(|it| it.role == role).cloned();
        (self.master, self.backup) = (of(SyncRole::Master), of(SyncRole::Backup));
        self.kernel.build.syncs = !daemons.is_empty();
        Ok(())
    }

    fn carry_out(&mut self, other: &Other) -> Result<(), Errno> {
        match other {
            Other::Flush => self.kernel.flush(Author::Intruder, 0, 0),
            Other::Zero(Some(key)) if !self.kernel.services.contains_key(&found_by(*key)) => {
                return Err(Errno::ESRCH);
            }
            Other::Zero(_) => (),
            Other::SetTimeouts(timeouts) => self.set_timeouts(*timeouts)?,
            Other::StartDaemon(daemon) => self.start(daemon)?,
            Other::StopDaemon(role) => {
                let place = self.daemon(*role);
                if place.take().is_none() {
                    return Err(Errno::ESRCH);
                }
            }
        }
        self.kernel.build.syncs = self.master.is_some() || self.backup.is_some();
        Ok(())
    }

    /// `ip_vs_set_timeout`: all or nothing, and 0 leaves a value as it is.
    fn set_timeouts(&mut self, new: Timeouts) -> Result<(), Errno> {
        let limit = 0x7fff_ffff / self.kernel.build.hz;
        if [new.tcp, new.tcp_fin, new.udp].iter().any(|&it| it > limit) {
            return Err(Errno::EINVAL);
        }
        let or = |new: u32, old: u32| if new == 0 { old } else { new };
        self.timeouts = Timeouts {
            tcp: or(new.tcp, self.timeouts.tcp),
            tcp_fin: or(new.tcp_fin, self.timeouts.tcp_fin),
            udp: or(new.udp, self.timeouts.udp),
        };
        Ok(())
    }

    /// `ip_vs_genl_new_daemon`, `start_sync_thread`.
    fn start(&mut self, daemon: &SyncDaemon) -> Result<(), Errno> {
        if daemon.group.is_some_and(|group| !group.is_multicast()) || is_mixed(&self.kernel.table())
        {
            return Err(Errno::EINVAL);
        }
        if !["front", "back"].contains(&daemon.interface.as_str()) {
            return Err(Errno(libc::ENODEV));
        }
        let least = if daemon.role == SyncRole::Backup { 1024 } else { 1 };
        let place = self.daemon(daemon.role);
        if place.is_some() {
            return Err(Errno::EEXIST);
        }
        let length = daemon.max_length.unwrap_or(1500 - HEADERS);
        *place = Some(SyncDaemon {
            max_length: Some(length.clamp(least, u16::MAX - HEADERS)),
            group: daemon.group.or(Some(IpAddr::from([224, 0, 0, 81]))),
            port: daemon.port.or(Some(8848)),
            ttl: daemon.ttl.or(Some(1)),
            ..daemon.clone()
        });
        Ok(())
    }

    const fn daemon(&mut self, role: SyncRole) -> &mut Option<SyncDaemon> {
        match role {
            SyncRole::Master => &mut self.master,
            SyncRole::Backup => &mut self.backup,
        }
    }
}

/// Whether destinations lead out of their services' families.
fn is_mixed(table: &Table) -> bool {
    let leads_out = |(key, entry): (&ServiceKey, &Entry)| {
        entry.destinations.keys().any(|to| Family::of(to.0.ip()) != key.family())
    };
    table.services.iter().any(leads_out)
}
