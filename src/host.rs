//! Every effect: the kernel, the network, files, signals, clocks. No decisions.
//!
//! `daemon` holds it together: one loop that never waits for an effect, and an owner for each.

pub mod clock;
pub mod command;
pub mod control;
pub mod daemon;
pub mod effects;
pub mod files;
pub mod lock;
pub mod log;
pub mod memory;
pub mod names;
pub mod netlink;
pub mod notify;
pub mod probe;
pub mod settings;
pub mod shadow;
pub mod signals;
pub mod state;
