//! The daemon's side of the control socket: reads, understands and allows requests, each in a task of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::access::{Bits, Peer, may_change};
use super::protocol::{MAX_PLAIN_REQUEST, MAX_REQUEST, Reply, Request};

/// So many connections are served at once.
const CONNECTIONS: usize = 16;

/// So long a request may take to arrive.
const ARRIVE: Duration = Duration::from_secs(5);

/// So long a reply may take to be read.
const LEAVE: Duration = Duration::from_secs(10);

/// So long the listener rests when the system has no descriptor left.
const REST: Duration = Duration::from_millis(100);

/// Whoever carries out requests that are allowed.
pub(in crate::host) trait Desk: Send + Sync + 'static {
    /// Carries one out; takes its time where the request takes it.
    fn meet(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// Serves connections for as long as the task lives.
pub(in crate::host) async fn serve(listener: UnixListener, path: PathBuf, desk: Arc<impl Desk>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let path: Arc<PathBuf> = Arc::new(path);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("accept a connection at the control socket: {error}");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            let busy = "too many requests at once: try again";
            // Whoever does not take this short line at once goes without it.
            drop(stream.try_write(&line(&Reply::refused(busy))));
            continue;
        };
        let (path, desk) = (Arc::clone(&path), Arc::clone(&desk));
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &path, &*desk).await {
                tracing::debug!("a connection at the control socket: {error}");
            }
            drop(place);
        });
    }
}

/// One request, one reply.
async fn converse(
    mut stream: UnixStream,
    path: &std::path::Path,
    desk: &impl Desk,
) -> std::io::Result<()> {
    let peer = stream.peer_cred()?;
    let peer = Peer { uid: peer.uid(), gid: peer.gid() };
    let reply = match timeout(ARRIVE, read(&mut stream)).await {
        Err(_) => Reply::refused("the request did not arrive in time"),
        Ok(Err(why)) => Reply::refused(why),
        Ok(Ok(request)) => {
            let own = rustix::process::geteuid().as_raw();
            if request.is_change() && !may_change(peer, own, Bits::of(path)) {
                let name = request.name();
                Reply::refused(format!(
                    "{name}: user {} may look and not change; be root, or of the socket's group",
                    peer.uid
                ))
            } else {
                desk.meet(request).await
            }
        }
    };
    let sent = timeout(LEAVE, async {
        stream.write_all(&line(&reply)).await?;
        stream.shutdown().await
    });
    sent.await.unwrap_or(Ok(()))
}

/// Reads one line of at most [`MAX_REQUEST`] bytes.
async fn read(stream: &mut UnixStream) -> Result<Request, String> {
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let mut bounded = BufReader::new(stream).take(limit);
    let read = bounded.read_until(b'\n', &mut line).await;
    read.map_err(|error| format!("read the request: {error}"))?;
    if !line.ends_with(b"\n") && line.len() >= MAX_REQUEST {
        return Err(format!("the request is longer than {MAX_REQUEST} bytes"));
    }
    let request: Request = serde_json::from_slice(&line)
        .map_err(|error| format!("the request is not understood: {error}"))?;
    if line.len() > MAX_PLAIN_REQUEST && !matches!(request, Request::Plan { .. }) {
        return Err(format!("the request is longer than {MAX_PLAIN_REQUEST} bytes"));
    }
    Ok(request)
}

fn line(reply: &Reply) -> Vec<u8> {
    // Numbers and texts always have a form in JSON.
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    line
}
