//! pgvs: a layer-4 director for PostgreSQL on the Linux kernel's IPVS.

pub mod time;

pub mod model;

pub mod config;

pub mod engine;
pub mod host;
pub mod wire;

pub mod ipvsadm;

pub mod cli;
