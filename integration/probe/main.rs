//! The probe against a real PostgreSQL 15 on this machine, and against servers that only pretend.
//!
//! Wants Debian's `postgresql-15`, `openssl` and `locales`; run as root it becomes the user `postgres` for the
//! servers. Asserts what is reported and in which order; times are limits against hanging, except where a
//! rate is the point.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod admission;
mod cluster;
mod ends;
mod fake;
mod healthy;
mod hostile;
mod login;
mod orders;
mod watch;
