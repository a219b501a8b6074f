//! Servers that say they are standbys and can fail like a killed postmaster: sessions closed, connections refused.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::net::{self, Namespace};

/// The namespace that all of them live in.
const HOME: Namespace = Namespace::Server(1);

/// Servers by address.
pub(super) struct Servers(Vec<Server>);

/// One of them; it fails when dropped.
struct Server {
    address: SocketAddr,
    listener: TcpListener,
    sessions: Arc<Mutex<Vec<TcpStream>>>,
}

impl Servers {
    /// Starts one at each address.
    pub(super) fn start(addresses: &[SocketAddr]) -> Result<Self> {
        net::add_addresses(HOME, addresses)?;
        addresses.iter().map(|&address| Server::start(address)).collect::<Result<_>>().map(Self)
    }

    /// Ends one: its sessions first, then nobody listens any more.
    pub(super) fn fail(&mut self, address: SocketAddr) {
        self.0.retain(|server| server.address != address);
    }

    /// Brings one back.
    pub(super) fn mend(&mut self, address: SocketAddr) -> Result<()> {
        self.0.push(Server::start(address)?);
        Ok(())
    }
}

impl Server {
    fn start(address: SocketAddr) -> Result<Self> {
        let listener = HOME.inside(|| {
            TcpListener::bind(address).with_context(|| format!("listen at {address}"))
        })?;
        let sessions = Arc::<Mutex<Vec<TcpStream>>>::default();
        let (accepting, kept) = (listener.try_clone()?, Arc::clone(&sessions));
        std::thread::spawn(move || {
            // It ends when the socket is shut down.
            while let Ok((stream, _)) = accepting.accept() {
                if let Ok(copy) = stream.try_clone() {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
                    std::thread::spawn(move || converse(stream));
                }
            }
        });
        Ok(Self { address, listener, sessions })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody is let in before the sessions end, as when a postmaster is killed.
        rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).unwrap_or_default();
        for session in &*self.sessions.lock().unwrap_or_else(PoisonError::into_inner) {
            drop(session.shutdown(Shutdown::Both));
        }
    }
}

/// A session up to its end.
fn converse(mut stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    loop {
        let body = untagged(&mut stream)?;
        if body.starts_with(&80_877_103_u32.to_be_bytes()) {
            // No TLS.
            stream.write_all(b"N").ok()?;
            continue;
        }
        break;
    }
    let mut hello = message(b'R', &[0; 4]);
    for parameter in ["server_version\x0015.0\0", "in_hot_standby\0on\0"] {
        hello.extend(message(b'S', parameter.as_bytes()));
    }
    hello.extend(message(b'S', b"default_transaction_read_only\0off\0"));
    hello.extend(message(b'K', &[0; 8]));
    hello.extend(message(b'Z', b"I"));
    stream.write_all(&hello).ok()?;
    loop {
        let mut tag = [0];
        stream.read_exact(&mut tag).ok()?;
        let body = untagged(&mut stream)?;
        let answer = match tag {
            [b'S'] => message(b'Z', b"I"),
            [b'Q'] => answer(&String::from_utf8_lossy(&body)),
            _ => return None,
        };
        stream.write_all(&answer).ok()?;
    }
}

/// What a standby answers to what the probe asks.
fn answer(question: &str) -> Vec<u8> {
    if question.contains("to_regprocedure") {
        row(&[Some("t"), Some("t")])
    } else if question.contains("set_config") {
        row(&[Some("0")])
    } else if question.contains("pg_control_system") {
        row(&[Some("t"), Some("off"), None, Some("7000000000000000001")])
    } else {
        row(&[Some("t"), Some("off")])
    }
}

fn row(values: &[Option<&str>]) -> Vec<u8> {
    let count = u16::try_from(values.len()).unwrap_or_default().to_be_bytes();
    let (mut description, mut row) = (count.to_vec(), count.to_vec());
    for value in values {
        // A name; then table, column, type, size, modifier and format, none of which is read.
        description.extend(b"c\0");
        description.extend([0; 18]);
        let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or_default());
        row.extend(length.to_be_bytes());
        row.extend(value.unwrap_or_default().as_bytes());
    }
    let mut answer = message(b'T', &description);
    answer.extend(message(b'D', &row));
    answer.extend(message(b'C', b"SELECT 1\0"));
    answer.extend(message(b'Z', b"I"));
    answer
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(u32::try_from(body.len() + 4).unwrap_or_default().to_be_bytes());
    bytes.extend(body);
    bytes
}

fn untagged(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?.checked_sub(4)?;
    let mut body = vec![0; length.min(1 << 20)];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}
