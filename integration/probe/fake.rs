//! Servers that only pretend: each connection is a script.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A listening socket whose connections are played by a script.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Fake {
    /// Plays `script` for each connection; it is told which one it is, from 0.
    pub(crate) async fn new<F>(script: impl Fn(Conn, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let number = count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(script(Conn(stream), number));
            }
        });
        Self { address, connections, task }
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection as a script sees it. `None` is the end of the connection.
pub(crate) struct Conn(pub(crate) TcpStream);

impl Conn {
    /// Reads a message without a tag: start-up, or a request for TLS.
    pub(crate) async fn untagged(&mut self) -> Option<Vec<u8>> {
        let length = self.0.read_u32().await.ok()?;
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        self.0.read_exact(&mut body).await.ok()?;
        Some(body)
    }

    /// Reads a message.
    pub(crate) async fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let tag = self.0.read_u8().await.ok()?;
        Some((tag, self.untagged().await?))
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.0.write_all(bytes).await.ok()
    }

    /// Sends a message.
    pub(crate) async fn say(&mut self, tag: u8, body: &[u8]) -> Option<()> {
        self.send(&message(tag, body)).await
    }

    /// Lets the client in without a password and reports the given parameters.
    pub(crate) async fn log_in(&mut self, parameters: &[(&str, &str)]) -> Option<()> {
        self.untagged().await?;
        self.say(b'R', &[0; 4]).await?;
        for (name, value) in parameters {
            self.report(name, value).await?;
        }
        self.say(b'K', &[0; 8]).await?;
        self.say(b'Z', b"I").await
    }

    /// Reports a parameter.
    pub(crate) async fn report(&mut self, name: &str, value: &str) -> Option<()> {
        self.say(b'S', format!("{name}\0{value}\0").as_bytes()).await
    }

    /// Answers a statement with one row.
    pub(crate) async fn row(&mut self, values: &[Option<&str>]) -> Option<()> {
        let count = u16::try_from(values.len()).unwrap().to_be_bytes();
        let (mut description, mut row) = (count.to_vec(), count.to_vec());
        for value in values {
            // A name; then table, column, type, size, modifier and format, none of which is read.
            description.extend(b"c\0");
            description.extend([0; 18]);
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
            row.extend(length.to_be_bytes());
            row.extend(value.unwrap_or_default().as_bytes());
        }
        self.say(b'T', &description).await?;
        self.say(b'D', &row).await?;
        self.say(b'C', b"SELECT 1\0").await?;
        self.say(b'Z', b"I").await
    }

    /// An ErrorResponse or a NoticeResponse.
    pub(crate) async fn error(&mut self, tag: u8, severity: &str, sqlstate: &str) -> Option<()> {
        let body = format!("S{severity}\0V{severity}\0C{sqlstate}\0Mno text is read\0Rroutine\0\0");
        self.say(tag, body.as_bytes()).await
    }

    /// Answers what a probe asks, as a standby or a primary, until something else is asked or the end.
    ///
    /// Panics on a second question before the answer to the first: a probe must never queue.
    pub(crate) async fn serve(&mut self, is_primary: impl Fn() -> bool) -> Option<Vec<u8>> {
        loop {
            let (tag, body) = self.message().await?;
            let text = String::from_utf8_lossy(&body).into_owned();
            let mut early = [0; 1];
            let queued = self.0.try_read(&mut early).is_ok_and(|bytes| bytes > 0);
            assert!(!queued, "a second question after {text:?}");
            let recovery = if is_primary() { "f" } else { "t" };
            let timeline = is_primary().then_some("0000000B");
            match tag {
                b'S' => self.say(b'Z', b"I").await?,
                b'Q' if text.contains("to_regprocedure") => {
                    self.row(&[Some("t"), Some("t")]).await?
                }
                b'Q' if text.contains("set_config") => self.row(&[Some("0")]).await?,
                b'Q' if text.contains("pg_control_system") => {
                    self.row(&[Some(recovery), Some("off"), timeline, Some("-2")]).await?;
                }
                b'Q' if text.contains("default_transaction_read_only") => {
                    self.row(&[Some(recovery), Some("off")]).await?;
                }
                b'Q' if text.contains("pg_walfile_name") => self.row(&[timeline]).await?,
                other => return Some(vec![other]),
            }
        }
    }

    /// Reads until the client closes; whether it closed with a FIN.
    pub(crate) async fn closed_by_fin(&mut self) -> bool {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.is_ok()
    }
}

/// A message of the protocol.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}
