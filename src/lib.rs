//! pgvs: a layer-4 director for PostgreSQL on the Linux kernel's IPVS.

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
