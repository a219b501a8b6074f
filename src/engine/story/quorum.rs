//! Too few servers: the quorum, its hysteresis, the sorry server and the commands.

use super::*;
use crate::config::Quorum;

/// One service of all standbys, pg1 the primary, with a quorum, its hysteresis and a sorry server.
fn config(servers: u32, hysteresis: u32) -> Config {
    let mut config = orders();
    config.services.remove(0);
    config.services[0].target = Target::Any;
    config.services[0].quorum = Some(Quorum {
        servers,
        hysteresis,
        sorry_server: Some(pg(SORRY).0),
        up: Some(["/up", "it is"].map(Box::from).into()),
        down: Some(["/down"].map(Box::from).into()),
    });
    config
}

fn quorum(config: &mut Config) -> &mut Quorum {
    config.services[0].quorum.as_mut().unwrap()
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

fn sorry(world: &World) -> Option<u32> {
    world.table.destination(RO, pg(SORRY)).map(|it| it.weight.0)
}

#[test]
fn the_sorry_server_stands_by_at_weight_0_and_the_gain_is_told_once() {
    let mut world = World::started(config(2, 0), Memory::default(), Table::default());
    world.expect(&["ro +", "ro pg1 +0", "ro pg2 +0", "ro pg3 +0", "ro sorry +0"]);
    world.hears(1, primary(1));
    world.expect_run(&[]);
    world.hears(2, standby());
    world.expect(&["ro pg1 100", "ro pg2 100"]);
    world.expect_run(&["ro up /up it is"]);
    assert!(world.was_told("service ro: has its quorum: 2 may serve, 2 needed"));
    world.hears(3, standby());
    world.expect_run(&[]);
}

#[test]
fn when_the_quorum_is_lost_the_sorry_server_serves_alone_and_sessions_stay() {
    let mut world = World::settled_with(config(2, 0));
    dies(&mut world, 3);
    world.expect(&["ro pg3 0", "ro pg3 -"]);
    dies(&mut world, 2);
    // The sorry server first, and the survivor is quiesced, not removed.
    world.expect(&["ro pg2 0", "ro sorry 1", "ro pg1 0", "ro pg2 -"]);
    world.expect_run(&["ro down /down"]);
    assert!(
        world
            .was_told("quorum lost: 1 may serve, 2 needed, the sorry server 10.8.0.99:5432 serves")
    );
    world.lives(2_000, &[(1, primary(1))]);
    world.expect(&[]);
    returns(&mut world, 2, &standby());
    world.expect(&["ro pg1 100", "ro pg2 +100", "ro sorry 0"]);
    world.expect_run(&["ro up /up it is"]);
}

#[test]
fn with_hysteresis_the_quorum_is_lost_late_and_gained_late() {
    let mut world = World::settled_with(config(2, 1));
    dies(&mut world, 3);
    dies(&mut world, 2);
    assert_eq!((world.weights(RO), sorry(&world)), ([Some(100), None, None], Some(0)));
    dies(&mut world, 1);
    assert_eq!((world.weights(RO), sorry(&world)), ([None, None, None], Some(1)));
    world.lives(2_000, &[]);
    returns(&mut world, 1, &primary(1));
    returns(&mut world, 2, &standby());
    assert_eq!((world.weights(RO), sorry(&world)), ([Some(0), Some(0), None], Some(1)));
    returns(&mut world, 3, &standby());
    assert_eq!((world.weights(RO), sorry(&world)), ([Some(100); 3], Some(0)));
}

#[test]
fn without_a_sorry_server_those_that_are_left_go_on_serving() {
    let mut config = config(2, 0);
    quorum(&mut config).sorry_server = None;
    let mut world = World::settled_with(config);
    dies(&mut world, 3);
    dies(&mut world, 2);
    assert_eq!(world.weights(RO), [Some(100), None, None]);
    world.expect_run(&["ro down /down"]);
}

#[test]
fn a_suspicion_takes_no_quorum() {
    let mut world = World::settled_with(config(2, 0));
    dies(&mut world, 3);
    world.hears(2, said("53300", "InitPostgres"));
    assert_eq!((world.weights(RO), sorry(&world)), ([Some(100), Some(0), None], Some(0)));
    world.hears(1, said("53300", "InitPostgres"));
    assert_eq!(sorry(&world), Some(0), "full servers are no reason for it");
    world.expect_run(&[]);
}

#[test]
fn a_backup_keeps_the_quorum_of_one() {
    let mut config = config(1, 0);
    config.pools[0].servers[2].is_backup = true;
    let mut world = World::settled_with(config);
    dies(&mut world, 1);
    dies(&mut world, 2);
    assert_eq!((world.weights(RO), sorry(&world)), ([None, None, Some(100)], Some(0)));
    dies(&mut world, 3);
    assert_eq!(sorry(&world), Some(1));
}

#[test]
fn a_restart_without_a_quorum_writes_nothing_and_tells_the_state_once() {
    let mut before = World::settled_with(config(2, 0));
    dies(&mut before, 3);
    dies(&mut before, 2);
    before.lives(500, &[(1, primary(1))]);
    let mut world = before.restarted(config(2, 0));
    world.expect_run(&[]);
    for server in [2, 3] {
        world.hears(server, refused());
    }
    world.lives(5_000, &[(1, primary(1))]);
    world.expect(&[]);
    world.expect_run(&["ro down /down"]);
    assert_eq!((world.weights(RO), sorry(&world)), ([Some(0), None, None], Some(1)));
}

#[test]
fn a_restart_within_the_hysteresis_keeps_what_was() {
    let mut before = World::settled_with(config(2, 1));
    for server in [2, 3] {
        dies(&mut before, server);
    }
    let mut world = before.restarted(config(2, 1));
    for server in [2, 3] {
        world.hears(server, refused());
    }
    world.lives(5_000, &[(1, primary(1))]);
    world.expect(&[]);
    assert_eq!(sorry(&world), Some(0));
    world.expect_run(&["ro up /up it is"]);
}

#[test]
fn a_restart_while_a_server_is_full_does_not_count_it_out_before_it_speaks() {
    let mut before = World::settled_with(config(2, 0));
    dies(&mut before, 3);
    before.hears(2, said("53300", "InitPostgres"));
    let mut world = before.restarted(config(2, 0));
    world.hears(3, refused());
    world.hears(1, primary(1));
    world.expect(&[]);
    world.hears(2, standby());
    world.expect(&["ro pg2 100"]);
}

#[test]
fn where_nobody_ever_answers_the_sorry_server_serves_after_three_seconds() {
    let mut world = World::started(config(2, 0), Memory::default(), Table::default());
    world.passes(2_900);
    assert_eq!(sorry(&world), Some(0));
    world.passes(200);
    assert_eq!(sorry(&world), Some(1));
    world.expect_run(&["ro down /down"]);
}

#[test]
fn two_refusals_of_three_decide_before_the_third_has_spoken() {
    let mut world = World::started(config(2, 0), Memory::default(), Table::default());
    world.hears(1, refused());
    assert_eq!(sorry(&world), Some(0));
    world.hears(2, refused());
    assert_eq!(sorry(&world), Some(1));
}

#[test]
fn writers_go_to_the_sorry_server_only_after_the_writer_is_out() {
    let mut config = config(1, 0);
    config.services[0].target = Target::Primary;
    let mut world = World::settled_with(config);
    dies(&mut world, 1);
    world.expect(&["ro pg1 -", "ro sorry 1"]);
    world.hears(2, primary(2));
    world.expect(&["ro sorry 0", "ro pg2 100"]);
}

#[test]
fn another_sorry_server_takes_over_and_the_old_one_drains() {
    let mut world = World::settled_with(config(2, 0));
    dies(&mut world, 3);
    dies(&mut world, 2);
    world.expect(&["ro pg3 0", "ro pg3 -", "ro pg2 0", "ro sorry 1", "ro pg1 0", "ro pg2 -"]);
    world.has_sessions(RO, pg(SORRY), 1);
    let mut other = config(2, 0);
    quorum(&mut other).sorry_server = Some(pg(98).0);
    world.step(Event::Reload(Arc::new(other)));
    world.expect(&["ro 10.8.0.98:5432 +1", "ro sorry 0"]);
    let mut none = config(2, 0);
    none.services[0].quorum = None;
    world.step(Event::Reload(Arc::new(none)));
    world.lives(1_500, &[(1, primary(1))]);
    world.expect(&["ro pg1 100", "ro 10.8.0.98:5432 0", "ro 10.8.0.98:5432 -"]);
    assert_eq!(sorry(&world), Some(0), "it still has a session");
}

#[test]
fn of_several_addresses_of_a_service_one_speaks_for_all() {
    let mut config = config(1, 0);
    let mut second = config.services[0].clone();
    second.key = RW;
    config.services.push(second);
    let mut world = World::started(config, Memory::default(), Table::default());
    world.hears(1, primary(1));
    world.expect_run(&["ro up /up it is"]);
    for server in 1..=3 {
        dies(&mut world, server);
    }
    assert_eq!(world.table.destination(RW, pg(SORRY)).map(|it| it.weight.0), Some(1));
    world.expect_run(&["ro down /down"]);
}

#[test]
fn a_late_loop_does_not_end_the_wait_for_the_first_answers() {
    let mut world = World::started(config(2, 0), Memory::default(), Table::default());
    world.now = Time::from_millis(5_000);
    world.step(Event::Tick);
    assert_eq!(sorry(&world), Some(0));
    world.expect_run(&[]);
}
