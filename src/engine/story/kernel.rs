//! The kernel, other programs that write it, the operator's hands-off, and the end.

use super::*;

fn all() -> [(u32, Observation); 3] {
    [(1, primary(1)), (2, standby()), (3, standby())]
}

fn edit(service: ServiceKey, number: u8, world: &World, weight: u32) -> Op {
    let destination = world.table.destination(service, pg(number)).unwrap();
    Op::EditDestination(service, pg(number), destination.with_weight(Weight(weight)))
}

#[test]
fn a_service_is_in_the_state_file_before_it_is_made() {
    let world = World::started(orders(), Memory::default(), Table::default());
    assert!(world.saved[0].owned.contains(&RW) && world.saved[0].owned.contains(&RO));
}

#[test]
fn a_full_disk_is_told_stops_nothing_and_is_tried_again() {
    let mut world = World::settled();
    world.is_disk_full = true;
    let mut config = orders();
    config.services.remove(1);
    world.step(Event::Reload(Arc::new(config)));
    world.lives(20_000, &all());
    assert!(world.was_told("no space left on device"));
    assert!(!world.table.services.contains_key(&RO));
    assert!(world.saved.last().unwrap().owned.contains(&RO), "that could not be written");
    world.is_disk_full = false;
    world.lives(6_000, &all());
    assert!(!world.saved.last().unwrap().owned.contains(&RO));
}

#[test]
fn services_that_were_found_are_ours_from_then_on() {
    let before = World::settled();
    let world = World::started(orders(), Memory::default(), before.table);
    assert!(world.saved.last().unwrap().owned.contains(&RO));
}

#[test]
fn what_another_program_set_is_restored_within_a_second_and_told() {
    let mut world = World::settled();
    let op = edit(RO, 2, &world, 0);
    world.intrudes(&op);
    world.lives(1_000, &all());
    world.expect(&["ro pg2 100"]);
    assert!(world.was_told("its weight was set to 0; restored"));
}

#[test]
fn a_table_that_was_cleared_is_made_again() {
    let mut world = World::settled();
    world.table = Table::default();
    world.lives(1_000, &all());
    assert_eq!(world.weights(RW), [Some(100), Some(0), Some(0)]);
    assert_eq!(world.weights(RO), [Some(0), Some(100), Some(100)]);
}

#[test]
fn a_destination_that_was_added_by_hand_is_quiesced_and_drained_not_cut() {
    let mut world = World::settled();
    world.has_sessions(RO, pg(9), 1);
    let like_pg2 = *world.table.destination(RO, pg(2)).unwrap();
    world.intrudes(&Op::AddDestination(RO, pg(9), like_pg2));
    world.lives(2_000, &all());
    world.expect(&["ro pg9 0"]);
    world.has_sessions(RO, pg(9), 0);
    world.lives(1_000, &all());
    world.expect(&["ro pg9 -"]);
}

#[test]
fn a_foreign_service_is_never_touched() {
    let mut world = World::settled();
    let foreign = ServiceKey::tcp("10.9.0.200:80".parse().unwrap());
    let service = Service::plain(Scheduler::new("rr").unwrap(), Family::V4);
    world.intrudes(&Op::AddService(foreign, service));
    let like_pg2 = *world.table.destination(RO, pg(2)).unwrap();
    world.intrudes(&Op::AddDestination(foreign, pg(2), like_pg2));
    let mut config = orders();
    config.services.remove(1);
    world.step(Event::Reload(Arc::new(config)));
    world.lives(40_000, &all());
    assert_eq!(world.table.services[&foreign].destinations.len(), 1);
}

#[test]
fn the_same_repair_again_and_again_slows_down() {
    let mut world = World::settled();
    let mut repairs = 0;
    for _ in 0..20 {
        let op = edit(RO, 2, &world, 0);
        world.intrudes(&op);
        world.lives(1_000, &all());
        repairs += usize::from(world.weights(RO)[1] == Some(100));
    }
    assert!((5..=8).contains(&repairs), "{repairs} repairs in 20 s");
    assert!(world.was_told("another program keeps writing"));
}

#[test]
fn a_failover_waits_for_no_slow_repair() {
    let mut world = World::settled();
    while !world.was_told("another program keeps writing") {
        let op = edit(RW, 1, &world, 50);
        world.intrudes(&op);
        world.lives(1_000, &all());
    }
    assert_eq!(world.weights(RW), [Some(50), Some(0), Some(0)], "the repair waits");
    world.hears(2, primary(2));
    assert_eq!(world.weights(RW), [None, Some(100), Some(0)], "the failover does not");
}

#[test]
fn a_failover_waits_for_no_second_attempt() {
    let mut world = World::settled();
    world.refuses = Some(Errno::ENOMEM);
    let op = edit(RW, 1, &world, 50);
    world.intrudes(&op);
    world.lives(9_000, &all());
    world.refuses = None;
    world.hears(2, primary(2));
    assert_eq!(world.weights(RW), [None, Some(100), Some(0)]);
}

#[test]
fn a_refusal_is_told_and_tried_again_but_not_at_once_for_ever() {
    let mut world = World::settled();
    world.refuses = Some(Errno::EPERM);
    world.hears(2, primary(2));
    world.lives(3_000, &[(1, primary(1)), (2, primary(2)), (3, standby())]);
    assert!(world.was_told("the kernel refused"));
    world.expect(&[]);
    world.refuses = None;
    world.lives(10_000, &[(1, primary(1)), (2, primary(2)), (3, standby())]);
    assert_eq!(world.weights(RW), [Some(0), Some(100), Some(0)]);
}

#[test]
fn while_paused_nothing_is_written_and_everything_is_known_when_it_ends() {
    let mut world = World::settled();
    world.step(Event::Pause(Some(world.now.after(Duration::from_secs(5)))));
    world.hears(2, primary(2));
    world.lives(4_000, &[(1, primary(1)), (2, primary(2)), (3, standby())]);
    world.expect(&[]);
    assert_eq!(world.saved.last().unwrap().paused.map(|pause| pause.until.is_some()), Some(true));
    world.lives(1_500, &[(1, primary(1)), (2, primary(2)), (3, standby())]);
    assert!(world.was_told("resumed"));
    assert_eq!(world.weights(RW)[1], Some(100));
}

#[test]
fn the_edit_of_a_scheduler_comes_after_everything_else() {
    let mut world = World::settled();
    let mut config = orders();
    config.services[1].service.scheduler = Scheduler::new("rr").unwrap();
    config.pools[0].servers[1].weight = Weight(50);
    world.step(Event::Reload(Arc::new(config)));
    world.expect(&["ro pg2 50", "ro rr"]);
}

#[test]
fn a_stop_leaves_quiesces_or_removes_as_the_config_says() {
    let stopped = |on_stop| {
        let mut config = orders();
        config.director.on_stop = on_stop;
        let mut world = World::settled_with(config);
        world.step(Event::Stop);
        assert!(world.has_stopped, "{on_stop:?}");
        world
    };
    stopped(OnStop::Leave).expect(&[]);
    stopped(OnStop::Quiesce).expect(&["rw pg1 0", "ro pg2 0", "ro pg3 0"]);
    stopped(OnStop::Remove).expect(&["rw -", "ro -"]);
}

#[test]
fn a_scheduler_that_is_not_there_is_told_once_and_stays_in_the_alarms() {
    let mut world = World::settled();
    world.lacks_scheduler = Some("fo");
    let mut config = orders();
    let key = ServiceKey::tcp("10.9.0.102:5432".parse().unwrap());
    let mut new = VirtualService { name: "new".into(), key, ..config.services[1].clone() };
    new.service.scheduler = Scheduler::new("fo").unwrap();
    config.services.push(new);
    world.step(Event::Reload(Arc::new(config)));
    world.lives(60_000, &all());
    let refusals = world.told.iter().filter(|it| matches!(it, Transition::OpRefused(..)));
    assert_eq!(refusals.count(), 1);
    let alarms = world.alarms();
    assert!(
        alarms.iter().any(|it| it.contains("no scheduler fo") && it.contains("modprobe ip_vs_fo")),
        "{alarms:?}"
    );
    world.lacks_scheduler = None;
    world.lives(31_000, &all());
    assert_eq!(world.weights(key), [Some(0), Some(100), Some(100)]);
    assert_eq!(world.alarms(), Vec::<String>::new());
}

#[test]
fn a_kernel_that_lost_everything_is_told_of_and_programmed_again() {
    let mut world = World::settled();
    world.table = Table::default();
    world.step(Event::KernelFailed("the module is gone".into()));
    assert!(world.was_told("the module is gone"));
    world.lives(2_000, &all());
    assert!(world.was_told("the kernel answers again: 0 of our 2 services are there, the others"));
    assert!(!world.was_told("another program changed"));
    assert_eq!(world.weights(RW), [Some(100), Some(0), Some(0)]);
    assert_eq!(world.weights(RO), [Some(0), Some(100), Some(100)]);
}
