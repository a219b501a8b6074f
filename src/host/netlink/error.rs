//! Why the kernel could not be asked or did not answer, for the operator.

use std::io;

use crate::model::op::Errno;
use crate::wire::proc::ProcError;
use crate::wire::{DecodeError, refusal};

/// What went wrong between us and the kernel as a whole; that single changes are refused is no such error.
///
/// Each text is complete with its cause, so that nothing is printed twice.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The module is not there.
    #[error(
        "look for IPVS in the kernel: it has none; load it with `modprobe ip_vs`, or boot a kernel that has it"
    )]
    NoIpvs,
    /// The module is not there any more.
    #[error(
        "read /proc/net/ip_vs: the kernel has no IPVS: its module was removed; it is loaded again where that is possible"
    )]
    ModuleGone,
    /// The socket could not be made or used.
    #[error("{doing}: {cause}")]
    Socket {
        /// What was attempted.
        doing: &'static str,
        /// What the kernel said.
        cause: io::Error,
    },
    /// A request that is not a change was refused.
    #[error("{doing}: {} ({errno})", refusal::words(*errno))]
    Refused {
        /// What was attempted.
        doing: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// The kernel had no room for its replies (`ENOBUFS`).
    #[error(
        "{doing}: the kernel's replies did not fit into the socket, so that the result is unknown; the table is read again"
    )]
    RepliesLost {
        /// What was attempted.
        doing: String,
    },
    /// The kernel did not reply.
    #[error(
        "{doing}: no reply from the kernel, so that the result is unknown; the table is read again"
    )]
    Silent {
        /// What was attempted.
        doing: String,
    },
    /// A datagram was longer than the buffer.
    #[error(
        "{doing}: a reply of {length} bytes did not fit into the buffer, so that the result is unknown; the table is read again"
    )]
    Truncated {
        /// What was attempted.
        doing: String,
        /// Its length in bytes.
        length: usize,
    },
    /// A reply could not be read.
    #[error("{doing}: {cause}")]
    Decode {
        /// What was attempted.
        doing: String,
        /// Why not.
        cause: DecodeError,
    },
    /// The kernel replied with something else than was asked for.
    #[error("{doing}: the kernel replied with something else")]
    Unexpected {
        /// What was attempted.
        doing: String,
    },
    /// No two reads of the table were the same.
    #[error(
        "read the table of IPVS: another program keeps changing it; try again when it is quiet"
    )]
    Restless,
    /// /proc/net/ip_vs could not be read.
    #[error("read {path}: {cause}")]
    Proc {
        /// The file.
        path: &'static str,
        /// What the kernel said.
        cause: io::Error,
    },
    /// /proc/net/ip_vs was not understood.
    #[error("read {path}: {cause}")]
    ProcLine {
        /// The file.
        path: &'static str,
        /// Which line.
        cause: ProcError,
    },
}

impl KernelError {
    /// The number with which the kernel refused a request.
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            Self::NoIpvs
            | Self::ModuleGone
            | Self::Socket { .. }
            | Self::RepliesLost { .. }
            | Self::Silent { .. }
            | Self::Truncated { .. }
            | Self::Decode { .. }
            | Self::Unexpected { .. }
            | Self::Restless
            | Self::Proc { .. }
            | Self::ProcLine { .. } => None,
        }
    }

    /// Whether the capability is missing.
    pub fn is_permission(&self) -> bool {
        match self {
            Self::Refused { errno, .. } => *errno == Errno::EPERM,
            Self::Socket { cause, .. } | Self::Proc { cause, .. } => {
                cause.kind() == io::ErrorKind::PermissionDenied
            }
            Self::NoIpvs
            | Self::ModuleGone
            | Self::RepliesLost { .. }
            | Self::Silent { .. }
            | Self::Truncated { .. }
            | Self::Decode { .. }
            | Self::Unexpected { .. }
            | Self::Restless
            | Self::ProcLine { .. } => false,
        }
    }
}
