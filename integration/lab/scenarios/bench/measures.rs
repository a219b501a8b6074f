//! The measures: each fills rows, in rounds in which everybody has a turn, and names the goals.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::clock::Clock;
use super::figures::{Goal, Row, Wanted, Who};
use super::fixture::{EACH, Fixture};
use super::floor::{self, Prepared};
use super::keepalived::Keepalived;
use super::servers::Servers;
use crate::kernel;
use crate::lab::Lab;
use crate::net::{self, Namespace};
use crate::pgvs::Pgvs;
use crate::stage::median;

/// Nothing may take longer, keepalived excepted.
const LIMIT: Duration = Duration::from_secs(120);
/// keepalived is given up after this.
const KEEPALIVED_LIMIT: Duration = Duration::from_secs(90);
/// What is slow is measured once where the table is larger than this.
const LARGE: u32 = 2_000;
/// So long the daemon's checks are watched.
const WATCH: Duration = Duration::from_secs(6);

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

    /// What came out.
    pub(super) fn end(self) -> Result<(Vec<Row>, Vec<Goal>, Vec<String>)> {
        Ok((self.rows, self.goals, self.notes))
    }

    /// An empty table becomes the whole one.
    fn program(&mut self) -> Result<()> {
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
        self.pgvs.wait_log(told, "is gone", LIMIT)?;
        // It tells what is gone when it has read the table.
        let clock = Clock::start()?;
        let began = Instant::now();
        self.ours(&["resume"])?;
        let took = began.elapsed();
        drop(clock);
        Ok(took.as_secs_f64())
    }

    /// The whole table as text.
    fn listing(&mut self) -> Result<()> {
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

    /// The processor's time of a check that finds nothing, beside a reading that is thrown away.
    fn check(&mut self) -> Result<()> {
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
    fn weight(&mut self) -> Result<()> {
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
    fn keepalived(&mut self) -> Result<()> {
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

    /// A server dies that stands in every service.
    fn failing(&mut self) -> Result<()> {
        let servers: Vec<SocketAddr> = (0..EACH)
            .map(|place| SocketAddr::from(([10, 8, 0, 100 + place as u8], net::PORT)))
            .collect();
        let victim = servers[3];
        let mut running = Servers::start(&servers)?;
        let mut row = Row::new("a server fails out of all services: none sends to it");
        let mut gone = Row::new("the same: deleted from all services");
        let alone = self.failures(Fixture { services: 1 }, &servers, &mut running, victim)?;
        let detection = median(alone.iter().map(|it| it.0).collect());
        let removal = median(alone.iter().map(|it| it.1).collect());
        for (out, deleted) in self.failures(self.fixture, &servers, &mut running, victim)? {
            row.add(Who::Pgvs, (out - detection).max(0.0));
            gone.add(Who::Pgvs, (deleted - removal).max(0.0));
        }
        let (quiesce, delete) = self.fixture.fail(victim);
        let (quiesce, delete) = (Prepared::new(&quiesce)?, Prepared::new(&delete)?);
        let make = Prepared::new(&self.fixture.make_shared(&servers)?)?;
        for _ in 0..self.rounds {
            kernel::ipvsadm(&["-C"])?;
            make.replay()?;
            let out = quiesce.replay()?.as_secs_f64();
            row.add(Who::Floor, out);
            gone.add(Who::Floor, out + delete.replay()?.as_secs_f64());
        }
        kernel::ipvsadm(&["-C"])?;
        self.told(&row);
        self.told(&gone);
        self.notes.push(format!(
            "A server that fails out of one service is out after {:.1} ms (median of its death to the write): that much is the \
             verdict's, and is not in the rows above.",
            detection * 1000.0
        ));
        let name = self.fixture.name();
        self.goals.push(at_most(
            &row,
            Who::Pgvs,
            Who::Floor,
            2.0,
            format!("{name}: failing / floor"),
        ));
        self.rows.extend([row, gone]);
        Ok(())
    }

    /// Seconds from a server's death to the last service that quiesced it, and that deleted it.
    fn failures(
        &self,
        fixture: Fixture,
        servers: &[SocketAddr],
        running: &mut Servers,
        victim: SocketAddr,
    ) -> Result<Vec<(f64, f64)>> {
        kernel::ipvsadm(&["-C"])?;
        let mut pgvs = Pgvs::new(&self.lab.pgvs, &self.lab.directory(), "failing")?;
        pgvs.ready_limit = LIMIT;
        pgvs.write(&fixture.shared_config(servers))?;
        let clock = Clock::start()?;
        pgvs.start()?;
        let services = usize::try_from(fixture.services)?;
        let each = usize::try_from(EACH)?;
        let up = ["set destination", "new destination"];
        // Made at weight 0, and raised by its first good verdict.
        clock.until(&up, services * each * 2, LIMIT)?;
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            std::thread::sleep(Duration::from_millis(1500));
            clock.forget();
            let died = Instant::now();
            running.fail(victim);
            let (_, out) =
                clock.until(&["set destination", "delete destination"], services, LIMIT)?;
            let (_, deleted) = clock.until(&["delete destination"], services, LIMIT)?;
            let after = |at: Instant| at.saturating_duration_since(died).as_secs_f64();
            rounds.push((after(out), after(deleted)));
            self.lab.step(format!(
                "{} services: {:.1?} ms",
                services,
                (after(out) * 1000.0, after(deleted) * 1000.0)
            ));
            running.mend(victim)?;
            clock.until(&["set destination"], services, LIMIT)?;
        }
        drop(clock);
        pgvs.stop()?;
        kernel::ipvsadm(&["-C"])?;
        Ok(rounds)
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
