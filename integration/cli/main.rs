//! The real binary, as operators and programs call it, as far as it needs no kernel: the daemon observes.
//!
//! Nothing here may write to the machine's own IPVS table: a daemon that is to be refused has no services.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod daemon;
mod observing;
mod refused;
