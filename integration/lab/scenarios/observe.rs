//! The observer: notes when PostgreSQL itself said that something happened, with a raw idle session and a
//! Sync every 5 ms, straight to the server. What pgvs does later is measured from here.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::net::{self, Namespace};
use crate::postgres::ADMIN;
use crate::session::{Said, Session};

/// Between two Syncs.
const BEAT: Duration = Duration::from_millis(5);

/// What a server lets its clients know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// An error or a notice that nobody asked for.
    Said(Said),
    /// The session was ended without a word.
    HungUp,
    /// `in_hot_standby` is on: in recovery.
    Standby,
    /// `in_hot_standby` is off: a primary.
    Primary,
}

impl Word {
    /// Whether it announces the end of the server.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Said(said) => matches!(said.code.as_str(), "57P01" | "57P02" | "57P03"),
            Self::HungUp => true,
            Self::Standby | Self::Primary => false,
        }
    }
}

type Heard = (Mutex<Vec<(Instant, Word)>>, Condvar);

/// An observer of one server; it stops when dropped.
pub(crate) struct Observer {
    heard: Arc<Heard>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Observer {
    /// Opens both sessions from the director's namespace; they are open when this returns.
    pub(crate) fn start(server: u8) -> Result<Self> {
        let address = net::server(server);
        let open = || Namespace::Director.inside(|| Session::connect(address, ADMIN));
        let (idle, beating) = (open()?, open()?);
        let (heard, stop) = (Arc::<Heard>::default(), Arc::new(AtomicBool::new(false)));
        let (first, second) =
            ((Arc::clone(&heard), Arc::clone(&stop)), (Arc::clone(&heard), Arc::clone(&stop)));
        let threads = vec![
            std::thread::spawn(move || listen(idle, &first.0, &first.1)),
            std::thread::spawn(move || beat(beating, &second.0, &second.1, address)),
        ];
        Ok(Self { heard, stop, threads })
    }

    /// Waits for the first word that fits, and says when it was heard.
    pub(crate) fn wait(
        &self,
        what: &str,
        limit: Duration,
        fits: impl Fn(&Word) -> bool,
    ) -> Result<Instant> {
        let deadline = Instant::now() + limit;
        let (mutex, changed) = &*self.heard;
        let mut heard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((at, _)) = heard.iter().find(|(_, word)| fits(word)) {
                return Ok(*at);
            }
            let now = Instant::now();
            if now >= deadline {
                let words: Vec<_> = heard.iter().map(|(_, word)| word).collect();
                bail!("PostgreSQL did not say within {limit:?}: {what}; it said {words:?}");
            }
            heard = changed
                .wait_timeout(heard, deadline - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// The idle session: only what the server sends by itself.
fn listen(mut session: Session, heard: &Heard, stop: &AtomicBool) -> Result<()> {
    session.patience(Some(Duration::from_millis(100)))?;
    while !stop.load(Ordering::Relaxed) {
        match session.next() {
            Ok(Some(message)) if matches!(message.tag, b'E' | b'N') => {
                note(heard, Word::Said(message.said()))
            }
            Ok(Some(_)) => (),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => (),
            Ok(None) | Err(_) => {
                note(heard, Word::HungUp);
                return Ok(());
            }
        }
    }
    session.close()
}

/// The other session: asks without pause, for the role is told only with an answer.
fn beat(mut session: Session, heard: &Heard, stop: &AtomicBool, address: SocketAddr) -> Result<()> {
    let mut role = None;
    while !stop.load(Ordering::Relaxed) {
        let told = session.parameters.get("in_hot_standby").cloned();
        let told = told.with_context(|| format!("{address} does not report in_hot_standby"))?;
        if role.as_ref() != Some(&told) {
            note(heard, if told == "on" { Word::Standby } else { Word::Primary });
            role = Some(told);
        }
        std::thread::sleep(BEAT);
        if session.sync().is_err() {
            note(heard, Word::HungUp);
            return Ok(());
        }
    }
    session.close()
}

fn note(heard: &Heard, word: Word) {
    let at = Instant::now();
    heard.0.lock().unwrap_or_else(PoisonError::into_inner).push((at, word));
    heard.1.notify_all();
}
