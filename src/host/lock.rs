//! One daemon for each network namespace: whoever holds the name owns the IPVS table.
//!
//! The name is an abstract Unix socket (unix(7)): such names belong to a network namespace, as IPVS tables do,
//! and the kernel takes them back when the process dies, however it dies. Nothing is ever read from it.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};

const NAME: &[u8] = b"pgvs/director";

/// The right to write this network namespace's IPVS table, until it is dropped.
#[derive(Debug)]
pub struct NamespaceLock {
    // Held, never used: the kernel ties the name to the open socket.
    _name: UnixListener,
}

/// Why the right was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon has it.
    #[error(
        "another pgvs{} already runs in this network namespace: only one may write its IPVS table; stop that one first, or use `pgvs run --observe`",
        .holder.map(|it| format!(" (pid {}, uid {})", it.pid, it.uid)).unwrap_or_default()
    )]
    Held {
        /// Who has it, if the kernel said so.
        holder: Option<Holder>,
    },
    /// The system refused.
    #[error("take the lock of this network namespace: {0}")]
    System(io::Error),
}

/// A process that holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

/// Takes the right, or says who has it.
pub fn take() -> Result<NamespaceLock, LockError> {
    take_name(NAME)
}

/// Who has the right at the moment, without taking it.
pub fn look() -> Option<Holder> {
    let address = SocketAddrUnix::new_abstract_name(NAME);
    match address.and_then(|address| holder(&address)) {
        Ok(holder) => Some(holder),
        // Nobody, or a holder with so many who looked that no more fit: it never answers them, and has not gone.
        Err(rustix::io::Errno::AGAIN) => Some(Holder { pid: 0, uid: 0 }),
        Err(_) => None,
    }
}

fn take_name(name: &[u8]) -> Result<NamespaceLock, LockError> {
    let address = SocketAddr::from_abstract_name(name).map_err(LockError::System)?;
    match UnixListener::bind_addr(&address) {
        Ok(listener) => Ok(NamespaceLock { _name: listener }),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let address = SocketAddrUnix::new_abstract_name(name);
            let holder = address.and_then(|address| holder(&address)).ok();
            Err(LockError::Held { holder })
        }
        Err(error) => Err(LockError::System(error)),
    }
}

/// Who listens at a Unix socket; never waits.
pub(crate) fn holder(address: &SocketAddrUnix) -> rustix::io::Result<Holder> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, address)?;
    let peer = sockopt::socket_peercred(&socket)?;
    Ok(Holder { pid: peer.pid.as_raw_nonzero().get(), uid: peer.uid.as_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_holds_it_and_gets_it_after_the_first() {
        let name = format!("pgvs/test-{}", std::process::id());
        let first = take_name(name.as_bytes()).unwrap();
        let LockError::Held { holder: Some(holder) } = take_name(name.as_bytes()).unwrap_err()
        else {
            panic!("the lock was not held");
        };
        assert_eq!(u32::try_from(holder.pid).unwrap(), std::process::id());
        drop(first);
        take_name(name.as_bytes()).unwrap();
    }
}
