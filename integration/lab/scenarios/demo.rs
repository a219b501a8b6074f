//! The demo: one story from the first connection to a crashed daemon, told while it happens. A step that does
//! not show what it says ends it with the reason.

mod scenes;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::lab::Lab;
use crate::net;
use crate::say;
use crate::stage::Stage;

const PICTURE: &str = "
   client                 director                          servers
  10.9.0.2 ------------- 10.9.0.1                     .---- pg1 10.8.0.11
                         10.9.0.100:5432  orders-rw   |
                         10.9.0.101:5432  orders-ro --+---- pg2 10.8.0.12
                         kernel: IPVS                 |
                         beside it: pgvs              '---- pg3 10.8.0.13

  Every box is a network namespace of its own on one Linux kernel. pg1 is the primary, pg2 and pg3 stream
  from it. Clients connect to the director's addresses; the kernel forwards every packet; pgvs only keeps
  the kernel's table true.";

/// One scene: its title and what happens.
type Scene = (&'static str, fn(&mut Lab, &mut Play) -> Result<()>);

const SCENES: &[Scene] = &[
    ("pgvs starts beside an empty table", scenes::start),
    ("a hundred connections to each address", scenes::spread),
    ("a standby is killed: kill -9 of pg3's postmaster", scenes::standby_dies),
    ("the primary is killed, and a standby is promoted", scenes::failover),
    ("a weight changes by reload while clients work", scenes::reload),
    ("pgvs itself is killed and started again", scenes::crash),
];

/// What the scenes share: the stage, once it is set, and the figures for the end.
#[derive(Default)]
pub(super) struct Play {
    stage: Option<Stage>,
    figures: Vec<(&'static str, String)>,
}

impl Play {
    fn stage(&mut self) -> Result<&mut Stage> {
        self.stage.as_mut().context("pgvs has not been started")
    }

    fn figure(&mut self, what: &'static str, figure: impl Into<String>) {
        self.figures.push((what, figure.into()));
    }
}

/// Plays it from the beginning to the end, or to the first step that fails.
pub(super) fn run() -> Result<bool> {
    let began = Instant::now();
    say(PICTURE);
    let mut lab = Lab::from_environment()?;
    let outcome = play(&mut lab);
    let logs = lab.finish()?;
    lab.close()?;
    match outcome {
        Ok(figures) => {
            let width = figures.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
            say("\nWhat was seen:");
            for (what, figure) in figures {
                say(&format!("  {what:<width$}  {figure}"));
            }
            if is_emulated() {
                say(
                    "\nThis processor is emulated, some ten times slower than a real one: so are these times.",
                );
            }
            say(&format!(
                "\nThe demo took {:.0} s. Everything worked.",
                began.elapsed().as_secs_f64()
            ));
            Ok(true)
        }
        Err(error) => {
            say(&format!("\n{}\nThe demo FAILED: {error:#}", logs.trim_end()));
            Ok(false)
        }
    }
}

fn play(lab: &mut Lab) -> Result<Vec<(&'static str, String)>> {
    lab.begin("demo")?;
    lab.is_quiet = true;
    let mut play = Play::default();
    title("The cluster starts: one primary, two streaming standbys");
    let began = Instant::now();
    lab.cluster()?;
    tell(&format!("PostgreSQL 15 runs on three servers after {}", seconds(began.elapsed())));
    for (number, (words, scene)) in SCENES.iter().enumerate() {
        title(&format!("{}. {}", number + 1, capital(words)));
        scene(lab, &mut play).with_context(|| format!("step {}, {words}", number + 1))?;
    }
    lab.foreign_is_untouched()?;
    Ok(play.figures)
}

/// Whether QEMU makes the processor in software.
fn is_emulated() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("QEMU TCG"))
}

fn capital(words: &str) -> String {
    match words.split_at_checked(1) {
        Some((first, rest)) if !words.starts_with("pgvs") => first.to_uppercase() + rest,
        _ => words.to_owned(),
    }
}

fn title(text: &str) {
    gap();
    line(&format!("== {text}"));
    gap();
}

/// What happens, or what was seen.
fn tell(text: &str) {
    line(&format!("   {text}"));
}

/// What a command printed.
fn show(command: &str, output: &str) {
    gap();
    tell(&format!("director# {command}"));
    for text in output.trim_end().lines() {
        line(format!("   {text}").trim_end());
    }
    gap();
}

/// An empty line, unless the last one was.
fn gap() {
    if !LAST_WAS_EMPTY.load(Ordering::Relaxed) {
        line("");
    }
}

static LAST_WAS_EMPTY: AtomicBool = AtomicBool::new(false);

fn line(text: &str) {
    say(text);
    LAST_WAS_EMPTY.store(text.is_empty(), Ordering::Relaxed);
}

/// Where connections landed, as bars.
fn bars(address: SocketAddr, landed: &BTreeMap<SocketAddr, usize>) {
    let name = if address == net::vip(0) { "orders-rw" } else { "orders-ro" };
    let total: usize = landed.values().sum();
    tell(&format!("{total} connections to {name}, {address}:"));
    for number in [1, 2, 3] {
        let count = landed.get(&net::server(number)).copied().unwrap_or(0);
        let bar = "#".repeat((count * 50).div_ceil(total.max(1)));
        tell(format!("  pg{number} {count:>4}  {bar}").trim_end());
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Milliseconds; the daemon may hear a server's word before the observer does, who is only another client.
fn ms(value: f64) -> String {
    if value < 0.0 { "less than 1 ms".to_owned() } else { format!("{value:.0} ms") }
}
