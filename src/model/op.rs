//! One change of the kernel's table, and the number by which the kernel refuses one.

use std::fmt;

use super::destination::{Destination, DestinationKey};
use super::service::{Service, ServiceKey};

/// One change of the table: a single request of the IPVS generic netlink family.
///
/// Edits replace everything that can be set (`IPVS_CMD_SET_SERVICE`, `IPVS_CMD_SET_DEST`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make a service (`IPVS_CMD_NEW_SERVICE`).
    AddService(ServiceKey, Service),
    /// Replace how a service is scheduled (`IPVS_CMD_SET_SERVICE`).
    EditService(ServiceKey, Service),
    /// Delete a service with its destinations (`IPVS_CMD_DEL_SERVICE`).
    DeleteService(ServiceKey),
    /// Make a destination in a service (`IPVS_CMD_NEW_DEST`).
    AddDestination(ServiceKey, DestinationKey, Destination),
    /// Replace a destination's weight and options (`IPVS_CMD_SET_DEST`).
    EditDestination(ServiceKey, DestinationKey, Destination),
    /// Delete a destination; its connections are flushed if `expire_nodest_conn` is 1 (`IPVS_CMD_DEL_DEST`).
    DeleteDestination(ServiceKey, DestinationKey),
}

impl Op {
    /// The service that the change concerns.
    pub const fn service(&self) -> ServiceKey {
        match self {
            Self::AddService(key, _)
            | Self::EditService(key, _)
            | Self::DeleteService(key)
            | Self::AddDestination(key, ..)
            | Self::EditDestination(key, ..)
            | Self::DeleteDestination(key, _) => *key,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService(key, service) => write!(f, "add service {key} {}", service.scheduler),
            Self::EditService(key, service) => {
                write!(f, "edit service {key} {}", service.scheduler)
            }
            Self::DeleteService(key) => write!(f, "delete service {key}"),
            Self::AddDestination(key, to, destination) => {
                write!(f, "add {to} to {key} with weight {}", destination.weight)
            }
            Self::EditDestination(key, to, destination) => {
                write!(f, "set {to} of {key} to weight {}", destination.weight)
            }
            Self::DeleteDestination(key, to) => write!(f, "delete {to} from {key}"),
        }
    }
}

/// A positive error number of the kernel (errno(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// Operation not permitted: no CAP_NET_ADMIN.
    pub const EPERM: Self = Self(1);
    /// Scheduler or destination does not exist, by command.
    pub const ENOENT: Self = Self(2);
    /// Service does not exist.
    pub const ESRCH: Self = Self(3);
    /// Out of memory.
    pub const ENOMEM: Self = Self(12);
    /// Another dump is under way on the same socket.
    pub const EBUSY: Self = Self(16);
    /// Service or destination exists already.
    pub const EEXIST: Self = Self(17);
    /// No such network interface.
    pub const ENODEV: Self = Self(19);
    /// A missing or unacceptable attribute.
    pub const EINVAL: Self = Self(22);
    /// Weight negative, or lower threshold above the upper one.
    pub const ERANGE: Self = Self(34);
    /// Message longer than the socket takes.
    pub const EMSGSIZE: Self = Self(90);
    /// The protocol is not there: the module is being unloaded.
    pub const ENOPROTOOPT: Self = Self(92);
    /// A request that this kernel does not know.
    pub const EOPNOTSUPP: Self = Self(95);
    /// Address family not built into the kernel.
    pub const EAFNOSUPPORT: Self = Self(97);
    /// Replies were lost: results unknown, read the table again.
    pub const ENOBUFS: Self = Self(105);
}

impl Errno {
    /// Its name in errno(3), for those that the kernel's IPVS uses.
    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::EPERM => "EPERM",
            Self::ENOENT => "ENOENT",
            Self::ESRCH => "ESRCH",
            Self::ENOMEM => "ENOMEM",
            Self::EBUSY => "EBUSY",
            Self::EEXIST => "EEXIST",
            Self::ENODEV => "ENODEV",
            Self::EINVAL => "EINVAL",
            Self::ERANGE => "ERANGE",
            Self::EMSGSIZE => "EMSGSIZE",
            Self::ENOPROTOOPT => "ENOPROTOOPT",
            Self::EOPNOTSUPP => "EOPNOTSUPP",
            Self::EAFNOSUPPORT => "EAFNOSUPPORT",
            Self::ENOBUFS => "ENOBUFS",
            Self(_) => return None,
        })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}
