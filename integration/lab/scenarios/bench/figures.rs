//! Samples by what was done and who did it: medians with their spread, ratios beside the goals, as a table.

use crate::stage::median;

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// Nobody can do better.
    Floor,
    Pgvs,
    /// `pgvs ipvsadm`, without the daemon.
    Command,
    Ipvsadm,
    Keepalived,
}

impl Who {
    const ALL: [Self; 5] =
        [Self::Floor, Self::Pgvs, Self::Command, Self::Ipvsadm, Self::Keepalived];

    const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Pgvs => "pgvs",
            Self::Command => "pgvs ipvsadm",
            Self::Ipvsadm => "ipvsadm",
            Self::Keepalived => "keepalived",
        }
    }
}

/// One row: what was done, with the seconds that each took.
#[derive(Debug, Default)]
pub(super) struct Row {
    what: String,
    samples: Vec<(Who, Vec<f64>)>,
    /// Those that were given up after so many seconds.
    given_up: Vec<(Who, f64)>,
}

impl Row {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    /// One more round.
    pub(super) fn add(&mut self, who: Who, seconds: f64) {
        match self.samples.iter_mut().find(|(it, _)| *it == who) {
            Some((_, samples)) => samples.push(seconds),
            None => self.samples.push((who, vec![seconds])),
        }
    }

    /// It took longer than this.
    pub(super) fn give_up(&mut self, who: Who, seconds: f64) {
        self.given_up.push((who, seconds));
    }

    /// The median, if it was measured.
    pub(super) fn median(&self, who: Who) -> Option<f64> {
        self.samples.iter().find(|(it, _)| *it == who).map(|(_, it)| median(it.clone()))
    }

    /// The median, or the time after which it was given up: no less than this.
    fn at_least(&self, who: Who) -> Option<f64> {
        let given_up = self.given_up.iter().find(|(it, _)| *it == who).map(|(_, it)| *it);
        self.median(who).or(given_up)
    }

    /// How many times longer one took than the other.
    pub(super) fn ratio(&self, slow: Who, fast: Who) -> Option<f64> {
        Some(self.at_least(slow)? / self.median(fast)?)
    }

    /// Whether it is about this.
    pub(super) fn starts_with(&self, what: &str) -> bool {
        self.what.starts_with(what)
    }

    /// The row in a line, for whoever waits.
    pub(super) fn said(&self) -> String {
        let cells = Who::ALL.into_iter().map(|who| (who.name(), self.cell(who)));
        let cells = cells.filter(|(_, cell)| !cell.is_empty());
        let cells: Vec<_> = cells.map(|(name, cell)| format!("{name} {cell}")).collect();
        format!("{}: {}", self.what, cells.join(", "))
    }

    fn cell(&self, who: Who) -> String {
        if let Some((_, seconds)) = self.given_up.iter().find(|(it, _)| *it == who) {
            return format!("more than {seconds:.0} s");
        }
        let Some((_, samples)) = self.samples.iter().find(|(it, _)| *it == who) else {
            return String::new();
        };
        let (least, most) = samples.iter().fold((f64::MAX, 0.0), |(least, most), &sample| {
            (f64::min(least, sample), f64::max(most, sample))
        });
        let middle = median(samples.clone());
        format!("{} ({}-{})", seconds(middle), bare(least, middle), bare(most, middle))
    }

    /// The row for the terminal and the README.
    fn render(&self) -> String {
        let cells = Who::ALL.map(|who| self.cell(who));
        format!("| {} | {} |", self.what, cells.join(" | "))
    }
}

/// What has to hold between two figures of one row.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) what: String,
    /// What came out; `None`: it could not be measured.
    pub(super) ratio: Option<f64>,
    pub(super) wanted: Wanted,
}

/// On which side of a number a ratio should be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    /// Whether it was reached.
    pub(super) fn is_met(&self) -> bool {
        match (self.ratio, self.wanted) {
            (Some(ratio), Wanted::AtMost(most)) => ratio <= most,
            (Some(ratio), Wanted::AtLeast(least)) => ratio >= least,
            (None, _) => false,
        }
    }

    fn render(&self) -> String {
        let wanted = match self.wanted {
            Wanted::AtMost(most) => format!("at most {most}"),
            Wanted::AtLeast(least) => format!("at least {least}"),
        };
        let ratio = self.ratio.map_or("not measured".to_owned(), |ratio| format!("{ratio:.2}"));
        let verdict = if self.is_met() { "yes" } else { "NO" };
        format!("| {} | {ratio} | {wanted} | {verdict} |", self.what)
    }
}

/// The rows of one table size.
pub(super) fn table(title: &str, rows: &[Row]) -> String {
    let names = Who::ALL.map(Who::name).join(" | ");
    let mut text = format!("| {title} | {names} |\n|---|---|---|---|---|---|\n");
    for row in rows {
        text += &format!("{}\n", row.render());
    }
    text
}

/// The goals with what came out.
pub(super) fn goals(title: &str, goals: &[Goal]) -> String {
    let mut text = format!("| {title} | ratio | goal | reached |\n|---|---|---|---|\n");
    for goal in goals {
        text += &format!("{}\n", goal.render());
    }
    text
}

/// Seconds for people, with the unit.
fn seconds(value: f64) -> String {
    let unit = if value < 1.0 { "ms" } else { "s" };
    format!("{} {unit}", bare(value, value))
}

/// Seconds in the unit that suits `like`, without it.
fn bare(value: f64, like: f64) -> String {
    match like {
        ..0.01 => format!("{:.2}", value * 1000.0),
        ..0.1 => format!("{:.1}", value * 1000.0),
        ..1.0 => format!("{:.0}", value * 1000.0),
        ..100.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}
