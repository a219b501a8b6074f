//! ipvsadm's words: names of flags and tunnels, and what it says when the kernel refuses.

use super::args::{Change, Refused};
use crate::model::op::{Errno, Op};
use crate::model::service::ServiceFlags;

/// Bits of a tunnel's flags (`IP_VS_TUNNEL_ENCAP_FLAG_*`, include/uapi/linux/ip_vs.h).
pub(super) const NO_CHECKSUM: u16 = 0;
pub(super) const CHECKSUM: u16 = 1;
pub(super) const REMOTE_CHECKSUM: u16 = 2;

/// The kinds of tunnels by their number, each with what it does with port, no checksum, checksum and remote
/// checksum; the signs are those of the commands.
pub(super) const TUNNELS: [(&str, &str); 3] = [("ipip", "xxxx"), ("gue", "+111"), ("gre", "x11x")];

/// The flags of schedulers, each with the scheduler that has it; those without one fit all.
const FLAGS: [(&str, &str, ServiceFlags); 7] = [
    ("flag-1", "", ServiceFlags::SCHED_1),
    ("flag-2", "", ServiceFlags::SCHED_2),
    ("flag-3", "", ServiceFlags::SCHED_3),
    ("sh-fallback", "sh", ServiceFlags::SCHED_1),
    ("sh-port", "sh", ServiceFlags::SCHED_2),
    ("mh-fallback", "mh", ServiceFlags::SCHED_1),
    ("mh-port", "mh", ServiceFlags::SCHED_2),
];

/// Flags by their names with commas.
pub(super) fn scheduler_flags(scheduler: &str, text: &str) -> Result<ServiceFlags, Refused> {
    let mut flags = ServiceFlags::default();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let known = FLAGS.iter().find(|(name, ..)| *name == word);
        let (_, of, bit) =
            known.ok_or_else(|| Refused::usage(format!("invalid scheduler flag `{word}'")))?;
        if !of.is_empty() && *of != scheduler {
            return Err(Refused::usage(format!("incompatible scheduler flag `{word}'")));
        }
        flags = flags.with(*bit);
    }
    Ok(flags)
}

/// At most so many bytes, without half a character.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}

/// Without the scheduler (`ENOENT` to a service).
pub(super) fn no_scheduler() -> Refused {
    Refused { text: NO_SCHEDULER.into(), code: KERNEL, goes_on: true }
}

/// The version's line.
pub const VERSION: &str = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n";
/// The exit code where the kernel refused.
pub const KERNEL: u8 = 255;
/// What is listed is not there (`ESRCH`).
pub const NO_SERVICE: &str = "No such service";

const NO_SCHEDULER: &str = "Scheduler or persistence engine not found";

/// What ipvsadm says when the kernel refuses a change; `None` where it says what strerror(3) says.
pub fn refused(change: &Change, errno: Errno) -> Option<&'static str> {
    let special = match (change, errno) {
        (Change::Op(Op::AddService(..)), Errno::EEXIST) => Some("Service already exists"),
        (Change::Op(Op::AddService(..) | Op::EditService(..)), Errno::ENOENT) => Some(NO_SCHEDULER),
        (
            Change::Op(Op::EditService(..) | Op::DeleteService(_)) | Change::Zero(_),
            Errno::ESRCH,
        ) => Some(NO_SERVICE),
        (
            Change::Op(
                Op::AddDestination(..) | Op::EditDestination(..) | Op::DeleteDestination(..),
            ),
            Errno::ESRCH,
        ) => Some("Service not defined"),
        (Change::Op(Op::AddDestination(..)), Errno::EEXIST) => Some("Destination already exists"),
        (Change::Op(Op::EditDestination(..) | Op::DeleteDestination(..)), Errno::ENOENT) => {
            Some("No such destination")
        }
        (Change::StartDaemon(_), Errno::EEXIST) => Some("Daemon has already run"),
        (Change::StopDaemon(_), Errno::ESRCH) => Some("No daemon is running"),
        _ => None,
    };
    special.or_else(|| general(errno))
}

/// What ipvsadm says of an error number whatever it did; `None` where it says what strerror(3) says.
pub const fn general(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::EPERM => PERMISSION,
        Errno::EINVAL => INVALID,
        Errno::ENOPROTOOPT => NO_MODULE,
        Errno::ENOMEM => "Memory allocation problem",
        Errno::EOPNOTSUPP => "Operation not supported with IPv6",
        Errno::EAFNOSUPPORT => "Operation not supported with specified address family",
        Errno::EMSGSIZE => "Module is wrong version",
        _ => return None,
    })
}

const INVALID: &str = "Invalid operation.  Possibly wrong module version, address not unicast, ...";

/// ipvsadm's two lines when it cannot start.
pub fn cannot_start(reason: &str) -> String {
    format!(
        "Can't initialize ipvs: {reason}\n\
         Are you sure that IP Virtual Server is built in the kernel or as module?"
    )
}

/// Without CAP_NET_ADMIN (`EPERM`).
pub const PERMISSION: &str = "Permission denied (you must be root)";
/// Without the module (`ENOPROTOOPT`).
pub const NO_MODULE: &str = "Protocol not available";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::destination::{Destination, DestinationKey, Forwarding, Weight};
    use crate::model::kernel::{SyncDaemon, SyncRole};
    use crate::model::service::{Family, Scheduler, Service, ServiceKey};

    const GOLDEN: &str = include_str!("../../integration/golden/ipvsadm.txt");

    #[test]
    fn the_refusal_without_permission_is_ipvsadms() {
        assert!(GOLDEN.contains(&format!("\n{}\n", cannot_start(PERMISSION))));
    }

    #[test]
    fn refusals_are_those_that_ipvsadm_printed() {
        let key = ServiceKey::tcp("10.0.0.1:5432".parse().unwrap());
        let to = DestinationKey("10.0.0.2:5432".parse().unwrap());
        let service = Service::plain(Scheduler::new("wlc").unwrap(), Family::V4);
        let plain = Destination::plain(Forwarding::DirectRoute, Weight(1));
        for (command, op, errno) in [
            ("-A -t 10.0.0.1:5432\n", Op::AddService(key, service.clone()), Errno::EEXIST),
            (
                "-A -t 10.0.0.2:5432 -s nosuch\n",
                Op::AddService(key, service.clone()),
                Errno::ENOENT,
            ),
            ("-E -t 10.0.0.99:5432\n", Op::EditService(key, service), Errno::ESRCH),
            ("-D -t 10.0.0.99:5432\n", Op::DeleteService(key), Errno::ESRCH),
            (
                "-a -t 10.0.0.99:5432 -r 10.1.1.1\n",
                Op::AddDestination(key, to, plain),
                Errno::ESRCH,
            ),
            (
                "-a -t 10.0.0.1:5432 -r 10.5.5.5\n",
                Op::AddDestination(key, to, plain),
                Errno::EEXIST,
            ),
            (
                "-e -t 10.0.0.1:5432 -r 10.9.9.9\n",
                Op::EditDestination(key, to, plain),
                Errno::ENOENT,
            ),
            ("-d -t 10.0.0.1:5432 -r 10.9.9.9\n", Op::DeleteDestination(key, to), Errno::ENOENT),
            (
                "-a -t 10.0.0.1:5432 -r 224.0.0.1\n",
                Op::AddDestination(key, to, plain),
                Errno::EINVAL,
            ),
        ] {
            let text = refused(&Change::Op(op), errno).unwrap();
            let expected = format!("$ ipvsadm {command}{text}\n[rc={KERNEL}]\n");
            assert!(GOLDEN.contains(&expected), "{expected}");
        }
        let text = refused(&Change::StopDaemon(SyncRole::Master), Errno::ESRCH).unwrap();
        assert!(GOLDEN.contains(&format!("--stop-daemon master\n{text}\n")));
        let daemon = Change::StartDaemon(SyncDaemon::new(SyncRole::Master));
        assert_eq!(refused(&daemon, Errno::ERANGE), None);
    }
}
