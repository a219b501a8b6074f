//! The words that a service's keys take, with what others call them.

use super::value::Choice;
use crate::config::{OnDown, Target};
use crate::model::destination::{Forwarding, Tunnel};
use crate::model::service::{Family, Protocol, ServiceFlags};

/// How a scheduler treats weights and clients (net/netfilter/ipvs/ip_vs_*.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Weights are shares, capacities or ranks.
    Weighs,
    /// Only weight 0 counts.
    Ignores,
    /// By client; refuses those of a quiesced server without its fallback flag.
    Hashes,
    /// By the address that clients ask for, which is the same for all clients of a service.
    ByDestination,
}

pub(super) const SCHEDULERS: Choice<Habit> = Choice {
    what: "scheduler",
    words: &[
        ("rr", Habit::Ignores),
        ("wrr", Habit::Weighs),
        ("lc", Habit::Ignores),
        ("wlc", Habit::Weighs),
        ("lblc", Habit::ByDestination),
        ("lblcr", Habit::ByDestination),
        ("dh", Habit::ByDestination),
        ("sh", Habit::Hashes),
        ("sed", Habit::Weighs),
        ("nq", Habit::Weighs),
        ("fo", Habit::Weighs),
        ("ovf", Habit::Weighs),
        ("mh", Habit::Hashes),
        ("twos", Habit::Weighs),
    ],
    synonyms: &[
        ("roundrobin", "wrr"),
        ("round-robin", "wrr"),
        ("static-rr", "wrr"),
        ("leastconn", "wlc"),
        ("least-conn", "wlc"),
        ("least_conn", "wlc"),
        ("source", "sh"),
        ("random", "twos"),
        ("maglev", "mh"),
        ("first", "ovf"),
        ("failover", "fo"),
    ],
    not_yet: &[],
};

pub(super) const FORWARDINGS: Choice<Forwarding> = Choice {
    what: "forwarding method",
    words: &[
        ("masq", Forwarding::Masquerade),
        ("dr", Forwarding::DirectRoute),
        ("tun", Forwarding::Tunnel),
    ],
    synonyms: &[
        ("nat", "masq"),
        ("fullnat", "masq"),
        ("masquerade", "masq"),
        ("masquerading", "masq"),
        ("route", "dr"),
        ("droute", "dr"),
        ("gate", "dr"),
        ("gatewaying", "dr"),
        ("direct", "dr"),
        ("tunnel", "tun"),
        ("ipip", "tun"),
        ("gue", "tun"),
        ("gre", "tun"),
    ],
    not_yet: &[],
};

pub(super) const TARGETS: Choice<Target> = Choice {
    what: "target",
    words: &[
        ("primary", Target::Primary),
        ("standby", Target::Standby),
        ("prefer-standby", Target::PreferStandby),
        ("any", Target::Any),
    ],
    synonyms: &[
        ("read-write", "primary"),
        ("readwrite", "primary"),
        ("rw", "primary"),
        ("master", "primary"),
        ("leader", "primary"),
        ("write", "primary"),
        ("writer", "primary"),
        ("read-only", "standby"),
        ("readonly", "standby"),
        ("ro", "standby"),
        ("read", "standby"),
        ("reader", "standby"),
        ("slave", "standby"),
        ("replica", "standby"),
        ("secondary", "standby"),
        ("prefer_standby", "prefer-standby"),
        ("prefer-replica", "prefer-standby"),
        ("all", "any"),
    ],
    not_yet: &[],
};

pub(super) const PROTOCOLS: Choice<Protocol> = Choice {
    what: "protocol",
    words: &[("tcp", Protocol::TCP), ("udp", Protocol::UDP), ("sctp", Protocol::SCTP)],
    synonyms: &[],
    not_yet: &[],
};

pub(super) const FAMILIES: Choice<Family> = Choice {
    what: "family",
    words: &[("ipv4", Family::V4), ("ipv6", Family::V6)],
    synonyms: &[("inet", "ipv4"), ("4", "ipv4"), ("inet6", "ipv6"), ("6", "ipv6")],
    not_yet: &[],
};

/// A flag and the scheduler whose it is; `None`: any scheduler's, by its number.
pub(super) const FLAGS: Choice<(Option<&str>, ServiceFlags)> = Choice {
    what: "scheduler flag",
    words: &[
        ("sh-fallback", (Some("sh"), ServiceFlags::SCHED_1)),
        ("sh-port", (Some("sh"), ServiceFlags::SCHED_2)),
        ("mh-fallback", (Some("mh"), ServiceFlags::SCHED_1)),
        ("mh-port", (Some("mh"), ServiceFlags::SCHED_2)),
        ("flag-1", (None, ServiceFlags::SCHED_1)),
        ("flag-2", (None, ServiceFlags::SCHED_2)),
        ("flag-3", (None, ServiceFlags::SCHED_3)),
    ],
    synonyms: &[],
    not_yet: &[],
};

/// Persistence engines, each a kernel module `ip_vs_pe_NAME`.
pub(super) const ENGINES: Choice<&str> =
    Choice { what: "persistence engine", words: &[("sip", "sip")], synonyms: &[], not_yet: &[] };

pub(super) const TUNNELS: Choice<u8> = Choice {
    what: "tunnel",
    words: &[("ipip", Tunnel::IPIP), ("gue", Tunnel::GUE), ("gre", Tunnel::GRE)],
    synonyms: &[("ip-ip", "ipip"), ("ip", "ipip"), ("fou", "gue"), ("udp", "gue")],
    not_yet: &[],
};

pub(super) const CHECKSUMS: Choice<u16> = Choice {
    what: "tunnel checksum",
    words: &[
        ("none", Tunnel::NO_CHECKSUM),
        ("csum", Tunnel::CHECKSUM),
        ("remcsum", Tunnel::REMOTE_CHECKSUM),
    ],
    synonyms: &[("nocsum", "none"), ("no", "none"), ("off", "none"), ("remote", "remcsum")],
    not_yet: &[],
};

pub(super) const ON_DOWN: Choice<OnDown> = Choice {
    what: "on_down",
    words: &[("cut", OnDown::Cut), ("hold", OnDown::Hold)],
    synonyms: &[
        ("shutdown-sessions", "cut"),
        ("remove", "cut"),
        ("kill", "cut"),
        ("quiesce", "hold"),
        ("keep", "hold"),
    ],
    not_yet: &["drain"],
};
