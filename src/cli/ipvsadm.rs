//! `pgvs ipvsadm`: ipvsadm's command line on the kernel itself, without the daemon. Exit codes as ipvsadm's.
//!
//! A command line is read before the kernel is opened, so that wrong usage, help and version need no kernel.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::process::ExitCode;

use crate::host::names::SystemNames;
use crate::host::netlink::{Kernel, KernelError};
use crate::ipvsadm::args::{self, Change, Command, Format, List, Refused};
use crate::ipvsadm::{help, list, others, restore, save, words};
use crate::model::kernel::IpvsInfo;
use crate::model::op::{Errno, Op};

/// No IPVS to be had.
const NO_IPVS: u8 = 2;
/// The list could not be read.
const NO_LIST: u8 = 1;
/// As much of the standard input is read at once.
const INPUT: usize = 64 << 10;
/// The connections of the network namespace of the reading thread.
const CONNECTIONS: &str = "/proc/thread-self/net/ip_vs_conn";

/// Carries out the arguments behind the program's name, by which ipvsadm names itself.
pub fn run(program: &str, arguments: &[String]) -> ExitCode {
    let mut session = Session { program, names: SystemNames::new(), kernel: None };
    let (failed, code) = match session.carry_out(arguments, Lines::Allowed) {
        Ok(()) => (None, 0),
        Err(End::Said(code)) => (None, code),
        Err(End::Refused(Refused { text, code, .. })) => (Some(text), code),
    };
    if let Some(text) = failed {
        complain(&text);
    }
    ExitCode::from(code)
}

/// Whether a command may read further ones from standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    Allowed,
    /// It was read from there itself.
    Nested,
}

/// Why a command line was not carried out.
#[derive(Debug)]
enum End {
    Refused(Refused),
    /// Everything has been said.
    Said(u8),
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

#[derive(Debug)]
struct Session<'a> {
    program: &'a str,
    names: SystemNames,
    /// Opened when it is first needed.
    kernel: Option<(Kernel, IpvsInfo)>,
}

impl Session<'_> {
    fn carry_out(&mut self, arguments: &[String], lines: Lines) -> Result<(), End> {
        match args::parse(self.program, arguments, &self.names)? {
            Command::Help => {
                print(words::VERSION)?;
                print(&help::help(self.program))?;
                // ipvsadm ends here even in the middle of a restore.
                Err(End::Said(0))
            }
            Command::Version => {
                print(words::VERSION)?;
                Err(End::Said(0))
            }
            Command::List(what, format) => self.list(what, format),
            Command::Save(format) => {
                let services = self.kernel()?.0.list().map_err(|error| unlisted(&error))?;
                print(&save::save(&services, format, &self.names))
            }
            Command::Restore if lines == Lines::Nested => Err(args::try_help(self.program).into()),
            Command::Restore => self.restore(),
            Command::Change(change) => self.change(&change),
        }
    }

    /// Line by line. What the kernel refuses does not stop the lines behind it; wrong usage does.
    fn restore(&mut self) -> Result<(), End> {
        // Without IPVS nothing is read.
        self.kernel()?;
        let mut input = BufReader::with_capacity(INPUT, io::stdin().lock());
        let mut changes = Vec::new();
        let mut result = Ok(());
        loop {
            // A line is carried out when it is there: whoever writes them may wait for what comes of each. Lines
            // that are there together go to the kernel together.
            if !input.buffer().contains(&b'\n') {
                result = self.apply(&mut changes, result)?;
            }
            let mut text = Vec::new();
            let read = input.read_until(b'\n', &mut text).map_err(|error| Refused {
                text: format!("ipvsadm: read the standard input: {error}"),
                code: NO_IPVS,
                goes_on: false,
            })?;
            if read == 0 {
                return self.apply(&mut changes, result)?;
            }
            for line in restore::lines(&String::from_utf8_lossy(&text)) {
                let parsed = args::parse(self.program, &line, &self.names);
                if let Ok(Command::Change(Change::Op(op))) = parsed {
                    changes.push(op);
                    continue;
                }
                // What came of those is not what came of the last line.
                drop(self.apply(&mut changes, Ok(()))?);
                result = go_on(self.carry_out(&line, Lines::Nested))?;
            }
        }
    }

    /// Carries out changes that were read one behind the other, and complains as if each had been carried out by
    /// itself. What came of the last line is what comes of all.
    fn apply(
        &mut self,
        changes: &mut Vec<Op>,
        before: Result<(), End>,
    ) -> Result<Result<(), End>, End> {
        let ops = std::mem::take(changes);
        let (kernel, _) = self.kernel()?;
        let mut result = before;
        match kernel.apply(&ops) {
            Ok(outcomes) => {
                for (op, outcome) in ops.into_iter().zip(outcomes) {
                    let outcome = outcome.map_err(|errno| refused(&Change::Op(op), errno));
                    result = go_on(outcome)?;
                }
            }
            Err(error) => result = go_on(Err(later(&error.to_string())))?,
        }
        Ok(result)
    }

    fn list(&mut self, what: List, format: Format) -> Result<(), End> {
        let (kernel, info) = self.kernel()?;
        let info = *info;
        let text = match what {
            List::All => {
                let services = kernel.list().map_err(|error| {
                    // The first line is out before the rest is asked for.
                    drop(print(&list::first_line(info)));
                    unlisted(&error)
                })?;
                list::list(Some(info), &services, format, &self.names)
            }
            List::Service(key) => {
                let found = kernel.service(key).map_err(|error| unlisted(&error))?;
                let mut service = found.ok_or_else(|| ended(words::NO_SERVICE, NO_LIST))?;
                service.destinations =
                    kernel.destinations(key).map_err(|error| unlisted(&error))?;
                list::list(None, &[service], format, &self.names)
            }
            List::Connections => {
                let proc = std::fs::read(CONNECTIONS)
                    .map_err(|_| ended("cannot open file /proc/net/ip_vs_conn", NO_LIST))?;
                others::connections(&String::from_utf8_lossy(&proc), format, &self.names)
            }
            List::Timeouts => {
                let timeouts = kernel.config().map_err(|error| unlisted(&error))?;
                others::timeouts(timeouts)
            }
            List::Daemons => {
                let daemons = kernel.daemons().map_err(|error| unlisted(&error))?;
                others::daemons(&daemons)
            }
        };
        print(&text)
    }

    fn change(&mut self, change: &Change) -> Result<(), End> {
        let (kernel, _) = self.kernel()?;
        let result = match change {
            Change::Op(op) => match kernel.apply(std::slice::from_ref(op)) {
                Ok(outcomes) => match outcomes.first() {
                    Some(Err(errno)) => return Err(refused(change, *errno)),
                    _ => Ok(()),
                },
                Err(error) => Err(error),
            },
            Change::Flush => kernel.flush(),
            Change::Zero(key) => kernel.zero(*key),
            Change::Timeouts(timeouts) => kernel.set_config(*timeouts),
            Change::StartDaemon(daemon) => kernel.start_daemon(daemon),
            Change::StopDaemon(role) => kernel.stop_daemon(*role),
        };
        result.map_err(|error| match error.errno() {
            Some(errno) => refused(change, errno),
            None => later(&error.to_string()),
        })
    }

    /// The first question shows whether we may ask any.
    fn kernel(&mut self) -> Result<&mut (Kernel, IpvsInfo), End> {
        let opened = match self.kernel.take() {
            Some(opened) => Ok(opened),
            None => Kernel::open().and_then(|mut kernel| {
                let info = kernel.info()?;
                Ok((kernel, info))
            }),
        };
        let opened = opened.map_err(|error| {
            let reason = if matches!(error, KernelError::NoIpvs) {
                words::NO_MODULE.into()
            } else if error.is_permission() {
                words::PERMISSION.into()
            } else {
                error.to_string()
            };
            ended(&words::cannot_start(&reason), NO_IPVS)
        })?;
        Ok(self.kernel.insert(opened))
    }
}

/// Complains where the lines behind a refused one are carried out all the same.
fn go_on(result: Result<(), End>) -> Result<Result<(), End>, End> {
    match result {
        Err(End::Refused(refused)) if refused.goes_on => {
            complain(&refused.text);
            Ok(Err(End::Said(refused.code)))
        }
        Err(end) => Err(end),
        Ok(()) => Ok(Ok(())),
    }
}

fn refused(change: &Change, errno: Errno) -> End {
    let text = words::refused(change, errno);
    later(&text.map_or_else(|| strerror(errno), String::from))
}

/// A refusal of the kernel: a restore goes on behind it.
fn later(text: &str) -> End {
    End::Refused(Refused { text: text.into(), code: words::KERNEL, goes_on: true })
}

fn unlisted(error: &KernelError) -> End {
    let text = error.errno().map(|errno| match words::general(errno) {
        Some(text) => text.into(),
        None => strerror(errno),
    });
    ended(&text.unwrap_or_else(|| error.to_string()), NO_LIST)
}

fn ended(text: &str, code: u8) -> End {
    End::Refused(Refused { text: text.into(), code, goes_on: false })
}

/// The words of strerror(3), without the number that the standard library adds.
fn strerror(errno: Errno) -> String {
    let text = io::Error::from_raw_os_error(errno.0).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.into(),
        None => text,
    }
}

fn print(text: &str) -> Result<(), End> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| {
        // Nobody reads it any more.
        if error.kind() == ErrorKind::BrokenPipe {
            return End::Said(NO_LIST);
        }
        ended(&format!("ipvsadm: write the output: {error}"), NO_LIST)
    })
}

fn complain(text: &str) {
    // Nobody is left who could be told that nobody listens.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
