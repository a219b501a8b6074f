//! The lab's scenario runner: `list`, `run [SCENARIO...]`, `demo`, `bench`, or `template`. Needs root and a kernel with IPVS, and is
//! therefore started by `integration/lab/run`. Exit status: 0 all passed, 1 a scenario failed, 2 the lab
//! itself could not work.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to people")]
#![expect(clippy::indexing_slicing, reason = "test code")]
#![expect(dead_code, reason = "instruments that the scenarios to come need")]

mod bench;
mod capture;
mod client;
mod cluster;
mod commands;
mod demo;
mod echo;
mod example;
mod full;
mod groups;
mod kernel;
mod lab;
mod net;
mod observe;
mod pgvs;
mod postgres;
mod random;
mod routed;
mod session;
#[path = "../../simulation/kernel.rs"]
mod simulated;
mod stage;
mod table;
mod tap;
mod text;
mod twin;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::groups::{ALL, Scenario};
use crate::lab::{Lab, NotHere};
use crate::postgres::Programs;

/// A scenario that takes longer than this hangs; `PGVS_LAB_SCENARIO_LIMIT` sets other seconds.
const SCENARIO_LIMIT: Duration = Duration::from_secs(240);

fn scenario_limit() -> Duration {
    let set = std::env::var("PGVS_LAB_SCENARIO_LIMIT").ok();
    let seconds = set.and_then(|text| text.parse().ok());
    seconds.map_or(SCENARIO_LIMIT, Duration::from_secs)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("list") => list(),
        Some("run") => run(&arguments[1..]),
        Some("demo") => demo::run(),
        Some("bench") => bench::run(&arguments[1..]),
        Some("template") => template(),
        _ => Err(anyhow!(
            "usage: lab list | lab run [SCENARIO...] | lab demo | lab bench [SERVICES...] [--rounds N] [--only PART]"
        )),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// One line on standard output.
pub(crate) fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::unnecessary_wraps, reason = "the same shape as run")]
fn list() -> Result<bool> {
    for scenario in ALL.iter().copied().flatten() {
        say(&format!("{:<24} {}", scenario.name, scenario.shows));
    }
    Ok(true)
}

/// Makes the data directory that every server is copied from: outside of a slow guest, once.
fn template() -> Result<bool> {
    let kept = std::env::var_os("PGVS_LAB_TEMPLATE").context("$PGVS_LAB_TEMPLATE is not set")?;
    let work = PathBuf::from(format!("/dev/shm/pgvs-template-{}", std::process::id()));
    Programs::find()?.make_template(&work, &PathBuf::from(kept))?;
    Ok(true)
}

fn run(names: &[String]) -> Result<bool> {
    let chosen = choose(names)?;
    say("building the topology: a client, a director, three servers");
    let mut lab = Lab::from_environment()?;
    let started = Instant::now();
    let (mut failed, mut elsewhere) = (Vec::new(), Vec::new());
    for (number, scenario) in chosen.iter().enumerate() {
        say(&format!("[{}/{}] {}: {}", number + 1, chosen.len(), scenario.name, scenario.shows));
        match attempt(&mut lab, scenario) {
            Verdict::Passed => (),
            Verdict::Failed => failed.push(scenario.name),
            Verdict::NotHere => elsewhere.push(scenario.name),
        }
    }
    let artefacts = lab.artefacts().to_owned();
    lab.close()?;
    say(&format!(
        "the scenarios took {:.0} s; their logs and figures: {}",
        started.elapsed().as_secs_f64(),
        artefacts.display()
    ));
    if !elsewhere.is_empty() {
        say(&format!("NOT SHOWN here, run the lab with --vm: {}", elsewhere.join(", ")));
    }
    if !failed.is_empty() {
        say(&format!("failed: {}", failed.join(", ")));
    }
    say(&format!(
        "{} passed, {} failed",
        chosen.len() - failed.len() - elsewhere.len(),
        failed.len()
    ));
    Ok(failed.is_empty())
}

fn choose(names: &[String]) -> Result<Vec<&'static Scenario>> {
    let all = || ALL.iter().copied().flatten();
    if names.is_empty() {
        return Ok(all().collect());
    }
    names
        .iter()
        .map(|name| all().find(|scenario| scenario.name == name))
        .collect::<Option<_>>()
        .with_context(|| format!("no such scenario among {names:?}; `list` names them"))
}

/// How a scenario ended.
enum Verdict {
    Passed,
    Failed,
    NotHere,
}

/// Runs one scenario and says how it went.
fn attempt(lab: &mut Lab, scenario: &Scenario) -> Verdict {
    let started = Instant::now();
    let (finished, watchdog) = mpsc::channel::<()>();
    let name = scenario.name;
    let limit = scenario_limit();
    let guard = std::thread::spawn(move || {
        if watchdog.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            say(&format!("  {name} hangs: no verdict within {limit:?}, the lab gives up"));
            std::process::exit(1);
        }
    });
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        lab.begin(scenario.name)?;
        (scenario.run)(lab)?;
        lab.foreign_is_untouched()
    }))
    .unwrap_or_else(|_| Err(anyhow!("the scenario panicked, see above")));
    let logs = lab.finish().unwrap_or_else(|error| format!("no logs: {error:#}\n"));
    drop(finished);
    drop(guard.join());
    let seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => {
            say(&format!("  passed in {seconds:.1} s"));
            Verdict::Passed
        }
        Err(error) if error.is::<NotHere>() => {
            say(&format!("  NOT SHOWN: {error}"));
            Verdict::NotHere
        }
        Err(error) => {
            say(&format!("  FAILED after {seconds:.1} s: {error:#}"));
            say(logs.trim_end());
            say(&kernel_log());
            Verdict::Failed
        }
    }
}

/// What the kernel said last; a stopped disk or a dead process shows here.
fn kernel_log() -> String {
    let output = std::process::Command::new("dmesg").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_else(|error| format!("no dmesg: {error}"));
    let lines: Vec<_> = text.lines().collect();
    let end = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default();
    format!("--- the end of the kernel's log\n{}", end.join("\n"))
}
