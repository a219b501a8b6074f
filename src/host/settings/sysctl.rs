//! The sysctls of IPVS in the calling thread's network namespace.
//!
//! Files below /proc/sys/net show the namespace of the thread that opens them.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::setting::{Sysctl, SysctlValue};

/// Why a sysctl could not be read or set.
#[derive(Debug, thiserror::Error)]
pub(super) enum SysctlError {
    /// The directory appears with the module.
    #[error("{doing} {sysctl}: the kernel has no IPVS; load it with `modprobe ip_vs`")]
    NoIpvs {
        /// `read` or `set`.
        doing: &'static str,
        /// The sysctl.
        sysctl: Sysctl,
    },
    /// IPVS is there, and this is not.
    #[error("{doing} {sysctl}: the running kernel has no such setting; take it out of [kernel]")]
    Unknown {
        /// `read` or `set`.
        doing: &'static str,
        /// The sysctl.
        sysctl: Sysctl,
    },
    /// Reading went wrong.
    #[error("read {sysctl}: {cause}")]
    Read {
        /// The sysctl.
        sysctl: Sysctl,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The kernel does not take the value.
    #[error("set {sysctl} to {value}: the kernel does not take this value; correct it in [kernel]")]
    Value {
        /// The sysctl.
        sysctl: Sysctl,
        /// What was written.
        value: SysctlValue,
    },
    /// Writing went wrong.
    #[error(
        "set {sysctl}: {cause}; run as root, or set it with `sysctl -w {sysctl}={value}` and take it out of [kernel] (or write `manage = false`)"
    )]
    Write {
        /// The sysctl.
        sysctl: Sysctl,
        /// What was written.
        value: SysctlValue,
        /// What the kernel said.
        cause: io::Error,
    },
}

impl SysctlError {
    /// Whether all sysctls are missing, and not only this one.
    pub(super) const fn is_no_ipvs(&self) -> bool {
        matches!(self, Self::NoIpvs { .. })
    }
}

/// The directory of the sysctls.
#[derive(Clone, Debug)]
pub(super) struct Sysctls {
    directory: PathBuf,
}

impl Default for Sysctls {
    fn default() -> Self {
        Self::at(Path::new("/proc/sys/net/ipv4/vs"))
    }
}

impl Sysctls {
    /// Those of another directory, for tests.
    pub(super) fn at(directory: &Path) -> Self {
        Self { directory: directory.into() }
    }

    /// The present value.
    pub(super) fn read(&self, sysctl: Sysctl) -> Result<SysctlValue, SysctlError> {
        match std::fs::read_to_string(self.directory.join(sysctl.file())) {
            Ok(text) => Ok(SysctlValue::new(&text)),
            Err(cause) => Err(self
                .missing("read", sysctl, &cause)
                .unwrap_or(SysctlError::Read { sysctl, cause })),
        }
    }

    /// Sets it.
    pub(super) fn set(&self, sysctl: Sysctl, value: &SysctlValue) -> Result<(), SysctlError> {
        let written =
            std::fs::write(self.directory.join(sysctl.file()), format!("{}\n", value.as_str()));
        written.map_err(|cause| {
            let missing = self.missing("set", sysctl, &cause);
            missing.unwrap_or_else(|| {
                let value = value.clone();
                if cause.kind() == io::ErrorKind::InvalidInput {
                    return SysctlError::Value { sysctl, value };
                }
                SysctlError::Write { sysctl, value, cause }
            })
        })
    }

    fn missing(
        &self,
        doing: &'static str,
        sysctl: Sysctl,
        cause: &io::Error,
    ) -> Option<SysctlError> {
        match (cause.kind(), self.directory.exists()) {
            (io::ErrorKind::NotFound, true) => Some(SysctlError::Unknown { doing, sysctl }),
            (io::ErrorKind::NotFound, false) => Some(SysctlError::NoIpvs { doing, sysctl }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_read_with_single_blanks() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sync_threshold");
        std::fs::write(&file, "3\t50\n").unwrap();
        let (sysctls, sysctl) = (Sysctls::at(directory.path()), Sysctl::new("sync_threshold"));
        assert_eq!(sysctls.read(sysctl).unwrap().as_str(), "3 50");
        sysctls.set(sysctl, &SysctlValue::new("0 10")).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "0 10\n");
    }

    #[test]
    fn without_the_module_the_error_says_what_to_load() {
        let directory = tempfile::tempdir().unwrap().path().join("vs");
        let error = Sysctls::at(&directory).read(Sysctl::EXPIRE_QUIESCENT_TEMPLATE).unwrap_err();
        assert!(error.is_no_ipvs());
        assert_eq!(
            error.to_string(),
            "read net.ipv4.vs.expire_quiescent_template: the kernel has no IPVS; load it with `modprobe ip_vs`"
        );
    }

    #[test]
    fn a_kernel_without_this_sysctl_is_told_from_one_without_ipvs() {
        let directory = tempfile::tempdir().unwrap();
        let error = Sysctls::at(directory.path()).read(Sysctl::new("est_cpulist")).unwrap_err();
        assert!(!error.is_no_ipvs());
        assert!(error.to_string().ends_with("no such setting; take it out of [kernel]"), "{error}");
    }
}
