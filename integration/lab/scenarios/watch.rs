//! A tight reader of the director's /proc/net/ip_vs on a thread of its own: notes every change of a
//! weight with its moment, in memory. Forks nothing while it measures.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::net::{self, Namespace};
use crate::table::{Key, Table};

/// Between two reads: the guest has two processors and other things to do.
const PAUSE: Duration = Duration::from_millis(1);

/// Weights by service and destination; a destination that is absent has none.
pub(crate) type Weights = BTreeMap<(Key, SocketAddr), u32>;

/// One state of the table and when it was first seen.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// The moment after the read.
    pub(crate) at: Instant,
    /// What stood there.
    pub(crate) weights: Weights,
}

impl Sample {
    /// The weight of a destination, if it stands there.
    pub(crate) fn weight(&self, key: Key, server: SocketAddr) -> Option<u32> {
        self.weights.get(&(key, server)).copied()
    }

    /// The weights of the lab's three servers in a service.
    pub(crate) fn of(&self, key: Key) -> [Option<u32>; 3] {
        [1, 2, 3].map(|number| self.weight(key, net::server(number)))
    }

    /// The destinations of a service with a weight above 0.
    pub(crate) fn usable(&self, key: Key) -> Vec<SocketAddr> {
        let usable = self.weights.iter().filter(|((of, _), weight)| *of == key && **weight > 0);
        usable.map(|((_, server), _)| *server).collect()
    }
}

#[derive(Default)]
struct Seen {
    samples: Vec<Sample>,
    reads: u64,
    widest_gap: Duration,
    failure: Option<String>,
}

/// The reader; it stops when dropped.
pub(crate) struct Watch {
    shared: Arc<(Mutex<Seen>, Condvar)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to read; the first sample is there when this returns.
    pub(crate) fn start() -> Result<Self> {
        let shared = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, until) = (Arc::clone(&shared), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            if let Err(error) = read_until(&theirs, &until) {
                lock(&theirs.0).failure = Some(format!("{error:#}"));
                theirs.1.notify_all();
            }
        });
        let watch = Self { shared, stop, thread: Some(thread) };
        watch.wait("the first read", Duration::from_secs(5), Instant::now(), |_| true)?;
        Ok(watch)
    }

    /// Waits until a sample from `since` on fulfils the condition, and says when that sample was first seen.
    /// The state that held at `since` counts, with the moment `since` or later.
    pub(crate) fn wait(
        &self,
        what: &str,
        limit: Duration,
        since: Instant,
        condition: impl Fn(&Sample) -> bool,
    ) -> Result<Instant> {
        let deadline = Instant::now() + limit;
        let (mutex, changed) = &*self.shared;
        let mut seen = lock(mutex);
        loop {
            if let Some(failure) = &seen.failure {
                bail!("the reader of /proc/net/ip_vs: {failure}");
            }
            if let Some(sample) = from(&seen.samples, since).iter().find(|sample| condition(sample))
            {
                return Ok(sample.at.max(since));
            }
            let now = Instant::now();
            if now >= deadline {
                let last =
                    seen.samples.last().map(|sample| render(&sample.weights)).unwrap_or_default();
                bail!("not seen within {limit:?}: {what}; the kernel's table is\n{last}");
            }
            seen = changed
                .wait_timeout(seen, deadline - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Every state from the one that held at `since` on.
    pub(crate) fn samples(&self, since: Instant) -> Vec<Sample> {
        from(&lock(&self.shared.0).samples, since).to_vec()
    }

    /// The states since then in which two servers of a service had a weight above 0.
    pub(crate) fn two_writers(&self, since: Instant, key: Key) -> Vec<Sample> {
        self.samples(since).into_iter().filter(|sample| sample.usable(key).len() > 1).collect()
    }

    /// How often the table was read and the longest time between two reads.
    pub(crate) fn tightness(&self) -> (u64, Duration) {
        let seen = lock(&self.shared.0);
        (seen.reads, seen.widest_gap)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn read_until(shared: &(Mutex<Seen>, Condvar), stop: &AtomicBool) -> Result<()> {
    Namespace::Director.enter()?;
    let mut file = File::open("/proc/thread-self/net/ip_vs").context("open /proc/net/ip_vs")?;
    let (mut text, mut before) = (String::new(), String::new());
    let mut last: Option<Instant> = None;
    while !stop.load(Ordering::Relaxed) {
        text.clear();
        file.rewind()?;
        file.read_to_string(&mut text).context("read /proc/net/ip_vs")?;
        let at = Instant::now();
        let fresh = text != before;
        let weights = if fresh { Some(weights(&Table::parse(&text)?)) } else { None };
        let mut seen = lock(&shared.0);
        seen.reads += 1;
        seen.widest_gap = seen.widest_gap.max(last.map_or(Duration::ZERO, |last| at - last));
        // The text changes with every connection, the weights do not.
        if let Some(weights) = weights
            && seen.samples.last().is_none_or(|sample| sample.weights != weights)
        {
            seen.samples.push(Sample { at, weights });
            shared.1.notify_all();
        }
        drop(seen);
        last = Some(at);
        std::mem::swap(&mut text, &mut before);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// From the sample that held at a moment on.
fn from(samples: &[Sample], since: Instant) -> &[Sample] {
    let first = samples.iter().rposition(|sample| sample.at <= since).unwrap_or(0);
    samples.get(first..).unwrap_or_default()
}

fn weights(table: &Table) -> Weights {
    let services = table.0.iter().flat_map(|(&key, service)| {
        service.destinations.iter().map(move |(&server, d)| ((key, server), d.weight))
    });
    services.collect()
}

fn render(weights: &Weights) -> String {
    let lines = weights
        .iter()
        .map(|((key, server), weight)| format!("  {key} -> {server} weight {weight}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
