//! The scenarios in the order in which they run.

mod attributes;
mod connections;
mod crash;
mod drift;
mod errors;
mod faults;
mod forwarding;
mod full_nat;
mod ipvsadm;
mod kernel_compared;
mod kernel_tables;
mod kernel_traps;
mod latency;
mod lines;
mod operator;
mod prober;
mod quorum;
mod reload;
mod restore;
mod roles;
mod scale;
mod settings;
mod smoke;
mod split;
mod tables;

use anyhow::Result;

use crate::lab::Lab;

/// One scenario: a name, a sentence that says what must be seen, and the steps.
pub(crate) struct Scenario {
    /// A short name for the command line.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) shows: &'static str,
    /// The steps; an error is the reason why it failed.
    pub(crate) run: fn(&mut Lab) -> Result<()>,
}

/// All of them: first those that need no cluster, then those that leave it as it was, last those that do not.
pub(crate) const ALL: &[&[Scenario]] = &[
    kernel_traps::SCENARIOS,
    kernel_tables::SCENARIOS,
    kernel_compared::SCENARIOS,
    ipvsadm::SCENARIOS,
    tables::SCENARIOS,
    lines::SCENARIOS,
    connections::SCENARIOS,
    restore::SCENARIOS,
    errors::SCENARIOS,
    faults::SCENARIOS,
    settings::SCENARIOS,
    scale::SCENARIOS,
    roles::SCENARIOS,
    reload::SCENARIOS,
    attributes::SCENARIOS,
    crash::SCENARIOS,
    drift::SCENARIOS,
    full_nat::SCENARIOS,
    operator::SCENARIOS,
    prober::SCENARIOS,
    forwarding::SCENARIOS,
    latency::SCENARIOS,
    quorum::SCENARIOS,
    roles::ROTATION,
    split::SCENARIOS,
    smoke::SCENARIOS,
];
