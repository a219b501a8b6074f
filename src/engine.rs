//! Every decision, pure: events in, actions out.
//!
//! No clock, no randomness, no logging, no effects: whoever calls says what time it is.

pub mod evidence;
