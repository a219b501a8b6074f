//! What no program can beat: prepared requests sent to the kernel as they stand, the table read and thrown away.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};
use pgvs::model::op::Op;
use pgvs::wire::request::{Envelope, Request};

use crate::kernel;
use crate::net::Namespace;

/// Requests in one send.
const BATCH: usize = 256;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
const ACK: u16 = 4;
/// `NLMSG_ERROR`, which acknowledgements are as well.
const ERROR: u16 = 2;

/// Requests as bytes, in sends of [`BATCH`].
#[derive(Debug)]
pub(super) struct Prepared(Vec<Vec<u8>>);

impl Prepared {
    /// Turns requests into bytes.
    pub(super) fn new(ops: &[Op]) -> Result<Self> {
        let family = kernel::family()?;
        let sends = ops.chunks(BATCH).map(|ops| {
            let mut bytes = Vec::new();
            for (place, op) in ops.iter().enumerate() {
                let flags = if place + 1 == ops.len() { REQUEST | ACK } else { REQUEST };
                let envelope = Envelope { family, flags, sequence: 1 };
                Request::op(op).append(envelope, &mut bytes);
            }
            bytes
        });
        Ok(Self(sends.collect()))
    }

    /// Has the kernel carry them out; fails at the first refusal.
    pub(super) fn replay(&self) -> Result<Duration> {
        Namespace::Director.inside(|| {
            let mut socket = Socket::new(NETLINK_GENERIC).context("open a netlink socket")?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            socket.set_cap_ack(true)?;
            let mut reply = Vec::with_capacity(1 << 16);
            let began = Instant::now();
            for send in &self.0 {
                socket.send(send, 0).context("send prepared requests")?;
                reply.clear();
                socket.recv(&mut reply, 0).context("receive the acknowledgement")?;
                let (kind, code) = (reply.get(4..6), reply.get(16..20));
                if kind != Some(&ERROR.to_ne_bytes()) || code != Some(&[0; 4]) {
                    bail!("the kernel refused a prepared request: {code:?}");
                }
            }
            Ok(began.elapsed())
        })
    }
}

/// What one reading of /proc/net/ip_vs costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// From its opening to its end.
    pub(super) took: Duration,
    /// The processor's time.
    pub(super) cpu: Duration,
    /// Its length in bytes.
    pub(super) bytes: usize,
    /// Its lines without the three of the head.
    pub(super) lines: usize,
}

/// Reads the table and throws it away.
pub(super) fn read_table() -> Result<Reading> {
    Namespace::Director.inside(|| {
        let mut buffer = vec![0; 1 << 16];
        let (mut bytes, mut lines) = (0, 0);
        let (began, before) = (Instant::now(), own_cpu()?);
        let mut file = File::open("/proc/thread-self/net/ip_vs").context("open /proc/net/ip_vs")?;
        loop {
            let read = file.read(&mut buffer).context("read /proc/net/ip_vs")?;
            if read == 0 {
                break;
            }
            bytes += read;
        }
        let (took, cpu) = (began.elapsed(), own_cpu()?.saturating_sub(before));
        // Counted in a second reading, so that the first one is only that.
        let text = std::fs::read("/proc/thread-self/net/ip_vs")?;
        lines += text.iter().filter(|byte| **byte == b'\n').count();
        Ok(Reading { took, cpu, bytes, lines: lines.saturating_sub(3) })
    })
}

/// The processor's time of the calling thread.
fn own_cpu() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("read schedstat")?;
    let nanos = text.split_whitespace().next().context("an empty schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}
