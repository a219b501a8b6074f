//! `pgvs ipvsadm`: ipvsadm's command line on the kernel itself, without the daemon. Exit codes as ipvsadm's.

use std::io::Write as _;
use std::process::ExitCode;

use crate::host::netlink::{Kernel, KernelError};
use crate::ipvsadm::args::{self, Command};
use crate::ipvsadm::{list, words};
use crate::model::kernel::IpvsInfo;

/// Wrong arguments, or no IPVS to be had.
const USAGE: u8 = 2;
/// The list could not be read.
const LIST: u8 = 1;

/// Carries out the arguments behind `ipvsadm`.
pub fn run(arguments: &[String]) -> ExitCode {
    let (text, code) = match args::parse(arguments) {
        Err(error) => (Err(format!("ipvsadm: {error}")), USAGE),
        Ok(Command::List) => match open() {
            Err(text) => (Err(text), USAGE),
            Ok((mut kernel, info)) => match kernel.list() {
                Err(error) => (Err(error.to_string()), LIST),
                Ok(services) => (Ok(list::list(info, &services)), 0),
            },
        },
    };
    let written = match text {
        Ok(text) => {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        }
        Err(text) => writeln!(std::io::stderr().lock(), "{text}"),
    };
    match written {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(LIST.max(code)),
    }
}

/// The first question shows whether we may ask any.
fn open() -> Result<(Kernel, IpvsInfo), String> {
    let opened = Kernel::open().and_then(|mut kernel| {
        let info = kernel.info()?;
        Ok((kernel, info))
    });
    opened.map_err(|error| {
        if matches!(error, KernelError::NoIpvs) {
            words::cannot_start(words::NO_MODULE)
        } else if error.is_permission() {
            words::cannot_start(words::PERMISSION)
        } else {
            words::cannot_start(&error.to_string())
        }
    })
}
