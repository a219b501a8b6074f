//! What would be written: the same engine, run ahead on a copy of itself against a copy of the table.

use super::controller::Controller;
use super::event::{Action, Event};
use super::table;
use crate::model::op::Op;
use crate::model::setting::{Found, Setting};
use crate::model::table::Table;
use crate::time::Time;

/// So many steps lead to quiet in any case: each transaction takes up to a thousand changes.
const STEPS: usize = 10_000;

/// What would be written at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Every change of the table, in its order.
    pub ops: Vec<Op>,
    /// Every change beside the table, with what is there before it.
    pub settings: Vec<(Option<Setting>, Setting)>,
}

impl Ahead {
    /// Whether nothing would be written.
    pub const fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.settings.is_empty()
    }
}

/// What the kernel holds.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// Its table.
    pub table: Table,
    /// What is set beside it.
    pub settings: Found,
}

/// What the engine would write at once after `event`. Nothing is done outside, and what would follow from later answers
/// of probes is not foreseen.
pub fn ahead(controller: &Controller, kernel: Kernel, event: Event, now: Time) -> Ahead {
    let Kernel { mut table, mut settings } = kernel;
    let mut controller = controller.clone();
    // What would be written once the operator lets us.
    controller.reconciler.memory.paused = None;
    let mut events = vec![event];
    let mut ahead = Ahead::default();
    for _ in 0..STEPS {
        let Some(event) = events.pop() else { break };
        for action in controller.step(event, now) {
            match action {
                Action::Apply(ops) => {
                    for op in &ops {
                        table::apply(&mut table, op);
                    }
                    ahead.ops.extend(ops.iter().cloned());
                    events.push(Event::Applied(ops.into_iter().map(|op| (op, Ok(()))).collect()));
                }
                Action::Dump { .. } => {
                    events.push(Event::Dumped(table.clone(), Default::default()));
                }
                Action::ReadSettings(keys) => {
                    let has = settings.iter().filter(|(key, _)| keys.contains(key));
                    let found = has.map(|(key, value)| (*key, value.clone())).collect();
                    events.push(Event::SettingsRead(Ok(found)));
                }
                Action::Set(changes) => {
                    for to in &changes {
                        let from = settings.insert(to.key(), Ok(to.clone()));
                        ahead.settings.push((from.and_then(Result::ok), to.clone()));
                    }
                    let done = changes.into_iter().map(|to| (to, Ok(()))).collect();
                    events.push(Event::SettingsApplied(done));
                }
                Action::SaveState(_) => events.push(Event::StateSaved(Ok(()))),
                // What a check would see is what was just written.
                Action::Check
                | Action::StartProbe { .. }
                | Action::StopProbe(_)
                | Action::Pace(..)
                | Action::ProbeNow(_)
                | Action::HangUp(_)
                | Action::Run(_)
                | Action::Report(_)
                | Action::Settled
                | Action::Stopped => (),
            }
        }
    }
    ahead
}
