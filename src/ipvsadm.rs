//! The language of ipvsadm(8) 1.31, pure: arguments -> command, the kernel's table -> text, byte for byte.
//!
//! No kernel, no terminal and no name service: who knows names lends them.

pub mod args;
mod entry;
pub mod help;
pub mod list;
mod names;
mod numbers;
mod options;
pub mod others;
pub mod restore;
pub mod save;
mod scan;
mod sort;
pub mod values;
pub mod words;

pub use names::scheduler_flags;

#[cfg(test)]
mod tests;
