//! `alpha` and `fall`: servers that count as up before they have answered, and how often they may be refused.

use super::*;

/// A service that every server may serve, of a pool whose servers count as up from the start.
fn starting_up() -> Config {
    let mut config = orders();
    config.services.remove(0);
    config.services[0].target = Target::Any;
    config.pools[0].alpha = false;
    config
}

#[test]
fn without_alpha_members_start_with_their_weight_and_fall_by_their_own_word() {
    let mut world = World::started(starting_up(), Memory::default(), Table::default());
    world.expect(&["ro +", "ro pg1 +100", "ro pg2 +100", "ro pg3 +100"]);
    world.hears(1, primary(1));
    world.hears(2, standby());
    world.hears(3, refused());
    world.expect(&["ro pg3 -"]);
}

#[test]
fn without_alpha_silence_beside_others_that_answer_is_no_consent() {
    let mut world = World::started(starting_up(), Memory::default(), Table::default());
    world.lives(3_500, &[(1, primary(1)), (2, standby())]);
    assert_eq!(world.weights(RO), [Some(100), Some(100), Some(0)]);
}

#[test]
fn without_alpha_what_was_removed_before_a_restart_stays_away_until_it_answers() {
    let mut before = World::started(starting_up(), Memory::default(), Table::default());
    before.hears(3, refused());
    let mut world = before.restarted(starting_up());
    world.expect(&[]);
    assert_eq!(world.weights(RO), [Some(100), Some(100), None]);
}

/// The stories' config, where three refusals in a row are needed.
fn patient() -> Config {
    let mut config = orders();
    let Probe::Postgres(probe) = &config.pools[0].probe else { panic!("a probe") };
    config.pools[0].probe =
        Probe::Postgres(Arc::new(PostgresProbe { fall: 3, ..(**probe).clone() }));
    config
}

#[test]
fn with_fall_three_the_first_refusals_take_new_connections_and_the_third_the_server() {
    let mut world = World::settled_with(patient());
    world.hears(3, Observation::SessionEnded(None));
    world.hears(3, refused());
    world.expect(&["ro pg3 0"]);
    let others = [(1, primary(1)), (2, standby())];
    world.lives(500, &others);
    world.hears(3, refused());
    world.lives(500, &others);
    world.expect(&[]);
    world.hears(3, refused());
    world.expect(&["rw pg3 -", "ro pg3 -"]);
}

#[test]
fn with_fall_three_an_admission_in_between_starts_the_count_anew() {
    let mut world = World::settled_with(patient());
    world.hears(3, Observation::SessionEnded(None));
    for _ in 0..5 {
        world.hears(3, refused());
        world.hears(3, refused());
        world.hears(3, Observation::Admitted);
    }
    assert_eq!(world.weights(RO), [Some(0), Some(100), Some(100)]);
    world.hears(3, refused());
    world.hears(3, refused());
    world.hears(3, refused());
    assert_eq!(world.weights(RO), [Some(0), Some(100), None]);
}

#[test]
fn with_fall_three_refusals_never_take_the_last_one_before_they_are_three() {
    let mut world = World::settled_with(patient());
    world.hears(1, Observation::SessionEnded(None));
    world.hears(1, refused());
    world.hears(1, refused());
    assert_eq!(world.weights(RW), [Some(100), Some(0), Some(0)]);
    world.hears(1, refused());
    assert_eq!(world.weights(RW), [None, Some(0), Some(0)]);
}

#[test]
fn beside_a_living_session_a_server_that_refuses_is_asked_again_soon() {
    let mut world = World::settled_with(patient());
    let all = [(1, primary(1)), (2, standby()), (3, standby())];
    world.hears(3, said("57P03", "ProcessStartupPacket"));
    world.asked_now.clear();
    world.lives(400, &all);
    assert_eq!(world.asked_now, []);
    world.lives(200, &all);
    assert_eq!(world.asked_now, [ProbeId(2)]);
    world.hears(3, said("57P03", "ProcessStartupPacket"));
    assert_eq!(world.hung_up, [], "it may yet have been a mistake");
    world.hears(3, said("57P03", "ProcessStartupPacket"));
    assert_eq!(world.hung_up, [ProbeId(2)]);
}
