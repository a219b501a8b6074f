//! Clients: sessions and steady workers in the client's namespace, through the virtual addresses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::net::Namespace;
use crate::postgres::ADMIN;
use crate::session::Session;

/// Opens a session through a virtual address.
pub(crate) fn connect(address: SocketAddr) -> Result<Session> {
    Namespace::Client.inside(|| Session::connect(address, ADMIN))
}

/// Which server a session ended up at.
pub(crate) fn landed(session: &mut Session) -> Result<SocketAddr> {
    let text = session.value("select host(inet_server_addr()) || ' ' || inet_server_port()")?;
    let (address, port) =
        text.split_once(' ').with_context(|| format!("server address {text:?}"))?;
    Ok(SocketAddr::new(address.parse()?, port.parse()?))
}

/// Opens sessions one after the other, closes each, and counts where they landed.
pub(crate) fn spread(
    address: SocketAddr,
    connections: usize,
) -> Result<BTreeMap<SocketAddr, usize>> {
    Namespace::Client.inside(|| {
        let mut counts = BTreeMap::new();
        for _ in 0..connections {
            let mut session = Session::connect(address, ADMIN)?;
            *counts.entry(landed(&mut session)?).or_default() += 1;
            session.close()?;
        }
        Ok(counts)
    })
}

/// What a worker has done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Transactions that succeeded.
    pub(crate) done: u64,
    /// Transactions and logins that failed.
    pub(crate) failed: u64,
    /// Why the first of them did.
    pub(crate) first_failure: Option<String>,
}

/// A client that works without pause until it is asked to stop.
pub(crate) struct Worker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

impl Worker {
    /// Starts a worker: a transaction every 10 ms, and a new session after each `per_session` of them.
    pub(crate) fn start(address: SocketAddr, per_session: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || work(address, per_session, &until));
        Self { stop, thread }
    }

    /// Asks it to stop and returns what it has done.
    pub(crate) fn stop(self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("a worker panicked"))
    }
}

fn work(address: SocketAddr, per_session: u32, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let fail = |tally: &mut Tally, error: anyhow::Error| {
        tally.failed += 1;
        tally.first_failure.get_or_insert_with(|| format!("{error:#}"));
    };
    if let Err(error) = Namespace::Client.enter() {
        fail(&mut tally, error);
        return tally;
    }
    while !stop.load(Ordering::Relaxed) {
        let mut session = match Session::connect(address, ADMIN) {
            Ok(session) => session,
            Err(error) => {
                fail(&mut tally, error);
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
        };
        let mut left = per_session;
        while left > 0 && !stop.load(Ordering::Relaxed) {
            match session.value("select count(*) from note") {
                Ok(_) => tally.done += 1,
                Err(error) => {
                    fail(&mut tally, error);
                    break;
                }
            }
            left -= 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Err(error) = session.close()
            && left == 0
        {
            fail(&mut tally, error);
        }
    }
    tally
}
