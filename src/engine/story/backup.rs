//! Backups: they serve when no other server is left, and give back.

use super::*;

/// The stories' config, with these servers as backups.
fn with_backups(numbers: &[usize]) -> Config {
    let mut config = orders();
    for number in numbers {
        config.pools[0].servers[number - 1].is_backup = true;
    }
    config
}

fn dies(world: &mut World, server: u32) {
    world.hears(server, Observation::SessionEnded(None));
    world.hears(server, refused());
}

fn returns(world: &mut World, server: u32, word: &Observation) {
    world.hears(server, Observation::Admitted);
    for _ in 0..3 {
        world.hears(server, word.clone());
    }
}

#[test]
fn a_backup_takes_over_when_no_other_server_is_left_and_gives_back() {
    let mut config = with_backups(&[3]);
    config.services.remove(0);
    config.services[0].target = Target::Standby;
    let mut world = World::settled_with(config);
    assert_eq!(world.weights(RO), [Some(0), Some(100), Some(0)]);
    dies(&mut world, 2);
    world.expect(&["ro pg3 100", "ro pg2 0", "ro pg2 -"]);
    world.lives(2_000, &[(1, primary(1)), (3, standby())]);
    returns(&mut world, 2, &standby());
    world.expect(&["ro pg2 +100", "ro pg3 0"]);
}

#[test]
fn a_primary_that_is_no_backup_serves_reads_before_a_standby_that_is_one() {
    let mut world = World::settled_with(with_backups(&[3]));
    assert_eq!(world.weights(RO), [Some(0), Some(100), Some(0)]);
    dies(&mut world, 2);
    assert_eq!(world.weights(RO), [Some(100), None, Some(0)]);
    dies(&mut world, 1);
    assert_eq!(world.weights(RO), [None, None, Some(100)]);
}

#[test]
fn all_backups_serve_and_a_suspicion_of_the_last_server_lets_them() {
    let mut world = World::settled_with(with_backups(&[2, 3]));
    assert_eq!(world.weights(RO), [Some(100), Some(0), Some(0)]);
    world.hears(1, said("53300", "InitPostgres"));
    world.expect(&["ro pg2 100", "ro pg3 100", "ro pg1 0"]);
    assert_eq!(world.weights(RW)[0], Some(100), "the only primary is kept");
}

#[test]
fn a_backup_that_is_the_primary_writes_and_reads_only_where_nobody_else_does() {
    let mut world = World::settled_with(with_backups(&[1]));
    assert_eq!(world.weights(RW), [Some(100), Some(0), Some(0)]);
    dies(&mut world, 2);
    dies(&mut world, 3);
    assert_eq!(world.weights(RO), [Some(100), None, None]);
}

#[test]
fn a_restart_while_a_backup_serves_writes_nothing() {
    let config = || {
        let mut config = with_backups(&[3]);
        config.services[1].target = Target::Standby;
        config
    };
    let mut before = World::settled_with(config());
    dies(&mut before, 2);
    before.lives(500, &[(1, primary(1)), (3, standby())]);
    let mut world = before.restarted(config());
    world.hears(2, refused());
    world.lives(5_000, &[(1, primary(1)), (3, standby())]);
    world.expect(&[]);
    assert_eq!(world.weights(RO), [Some(0), None, Some(100)]);
}
