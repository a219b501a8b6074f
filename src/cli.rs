//! The command line: one file for each subcommand, arguments in, effects through `host`, text and an exit code out.
//!
//! Exit codes: 0 fine, 1 the answer is no (`plan` has changes, `status` is degraded), 2 error.

pub mod check;
mod client;
mod import;
pub mod ipvsadm;
mod list;
mod output;
mod plan;
mod restore;
mod run;
mod save;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::host::control::protocol::{Form, Request};
use check::DEFAULT_CONFIG;

/// A layer-4 director for PostgreSQL on the Linux kernel's IPVS.
#[derive(Debug, Parser)]
#[command(name = "pgvs", version, max_term_width = 100)]
struct Cli {
    /// The daemon's control socket; where `run` makes it, and where the others look for it
    #[arg(long, global = true, value_name = "PATH", env = "PGVS_SOCKET")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground: SIGHUP reloads, SIGTERM stops
    Run(run::Arguments),
    /// Validate a configuration; exits 0 if it is valid, 2 if not
    Check(check::Arguments),
    /// Show what a reload, or a start, would change in the kernel; exits 0 if nothing, 1 if something
    Plan(Config),
    /// Show services, servers, weights and why; exits 0 if healthy, 1 if degraded
    Status {
        /// For programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Have the daemon read its configuration again; returns when the kernel has acknowledged
    Reload(Config),
    /// Have the daemon keep its hands off the kernel; probing and status go on
    Pause {
        /// For so long, like "30m"; otherwise until `pgvs resume`
        #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
        length: Option<Duration>,
        #[command(flatten)]
        config: Config,
    },
    /// End a pause; returns when the kernel has acknowledged
    Resume(Config),
    /// Write the whole of IPVS into a file: services, thresholds, timeouts, sync daemons; exits 1 if something could
    /// not be expressed
    Save(save::Arguments),
    /// Make IPVS what a file says, changing no more than differs; exits 2 if that failed
    Restore(restore::Arguments),
    /// List the kernel's services as ipvsadm does, with 64-bit counters
    List(list::Arguments),
    /// Make a config from a file of keepalived, HAProxy or ipvsadm; exits 1 if something was not carried over
    Import(import::Arguments),
    /// Speak ipvsadm's own command line; needs no daemon
    #[command(disable_help_flag = true)]
    Ipvsadm {
        /// As in ipvsadm(8)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Which configuration is meant.
#[derive(Clone, Debug, Args)]
struct Config {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "PGVS_CONFIG", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Carries out a command line, the program's name included.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some((program, rest)) = of_ipvsadm(&arguments) {
        let rest: Vec<_> = rest.iter().map(|it| it.to_string_lossy().into_owned()).collect();
        return ipvsadm::run(&program.to_string_lossy(), &rest);
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a closed pipe is not worth a word.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { output::ERROR } else { output::FINE });
        }
    };
    ExitCode::from(carry_out(cli))
}

fn carry_out(cli: Cli) -> u8 {
    let socket = cli.socket.as_deref();
    match cli.command {
        Command::Run(arguments) => run::run(&arguments, cli.socket),
        Command::Check(arguments) => match check::run(&arguments) {
            Ok(true) => output::FINE,
            Ok(false) => output::ERROR,
            Err(error) => output::ended(&error),
        },
        Command::Plan(Config { config }) => plan::run(&config, socket),
        Command::Status { json, config } => {
            let form = if json { Form::Json } else { Form::Text };
            ask(&Request::Status { form }, &config, socket)
        }
        Command::Reload(config) => ask(&Request::Reload {}, &config, socket),
        Command::Pause { length, config } => {
            let seconds = length.map(|length| length.as_secs());
            if seconds == Some(0) {
                return output::error("a pause lasts at least a second");
            }
            ask(&Request::Pause { seconds }, &config, socket)
        }
        Command::Save(arguments) => save::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments, socket),
        Command::List(arguments) => list::run(arguments),
        Command::Resume(config) => ask(&Request::Resume {}, &config, socket),
        Command::Import(arguments) => import::run(&arguments),
        // Taken before anything was parsed, unless options of ours stand in front of it.
        Command::Ipvsadm { .. } => output::error("write `pgvs ipvsadm` without options before it"),
    }
}

fn ask(request: &Request, config: &Config, socket: Option<&Path>) -> u8 {
    match client::ask(request, &config.config, socket) {
        Ok(reply) => output::reply(&reply),
        Err(error) => output::error(&error.to_string()),
    }
}

/// The name `ipvsadm` and the arguments behind it, where that is the subcommand or the program's name: not one of
/// them is ours.
fn of_ipvsadm(arguments: &[OsString]) -> Option<(&OsString, &[OsString])> {
    let (program, rest) = arguments.split_first()?;
    if Path::new(program).file_name()? == "ipvsadm" {
        return Some((program, rest));
    }
    rest.split_first().filter(|(command, _)| *command == "ipvsadm")
}
