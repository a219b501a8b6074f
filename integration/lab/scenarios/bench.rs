//! Speed and scale: pgvs, ipvsadm, keepalived and the floor side by side in one run of one kernel, in turns.
//!
//! `lab bench [SERVICES...] [--rounds N] [--only PART]`. Nothing here is part of the lab's verdict: the exit status tells whether the
//! goals, which are ratios, were reached.

mod clock;
mod figures;
mod fixture;
mod floor;
mod keepalived;
mod measures;
mod servers;

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use self::figures::Goal;
use self::fixture::Fixture;
use self::keepalived::Keepalived;
use self::measures::{Bench, Part};
use crate::lab::Lab;
use crate::say;

/// What is measured where nothing else is asked for.
const SIZES: [u32; 2] = [1_000, 10_000];

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    sizes: Vec<u32>,
    /// Rounds of everything that takes seconds at most.
    rounds: usize,
    /// Only the measures with this in their name.
    only: Option<String>,
}

impl Wish {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut wish = Self { sizes: Vec::new(), rounds: 5, only: None };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let value =
                |next: Option<&String>| next.cloned().with_context(|| format!("{word} what?"));
            match word.as_str() {
                "--rounds" => wish.rounds = value(words.next())?.parse().context("--rounds N")?,
                "--only" => wish.only = Some(value(words.next())?),
                number => {
                    let size = number.replace(',', "").parse();
                    wish.sizes.push(size.with_context(|| format!("{number}: how many services?"))?);
                }
            }
        }
        ensure!(wish.rounds > 0, "no rounds, no figures");
        ensure!(
            wish.sizes.iter().all(|size| (10..=65_536).contains(size)),
            "10 to 65,536 services"
        );
        if wish.sizes.is_empty() {
            wish.sizes.extend(SIZES);
        }
        Ok(wish)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| part.contains(only.as_str()))
    }
}

/// Measures, and says whether every goal was reached.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let wish = Wish::read(arguments)?;
    let mut lab = Lab::from_environment()?;
    let began = Instant::now();
    let mut report = machine()?;
    say(&report);
    let (mut goals, mut failures) = (Vec::new(), Vec::new());
    for &services in &wish.sizes {
        let (text, of_size) = measure(&mut lab, &wish, services, &mut failures)?;
        report += &text;
        goals.extend(of_size);
    }
    report += &format!("\n{}", figures::goals("goal", &goals));
    say(&format!("\n{report}"));
    let path = lab.artefacts().join("bench.md");
    fs::write(&path, &report).with_context(|| format!("write {}", path.display()))?;
    say(&format!("after {:.0} s; the same in {}", began.elapsed().as_secs_f64(), path.display()));
    lab.close()?;
    ensure!(failures.is_empty(), "not measured: {}", failures.join("; "));
    Ok(goals.iter().all(Goal::is_met))
}

/// All of one size: the table for people, and the goals.
///
/// What cannot be measured is told with the daemon's last words, and the rest is measured all the same.
fn measure(
    lab: &mut Lab,
    wish: &Wish,
    services: u32,
    failures: &mut Vec<String>,
) -> Result<(String, Vec<Goal>)> {
    let fixture = Fixture { services };
    lab.begin(&format!("bench-{services}"))?;
    say(&format!("{}: {} destinations", fixture.name(), fixture.destinations()));
    let mut bench = Bench::new(lab, fixture, wish.rounds)?;
    for part in Part::ALL {
        if wish.wants(part.name())
            && let Err(error) = bench.measure(part)
        {
            let what = format!("{}: {}: {error:#}", fixture.name(), part.name());
            say(&format!("FAILED: {what}"));
            failures.push(what);
            bench.begin_anew()?;
        }
    }
    let (rows, goals, notes) = bench.end()?;
    let mut text = format!("\n{}", figures::table(&fixture.name(), &rows));
    for note in notes {
        text += &format!("\n{note}\n");
    }
    lab.finish()?;
    Ok((text, goals))
}

/// What it all ran on.
fn machine() -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let processors = read("/proc/cpuinfo").lines().filter(|it| it.starts_with("processor")).count();
    let model = read("/proc/cpuinfo");
    let model = model.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let where_ = if read("/proc/cmdline").contains("lab_main=") {
        "a virtual machine"
    } else {
        "this machine"
    };
    let output = Command::new("ipvsadm").arg("--version").output().context("start ipvsadm")?;
    let ipvsadm = String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ");
    Ok(format!(
        "{where_}: Linux {}, {processors} processors ({model}); {ipvsadm}, {}; medians with the least and the most\n",
        kernel.trim(),
        Keepalived::version()?
    ))
}
