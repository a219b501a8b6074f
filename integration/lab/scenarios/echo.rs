//! A UDP program on every server that answers with who it is and whom it heard, and a client that asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::net::Namespace;

/// So long one datagram may take there and back.
const PATIENCE: Duration = Duration::from_secs(2);

/// The programs; they stop when dropped.
#[derive(Default)]
pub(crate) struct Echo {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The number of the server that answered.
    pub(crate) server: u8,
    /// Whom that server had heard.
    pub(crate) client: IpAddr,
}

impl Echo {
    /// Starts one on a server, at the address that it is asked at.
    pub(crate) fn start(&mut self, number: u8, address: SocketAddr) -> Result<()> {
        let socket = Namespace::Server(number).inside(|| {
            UdpSocket::bind(address).with_context(|| format!("bind {address} on server {number}"))
        })?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let stop = Arc::clone(&self.stop);
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if let Ok((_, peer)) = socket.recv_from(&mut [0; 64]) {
                    let answer = format!("{number} {}", peer.ip());
                    drop(socket.send_to(answer.as_bytes(), peer));
                }
            }
        }));
        Ok(())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Asks from a new port; an answer from anywhere but that address is not heard.
pub(crate) fn ask(address: SocketAddr) -> Result<Heard> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut buffer = [0; 64];
    let length = Namespace::Client.inside(|| {
        let socket = UdpSocket::bind((any, 0)).context("bind a UDP socket")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(address).with_context(|| format!("no way to {address}"))?;
        socket.send(b"who?").with_context(|| format!("send to {address}"))?;
        socket.recv(&mut buffer).with_context(|| format!("no answer from {address}"))
    })?;
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
    let (server, client) = text.split_once(' ').with_context(|| format!("{text:?}"))?;
    Ok(Heard { server: server.parse()?, client: client.parse()? })
}
