//! The scenarios in the order in which they run.

mod smoke;

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

/// All of them.
pub(crate) const ALL: &[&[Scenario]] = &[smoke::SCENARIOS];
