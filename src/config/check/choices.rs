//! The words that a service's keys take, with what others call them.

use super::value::Choice;
use crate::config::{OnDown, Target};
use crate::model::destination::Forwarding;
use crate::model::service::Protocol;

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
        ("masquerade", "masq"),
        ("masquerading", "masq"),
        ("route", "dr"),
        ("droute", "dr"),
        ("gate", "dr"),
        ("gatewaying", "dr"),
        ("direct", "dr"),
        ("tunnel", "tun"),
        ("ipip", "tun"),
    ],
    not_yet: &["gue", "gre", "fullnat"],
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
    words: &[("tcp", Protocol::TCP)],
    synonyms: &[],
    not_yet: &["udp", "sctp"],
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
