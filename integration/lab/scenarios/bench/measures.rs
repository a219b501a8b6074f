//! The measures: each fills rows, in rounds in which everybody has a turn, and names the goals.

mod daemon;
mod failing;
mod table;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::figures::{Goal, Row, Wanted, Who};
use super::fixture::Fixture;
use super::floor::{self, Prepared};
use crate::kernel;
use crate::lab::Lab;
use crate::net::Namespace;
use crate::pgvs::Pgvs;

/// Nothing may take longer, keepalived excepted.
const LIMIT: Duration = Duration::from_secs(120);
/// What is slow is measured once where the table is larger than this.
const LARGE: u32 = 2_000;

/// What can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Program,
    Listing,
    Check,
    Weight,
    Keepalived,
    Failing,
}

impl Part {
    pub(super) const ALL: [Self; 6] =
        [Self::Program, Self::Listing, Self::Check, Self::Weight, Self::Keepalived, Self::Failing];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Listing => "listing",
            Self::Check => "check",
            Self::Weight => "weight",
            Self::Keepalived => "keepalived",
            Self::Failing => "failing",
        }
    }
}

/// One size of table, and what is known of it so far.
pub(super) struct Bench<'a> {
    lab: &'a Lab,
    fixture: Fixture,
    rounds: usize,
    pgvs: Pgvs,
    rules: PathBuf,
    table: String,
    rows: Vec<Row>,
    goals: Vec<Goal>,
    notes: Vec<String>,
}

impl<'a> Bench<'a> {
    /// Prepares everything and makes each program's first start, which reads it from the disk.
    pub(super) fn new(lab: &'a mut Lab, fixture: Fixture, rounds: usize) -> Result<Self> {
        let mut pgvs = lab.daemon_alone("pgvs", "")?;
        pgvs.ready_limit = LIMIT;
        fixture.write_config(&pgvs, 100)?;
        let mut bench = Self {
            rules: pgvs.path("rules"),
            lab,
            fixture,
            rounds,
            pgvs,
            table: String::new(),
            rows: Vec::new(),
            goals: Vec::new(),
            notes: Vec::new(),
        };
        Prepared::new(&fixture.make()?)?.replay()?;
        bench.table = kernel::ipvsadm(&["-Sn"])?;
        fs::write(&bench.rules, &bench.table).context("write the rules")?;
        bench.ours(&["ipvsadm", "-Ln"])?;
        kernel::ipvsadm(&["-C"])?;
        Ok(bench)
    }

    pub(super) fn measure(&mut self, part: Part) -> Result<()> {
        match part {
            Part::Program => self.program(),
            Part::Listing => self.listing(),
            Part::Check => self.check(),
            Part::Weight => self.weight(),
            Part::Keepalived => self.keepalived(),
            Part::Failing => self.failing(),
        }
    }

    /// After a measure that failed: no daemon, an empty table.
    pub(super) fn begin_anew(&mut self) -> Result<()> {
        let log = self.pgvs.log();
        let lines: Vec<_> = log.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(10)) {
            self.lab.step(line);
        }
        if self.pgvs.is_running() {
            self.pgvs.kill()?;
        }
        kernel::ipvsadm(&["-C"]).map(drop)
    }

    /// What came out.
    pub(super) fn end(self) -> Result<(Vec<Row>, Vec<Goal>, Vec<String>)> {
        Ok((self.rows, self.goals, self.notes))
    }

    /// Rounds of what takes minutes in large tables.
    fn slow_rounds(&self) -> usize {
        if self.fixture.services > LARGE { self.rounds.min(2) } else { self.rounds.min(5) }
    }

    fn doing(&self, what: &str) {
        self.lab.step(format!("... {what}"));
    }

    fn told(&self, row: &Row) {
        self.lab.step(row.said());
    }

    /// The daemon's memory goes to the notes.
    fn memory(&mut self, when: &str) {
        let Ok(id) = self.pgvs.id() else { return };
        let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let of = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            let kib = line.split_whitespace().nth(1).and_then(|it| it.parse::<f64>().ok());
            kib.unwrap_or_default() / 1024.0
        };
        let note = format!(
            "The daemon's memory {when}: {:.1} MiB resident, {:.1} MiB at its peak.",
            of("VmRSS:"),
            of("VmHWM:")
        );
        self.lab.step(&note);
        self.notes.retain(|it| !it.contains(when));
        self.notes.push(note);
    }

    fn whole(&self, who: &str) -> Result<()> {
        let found = kernel::ipvsadm(&["-Sn"])?;
        let (have, want) = (found.lines().count(), self.fixture.lines());
        ensure!(have == want, "{who} made {have} lines of {want}");
        Ok(())
    }

    fn wait_lines(&self, lines: usize) -> Result<()> {
        let began = Instant::now();
        while floor::read_table()?.lines != lines {
            ensure!(began.elapsed() < LIMIT, "the table has not {lines} lines");
        }
        Ok(())
    }

    /// A command of our binary beside the daemon, which must succeed.
    fn ours(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.lab.pgvs);
        command
            .args(arguments)
            .env("PGVS_CONFIG", self.pgvs.path("pgvs.toml"))
            .env("PGVS_SOCKET", self.pgvs.path("run/pgvs.sock"))
            .stdin(Stdio::null());
        let output = Namespace::Director.inside(|| command.output().context("start pgvs"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgvs {}: {}", arguments.join(" "), said.trim());
        Ok(())
    }

    fn restore(&self, program: &str, arguments: &[&str]) -> Result<f64> {
        let input = File::open(&self.rules).context("open the rules")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
        let (took, status) = Namespace::Director.inside(|| {
            let began = Instant::now();
            let status = command.status().with_context(|| format!("start {program}"))?;
            Ok((began.elapsed(), status))
        })?;
        ensure!(status.success(), "{program} {}: {status}", arguments.join(" "));
        Ok(took.as_secs_f64())
    }

    fn restore_ours(&self) -> Result<f64> {
        self.restore(&self.lab.pgvs.to_string_lossy(), &["ipvsadm", "-R"])
    }

    /// A command's time and what it printed.
    fn command(&self, program: &str, arguments: &[&str]) -> Result<(f64, String)> {
        let out = self.pgvs.path("out");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(File::create(&out)?);
        let (took, status) = Namespace::Director.inside(|| {
            let began = Instant::now();
            let status = command.status().with_context(|| format!("start {program}"))?;
            Ok((began.elapsed(), status))
        })?;
        ensure!(status.success(), "{program} {}: {status}", arguments.join(" "));
        Ok((took.as_secs_f64(), fs::read_to_string(&out)?))
    }
}

fn at_most(row: &Row, slow: Who, fast: Who, most: f64, what: String) -> Goal {
    Goal { what, ratio: row.ratio(slow, fast), wanted: Wanted::AtMost(most) }
}

fn at_least(row: &Row, slow: Who, fast: Who, least: f64, what: String) -> Goal {
    Goal { what, ratio: row.ratio(slow, fast), wanted: Wanted::AtLeast(least) }
}
