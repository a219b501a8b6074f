//! The kernel's IPVS over one long-lived generic netlink socket, blocking, for a thread of its own.
//!
//! What the kernel refuses is a value; what it leaves unknown (lost or missing replies) is an error, after
//! which the table has to be read again. Nothing here decides what to do about either.

mod error;
mod exchange;
#[cfg(test)]
mod fake;
mod kernel;
mod saved;
pub mod thread;
mod transport;

pub use error::KernelError;
pub use kernel::{CheapList, Kernel};
pub use transport::{NetlinkSocket, Transport, Wait};
