//! What a server's destinations are told besides its address: weight and limits.

use super::Check;
use super::value::{self, either};
use crate::config::file::{self, Field};
use crate::config::report::Draft;
use crate::model::destination::{Thresholds, Weight};

impl Check<'_> {
    /// Reads `[defaults.server]` by itself.
    pub(super) fn server_defaults(&mut self) {
        let none = file::Server::default();
        value::weight(self.report, value::written(0, self.defaults.server.0.weight.as_ref()));
        self.thresholds(0, &none);
    }

    /// The limits of a server's connections.
    pub(super) fn thresholds(&mut self, number: usize, file: &file::Server) -> Thresholds {
        let default = &self.defaults.server.0;
        let upper = self.threshold(number, &file.upper_threshold, &default.upper_threshold);
        let lower = self.threshold(number, &file.lower_threshold, &default.lower_threshold);
        let at = |own: &Field, default: &Field| {
            // A threshold that is not written is 0, and 0 is never wrong.
            either(number, own, default).map_or_else(
                || crate::config::report::Place::new(number, 0..0),
                |written| written.place,
            )
        };
        let upper_at = at(&file.upper_threshold, &default.upper_threshold);
        let lower_at = at(&file.lower_threshold, &default.lower_threshold);
        if lower > upper && upper == 0 {
            let draft = Draft::new("a lower threshold without an upper one");
            let help = "write upper_threshold beside it, or leave it out";
            self.report.error(draft.at(lower_at, "no effect").help(help));
        } else if lower > upper {
            let draft = Draft::new("the lower threshold is above the upper one");
            self.report.error(
                draft
                    .at(lower_at, "above")
                    .at(upper_at, "the upper one")
                    .help(format!("write {upper} or less")),
            );
        }
        if upper > 0 {
            let draft = Draft::new(
                "the kernel counts connections against upper_threshold until 120 s after they have ended",
            );
            self.report.warning(draft.at(upper_at, "counts TIME_WAIT too").help(
                "leave room for short sessions; PostgreSQL's own max_connections is respected by the probe",
            ));
        }
        Thresholds { upper, lower }
    }

    fn threshold(&mut self, number: usize, own: &Field, default: &Field) -> u32 {
        either(number, own, default)
            .and_then(|written| value::number(self.report, written, 0..=Weight::MAX.0))
            .unwrap_or(0)
    }
}
