//! The `pgvs` program: hands its arguments to `cli`, which says how it ends.

fn main() -> std::process::ExitCode {
    pgvs::cli::run(std::env::args_os())
}
