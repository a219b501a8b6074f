//! Every effect: the kernel, the network, files, signals, clocks. No decisions.

pub mod files;
pub mod netlink;
