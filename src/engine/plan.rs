//! What would be written: the same engine, run ahead on a copy of itself against a copy of the table.

use super::controller::Controller;
use super::event::{Action, Event};
use super::table;
use crate::model::op::Op;
use crate::model::table::Table;
use crate::time::Time;

/// So many steps lead to quiet in any case: each transaction takes up to a thousand changes.
const STEPS: usize = 10_000;

/// Every change that the engine would write at once after `event`, in its order. Nothing is done outside, and what
/// would follow from later answers of probes is not foreseen.
pub fn ahead(controller: &Controller, table: Table, event: Event, now: Time) -> Vec<Op> {
    let mut controller = controller.clone();
    // What would be written once the operator lets us.
    controller.reconciler.memory.paused = None;
    let mut table = table;
    let mut events = vec![event];
    let mut written = Vec::new();
    for _ in 0..STEPS {
        let Some(event) = events.pop() else { break };
        for action in controller.step(event, now) {
            match action {
                Action::Apply(ops) => {
                    for op in &ops {
                        table::apply(&mut table, op);
                    }
                    written.extend(ops.iter().cloned());
                    events.push(Event::Applied(ops.into_iter().map(|op| (op, Ok(()))).collect()));
                }
                Action::Dump { .. } => {
                    events.push(Event::Dumped(table.clone(), Default::default()));
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
    written
}
