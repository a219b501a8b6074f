//! Programming an empty table and listing a full one.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::super::clock::Clock;
use super::super::figures::{Row, Who};
use super::super::floor::{self, Prepared};
use super::{Bench, LARGE, LIMIT, at_least, at_most};
use crate::kernel;

impl Bench<'_> {
    /// An empty table becomes the whole one.
    pub(super) fn program(&mut self) -> Result<()> {
        let mut row = Row::new("programming an empty table");
        let mut start = Row::new("start: config read, programmed");
        let prepared = Prepared::new(&self.fixture.make()?)?;
        for round in 0..self.slow_rounds() {
            let floor = prepared.replay()?.as_secs_f64();
            row.add(Who::Floor, floor);
            start.add(Who::Floor, floor);
            self.doing(&format!("floor {floor:.2} s; ipvsadm -R"));
            self.whole("the floor")?;
            kernel::ipvsadm(&["-C"])?;
            if round == 0 || self.fixture.services <= LARGE {
                row.add(Who::Ipvsadm, self.restore("ipvsadm", &["-R"])?);
                start.add(Who::Ipvsadm, row.median(Who::Ipvsadm).unwrap_or_default());
                self.whole("ipvsadm -R")?;
                kernel::ipvsadm(&["-C"])?;
            }
            self.told(&row);
            row.add(Who::Command, self.restore_ours()?);
            self.whole("pgvs ipvsadm -R")?;
            kernel::ipvsadm(&["-C"])?;
            self.doing("pgvs run");
            start.add(Who::Pgvs, self.start()?);
            self.whole("pgvs run")?;
            self.told(&start);
            row.add(Who::Pgvs, self.resume()?);
            self.whole("pgvs resume")?;
            self.memory("after programming");
            self.pgvs.stop()?;
            kernel::ipvsadm(&["-C"])?;
            self.told(&row);
        }
        self.told(&start);
        let name = self.fixture.name();
        self.goals.extend([
            at_most(&row, Who::Pgvs, Who::Floor, 1.2, format!("{name}: programming / floor")),
            at_least(
                &row,
                Who::Ipvsadm,
                Who::Pgvs,
                2.5,
                format!("{name}: ipvsadm -R / programming"),
            ),
            at_least(&start, Who::Ipvsadm, Who::Pgvs, 2.5, format!("{name}: ipvsadm -R / start")),
        ]);
        self.rows.extend([row, start]);
        Ok(())
    }

    /// From the daemon's start to its last write.
    fn start(&mut self) -> Result<f64> {
        let clock = Clock::start()?;
        let began = Instant::now();
        self.pgvs.start()?;
        let writes = ["new service", "new destination"];
        let (_, last) = clock.until(&writes, self.fixture.lines(), LIMIT)?;
        self.wait_lines(self.fixture.lines())?;
        Ok(last.saturating_duration_since(began).as_secs_f64())
    }

    /// The running daemon finds the table empty while it is paused, and is let go.
    fn resume(&mut self) -> Result<f64> {
        self.ours(&["pause"])?;
        let told = self.pgvs.log().len();
        kernel::ipvsadm(&["-C"])?;
        self.pgvs.wait_log(told, "was deleted", LIMIT)?;
        // It tells what is gone when it has read the table.
        let clock = Clock::start()?;
        let began = Instant::now();
        self.ours(&["resume"])?;
        let took = began.elapsed();
        drop(clock);
        Ok(took.as_secs_f64())
    }

    /// The whole table as text.
    pub(super) fn listing(&mut self) -> Result<()> {
        let mut row = Row::new("listing (`-Ln`)");
        let mut save = Row::new("saving (`-Sn`)");
        Prepared::new(&self.fixture.make()?)?.replay()?;
        for _ in 0..self.rounds {
            let floor = floor::read_table()?.took.as_secs_f64();
            for (row, argument) in [(&mut row, "-Ln"), (&mut save, "-Sn")] {
                row.add(Who::Floor, floor);
                let theirs = self.command("ipvsadm", &[argument])?;
                row.add(Who::Ipvsadm, theirs.0);
                let program = self.lab.pgvs.clone();
                let ours = self.command(&program.to_string_lossy(), &["ipvsadm", argument])?;
                row.add(Who::Command, ours.0);
                ensure!(ours.1 == theirs.1, "pgvs ipvsadm {argument} prints another text");
            }
        }
        kernel::ipvsadm(&["-C"])?;
        self.told(&row);
        let name = self.fixture.name();
        self.goals.push(at_least(
            &row,
            Who::Ipvsadm,
            Who::Command,
            2.0,
            format!("{name}: ipvsadm -Ln / listing"),
        ));
        self.rows.extend([row, save]);
        Ok(())
    }
}
