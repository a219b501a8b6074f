//! A PostgreSQL client of our own, over a blocking socket: small enough that every message can be seen
//! and timed. Knows trust authentication and simple queries; never TLS.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

/// How long one answer may take before the session counts as dead.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// An error or a notice as a server sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The severity, never translated (field V).
    pub(crate) severity: String,
    /// The SQLSTATE (field C).
    pub(crate) code: String,
    /// The text, in the server's language (field M).
    pub(crate) message: String,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.severity, self.code, self.message)
    }
}

/// One message from a server.
#[derive(Debug)]
pub(crate) struct Message {
    /// The message's type, for example `Z` for ReadyForQuery.
    pub(crate) tag: u8,
    /// What follows the length.
    pub(crate) body: Vec<u8>,
}

/// An open session with a server.
#[derive(Debug)]
pub(crate) struct Session {
    stream: TcpStream,
    /// What the server has reported about itself, `in_hot_standby` for example.
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Session {
    /// Connects from the calling thread's namespace and logs in by trust.
    pub(crate) fn connect(address: SocketAddr, user: &str) -> Result<Self> {
        Self::connect_within(address, user, ANSWER_LIMIT)
    }

    /// The same with a time limit for each step.
    pub(crate) fn connect_within(address: SocketAddr, user: &str, limit: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, limit)
            .with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        let mut session = Self { stream, parameters: BTreeMap::new() };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for text in ["user", user, "database", "postgres", "application_name", "lab"] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4)?.to_be_bytes();
        session.stream.write_all(&[&length, &body[..]].concat())?;
        session.until_ready().with_context(|| format!("log in at {address}"))?;
        Ok(session)
    }

    /// Runs one simple query and returns its rows, NULL as an empty text.
    pub(crate) fn query(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        self.send(b'Q', &[sql.as_bytes(), &[0]].concat())?;
        self.until_ready().with_context(|| sql.to_owned())
    }

    /// Runs one simple query and returns the first field of its first row.
    pub(crate) fn value(&mut self, sql: &str) -> Result<String> {
        let rows = self.query(sql)?;
        rows.into_iter().flatten().next().ok_or_else(|| anyhow!("{sql}: no row"))
    }

    /// A bare Sync: the cheapest sign of life.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.send(b'S', &[])?;
        self.until_ready().map(drop)
    }

    /// Says goodbye as a well-behaved client does.
    pub(crate) fn close(mut self) -> Result<()> {
        self.send(b'X', &[])
    }

    /// The address of this end.
    pub(crate) fn local(&self) -> Result<SocketAddr> {
        self.stream.local_addr().context("local address")
    }

    /// Sets how long [`Session::next`] waits; none means for ever.
    pub(crate) fn patience(&self, limit: Option<Duration>) -> Result<()> {
        self.stream.set_read_timeout(limit).context("set a read timeout")
    }

    /// Waits for one message. `Ok(None)` when the server has hung up.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Message>> {
        let mut head = [0; 5];
        match self.stream.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let rest = usize::try_from(length.saturating_sub(4)).unwrap_or(usize::MAX);
        if rest > 1 << 20 {
            return Err(std::io::Error::other(format!("a message of {length} bytes")));
        }
        let mut body = vec![0; rest];
        self.stream.read_exact(&mut body)?;
        Ok(Some(Message { tag: head[0], body }))
    }

    fn send(&mut self, tag: u8, body: &[u8]) -> Result<()> {
        let length = u32::try_from(body.len() + 4)?.to_be_bytes();
        self.stream.write_all(&[&[tag], &length[..], body].concat()).context("send")
    }

    /// Reads up to ReadyForQuery; an ErrorResponse on the way is the result.
    fn until_ready(&mut self) -> Result<Vec<Vec<String>>> {
        let (mut rows, mut failure) = (Vec::new(), None);
        loop {
            let Some(message) = self.next().context("wait for an answer")? else {
                bail!(
                    "{}",
                    failure.map_or("the server hung up".to_owned(), |said: Said| said.to_string())
                );
            };
            match message.tag {
                b'Z' => break,
                b'E' => {
                    let said = message.said();
                    if said.severity == "FATAL" || said.severity == "PANIC" {
                        bail!("{said}");
                    }
                    failure = Some(said);
                }
                b'D' => rows.push(message.fields()),
                b'S' => self.learn(&message),
                b'R' if message.body != [0; 4] => bail!("the server wants a password"),
                _ => (),
            }
        }
        failure.map_or(Ok(rows), |said| Err(anyhow!("{said}")))
    }

    /// Takes a ParameterStatus in.
    pub(crate) fn learn(&mut self, message: &Message) {
        let mut texts = message.body.split(|&byte| byte == 0).map(lossy);
        if let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            self.parameters.insert(name, value);
        }
    }
}

impl Message {
    /// The fields of an ErrorResponse or a NoticeResponse.
    pub(crate) fn said(&self) -> Said {
        let mut said = Said::default();
        for field in self.body.split(|&byte| byte == 0) {
            match field {
                [b'V', text @ ..] => said.severity = lossy(text),
                [b'C', text @ ..] => said.code = lossy(text),
                [b'M', text @ ..] => said.message = lossy(text),
                _ => (),
            }
        }
        said
    }

    /// The columns of a DataRow.
    fn fields(&self) -> Vec<String> {
        let mut rest = self.body.get(2..).unwrap_or_default();
        let mut fields = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            // NULL has the length -1.
            let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
            let (text, tail) = tail.split_at(length.min(tail.len()));
            fields.push(lossy(text));
            rest = tail;
        }
        fields
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
