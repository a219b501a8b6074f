//! The other side of the control socket: one request to the daemon, one reply.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::protocol::{MAX_REPLY, MAX_REQUEST, Reply, Request};
use crate::host::files::said;
use crate::host::lock::{self, Holder};

/// How long the request may take to be taken.
const SEND: Duration = Duration::from_secs(5);

/// How long an answer that needs no kernel may take.
const SOON: Duration = Duration::from_secs(30);

/// How long the daemon may take to bring a change into the kernel: longer than it gives itself.
const CHANGE: Duration = Duration::from_secs(900);

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no pgvs answers at {}: it does not run, or its socket is elsewhere (--socket, $PGVS_SOCKET, or control_socket of --config)",
        .0.display()
    )]
    NoDaemon(PathBuf),
    /// The socket is closed to us.
    #[error("connect to {}: permission denied; be root, or of the socket's group", .0.display())]
    Forbidden(PathBuf),
    /// It went wrong on the way.
    #[error("{doing} {}: {said}", .path.display())]
    System {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        said: String,
    },
    /// The reply is none.
    #[error("the reply from {} is not understood: {why}; are client and daemon of one version?", .path.display())]
    Garbled {
        /// Whose.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The request cannot be sent.
    #[error(
        "the configuration is too long for the control socket: {0} bytes with its names, of at most {MAX_REQUEST}"
    )]
    TooLong(usize),
}

/// Asks the daemon that listens at `path`.
pub fn ask(path: &Path, request: &Request) -> Result<Reply, ClientError> {
    let failed = |doing| {
        move |error: io::Error| ClientError::System {
            doing,
            path: path.to_owned(),
            said: said(&error),
        }
    };
    let garbled = |why: String| ClientError::Garbled { path: path.to_owned(), why };
    let line = serde_json::to_string(request).map_err(|error| garbled(error.to_string()))?;
    if line.len() >= MAX_REQUEST {
        return Err(ClientError::TooLong(line.len()));
    }
    let mut stream = open(path)?;
    let patience = if request.is_change() { CHANGE } else { SOON };
    stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_write_timeout(Some(SEND)))
        .and_then(|()| stream.set_read_timeout(Some(patience)))
        .map_err(failed("use the socket"))?;
    // A daemon that refuses may have closed its side before it read everything: its reply is worth reading.
    let sent = stream.write_all(format!("{line}\n").as_bytes());
    let sent = sent.and_then(|()| stream.shutdown(Shutdown::Write));
    let limit = u64::try_from(MAX_REPLY).unwrap_or(u64::MAX);
    let mut reply = String::new();
    let read = BufReader::new(stream).take(limit).read_line(&mut reply);
    match (read, sent) {
        (Ok(length), _) if length > 0 => {
            serde_json::from_str(&reply).map_err(|error| garbled(error.to_string()))
        }
        (_, Err(error)) => Err(failed("send the request to")(error)),
        (Err(error), Ok(())) => Err(failed("read the reply from")(error)),
        (Ok(_), Ok(())) => Err(garbled("the daemon closed the connection without a word".into())),
    }
}

/// Who listens at `path`, if anybody does and we may ask.
pub fn holder(path: &Path) -> Option<Holder> {
    SocketAddrUnix::new(path).and_then(|address| lock::holder(&address)).ok()
}

/// Connects without waiting: a daemon that does not accept would hold us for ever.
fn open(path: &Path) -> Result<UnixStream, ClientError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let connected = SocketAddrUnix::new(path).and_then(|address| {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &address)?;
        Ok(socket)
    });
    match connected {
        Ok(socket) => Ok(UnixStream::from(socket)),
        Err(
            rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOTDIR,
        ) => Err(ClientError::NoDaemon(path.to_owned())),
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
            Err(ClientError::Forbidden(path.to_owned()))
        }
        Err(error) => Err(ClientError::System {
            doing: "connect to",
            path: path.to_owned(),
            said: said(&error.into()),
        }),
    }
}
