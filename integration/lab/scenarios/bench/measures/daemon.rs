//! A running daemon: its checks, its reloads, and keepalived's beside them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::super::clock::Clock;
use super::super::figures::{Row, Who};
use super::super::floor::{self, Prepared};
use super::super::keepalived::Keepalived;
use super::{Bench, LIMIT, at_least, at_most};
use crate::kernel;
use crate::stage::median;

/// keepalived is given up after this.
const KEEPALIVED_LIMIT: Duration = Duration::from_secs(90);
/// So long the daemon's checks are watched.
const WATCH: Duration = Duration::from_secs(6);

impl Bench<'_> {
    /// The processor's time of a check that finds nothing, beside a reading that is thrown away.
    pub(super) fn check(&mut self) -> Result<()> {
        let mut row = Row::new("a check that finds nothing (processor time)");
        Prepared::new(&self.fixture.make()?)?.replay()?;
        self.pgvs.start()?;
        std::thread::sleep(Duration::from_secs(1));
        for _ in 0..self.rounds {
            let floor = floor::read_table()?;
            let floor =
                [floor, floor::read_table()?, floor::read_table()?].map(|it| it.cpu.as_secs_f64());
            row.add(Who::Floor, median(floor.to_vec()));
            row.add(Who::Pgvs, self.cpu_of_a_check()?);
        }
        self.told(&row);
        self.memory("after checks");
        let name = self.fixture.name();
        self.goals.push(at_most(
            &row,
            Who::Pgvs,
            Who::Floor,
            2.0,
            format!("{name}: check / floor"),
        ));
        self.rows.push(row);
        self.pgvs.stop()?;
        kernel::ipvsadm(&["-C"])?;
        Ok(())
    }

    /// By what the daemon's threads used and how many times it read the table.
    fn cpu_of_a_check(&self) -> Result<f64> {
        let bytes = floor::read_table()?.bytes;
        let (before, read) = (self.cpu()?, self.bytes_read()?);
        std::thread::sleep(WATCH);
        let (after, now_read) = (self.cpu()?, self.bytes_read()?);
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "for people")]
        let checks = (now_read - read) as f64 / bytes as f64;
        ensure!(checks >= 1.0, "no check in {WATCH:?}");
        Ok((after - before).as_secs_f64() / checks)
    }

    fn cpu(&self) -> Result<Duration> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pgvs.id()?))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text.split_whitespace().next().context("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    fn bytes_read(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/io", self.pgvs.id()?))?;
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
        Ok(line.context("no rchar")?.trim().parse()?)
    }

    /// One weight of all is changed in the config.
    pub(super) fn weight(&mut self) -> Result<()> {
        let mut row = Row::new("reload with one weight of all changed");
        let mut waited = Row::new("`pgvs reload`, `ipvsadm -e`: the whole command");
        Prepared::new(&self.fixture.make()?)?.replay()?;
        self.pgvs.start()?;
        let clock = Clock::start()?;
        for round in 0..u32::try_from(self.rounds)? {
            let weight = 70 + round;
            row.add(
                Who::Floor,
                Prepared::new(&self.fixture.change(weight + 100))?.replay()?.as_secs_f64(),
            );
            row.add(Who::Ipvsadm, self.edit(weight + 200)?);
            waited.add(Who::Ipvsadm, row.median(Who::Ipvsadm).unwrap_or_default());
            // The daemon puts it right.
            std::thread::sleep(Duration::from_millis(1500));
            self.fixture.write_config(&self.pgvs, weight)?;
            clock.forget();
            let told = Instant::now();
            self.pgvs.signal(Signal::HUP)?;
            let (_, last) = clock.until(&["set destination"], 1, LIMIT)?;
            row.add(Who::Pgvs, last.saturating_duration_since(told).as_secs_f64());
            std::thread::sleep(Duration::from_millis(300));
            self.fixture.write_config(&self.pgvs, weight + 20)?;
            let began = Instant::now();
            self.ours(&["reload"])?;
            waited.add(Who::Pgvs, began.elapsed().as_secs_f64());
        }
        self.told(&row);
        self.memory("after reloads");
        drop(clock);
        self.rows.extend([row, waited]);
        self.pgvs.stop()?;
        kernel::ipvsadm(&["-C"])?;
        Ok(())
    }

    fn edit(&self, weight: u32) -> Result<f64> {
        let (service, to) = self.fixture.changing_address();
        let (service, to, weight) = (service.to_string(), to.to_string(), weight.to_string());
        let words = ["-e", "-t", &service, "-r", &to, "-m", "-w", &weight];
        Ok(self.command("ipvsadm", &words)?.0)
    }

    /// keepalived's start and reload; joins the rows of the others.
    pub(super) fn keepalived(&mut self) -> Result<()> {
        let (mut start, mut reload) = (Vec::new(), Vec::new());
        let (mut no_start, mut no_reload) = (false, false);
        let directory = self.pgvs.path("keepalived");
        for _ in 0..self.slow_rounds() {
            kernel::ipvsadm(&["-C"])?;
            let began = Instant::now();
            let text = self.fixture.keepalived(100)?;
            let keepalived = Keepalived::start(&directory, &text)?;
            match Keepalived::wait_complete(began, self.fixture.lines(), KEEPALIVED_LIMIT)? {
                Some(took) => start.push(took.as_secs_f64()),
                None => no_start = true,
            }
            self.lab.step(format!("keepalived's start: {start:.2?} s"));
            if no_start {
                break;
            }
            let clock = Clock::start()?;
            let told = keepalived.reload(&self.fixture.keepalived(77)?)?;
            match clock.until(&["set destination"], 1, KEEPALIVED_LIMIT) {
                Ok((_, last)) => reload.push(last.saturating_duration_since(told).as_secs_f64()),
                Err(_) => no_reload = true,
            }
            self.lab.step(format!("keepalived's reload: {reload:.2?} s"));
        }
        kernel::ipvsadm(&["-C"])?;
        let limit = KEEPALIVED_LIMIT.as_secs_f64();
        for row in &mut self.rows {
            let (samples, gave_up) = if row.starts_with("start") {
                (&start, no_start)
            } else if row.starts_with("reload") {
                (&reload, no_reload || no_start)
            } else {
                continue;
            };
            samples.iter().for_each(|sample| row.add(Who::Keepalived, *sample));
            if gave_up && samples.is_empty() {
                row.give_up(Who::Keepalived, limit);
            }
        }
        let name = self.fixture.name();
        if let Some(row) = self.rows.iter().find(|row| row.starts_with("reload")) {
            let what = format!("{name}: keepalived's reload / reload");
            self.goals.push(at_least(row, Who::Keepalived, Who::Pgvs, 5.0, what));
        }
        Ok(())
    }
}
