//! ipvsadm's command line as its grammar has it: the first argument is the command, the others are its options.
//!
//! What is wrong is said in ipvsadm's words, at the same option at which ipvsadm says it.

use super::entry::Entry;
use super::options::{CommandName, Tag};
use super::scan::{Bad, Scan};
use super::values::Names;
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::op::Op;
use crate::model::service::ServiceKey;

/// What ipvsadm is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `-h`.
    Help,
    /// `-v`.
    Version,
    /// `-L`.
    List(List, Format),
    /// `-S`: the table as commands.
    Save(Format),
    /// `-R`: commands from standard input.
    Restore,
    /// Something of the kernel is to be changed.
    Change(Change),
}

/// A change of the kernel's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `-A -E -D -a -e -d`.
    Op(Op),
    /// `-C`.
    Flush,
    /// `-Z`, of one service or of all.
    Zero(Option<ServiceKey>),
    /// `--set`.
    Timeouts(Timeouts),
    /// `--start-daemon`.
    StartDaemon(SyncDaemon),
    /// `--stop-daemon`; the kernel reads the role alone.
    StopDaemon(SyncRole),
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// The whole table.
    All,
    /// One service.
    Service(ServiceKey),
    /// The connections.
    Connections,
    /// The timeouts.
    Timeouts,
    /// The connection-sync daemons.
    Daemons,
}

/// How it is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// Which columns.
    pub columns: Columns,
    /// With numbers instead of names.
    pub numeric: bool,
    /// Large numbers in full.
    pub exact: bool,
    /// In the kernel's order.
    pub unsorted: bool,
    /// Connections with the persistence engine's data (`--persistent-conn`, whatever the columns).
    pub persistent: bool,
    /// True counters, and marks without a sign: not as ipvsadm has them, and by no option of ipvsadm.
    pub wide: bool,
}

/// The columns of a list of services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// Forwarding, weight and connections.
    #[default]
    Plain,
    /// `--stats`.
    Stats,
    /// `--rate`.
    Rate,
    /// `--thresholds`.
    Thresholds,
    /// `--persistent-conn`.
    Persistent,
    /// `--tun-info`.
    Tunnel,
}

/// Why ipvsadm ends without having done anything: its line for standard error, and its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Without the line's end.
    pub text: String,
    /// The exit code.
    pub code: u8,
    /// Whether a restore goes on behind it.
    pub goes_on: bool,
}

impl Refused {
    /// Wrong usage.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 2, goes_on: false }
    }
}

impl From<String> for Refused {
    fn from(text: String) -> Self {
        Self::usage(text)
    }
}

/// Reads the arguments behind the program's name, which is used where ipvsadm names itself.
///
/// Without arguments the table is listed.
pub fn parse(program: &str, arguments: &[String], names: &dyn Names) -> Result<Command, Refused> {
    if arguments.is_empty() {
        return Ok(Command::List(List::All, Format::default()));
    }
    let mut scan = Scan::new(arguments);
    let Some(Ok((first, value))) = scan.option() else {
        return Err(try_help(program));
    };
    let command = match first.tag {
        Tag::Command(command) => command,
        Tag::Help => return Ok(Command::Help),
        Tag::Version => return Ok(Command::Version),
        Tag::Address(_)
        | Tag::Mark
        | Tag::Ipv6
        | Tag::Service(_)
        | Tag::Forward(_)
        | Tag::Server(_)
        | Tag::Tunnel(_)
        | Tag::Daemon(_)
        | Tag::List
        | Tag::Sort => return Err(try_help(program)),
    };
    let mut entry = Entry::new(role(command, value)?);
    while let Some(option) = scan.option() {
        let (known, value) = option.map_err(|Bad { argument, why }| Refused {
            text: format!("{argument}: {why}"),
            code: 255,
            goes_on: true,
        })?;
        if matches!(known.tag, Tag::Command(_) | Tag::Help | Tag::Version) {
            return Err(Refused::usage(format!("invalid option `{}'", scan.last())));
        }
        entry.take(known, value, names)?;
    }
    let mut left = scan.left().iter();
    if command == CommandName::Set {
        let (Some(tcp), Some(tcp_fin), Some(udp)) = (left.next(), left.next(), left.next()) else {
            return Err(Refused::usage("--set option requires 3 timeout values"));
        };
        entry.set_timeouts([tcp, tcp_fin, udp])?;
    }
    if let Some(unexpected) = left.next() {
        return Err(Refused::usage(format!("unexpected argument {unexpected}")));
    }
    entry.scheduler_flags()?;
    entry.command(command)
}

/// The first argument is no command.
pub fn try_help(program: &str) -> Refused {
    Refused {
        text: format!("Try `{program} -h' or '{program} --help' for more information."),
        code: 255,
        goes_on: false,
    }
}

/// Master or backup, for the commands that take it.
fn role(command: CommandName, value: Option<&str>) -> Result<Option<SyncRole>, Refused> {
    match (command, value) {
        (CommandName::StartDaemon | CommandName::StopDaemon, Some("master")) => {
            Ok(Some(SyncRole::Master))
        }
        (CommandName::StartDaemon | CommandName::StopDaemon, Some("backup")) => {
            Ok(Some(SyncRole::Backup))
        }
        (CommandName::StartDaemon, _) => {
            Err(Refused::usage("illegal start-daemon parameter specified"))
        }
        (CommandName::StopDaemon, _) => Err(Refused::usage("illegal start_daemon specified")),
        _ => Ok(None),
    }
}
