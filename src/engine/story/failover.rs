//! Who writes and who reads, and how that changes.

use super::*;

#[test]
fn on_an_empty_table_members_start_at_weight_0_and_rise_with_their_own_word() {
    let mut world = World::started(orders(), Memory::default(), Table::default());
    world.expect(&[
        "rw +",
        "rw pg1 +0",
        "rw pg2 +0",
        "rw pg3 +0",
        "ro +",
        "ro pg1 +0",
        "ro pg2 +0",
        "ro pg3 +0",
    ]);
    world.hears(1, primary(1));
    world.expect(&["rw pg1 100", "ro pg1 100"]);
    world.hears(2, standby());
    world.expect(&["ro pg2 100", "ro pg1 0"]);
}

#[test]
fn a_promotion_lowers_the_old_writer_before_the_new_one_rises() {
    let mut world = World::settled();
    world.hears(2, primary(2));
    world.expect(&["rw pg1 -", "rw pg2 100", "ro pg2 0"]);
    assert_eq!(world.weights(RW), [None, Some(100), Some(0)]);
}

#[test]
fn a_demoted_writer_returns_at_weight_0_when_its_sessions_are_flushed() {
    let mut world = World::settled();
    world.hears(2, primary(2));
    world.hears(1, standby());
    world.expect(&["rw pg1 -", "rw pg2 100", "ro pg2 0", "ro pg1 100"]);
    world.lives(900, &[(1, standby()), (2, primary(2)), (3, standby())]);
    world.expect(&[]);
    world.lives(200, &[(1, standby()), (2, primary(2)), (3, standby())]);
    world.expect(&["rw pg1 +0"]);
}

#[test]
fn a_server_that_ends_our_session_is_quiesced_at_once_and_only_for_that_long() {
    let mut world = World::settled();
    let farewell = ServerError {
        sqlstate: SqlState::ADMIN_SHUTDOWN,
        severity: Some("FATAL".into()),
        routine: Some("ProcessInterrupts".into()),
    };
    world.hears(3, Observation::SessionEnded(Some(farewell.clone())));
    world.expect(&["ro pg3 0"]);
    world.hears(3, Observation::Admitted);
    world.expect(&["ro pg3 100"]);
    world.hears(1, Observation::SessionEnded(Some(farewell)));
    world.expect(&[]);
    assert_eq!(world.weights(RW), [Some(100), Some(0), Some(0)]);
}

#[test]
fn a_standby_that_is_gone_is_removed_and_returns_after_three_answers() {
    let mut world = World::settled();
    world.hears(3, Observation::SessionEnded(None));
    world.hears(3, refused());
    world.expect(&["ro pg3 0", "rw pg3 -", "ro pg3 -"]);
    world.lives(2_000, &[(1, primary(1)), (2, standby())]);
    world.hears(3, Observation::Admitted);
    world.hears(3, standby());
    world.hears(3, standby());
    world.expect(&[]);
    world.hears(3, standby());
    world.expect(&["rw pg3 +0", "ro pg3 +100"]);
}

#[test]
fn without_a_standby_the_primary_takes_the_reads() {
    let mut world = World::settled();
    for server in [2, 3] {
        world.hears(server, Observation::SessionEnded(None));
        world.hears(server, refused());
    }
    assert_eq!(world.weights(RO), [Some(100), None, None]);
    assert_eq!(world.weights(RW), [Some(100), None, None]);
}

#[test]
fn a_server_that_shuts_down_gets_nothing_new_keeps_its_sessions_and_is_hung_up() {
    let mut world = World::settled();
    world.hears(3, said("57P03", "ProcessStartupPacket"));
    world.expect(&["ro pg3 0"]);
    assert_eq!(world.hung_up, [ProbeId(2)]);
}

#[test]
fn while_there_is_no_writer_its_candidates_are_asked_more_often() {
    let mut world = World::settled();
    assert_eq!(world.pace, Pace::Normal);
    world.hears(1, Observation::SessionEnded(None));
    world.hears(1, refused());
    assert_eq!(world.pace, Pace::Hurried);
    world.hears(2, primary(2));
    assert_eq!(world.pace, Pace::Normal);
}

#[test]
fn of_two_primaries_the_newer_timeline_writes_and_the_older_one_never_again() {
    let mut world = World::settled();
    world.hears(2, primary(2));
    world.lives(2_000, &[(1, primary(1)), (2, primary(2)), (3, standby())]);
    assert_eq!(world.weights(RW), [Some(0), Some(100), Some(0)]);
    world.hears(2, Observation::SessionEnded(None));
    world.hears(2, refused());
    world.lives(2_000, &[(1, primary(1)), (3, standby())]);
    assert_eq!(world.weights(RW), [Some(0), None, Some(0)]);
}

#[test]
fn a_server_of_another_cluster_is_fenced() {
    let mut world = World::settled();
    world.hears(3, Observation::Pulse(facts(Role::Primary, Some(Timeline(9)), 8)));
    world.expect(&["rw pg3 -", "ro pg3 -"]);
}

#[test]
fn what_is_held_keeps_its_sessions_when_it_goes_down() {
    let mut config = orders();
    for service in &mut config.services {
        service.on_down = OnDown::Hold;
    }
    let mut world = World::settled_with(config);
    world.hears(3, Observation::SessionEnded(None));
    world.hears(3, refused());
    world.expect(&["ro pg3 0"]);
}

#[test]
fn a_cut_that_could_not_begin_is_called_off_when_the_server_is_back() {
    let mut world = World::settled();
    world.step(Event::Pause(None));
    world.hears(3, Observation::SessionEnded(None));
    world.hears(3, refused());
    world.hears(3, Observation::Admitted);
    for _ in 0..3 {
        world.hears(3, standby());
    }
    world.step(Event::Resume);
    // It never wrote, so nobody notices.
    world.expect(&["rw pg3 -"]);
}
