//! The sysctls of IPVS that the director depends on, in the calling thread's network namespace.
//!
//! Files below /proc/sys/net show the namespace of the thread that opens them.

use std::io;
use std::path::{Path, PathBuf};

/// A sysctl below /proc/sys/net/ipv4/vs; 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sysctl {
    /// With 1 a deleted destination's connections are closed; with 0 they hang.
    ExpireNodestConn,
    /// With 1 persistence does not lead new connections to a destination of weight 0.
    ExpireQuiescentTemplate,
}

impl Sysctl {
    /// Those that a managed kernel has set to 1.
    pub const ALL: [Self; 2] = [Self::ExpireNodestConn, Self::ExpireQuiescentTemplate];

    /// Its name as in sysctl(8).
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExpireNodestConn => "net.ipv4.vs.expire_nodest_conn",
            Self::ExpireQuiescentTemplate => "net.ipv4.vs.expire_quiescent_template",
        }
    }

    const fn file(self) -> &'static str {
        match self {
            Self::ExpireNodestConn => "expire_nodest_conn",
            Self::ExpireQuiescentTemplate => "expire_quiescent_template",
        }
    }
}

/// Why a sysctl could not be read or set.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// The directory appears with the module.
    #[error("{doing} {name}: the kernel has no IPVS; load it with `modprobe ip_vs`")]
    NoIpvs {
        /// `read` or `set`.
        doing: &'static str,
        /// The sysctl.
        name: &'static str,
    },
    /// Reading or writing went wrong.
    #[error(
        "{doing} {name}: {cause}; run as root, or set it with `sysctl -w {name}=1` and leave `[kernel] manage` off"
    )]
    File {
        /// `read` or `set`.
        doing: &'static str,
        /// The sysctl.
        name: &'static str,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The file holds no number.
    #[error("read {name}: it holds {text:?}")]
    Value {
        /// The sysctl.
        name: &'static str,
        /// What it holds.
        text: String,
    },
}

/// The directory of the sysctls.
#[derive(Clone, Debug)]
pub struct Sysctls {
    directory: PathBuf,
}

impl Default for Sysctls {
    fn default() -> Self {
        Self::at(Path::new("/proc/sys/net/ipv4/vs"))
    }
}

impl Sysctls {
    /// Those of another directory, for tests.
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.into() }
    }

    /// The present value.
    pub fn read(&self, sysctl: Sysctl) -> Result<u32, SysctlError> {
        let text = std::fs::read_to_string(self.directory.join(sysctl.file()));
        let text = text.map_err(|source| failed("read", sysctl, source))?;
        let value = text.trim().parse();
        value.map_err(|_| SysctlError::Value { name: sysctl.name(), text })
    }

    /// Sets it where it is different, and returns what it was.
    pub fn set(&self, sysctl: Sysctl, value: u32) -> Result<u32, SysctlError> {
        let old = self.read(sysctl)?;
        if old != value {
            std::fs::write(self.directory.join(sysctl.file()), format!("{value}\n"))
                .map_err(|source| failed("set", sysctl, source))?;
        }
        Ok(old)
    }
}

fn failed(doing: &'static str, sysctl: Sysctl, source: io::Error) -> SysctlError {
    let name = sysctl.name();
    if source.kind() == io::ErrorKind::NotFound {
        return SysctlError::NoIpvs { doing, name };
    }
    SysctlError::File { doing, name, cause: source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_returns_what_it_was_and_writes_only_a_difference() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("expire_nodest_conn");
        std::fs::write(&file, "0\n").unwrap();
        let sysctls = Sysctls::at(directory.path());
        assert_eq!(sysctls.set(Sysctl::ExpireNodestConn, 1).unwrap(), 0);
        assert_eq!(sysctls.read(Sysctl::ExpireNodestConn).unwrap(), 1);
        // Without a line's end, so that a second write would show.
        std::fs::write(&file, "1").unwrap();
        assert_eq!(sysctls.set(Sysctl::ExpireNodestConn, 1).unwrap(), 1);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "1");
    }

    #[test]
    fn without_the_module_the_error_says_what_to_load() {
        let directory = tempfile::tempdir().unwrap();
        let error = Sysctls::at(directory.path()).set(Sysctl::ExpireQuiescentTemplate, 1);
        assert_eq!(
            error.unwrap_err().to_string(),
            "read net.ipv4.vs.expire_quiescent_template: the kernel has no IPVS; load it with `modprobe ip_vs`"
        );
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("expire_nodest_conn"), "many").unwrap();
        let error = Sysctls::at(directory.path()).read(Sysctl::ExpireNodestConn);
        assert!(matches!(error, Err(SysctlError::Value { .. })), "{error:?}");
    }
}
