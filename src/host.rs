//! Every effect: what touches the kernel, files, the network and the clock.

pub mod files;
