//! The `pgvs` program: hands its arguments to `cli` and maps the outcome to an exit code.

use std::process::ExitCode;

use clap::Parser;

/// A layer-4 director for PostgreSQL.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Validate a configuration
    Check(pgvs::cli::check::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Command::parse() {
        Command::Check(arguments) => Ok(match pgvs::cli::check::run(&arguments)? {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(2),
        }),
    }
}
