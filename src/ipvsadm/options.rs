//! Every option of ipvsadm 1.31 by its names, and which of them go together with which command.

use crate::model::destination::Forwarding;
use crate::model::service::Protocol;

/// What an option is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Command(CommandName),
    Help,
    Version,
    Address(Protocol),
    Mark,
    Ipv6,
    Service(ServiceTag),
    Forward(Forwarding),
    Server(ServerTag),
    Tunnel(TunnelTag),
    Daemon(DaemonTag),
    /// How a list is printed; that it was given is all there is to it.
    List,
    /// Does nothing.
    Sort,
}

/// An option of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceTag {
    Scheduler,
    Persistent,
    Netmask,
    OnePacket,
    Engine,
    Flags,
}

/// An option of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerTag {
    Address,
    Weight,
    Upper,
    Lower,
}

/// An option of a tunnel to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TunnelTag {
    Kind,
    Port,
    NoChecksum,
    Checksum,
    RemoteChecksum,
}

/// An option of a connection-sync daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DaemonTag {
    Interface,
    SyncId,
    Group,
    Port,
    Ttl,
    MaxLength,
}

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    None,
    Needed,
    /// Taken unless the next argument is an option.
    Optional,
}

/// One option by its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) short: Option<char>,
    pub(super) long: &'static str,
    pub(super) value: Value,
    pub(super) tag: Tag,
}

/// The commands, in the order of [`LEGAL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandName {
    AddService,
    EditService,
    DeleteService,
    Flush,
    List,
    AddServer,
    DeleteServer,
    EditServer,
    Set,
    StartDaemon,
    StopDaemon,
    Restore,
    Save,
    Zero,
}

impl CommandName {
    /// Its name in messages, and its row: for each option of [`OPTIONS`] `+` compulsory, `x` illegal, `1` one of
    /// these at most, blank as you like.
    const fn legal(self) -> (&'static str, &'static str) {
        match self {
            Self::AddService => ("add-service", "xx+   xxxxxxxxxxxxxxx   xxxxxxxxxx"),
            Self::EditService => ("edit-service", "xx+   xxxxxxxxxxxxxxx   xxxxxxxxxx"),
            Self::DeleteService => ("delete-service", "xx+xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::Flush => ("flush", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::List => ("list", " 11xxxxxxxxx11       xxxxxxx xxxxx"),
            Self::AddServer => ("add-server", "xx+xxx+    xxxxxxxxxxxxxxxxxx     "),
            Self::DeleteServer => ("delete-server", "xx+xxx+xxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::EditServer => ("edit-server", "xx+xxx+    xxxxxxxxxxxxxxxxxx     "),
            Self::Set => ("set", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::StartDaemon => ("start-daemon", "xxxxxxxxxxx xxxxxxx xxxx    xxxxxx"),
            Self::StopDaemon => ("stop-daemon", "xxxxxxxxxxxxxxxxxxx xxxxxxxxxxxxxx"),
            Self::Restore => ("restore", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::Save => ("save", " xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::Zero => ("zero", "xx xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        }
    }
}

/// The options by their names in messages; several that exclude each other share one.
pub(super) const OPTIONS: [&str; 34] = [
    "numeric",
    "connection",
    "service-address",
    "scheduler",
    "persistent",
    "netmask",
    "real-server",
    "forwarding-method",
    "weight",
    "u-threshold",
    "l-threshold",
    "mcast-interface",
    "timeout",
    "daemon",
    "stats",
    "rate",
    "thresholds",
    "persistent-conn",
    "nosort",
    "syncid",
    "exact",
    "ops",
    "pe",
    "sched-flags",
    "mcast-group",
    "mcast-port",
    "mcast-ttl",
    "sync-maxlen",
    "tun-info",
    "tun-type",
    "tun-port",
    "tun-nocsum",
    "tun-csum",
    "tun-remcsum",
];

impl Known {
    /// The option's name in messages, under which it may be given once; `None` for those that may be repeated.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self.tag {
            Tag::Command(_) | Tag::Help | Tag::Version | Tag::Sort | Tag::Ipv6 => None,
            Tag::Address(_) | Tag::Mark => Some("service-address"),
            Tag::Forward(_) => Some("forwarding-method"),
            Tag::Service(_) | Tag::Server(_) | Tag::Tunnel(_) | Tag::Daemon(_) | Tag::List => {
                Some(self.long)
            }
        }
    }
}

const fn command(short: Option<char>, long: &'static str, name: CommandName) -> Known {
    Known { short, long, value: Value::None, tag: Tag::Command(name) }
}

const fn flag(short: Option<char>, long: &'static str, tag: Tag) -> Known {
    Known { short, long, value: Value::None, tag }
}

const fn valued(short: Option<char>, long: &'static str, tag: Tag) -> Known {
    Known { short, long, value: Value::Needed, tag }
}

/// Every option, ipvsadm(8).
pub(super) const KNOWN: [Known; 58] = [
    command(Some('A'), "add-service", CommandName::AddService),
    command(Some('E'), "edit-service", CommandName::EditService),
    command(Some('D'), "delete-service", CommandName::DeleteService),
    command(Some('C'), "clear", CommandName::Flush),
    command(Some('L'), "list", CommandName::List),
    command(Some('l'), "list", CommandName::List),
    command(Some('Z'), "zero", CommandName::Zero),
    command(Some('a'), "add-server", CommandName::AddServer),
    command(Some('e'), "edit-server", CommandName::EditServer),
    command(Some('d'), "delete-server", CommandName::DeleteServer),
    command(None, "set", CommandName::Set),
    command(Some('R'), "restore", CommandName::Restore),
    command(Some('S'), "save", CommandName::Save),
    valued(None, "start-daemon", Tag::Command(CommandName::StartDaemon)),
    valued(None, "stop-daemon", Tag::Command(CommandName::StopDaemon)),
    flag(Some('h'), "help", Tag::Help),
    flag(Some('v'), "version", Tag::Version),
    valued(Some('t'), "tcp-service", Tag::Address(Protocol::TCP)),
    valued(Some('u'), "udp-service", Tag::Address(Protocol::UDP)),
    valued(None, "sctp-service", Tag::Address(Protocol::SCTP)),
    valued(Some('f'), "fwmark-service", Tag::Mark),
    valued(Some('s'), "scheduler", Tag::Service(ServiceTag::Scheduler)),
    Known {
        short: Some('p'),
        long: "persistent",
        value: Value::Optional,
        tag: Tag::Service(ServiceTag::Persistent),
    },
    valued(Some('M'), "netmask", Tag::Service(ServiceTag::Netmask)),
    valued(Some('r'), "real-server", Tag::Server(ServerTag::Address)),
    flag(Some('m'), "masquerading", Tag::Forward(Forwarding::Masquerade)),
    flag(Some('i'), "ipip", Tag::Forward(Forwarding::Tunnel)),
    flag(Some('g'), "gatewaying", Tag::Forward(Forwarding::DirectRoute)),
    valued(Some('w'), "weight", Tag::Server(ServerTag::Weight)),
    valued(Some('x'), "u-threshold", Tag::Server(ServerTag::Upper)),
    valued(Some('y'), "l-threshold", Tag::Server(ServerTag::Lower)),
    flag(Some('n'), "numeric", Tag::List),
    flag(Some('c'), "connection", Tag::List),
    valued(None, "mcast-interface", Tag::Daemon(DaemonTag::Interface)),
    valued(None, "syncid", Tag::Daemon(DaemonTag::SyncId)),
    flag(None, "timeout", Tag::List),
    flag(None, "daemon", Tag::List),
    flag(None, "stats", Tag::List),
    flag(None, "rate", Tag::List),
    flag(None, "thresholds", Tag::List),
    flag(None, "persistent-conn", Tag::List),
    flag(None, "nosort", Tag::List),
    flag(None, "sort", Tag::Sort),
    flag(Some('X'), "exact", Tag::List),
    flag(Some('6'), "ipv6", Tag::Ipv6),
    flag(Some('o'), "ops", Tag::Service(ServiceTag::OnePacket)),
    valued(None, "pe", Tag::Service(ServiceTag::Engine)),
    valued(Some('b'), "sched-flags", Tag::Service(ServiceTag::Flags)),
    valued(None, "mcast-group", Tag::Daemon(DaemonTag::Group)),
    valued(None, "mcast-port", Tag::Daemon(DaemonTag::Port)),
    valued(None, "mcast-ttl", Tag::Daemon(DaemonTag::Ttl)),
    valued(None, "sync-maxlen", Tag::Daemon(DaemonTag::MaxLength)),
    flag(None, "tun-info", Tag::List),
    valued(None, "tun-type", Tag::Tunnel(TunnelTag::Kind)),
    valued(None, "tun-port", Tag::Tunnel(TunnelTag::Port)),
    flag(None, "tun-nocsum", Tag::Tunnel(TunnelTag::NoChecksum)),
    flag(None, "tun-csum", Tag::Tunnel(TunnelTag::Checksum)),
    flag(None, "tun-remcsum", Tag::Tunnel(TunnelTag::RemoteChecksum)),
];

/// Which options were given, by their names in messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Given(Vec<&'static str>);

impl Given {
    /// Notes an option; an error if it was there already.
    pub(super) fn note(&mut self, name: &'static str) -> Result<(), String> {
        if self.has(name) {
            return Err(format!("multiple '{name}' options specified"));
        }
        self.0.push(name);
        Ok(())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    pub(super) fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    /// Whether a command may have these options.
    pub(super) fn check(&self, command: CommandName) -> Result<(), String> {
        let (name, row) = command.legal();
        self.check_row(&OPTIONS, row, &format!("'{name}' command"))
    }

    /// Whether a kind of tunnel may have these options.
    pub(super) fn check_tunnel(&self, kind: &str, row: &str) -> Result<(), String> {
        let names: Vec<_> = OPTIONS.iter().filter(|it| it.starts_with("tun-")).skip(2).collect();
        let names: Vec<_> = names.into_iter().copied().collect();
        self.check_row(&names, row, &format!("'{kind}' tunnel type"))
    }

    fn check_row(&self, names: &[&str], row: &str, of: &str) -> Result<(), String> {
        let mut only = None;
        for (name, rule) in names.iter().zip(row.chars()) {
            match (rule, self.has(name), only) {
                ('+', false, _) => {
                    return Err(format!("You need to supply the '{name}' option for the {of}"));
                }
                ('x', true, _) => {
                    return Err(format!("Illegal '{name}' option with the {of}"));
                }
                ('1', true, None) => only = Some(name),
                ('1', true, Some(first)) => {
                    return Err(format!(
                        "The option '{name}' conflicts with the '{first}' option in the {of}"
                    ));
                }
                _ => (),
            }
        }
        Ok(())
    }
}
