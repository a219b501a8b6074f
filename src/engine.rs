//! Every decision, pure: events in, actions out.
//!
//! No clock, no randomness, no logging, no effects: whoever calls says what time it is.

mod adopt;
pub mod cluster;
pub mod controller;
mod decide;
mod drift;
pub mod event;
pub mod evidence;
mod freeze;
pub mod health;
mod membership;
pub mod memory;
pub mod plan;
pub mod policy;
mod quorum;
mod reconcile;
pub mod restore;
pub mod settings;
pub mod status;
#[cfg(test)]
mod story;
mod strikes;
pub mod table;
mod transaction;
mod want;
