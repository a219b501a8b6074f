//! The kernel at start: whether it has IPVS, whether we may write it, and the settings that removals depend on.

use crate::config::KernelSettings;
use crate::host::netlink::sysctl::{Sysctl, Sysctls};
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

/// Sets what makes removals safe, or warns where that is left to somebody else; what could not be done is returned.
pub(super) fn settle(settings: KernelSettings) -> Vec<String> {
    let sysctls = Sysctls::default();
    let mut alarms = Vec::new();
    for sysctl in Sysctl::ALL {
        let name = sysctl.name();
        let outcome = if settings.manage { sysctls.set(sysctl, 1) } else { sysctls.read(sysctl) };
        match outcome {
            Ok(1) => (),
            Ok(old) if settings.manage => tracing::info!("{name} set to 1; it was {old}"),
            Ok(old) => {
                tracing::warn!(
                    "{name} is {old} and `[kernel] manage` is off: sessions of removed servers hang; set it to 1"
                );
            }
            Err(error) => {
                tracing::error!("{error}");
                alarms.push(error.to_string());
            }
        }
    }
    alarms
}
