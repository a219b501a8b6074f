//! `pgvs run`: the daemon, in the foreground.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::ValueEnum;

use super::check::DEFAULT_CONFIG;
use super::output;
use crate::config::finding::{ConfigError, Style};
use crate::host::daemon::{self, Options};
use crate::host::log::{self, Format};

/// The arguments of `pgvs run`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "PGVS_CONFIG", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Probe and decide, and write nothing: no kernel, no state file, no capability needed
    #[arg(long)]
    observe: bool,
    /// How log lines look
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// How much is logged: error, warn, info, debug, trace, or a list like "info,pgvs::host=debug"
    #[arg(long, value_name = "LEVEL", env = "PGVS_LOG", default_value = "info")]
    log_level: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object for each line
    Json,
}

/// Runs until it is told to stop.
pub(super) fn run(arguments: &Arguments, socket: Option<PathBuf>) -> u8 {
    let format = match arguments.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let log = match log::start(format, &arguments.log_level) {
        Ok(log) => log,
        Err(error) => return output::error(&error.to_string()),
    };
    let options = Options { config: arguments.config.clone(), observe: arguments.observe, socket };
    let result = daemon::run(&options);
    // What was logged comes before the last word.
    drop(log);
    match result {
        Ok(()) => output::FINE,
        Err(error) => match error.downcast_ref::<ConfigError>() {
            Some(ConfigError(findings)) => {
                let is_terminal = std::io::stderr().is_terminal();
                let style = if is_terminal { Style::Terminal } else { Style::Plain };
                output::say(&format!("{}\n", findings.render(style)));
                let path = arguments.config.display();
                output::error(&format!("{path}: refused; nothing was changed"))
            }
            None => output::error(&format!("{error:#}")),
        },
    }
}
