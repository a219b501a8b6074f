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
