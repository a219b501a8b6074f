//! ipvsadm's command line as its grammar has it: the first argument is the command, the others are its options.

use std::fmt;

/// What ipvsadm is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `-L -n`: list the whole table, numerically.
    List,
}

/// Why the arguments are refused; ipvsadm's exit code for that is 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// An option of ipvsadm that is not built yet.
    NotYet(String),
    /// Without `-n` ipvsadm asks for names.
    Names,
    /// The first argument is no command.
    NoCommand,
    /// No option of ipvsadm.
    Unknown(String),
    /// Two commands, or an argument that belongs to nothing.
    Unexpected(String),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet(option) => {
                write!(f, "{option} is not built yet; so far there is -L -n")
            }
            Self::Names => f.write_str("listing with names is not built yet; add -n"),
            Self::NoCommand => f.write_str("the first argument must be a command, such as -L"),
            Self::Unknown(option) => write!(f, "unknown option {option}"),
            Self::Unexpected(argument) => write!(f, "unexpected argument {argument}"),
        }
    }
}

impl std::error::Error for UsageError {}

/// Whether an option is one of the commands, of which there must be exactly one, in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Command,
    Option,
}

/// One option of ipvsadm by its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    short: Option<char>,
    long: &'static str,
    kind: Kind,
}

const fn command(short: Option<char>, long: &'static str) -> Known {
    Known { short, long, kind: Kind::Command }
}

const fn option(short: Option<char>, long: &'static str) -> Known {
    Known { short, long, kind: Kind::Option }
}

const LIST: Known = command(Some('L'), "list");
const LIST_SMALL: Known = command(Some('l'), "list");
const NUMERIC: Known = option(Some('n'), "numeric");

/// Every option of ipvsadm 1.31, ipvsadm(8).
const KNOWN: [Known; 58] = [
    LIST,
    LIST_SMALL,
    NUMERIC,
    command(Some('A'), "add-service"),
    command(Some('E'), "edit-service"),
    command(Some('D'), "delete-service"),
    command(Some('C'), "clear"),
    command(Some('R'), "restore"),
    command(Some('S'), "save"),
    command(Some('a'), "add-server"),
    command(Some('e'), "edit-server"),
    command(Some('d'), "delete-server"),
    command(Some('Z'), "zero"),
    command(Some('h'), "help"),
    command(Some('v'), "version"),
    command(None, "set"),
    command(None, "start-daemon"),
    command(None, "stop-daemon"),
    option(Some('t'), "tcp-service"),
    option(Some('u'), "udp-service"),
    option(None, "sctp-service"),
    option(Some('f'), "fwmark-service"),
    option(Some('s'), "scheduler"),
    option(Some('p'), "persistent"),
    option(Some('M'), "netmask"),
    option(Some('b'), "sched-flags"),
    option(Some('o'), "ops"),
    option(None, "pe"),
    option(Some('r'), "real-server"),
    option(Some('g'), "gatewaying"),
    option(Some('i'), "ipip"),
    option(Some('m'), "masquerading"),
    option(Some('w'), "weight"),
    option(Some('x'), "u-threshold"),
    option(Some('y'), "l-threshold"),
    option(Some('6'), "ipv6"),
    option(Some('c'), "connection"),
    option(Some('X'), "exact"),
    option(None, "tun-type"),
    option(None, "tun-port"),
    option(None, "tun-nocsum"),
    option(None, "tun-csum"),
    option(None, "tun-remcsum"),
    option(None, "timeout"),
    option(None, "daemon"),
    option(None, "stats"),
    option(None, "rate"),
    option(None, "thresholds"),
    option(None, "persistent-conn"),
    option(None, "tun-info"),
    option(None, "sort"),
    option(None, "nosort"),
    option(None, "syncid"),
    option(None, "sync-maxlen"),
    option(None, "mcast-interface"),
    option(None, "mcast-group"),
    option(None, "mcast-port"),
    option(None, "mcast-ttl"),
];

/// Reads the arguments behind the program's name.
pub fn parse(arguments: &[String]) -> Result<Command, UsageError> {
    let mut options = Vec::new();
    for argument in arguments {
        split(argument, &mut options)?;
    }
    let mut options = options.into_iter();
    let Some((first, known)) = options.next() else {
        // Without arguments ipvsadm lists with names.
        return Err(UsageError::Names);
    };
    if known.kind != Kind::Command {
        return Err(UsageError::NoCommand);
    }
    if known != LIST && known != LIST_SMALL {
        return Err(UsageError::NotYet(first));
    }
    let mut numeric = false;
    for (option, known) in options {
        match known.kind {
            Kind::Command => return Err(UsageError::Unexpected(option)),
            Kind::Option if known == NUMERIC => numeric = true,
            Kind::Option => return Err(UsageError::NotYet(option)),
        }
    }
    match numeric {
        true => Ok(Command::List),
        false => Err(UsageError::Names),
    }
}

/// Appends the options in one argument: `--long`, or any number of letters behind one `-`.
///
/// A letter that takes a value ends the argument; its value is nobody's yet, since no such letter is built.
fn split(argument: &str, options: &mut Vec<(String, Known)>) -> Result<(), UsageError> {
    if let Some(long) = argument.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or_default();
        let known = KNOWN.iter().find(|known| known.long == name);
        let known = known.ok_or_else(|| UsageError::Unknown(argument.into()))?;
        options.push((format!("--{name}"), *known));
        return Ok(());
    }
    let Some(letters) = argument.strip_prefix('-').filter(|it| !it.is_empty()) else {
        // The value of an option in front, which is the one to be named.
        return match options.iter().all(|(_, known)| is_built(*known)) {
            true => Err(UsageError::Unexpected(argument.into())),
            false => Ok(()),
        };
    };
    for letter in letters.chars() {
        let known = KNOWN.iter().find(|known| known.short == Some(letter));
        let known = known.ok_or_else(|| UsageError::Unknown(format!("-{letter}")))?;
        options.push((format!("-{letter}"), *known));
        if !is_built(*known) {
            break;
        }
    }
    Ok(())
}

fn is_built(known: Known) -> bool {
    known == LIST || known == LIST_SMALL || known == NUMERIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_may_be_written_in_every_way_that_ipvsadm_takes() {
        for line in ["-Ln", "-ln", "-L -n", "-l --numeric", "--list -n", "--list --numeric"] {
            assert_eq!(parsed(line), Ok(Command::List), "{line}");
        }
    }

    #[test]
    fn names_are_refused_in_one_line_that_says_what_to_add() {
        for line in ["-L", "-l", "--list", ""] {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.to_string(), "listing with names is not built yet; add -n");
        }
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        for (line, option) in [
            ("-A -t 10.0.0.1:5432 -s wlc", "-A"),
            ("-a -t 10.0.0.1:5432 -r 10.0.0.2 -m", "-a"),
            ("--clear", "--clear"),
            ("-S -n", "-S"),
            ("--set 900 0 0", "--set"),
            ("-Ln --stats", "--stats"),
            ("-L -n -t 10.0.0.1:5432", "-t"),
            ("-Lnc", "-c"),
            ("-L --timeout", "--timeout"),
        ] {
            assert_eq!(parsed(line), Err(UsageError::NotYet(option.into())), "{line}");
        }
    }

    #[test]
    fn the_command_comes_first_and_alone() {
        assert_eq!(parsed("-n -L"), Err(UsageError::NoCommand));
        assert_eq!(parsed("-nL"), Err(UsageError::NoCommand));
        assert_eq!(parsed("-L -C"), Err(UsageError::Unexpected("-C".into())));
        assert_eq!(parsed("-Ln all"), Err(UsageError::Unexpected("all".into())));
    }

    #[test]
    fn an_option_that_ipvsadm_does_not_have_is_unknown() {
        assert_eq!(parsed("--lists"), Err(UsageError::Unknown("--lists".into())));
        assert_eq!(parsed("-LnQ"), Err(UsageError::Unknown("-Q".into())));
    }

    fn parsed(line: &str) -> Result<Command, UsageError> {
        let arguments: Vec<_> = line.split_whitespace().map(String::from).collect();
        parse(&arguments)
    }
}
