//! The control socket: how `pgvs status`, `reload`, `plan`, `pause` and `resume` speak with the daemon.
//!
//! One request and one reply for each connection, each a line of JSON. Whoever is slow, silent or hostile loses
//! its own connection; the daemon's loop meets only requests that were read, understood and allowed.

mod access;
pub mod client;
pub mod protocol;
mod server;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use super::files::said;
use super::lock::{Holder, holder};
pub(super) use server::{Desk, serve};

/// The socket's permissions: its user and its group.
const MODE: u32 = 0o660;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Somebody listens there.
    #[error(
        "the control socket {} is in use by process {} of user {}: stop it, or name another one with control_socket in [director] or --socket",
        .path.display(), .holder.pid, .holder.uid
    )]
    Busy {
        /// Where.
        path: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// Something else has the name.
    #[error(
        "make the control socket {}: something that is no socket is there; remove it, or name another one with control_socket in [director] or --socket",
        .0.display()
    )]
    NotASocket(PathBuf),
    /// The system refused.
    #[error(
        "{doing} {}: {said}; name another control_socket in [director] or another --socket",
        .path.display()
    )]
    System {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        said: String,
    },
}

/// The listening socket; its name is removed when it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    inode: u64,
    listener: Option<UnixListener>,
}

impl ControlSocket {
    /// Listens at `path`, in the place of a daemon that is dead, never of one that lives.
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        let failed = |doing| {
            move |error: io::Error| ControlError::System {
                doing,
                path: path.to_owned(),
                said: said(&error),
            }
        };
        if let Some(directory) = path.parent() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o750).create(directory);
            made.map_err(failed("make the directory of the control socket"))?;
        }
        make_room(path)?;
        let listener = listen_at(path).map_err(failed("make the control socket"))?;
        let inode = fs::symlink_metadata(path).map_err(failed("look at the control socket"))?.ino();
        Ok(Self { path: path.to_owned(), inode, listener: Some(listener) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket itself, once.
    pub(super) const fn take_listener(&mut self) -> Option<UnixListener> {
        self.listener.take()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Somebody may have put another one there meanwhile.
        if fs::symlink_metadata(&self.path).is_ok_and(|it| it.ino() == self.inode) {
            // What stays behind is replaced at the next start.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Nobody can connect before the permissions are right: until it listens the kernel refuses.
fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Removes a socket that nobody listens at.
fn make_room(path: &Path) -> Result<(), ControlError> {
    let failed = |doing: &'static str, error: io::Error| ControlError::System {
        doing,
        path: path.to_owned(),
        said: said(&error),
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at the control socket", error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ControlError::NotASocket(path.to_owned()));
        }
        Ok(_) => (),
    }
    let address = SocketAddrUnix::new(path);
    match address.and_then(|address| holder(&address)) {
        Ok(holder) => Err(ControlError::Busy { path: path.to_owned(), holder }),
        Err(rustix::io::Errno::CONNREFUSED) => fs::remove_file(path)
            .map_err(|error| failed("remove the control socket of a dead daemon", error)),
        Err(error) => Err(failed("look who listens at the control socket", error.into())),
    }
}

#[cfg(test)]
mod tests;
