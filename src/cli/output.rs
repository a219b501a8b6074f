//! What is printed, and how the program ends. A reader that went away is no error, and no panic.

use std::io::{self, ErrorKind, Write};

use crate::host::control::protocol::Reply;

/// The exit code where everything went well.
pub(super) const FINE: u8 = 0;
/// The exit code of an error.
pub(super) const ERROR: u8 = 2;

/// Prints a reply of the daemon.
pub(super) fn reply(reply: &Reply) -> u8 {
    let err = reply.err.trim_end();
    if !err.is_empty() {
        say(err);
    }
    match print(&reply.out) {
        Ok(()) => reply.exit,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => reply.exit,
        Err(error) => ended(&error),
    }
}

/// Says what went wrong, and that it did.
pub(super) fn error(text: &str) -> u8 {
    say(&format!("pgvs: {text}"));
    ERROR
}

/// The output could not be written: quietly where nobody reads it any more.
pub(super) fn ended(error: &io::Error) -> u8 {
    if error.kind() == ErrorKind::BrokenPipe {
        return FINE;
    }
    say(&format!("pgvs: write the output: {error}"));
    ERROR
}

/// To standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// One block to standard error.
pub(super) fn say(text: &str) {
    // Nobody is left who could be told that nobody listens.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
