//! Our table of nftables, by nft(8): started without a shell, with bounded output and a bounded time.
//!
//! Reads and writes the table `inet pgvs` of the calling thread's network namespace, and no other.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::model::setting::NftTable;
use crate::wire::nft::{TABLE, script};

/// So long nft may take. It needs some milliseconds, but the first time waits for modules, on a starved machine for seconds.
const LIMIT: Duration = Duration::from_secs(15);
/// So often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(2);
/// More than any table of ours has, in bytes.
const MOST: u64 = 16 * 1024 * 1024;

/// Where distributions install it, and where `$PATH` leads.
const PLACES: [&str; 4] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "nft"];

/// Why the rules could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum NftError {
    /// It is not installed.
    #[error(
        "full NAT needs nft, which is not here: install nftables, or take `source_nat` out of the services"
    )]
    Absent,
    /// It could not be started or waited for.
    #[error("start nft: {0}")]
    Start(#[from] io::Error),
    /// It did not end.
    #[error("nft hangs: no end within {LIMIT:?}")]
    Hangs,
    /// It, or the kernel behind it, said no.
    #[error(
        "{doing} the nft table {TABLE}: {said}; full NAT needs nf_tables with nat and ct in the kernel (`modprobe nft_chain_nat nft_ct nft_masq`) and CAP_NET_ADMIN"
    )]
    Refused {
        /// `read` or `write`.
        doing: &'static str,
        /// The first line of what it said.
        said: String,
    },
}

/// The table as it is; empty where there is none.
pub(super) fn list() -> Result<NftTable, NftError> {
    let (family, name) = TABLE.split_once(' ').unwrap_or_default();
    let ended = run(&["-n", "-s", "list", "table", family, name], "")?;
    if ended.status.success() {
        return Ok(NftTable::new(&ended.out));
    }
    if ended.err.contains("No such file or directory") {
        return Ok(NftTable::default());
    }
    Err(ended.refused("read"))
}

/// Puts a table in the place of ours, or removes ours where it is empty, in one transaction.
pub(super) fn replace(table: &NftTable) -> Result<(), NftError> {
    let ended = run(&["-f", "-"], &script(table))?;
    if ended.status.success() { Ok(()) } else { Err(ended.refused("write")) }
}

/// A run of nft that has ended by itself.
#[derive(Debug)]
struct Ended {
    status: ExitStatus,
    out: String,
    err: String,
}

impl Ended {
    fn refused(&self, doing: &'static str) -> NftError {
        let said = self.err.lines().map(str::trim).find(|line| !line.is_empty());
        let said = said.map_or_else(|| self.status.to_string(), ToOwned::to_owned);
        NftError::Refused { doing, said }
    }
}

fn run(arguments: &[&str], input: &str) -> Result<Ended, NftError> {
    for place in PLACES {
        match start(place, arguments) {
            Ok(child) => return finish(child, input),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error.into()),
        }
    }
    Err(NftError::Absent)
}

fn start(program: &str, arguments: &[&str]) -> io::Result<Child> {
    let mut command = Command::new(program);
    // What it says is read by a program.
    command.args(arguments).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

fn finish(mut child: Child, input: &str) -> Result<Ended, NftError> {
    // Pipes are short, and it may say much before it has heard everything.
    let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let (stdin, input) = (child.stdin.take(), input.to_owned());
    let writer = std::thread::spawn(move || match stdin {
        Some(mut stdin) => stdin.write_all(input.as_bytes()),
        None => Ok(()),
    });
    let status = wait(&mut child)?;
    // An nft that stops listening says why, which counts more than that it did.
    drop(writer.join());
    Ok(Ended { status, out: joined(out)?, err: joined(err)? })
}

fn wait(child: &mut Child) -> Result<ExitStatus, NftError> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(NftError::Hangs);
        }
        std::thread::sleep(LOOK);
    }
}

type Reader = JoinHandle<io::Result<String>>;

fn reader(pipe: Option<impl Read + Send + 'static>) -> Reader {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            pipe.take(MOST).read_to_end(&mut bytes)?;
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    })
}

fn joined(reader: Reader) -> io::Result<String> {
    reader.join().unwrap_or_else(|_| Err(io::Error::other("its output could not be read")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_and_how_it_ends_is_known_however_much_it_is() {
        let child = start("sh", &["-c", "cat; echo no >&2; exit 3"]).unwrap();
        let long = "x".repeat(300_000);
        let ended = finish(child, &long).unwrap();
        assert_eq!((ended.status.code(), ended.out.len()), (Some(3), long.len()));
        assert!(ended.refused("write").to_string().contains("write the nft table inet pgvs: no;"));
    }

    #[test]
    fn a_program_that_does_not_listen_is_no_mistake_of_ours() {
        let ended = finish(start("true", &[]).unwrap(), &"x".repeat(300_000)).unwrap();
        assert!(ended.status.success());
    }
}
