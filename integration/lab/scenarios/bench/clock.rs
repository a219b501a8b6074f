//! When somebody wrote to the kernel's table: a thread at the netlink tap notes the moment of each batch.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::tap::Tap;

/// Stops when dropped.
pub(super) struct Clock {
    writes: Receiver<(Instant, Vec<&'static str>)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// Notes every write from here on.
    pub(super) fn start() -> Result<Self> {
        let tap = Tap::start()?;
        tap.wait_for_packets(Duration::from_millis(100))?;
        let (sender, writes) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while !until.load(Ordering::Relaxed) {
                match tap.next(&mut buffer) {
                    Ok(Some(found)) => drop(sender.send((Instant::now(), found))),
                    Ok(None) => (),
                    Err(_) => return,
                }
            }
        });
        Ok(Self { writes, stop, thread: Some(thread) })
    }

    /// Forgets what has been written so far.
    pub(super) fn forget(&self) {
        while self.writes.try_recv().is_ok() {}
    }

    /// The moments of the first and of the last of `count` writes of these kinds.
    pub(super) fn until(
        &self,
        kinds: &[&str],
        count: usize,
        limit: Duration,
    ) -> Result<(Instant, Instant)> {
        let deadline = Instant::now() + limit;
        let (mut first, mut seen) = (None, 0);
        while seen < count {
            let left = deadline.saturating_duration_since(Instant::now());
            let (at, writes) = match self.writes.recv_timeout(left) {
                Ok(found) => found,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{seen} of {count} writes {kinds:?} within {limit:?}")
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the tap is gone"),
            };
            let matching = writes.iter().filter(|write| kinds.contains(write)).count();
            if matching > 0 {
                seen += matching;
                let first = *first.get_or_insert(at);
                if seen >= count {
                    return Ok((first, at));
                }
            }
        }
        bail!("no writes were asked for")
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}
