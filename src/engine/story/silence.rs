//! Soft evidence, silence, and whom not to blame for it.

use super::*;

#[test]
fn a_silent_standby_is_quiesced_after_300_ms_and_removed_only_after_1500() {
    let mut world = World::settled();
    let others = [(1, primary(1)), (2, standby())];
    world.lives(290, &others);
    world.expect(&[]);
    world.lives(110, &others);
    world.expect(&["ro pg3 0"]);
    world.hears(3, timed_out());
    world.lives(1_000, &others);
    world.expect(&[]);
    world.lives(300, &others);
    world.expect(&["rw pg3 -", "ro pg3 -"]);
}

#[test]
fn a_silent_primary_keeps_its_weight_until_silence_is_hard_evidence() {
    let mut world = World::settled();
    let others = [(2, standby()), (3, standby())];
    world.lives(1_400, &others);
    world.expect(&[]);
    world.hears(1, timed_out());
    world.lives(300, &others);
    world.expect(&["rw pg1 -", "ro pg1 -"]);
}

#[test]
fn a_full_primary_is_kept_and_a_full_standby_is_not() {
    let mut world = World::settled();
    world.hears(1, said("53300", "InitProcess"));
    world.expect(&[]);
    world.hears(2, said("53300", "InitProcess"));
    world.expect(&["ro pg2 0"]);
}

#[test]
fn soft_evidence_never_takes_the_last_standby() {
    let mut config = orders();
    config.services[1].target = Target::Standby;
    let mut world = World::settled_with(config);
    world.hears(2, said("53300", "InitProcess"));
    world.hears(3, said("53300", "InitProcess"));
    assert_eq!(
        world.weights(RO),
        [Some(0), Some(100), Some(100)],
        "both are full, so both are kept"
    );
}

#[test]
fn soft_evidence_takes_no_more_than_half_of_three() {
    let mut config = orders();
    config.services[1].target = Target::Any;
    let mut world = World::settled_with(config);
    world.hears(2, said("53300", "InitProcess"));
    world.hears(3, said("53300", "InitProcess"));
    assert_eq!(world.weights(RO), [Some(100), Some(0), Some(100)]);
}

#[test]
fn the_probes_own_limit_or_password_says_nothing_about_the_server() {
    let mut world = World::settled();
    world.hears(2, said("53300", "InitializeSessionUserId"));
    world.hears(3, said("28P01", "auth_failed"));
    world.hears(1, said("28P01", "auth_failed"));
    world.lives(5_000, &[(1, primary(1)), (2, standby()), (3, standby())]);
    world.expect(&[]);
    assert!(world.was_told("orders/pg3: the probe cannot see more"));
}

#[test]
fn a_postmaster_that_hangs_beside_a_living_session_is_quiesced() {
    let mut world = World::settled();
    let all = [(1, primary(1)), (2, standby()), (3, standby())];
    world.hears(3, timed_out());
    world.lives(1_000, &all);
    world.expect(&[]);
    world.hears(3, timed_out());
    world.expect(&["ro pg3 0"]);
    world.lives(1_000, &all);
    world.hears(3, Observation::Admitted);
    world.expect(&["ro pg3 100"]);
}

#[test]
fn when_all_fall_silent_at_once_nothing_is_touched_for_ten_seconds() {
    let mut world = World::settled();
    world.passes(400);
    assert!(world.was_told("all servers that were answering fell silent at once"));
    for server in 1..=3 {
        world.hears(server, timed_out());
    }
    world.passes(9_700);
    world.expect(&[]);
    world.passes(1_000);
    assert!(world.was_told("soft evidence counts again"));
    for server in 1..=3 {
        world.hears(server, timed_out());
    }
    world.passes(2_000);
    assert_eq!(world.weights(RW), [None; 3], "after that, silence is what it is");
}

#[test]
fn one_answer_ends_the_freeze() {
    let mut world = World::settled();
    world.passes(1_000);
    world.expect(&[]);
    world.hears(2, standby());
    assert!(world.was_told("soft evidence counts again"));
    world.lives(500, &[(1, primary(1)), (2, standby())]);
    assert_eq!(world.weights(RO), [Some(0), Some(100), Some(0)], "pg3 alone is silent");
}

#[test]
fn the_first_answer_after_a_freeze_blames_nobody_who_has_not_answered_yet() {
    let mut world = World::settled();
    world.passes(400);
    for server in 1..=3 {
        world.hears(server, timed_out());
    }
    world.passes(6_000);
    world.hears(2, standby());
    world.lives(150, &[(2, standby())]);
    world.expect(&[]);
    world.lives(500, &[(1, primary(1)), (2, standby()), (3, standby())]);
    world.expect(&[]);
}

#[test]
fn a_daemon_that_stood_still_blames_nobody() {
    let mut world = World::settled();
    world.now = world.now.after(Duration::from_secs(20));
    world.hears(1, primary(1));
    world.expect(&[]);
    assert!(world.was_told("this process was stopped or starved"));
    world.lives(100, &[(1, primary(1)), (2, standby()), (3, standby())]);
    world.expect(&[]);
}

#[test]
fn a_refusal_after_a_session_that_ended_unheard_is_hard_evidence() {
    let mut world = World::settled();
    let others = [(1, primary(1)), (2, standby())];
    world.lives(400, &others);
    world.expect(&["ro pg3 0"]);
    world.hears(3, refused());
    world.expect(&["rw pg3 -", "ro pg3 -"]);
}
