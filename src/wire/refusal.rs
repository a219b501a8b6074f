//! What an error number means for a request, in words: the kernel itself says no more than the number.
//!
//! Source: net/netfilter/ipvs/ip_vs_ctl.c. `ENOENT` speaks of the scheduler or of the destination, by command.

use std::fmt;

use crate::model::op::{Errno, Op};

/// A refused change; its text says what was attempted, on what, why not, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The change.
    pub op: &'a Op,
    /// The kernel's answer.
    pub errno: Errno,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.op)?;
        match (self.op, self.errno) {
            (Op::AddService(_, service) | Op::EditService(_, service), Errno::ENOENT) => {
                no_module(f, service.scheduler.as_str(), service.persistence_engine.as_deref())?;
            }
            (Op::AddService(..), Errno::EEXIST) => {
                f.write_str("the service exists already; the table is read again")?;
            }
            (Op::AddDestination(..), Errno::EEXIST) => {
                f.write_str("the destination exists already; the table is read again")?;
            }
            (_, Errno::ENOENT) => {
                f.write_str("there is no such destination; the table is read again")?;
            }
            (_, Errno::ESRCH) => {
                f.write_str("there is no such service; the table is read again")?;
            }
            (Op::AddDestination(..) | Op::EditDestination(..), Errno::EINVAL) => f.write_str(
                "not acceptable: the address must be unicast, a GUE tunnel needs a port, and an address \
                 of another family than the service's needs a tunnel and no sync daemon",
            )?,
            (_, Errno::EINVAL) => f.write_str("not acceptable: check netmask and timeout")?,
            (_, Errno::ERANGE) => f.write_str(
                "out of range: the weight is above 2147483647 or the lower threshold above the upper one",
            )?,
            (_, errno) => f.write_str(words(errno))?,
        }
        write!(f, " ({})", self.errno)
    }
}

fn no_module(f: &mut fmt::Formatter<'_>, scheduler: &str, engine: Option<&str>) -> fmt::Result {
    match engine {
        None => {
            write!(f, "the kernel has no scheduler {scheduler}: try modprobe ip_vs_{scheduler}")
        }
        Some(engine) => write!(
            f,
            "the kernel has no scheduler {scheduler} or no persistence engine {engine}: \
             try modprobe ip_vs_{scheduler} and modprobe ip_vs_pe_{engine}"
        ),
    }
}

/// What an error number means whatever the request was.
pub const fn words(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => {
            "not permitted: this needs CAP_NET_ADMIN outside any user namespace, run as root or give the capability"
        }
        Errno::ENOENT => "the kernel has no IPVS any more: modprobe ip_vs",
        Errno::ESRCH => "there is no such service",
        Errno::ENOMEM => "the kernel has no memory left for it",
        Errno::EBUSY => "another dump is under way on the same socket",
        Errno::EINVAL => "the kernel finds it not acceptable",
        Errno::EAFNOSUPPORT => "the kernel was built without this address family: IPv6 is missing",
        Errno::EOPNOTSUPP => "the kernel does not know this request: it is too old",
        Errno::ENOPROTOOPT => "the module ip_vs is being unloaded",
        Errno::EMSGSIZE => "the message is longer than the socket takes",
        Errno::ENOBUFS => {
            "replies were lost, so that the result is unknown; the table is read again"
        }
        _ => "refused by the kernel",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::destination::{Destination, DestinationKey, Forwarding, Weight};
    use crate::model::service::{Family, Scheduler, Service, ServiceKey};

    #[test]
    fn an_unknown_scheduler_is_named_with_the_module_that_brings_it() {
        let op = Op::AddService(service(), Service::plain(scheduler("wlcx"), Family::V4));
        assert_eq!(
            text(&op, Errno::ENOENT),
            "add service TCP 10.0.0.1:5432 wlcx: the kernel has no scheduler wlcx: \
             try modprobe ip_vs_wlcx (ENOENT)"
        );
    }

    #[test]
    fn the_same_number_speaks_of_the_destination_where_one_was_meant() {
        let masq = Destination::plain(Forwarding::Masquerade, Weight(3));
        for op in [
            Op::EditDestination(service(), server(), masq),
            Op::DeleteDestination(service(), server()),
        ] {
            assert!(
                text(&op, Errno::ENOENT)
                    .ends_with("there is no such destination; the table is read again (ENOENT)")
            );
        }
    }

    #[test]
    fn every_refusal_says_what_was_attempted_and_names_the_number() {
        let masq = Destination::plain(Forwarding::Masquerade, Weight(3));
        let ops = [
            Op::AddService(service(), Service::plain(scheduler("rr"), Family::V4)),
            Op::EditService(service(), Service::plain(scheduler("rr"), Family::V4)),
            Op::DeleteService(service()),
            Op::AddDestination(service(), server(), masq),
            Op::EditDestination(service(), server(), masq),
            Op::DeleteDestination(service(), server()),
        ];
        for op in ops {
            for number in 1..=133 {
                let errno = Errno(number);
                let text = text(&op, errno);
                assert!(text.starts_with(&format!("{op}: ")), "{text}");
                assert!(text.ends_with(&format!("({errno})")), "{text}");
            }
        }
    }

    #[test]
    fn without_the_capability_the_text_says_which() {
        let op = Op::DeleteService(service());
        assert!(text(&op, Errno::EPERM).contains("CAP_NET_ADMIN"));
    }

    fn text(op: &Op, errno: Errno) -> String {
        Refusal { op, errno }.to_string()
    }

    fn service() -> ServiceKey {
        ServiceKey::tcp("10.0.0.1:5432".parse().unwrap())
    }

    fn server() -> DestinationKey {
        DestinationKey("10.0.0.2:5432".parse().unwrap())
    }

    fn scheduler(name: &str) -> Scheduler {
        Scheduler::new(name).unwrap()
    }
}
