//! The `pgvs` program: hands its arguments to `cli` and maps the outcome to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args_os().map(|it| it.to_string_lossy().into_owned());
    let arguments: Vec<_> = arguments.collect();
    match arguments.get(1).map(String::as_str) {
        Some("ipvsadm") => pgvs::cli::ipvsadm::run(arguments.get(2..).unwrap_or_default()),
        _ => ExitCode::from(2),
    }
}
