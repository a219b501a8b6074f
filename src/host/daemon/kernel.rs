//! The kernel at start: whether it has IPVS, and whether we may write it.

use crate::host::netlink::{Kernel, KernelError};

/// Why the daemon cannot work with this kernel.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// We may not.
    #[error(
        "read the IPVS table: the kernel does not permit it; pgvs needs CAP_NET_ADMIN: run it as root or by its systemd unit, outside of user namespaces, or use `pgvs run --observe`"
    )]
    Permission,
    /// It has no IPVS, or did not answer.
    #[error(transparent)]
    Kernel(KernelError),
}

/// Opens the kernel's IPVS and makes sure that it answers us.
pub(super) fn open() -> Result<Kernel, Unfit> {
    let unfit = |error: KernelError| {
        if error.is_permission() { Unfit::Permission } else { Unfit::Kernel(error) }
    };
    let mut kernel = Kernel::open().map_err(unfit)?;
    let found = kernel.info().map_err(unfit)?;
    tracing::info!("IPVS {} with {} buckets for connections", found.version, found.table_size);
    Ok(kernel)
}
