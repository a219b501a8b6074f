//! pgvs: a layer-4 director for PostgreSQL on the Linux kernel's IPVS. This page says what stands where, and what never
//! happens; each file's first lines say the rest.
//!
//! ```text
//! config files --config--> Config ----------------+
//! probes ------> Observation --+                   v
//! kernel ------> Table --------+--> engine: Controller::step(event, now) -> actions --> host carries them out
//! operators ---> requests -----+                   |                                    results come back as events
//!                                                  +--> status, transitions --> view --> text
//! ```
//!
//! # Layers
//! Imports point one way, from the later to the earlier; a test reads the sources and fails on an arrow that points back.
//!
//! | layer | holds |
//! |---|---|
//! | [`time`], [`model`] | time as a value; the nouns: services, destinations, settings of the kernel, PostgreSQL's roles |
//! | [`wire`] | bytes and nouns: IPVS over netlink, `/proc`, the language of nft |
//! | [`config`] | the TOML as written, its check, and what the rest of the program sees of it |
//! | [`ipvsadm`] | ipvsadm's language: arguments, lists, error texts |
//! | [`saved`], [`import`] | files of a whole IPVS; configs made from what other programs were told |
//! | [`engine`] | every decision: health, who may write, quorum, weights, what to change in the kernel and in which order |
//! | [`view`] | text from what the engine knows |
//! | [`host`] | every effect: netlink, probes, files, commands, sockets, signals, the clock |
//! | [`cli`] | one file for each subcommand |
//!
//! # Where a feature goes
//! A key of the config: `config/file.rs`, its rule in `config/check/`, its sentence in `config/pgvs.toml`. A reason for a weight:
//! `engine/policy/`. Something else that is set in the kernel: a noun in `model/setting.rs`, the wish in `engine/settings/`,
//! the hand in `host/settings/`. A command: `cli/`, with its words in `view/`. Another program to import from: `import/`.
//!
//! # What never happens
//! - Nothing before [`host`] touches a socket, a file, a clock or a log, and nothing in [`host`] decides about a server.
//! - No flag remembers what the kernel has: the table is read, compared with the one wanted, and the difference sent.
//! - A service of another program is never written; ours are in the state file before they are made.
//! - Two servers never have weight in a service for the primary by our doing: what falls is acknowledged before
//!   anything rises.
//! - Nothing that the kernel, a server, a file or a disk says ends the process once it runs.
//! - The loop waits for no effect: each has a thread or task of its own, and its queue is bounded.

pub mod time;

pub mod model;

pub mod wire;

pub mod config;

pub mod ipvsadm;

pub mod import;
pub mod saved;

pub mod engine;

pub mod view;

pub mod host;

pub mod cli;
