//! The usual scene: the cluster, the daemon at work on it, and a watch over the kernel's table.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::net;
use crate::pgvs::Pgvs;
use crate::table::{Key, Table};
use crate::watch::{Sample, Watch};
use crate::{kernel, text};

/// Long enough for anything that a scenario waits for; never a figure.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The weights of servers 1 to 3 in a service; none: absent.
pub(crate) type Weights = [Option<u32>; 3];

/// What a healthy cluster of weights 100 has in the writer's service.
pub(crate) const RW: Weights = [Some(100), Some(0), Some(0)];
/// What it has in the readers' service.
pub(crate) const RO: Weights = [Some(0), Some(100), Some(100)];

/// The service at the virtual address 0: `orders-rw`.
pub(crate) fn rw() -> Key {
    Key::tcp(net::vip(0))
}

/// The service at the virtual address 1: `orders-ro`.
pub(crate) fn ro() -> Key {
    Key::tcp(net::vip(1))
}

/// The daemon and the watch.
pub(crate) struct Stage {
    /// The daemon.
    pub(crate) pgvs: Pgvs,
    /// The table's reader.
    pub(crate) watch: Watch,
    /// The moment before the daemon was started.
    pub(crate) started: Instant,
}

impl Stage {
    /// The usual config on the usual cluster, everything healthy and in the kernel.
    pub(crate) fn orders(lab: &mut Lab) -> Result<Self> {
        let stage = Self::open(lab, &text::orders())?;
        stage.wait_healthy(Instant::now())?;
        Ok(stage)
    }

    /// The usual cluster with a config of the scenario's own; the daemon runs.
    pub(crate) fn open(lab: &mut Lab, config: &str) -> Result<Self> {
        lab.cluster()?;
        let mut pgvs = lab.daemon(config)?;
        let watch = Watch::start()?;
        let started = Instant::now();
        let took = pgvs.start()?;
        lab.step(format!("pgvs is ready after {:.2} s", took.as_secs_f64()));
        Ok(Self { pgvs, watch, started })
    }

    /// Waits until both services are as a healthy cluster wants them.
    pub(crate) fn wait_healthy(&self, since: Instant) -> Result<Instant> {
        self.wait("everything healthy", since, RW, RO)
    }

    /// Waits until both services have these weights.
    pub(crate) fn wait(
        &self,
        what: &str,
        since: Instant,
        writer: Weights,
        readers: Weights,
    ) -> Result<Instant> {
        self.until(what, since, |it| it.of(rw()) == writer && it.of(ro()) == readers)
    }

    /// Waits until the table fulfils a condition.
    pub(crate) fn until(
        &self,
        what: &str,
        since: Instant,
        condition: impl Fn(&Sample) -> bool,
    ) -> Result<Instant> {
        self.watch.wait(what, SOON, since, condition)
    }

    /// Fails if two servers could be written to at any moment since then.
    pub(crate) fn never_two_writers(&self, since: Instant) -> Result<()> {
        let two = self.watch.two_writers(since, rw());
        let (reads, gap) = self.watch.tightness();
        ensure!(two.is_empty(), "two writers at {} of {reads} samples: {two:?}", two.len());
        ensure!(reads > 0, "the table was never read, the widest gap {gap:?}");
        Ok(())
    }
}

/// One start of `ipvsadm -Ln` in the emulated guest of a machine that is idle, in milliseconds.
const YARDSTICK: f64 = 60.0;

/// How many times slower than an idle one this machine is now, at least 1: goals in milliseconds are goals for an idle
/// machine, and a shared one starts `ipvsadm` as much later as it does everything else.
pub(crate) fn slowness() -> Result<f64> {
    let mut starts = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        kernel::ipvsadm(&["-Ln"])?;
        starts.push(ms_between(began, Instant::now()));
    }
    Ok((median(starts) / YARDSTICK).max(1.0))
}

/// The weights of the three servers in a service, read through /proc now.
pub(crate) fn weights_now(key: Key) -> Result<Weights> {
    kernel::by_proc().map(|table| weights(&table, key))
}

/// The weights of the three servers in a service of a table.
pub(crate) fn weights(table: &Table, key: Key) -> Weights {
    [1, 2, 3].map(|number| table.weight(key, net::server(number)))
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// From one moment to another in milliseconds; negative if the second came first.
pub(crate) fn ms_between(from: Instant, to: Instant) -> f64 {
    let forward = to.saturating_duration_since(from).as_secs_f64();
    let backward = from.saturating_duration_since(to).as_secs_f64();
    (forward - backward) * 1000.0
}

/// A list of milliseconds for people.
pub(crate) fn list(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.1}")).collect::<Vec<_>>().join(" ")
}
