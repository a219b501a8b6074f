//! The simulator: the real engine between a simulated kernel, simulated PostgreSQL servers and their probers, an
//! intruder, and a daemon that stalls, dies and is reloaded; in simulated time, under a seed.
//!
//! `SIM_SEED=n` runs one seed, `SIM_SEEDS=n` so many of them, `SIM_STEPS=n` sets the faults of each;
//! `SIM_TRACE=1` prints everything as it happens. What is checked stands in `watch`, `heard` and `oracle`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stderr,
    reason = "test code"
)]

mod cluster;
mod cost;
mod daemon;
mod difference;
mod faults;
mod heard;
mod intruder;
mod jobs;
mod kernel;
mod oracle;
mod order;
mod prober;
mod settings;
mod setup;
mod trouble;
mod watch;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use world::{MS, SECOND, What, World};

/// Seeds that a plain `cargo test` runs, and the faults of each.
const SEEDS: u64 = 64;
const STEPS: u64 = 40;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// A world, its faults, and the calm after them.
fn live(seed: u64, faults: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let config = setup::random(&mut dice);
    let mut world = World::new(seed, config);
    for _ in 0..dice.u8(0..4) {
        world.intrude_own();
    }
    world.start();
    let calm = if dice.bool() { 0 } else { 5 * SECOND };
    world.run_for(calm);
    world.troubles.faults = faults;
    world.after(MS, What::Fault);
    while world.troubles.faults > 0 {
        world.run_for(SECOND);
    }
    world.heal();
    world.converge();
    world.restart_quietly();
}

#[test]
fn whatever_breaks_the_table_stays_safe_and_comes_right_in_the_end() {
    let faults = setting("SIM_STEPS").unwrap_or(STEPS);
    let first = setting("SIM_SEED");
    let count = setting("SIM_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(1);
    let next = AtomicU64::new(first);
    let failed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    if catch_unwind(AssertUnwindSafe(|| live(seed, faults))).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        eprintln!("seed {seed} failed: SIM_SEED={seed} SIM_STEPS={faults}");
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    assert_eq!(failed, 0, "{failed} of {count} seeds failed");
}
