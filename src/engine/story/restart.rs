//! Adoption, reloads, drains: what must not be noticed.

use super::*;

#[test]
fn a_restart_with_the_same_config_and_facts_writes_nothing() {
    let before = World::settled();
    let mut world = before.restarted(orders());
    world.lives(5_000, &[(1, primary(1)), (2, standby()), (3, standby())]);
    world.expect(&[]);
}

#[test]
fn a_restart_beside_a_dead_server_writes_nothing() {
    let mut before = World::settled();
    before.hears(3, Observation::SessionEnded(None));
    before.hears(3, refused());
    let mut world = before.restarted(orders());
    world.hears(3, refused());
    world.lives(5_000, &[(1, primary(1)), (2, standby())]);
    world.expect(&[]);
}

#[test]
fn a_restart_with_a_wrong_password_writes_nothing() {
    let before = World::settled();
    let mut world = before.restarted(orders());
    for _ in 0..10 {
        for server in 1..=3 {
            world.hears(server, said("28P01", "auth_failed"));
        }
        world.passes(500);
    }
    world.expect(&[]);
}

#[test]
fn a_restart_in_silence_writes_nothing_while_no_server_answers() {
    let before = World::settled();
    let mut world = before.restarted(orders());
    world.passes(10_000);
    world.expect(&[]);
}

#[test]
fn after_a_restart_an_old_primary_that_answers_first_does_not_write() {
    let mut before = World::settled();
    before.hears(2, primary(2));
    let mut world = before.restarted(orders());
    world.hears(1, primary(1));
    world.hears(3, standby());
    world.expect(&[]);
    world.hears(2, primary(2));
    assert_eq!(world.weights(RW)[1], Some(100), "the writer that was found is the writer");
}

#[test]
fn after_a_restart_an_older_primary_alone_does_not_write() {
    let mut before = World::settled();
    before.hears(2, primary(2));
    before.lives(2_000, &[(2, primary(2)), (3, standby())]);
    let mut world = before.restarted(orders());
    let alone = [(1, primary(1)), (3, standby())];
    (0..3).for_each(|_| world.hears(2, refused()));
    world.lives(20_000, &alone);
    assert_eq!(world.weights(RW), [Some(0), None, Some(0)]);
    let alarms = world.alarms();
    assert!(
        alarms.iter().any(|it| it.contains("older timeline than 2, the last writer's")),
        "{alarms:?}"
    );
    let known = &before.saved.last().unwrap().writers;
    assert!(world.saved.iter().all(|memory| memory.writers == *known));
    world.lives(5_000, &[(1, standby()), (2, primary(2)), (3, standby())]);
    assert_eq!(world.weights(RW)[1], Some(100));
}

#[test]
fn a_pool_of_another_name_knows_of_no_writer() {
    let mut before = World::settled();
    before.hears(2, primary(2));
    before.lives(2_000, &[(2, primary(2)), (3, standby())]);
    let mut config = orders();
    config.pools[0].name = "restored".into();
    config.services.iter_mut().for_each(|service| service.pool = "restored".into());
    let mut world = before.restarted(config);
    world.hears(2, refused());
    world.lives(20_000, &[(1, primary(1)), (3, standby())]);
    assert_eq!(world.weights(RW)[0], Some(100));
    let names: Vec<_> = world.saved.last().unwrap().writers.keys().cloned().collect();
    assert_eq!(names, ["restored".into()]);
}

#[test]
fn a_writer_stays_when_one_that_could_not_be_asked_falls_silent() {
    let before = World::settled();
    let mut world = before.restarted(orders());
    let broken = ProbeError::Prober("too many open files".into());
    world.hears(1, Observation::NotAdmitted(broken));
    world.lives(4_000, &[(2, primary(2)), (3, standby())]);
    assert_eq!(world.weights(RW)[1], Some(100));
    world.hears(1, timed_out());
    assert_eq!(world.weights(RW)[1], Some(100));
}

#[test]
fn after_a_restart_a_new_primary_writes_when_the_old_one_has_been_silent_for_three_seconds() {
    let before = World::settled();
    let mut world = before.restarted(orders());
    let others = [(2, primary(2)), (3, standby())];
    world.lives(2_900, &others);
    world.expect(&[]);
    world.lives(300, &others);
    world.expect(&["rw pg1 -", "rw pg2 100", "ro pg2 0"]);
}

#[test]
fn a_reload_with_one_weight_writes_one_destination() {
    let mut world = World::settled();
    let mut config = orders();
    config.pools[0].servers[1].weight = Weight(50);
    world.step(Event::Reload(Arc::new(config)));
    world.expect(&["ro pg2 50"]);
}

#[test]
fn a_reload_of_a_weight_that_nobody_probes_counts_after_a_restart_too() {
    let mut config = orders();
    config.pools[0].probe = Probe::None;
    config.services.remove(0);
    config.services[0].target = Target::Any;
    let before = World::started(config.clone(), Memory::default(), Table::default());
    let mut world = before.restarted(config.clone());
    world.expect(&[]);
    config.pools[0].servers[1].weight = Weight(50);
    world.step(Event::Reload(Arc::new(config)));
    world.expect(&["ro pg2 50"]);
}

#[test]
fn a_server_that_left_the_config_keeps_its_sessions_and_goes_with_the_last_one() {
    let mut world = World::settled();
    world.has_sessions(RO, pg(3), 2);
    let mut config = orders();
    config.pools[0].servers.remove(2);
    world.step(Event::Reload(Arc::new(config)));
    let others = [(1, primary(1)), (2, standby())];
    world.lives(1_500, &others);
    world.expect(&["ro pg3 0", "rw pg3 -"]);
    world.lives(20_000, &others);
    world.expect(&[]);
    world.has_sessions(RO, pg(3), 0);
    world.lives(1_000, &others);
    world.expect(&["ro pg3 -"]);
}

#[test]
fn a_drain_has_an_end_and_a_restart_does_not_put_it_off() {
    let mut world = World::settled();
    world.has_sessions(RO, pg(3), 2);
    let mut config = orders();
    config.pools[0].servers.remove(2);
    world.step(Event::Reload(Arc::new(config)));
    let deadline = world.saved.last().unwrap().draining[&(RO, pg(3))];
    assert_eq!(deadline.since(world.now), Duration::from_secs(60));
    world.lives(61_000, &[(1, primary(1)), (2, standby())]);
    assert!(world.was_told("is deleted with 2 sessions"));
    assert_eq!(world.weights(RO)[2], None);
}

#[test]
fn a_member_that_returns_and_leaves_again_gets_its_whole_time_again() {
    let mut world = World::settled();
    world.has_sessions(RO, pg(3), 2);
    let mut without = orders();
    without.pools[0].servers.remove(2);
    world.step(Event::Reload(Arc::new(without.clone())));
    world.lives(50_000, &[(1, primary(1)), (2, standby())]);
    world.step(Event::Reload(Arc::new(orders())));
    world.passes(100);
    world.step(Event::Reload(Arc::new(without)));
    world.lives(20_000, &[(1, primary(1)), (2, standby())]);
    assert_eq!(world.weights(RO)[2], Some(0), "its 60 seconds began anew");
}

#[test]
fn a_service_that_left_the_config_goes_with_its_sessions() {
    let mut world = World::settled();
    world.has_sessions(RO, pg(2), 1);
    let mut config = orders();
    config.services.remove(1);
    world.step(Event::Reload(Arc::new(config)));
    let all = [(1, primary(1)), (2, standby()), (3, standby())];
    world.lives(5_000, &all);
    assert_eq!(world.weights(RO)[1], Some(0));
    world.has_sessions(RO, pg(2), 0);
    world.lives(1_000, &all);
    assert!(!world.table.services.contains_key(&RO));
    assert!(!world.saved.last().unwrap().owned.contains(&RO), "and is no longer ours");
}

#[test]
fn nothing_is_told_of_a_destination_that_was_never_made() {
    let mut world = World::settled();
    world.step(Event::Pause(None));
    let mut config = orders();
    config.pools[0].servers.push(Server {
        name: "pg4".into(),
        address: pg(4).0,
        weight: Weight(100),
        is_backup: false,
        thresholds: Default::default(),
        delivery: None,
    });
    world.step(Event::Reload(Arc::new(config)));
    world.hears(4, refused());
    assert!(!world.was_told("pg4 weight 0 -> absent"));
    world.hears(3, Observation::SessionEnded(None));
    world.hears(3, refused());
    assert!(world.was_told("pg3 weight 0 -> absent"), "it is there");
}
