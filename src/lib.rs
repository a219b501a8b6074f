//! pgvs: a layer-4 director for PostgreSQL on the Linux kernel's IPVS.
//!
//! The kernel forwards every packet; this program only decides which server of a PostgreSQL cluster gets which share
//! of new connections at which virtual address, and keeps the kernel's table true.
//!
//! ```text
//! config file --check--> Config ----------+
//!                                         v
//!                                     membership
//! probe --> Observation --> evidence --> health --> verdict
//!                                                     |
//!                                       cluster <-----+      who is the writer?
//!                                         v
//!              policy(target, standing, verdict) -> (weight, reason)
//!                                         v
//!                                       want -------> Entry --+
//! kernel --dump--> wire --------------------------> Entry --+--> table::diff --> [Op] --> netlink --> ack | errno
//! ```
//!
//! # Layers
//!
//! Imports point one way, in this order, and a test holds them to it. Everything before `host` is pure: no clock, no
//! socket, no file, no randomness, no log line. All decisions are there, behind one entrance:
//! [`engine::controller::Controller::step`] takes an event and a moment and says what is to be done. The daemon, `plan`,
//! `--observe` and the simulator run the same engine.
//!
//! # Invariants
//!
//! - No flag remembers what the kernel has: the table is read, compared, and void after any doubt.
//! - There is never more than one kernel transaction under way.
//! - Only services of the config, and those that the state file says we made, are ever written.
//! - A service whose target is the primary never has two destinations with a weight above 0 by our doing.
//! - A destination with sessions is deleted only on hard evidence, on demotion of a writer, or when its time is up.
//! - Nothing that the kernel, a server or a disk says ends the process.
//!
//! # Words
//!
//! *Membership*: which servers belong to which service by the config. *Managed*: a service of ours. *Foreign*: any other
//! service in the kernel. *Override*: the operator's word that goes before the engine's (so far `pause`).

// In reading order.
pub mod time;

pub mod model;

pub mod wire;

pub mod config;

pub mod engine;

pub mod host;

pub mod cli;
