//! What is set beside the table: timeouts, sync daemons, sysctls, the rules of full NAT.

use super::*;
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::setting::{Setting, SettingKey, SourceNat, Sysctl, SysctlValue};

fn all() -> [(u32, Observation); 3] {
    [(1, primary(1)), (2, standby()), (3, standby())]
}

fn master(interface: &str) -> SyncDaemon {
    SyncDaemon { interface: interface.into(), sync_id: 5, ..SyncDaemon::new(SyncRole::Master) }
}

fn with_master(interface: &str) -> Config {
    let mut config = orders();
    config.kernel.sync_daemons = vec![master(interface)];
    config
}

fn with_nat() -> Config {
    let mut config = orders();
    config.services[0].source_nat = Some(SourceNat::Masquerade);
    config
}

fn starts(world: &mut World, daemon: SyncDaemon) {
    let running = Setting::Daemon(daemon.role, Some(daemon));
    world.beside.made.insert(running.key(), running);
}

fn sysctl(world: &World, sysctl: Sysctl) -> Setting {
    world.beside.value(SettingKey::Sysctl(sysctl))
}

fn one(sysctl: Sysctl) -> Setting {
    Setting::Sysctl(sysctl, SysctlValue::new("1"))
}

#[test]
fn what_makes_removals_safe_is_set_before_the_table_is_written() {
    let mut world = World::started(orders(), Memory::default(), Table::default());
    assert_eq!(sysctl(&world, Sysctl::EXPIRE_NODEST_CONN), one(Sysctl::EXPIRE_NODEST_CONN));
    assert_eq!(world.beside.tcp_timeout(), 7500);
    assert!(world.was_told("net.ipv4.vs.expire_nodest_conn set to 1; it was 0"));
    assert!(world.was_told("timeouts set to tcp 7500 s; they were tcp 900 s"));
    let first = world.first_written.take().unwrap();
    assert!(first > 2, "the table was written when {first} settings had been made");
}

#[test]
fn a_setting_that_cannot_be_set_is_told_and_stops_nothing() {
    let mut world = World::settled();
    let key = SettingKey::Sysctl(Sysctl::EXPIRE_NODEST_CONN);
    world.beside.made.remove(&key);
    world.beside.refuses.insert(key, "set net.ipv4.vs.expire_nodest_conn: read-only file system");
    world.lives(3_000, &all());
    assert!(world.was_told("read-only file system"));
    world.hears(2, primary(2));
    assert_eq!(world.weights(RW), [None, Some(100), Some(0)]);
    world.beside.refuses.clear();
    world.lives(60_000, &[(1, standby()), (2, primary(2)), (3, standby())]);
    assert_eq!(sysctl(&world, Sysctl::EXPIRE_NODEST_CONN), one(Sysctl::EXPIRE_NODEST_CONN));
}

#[test]
fn a_reload_tries_at_once_what_could_not_be_set() {
    let mut world = World::settled();
    let key = SettingKey::SourceNat;
    world.beside.refuses.insert(key, "nft hangs");
    world.step(Event::Reload(Arc::new(with_nat())));
    world.lives(60_000, &all());
    let complaints = |world: &World| {
        world.told.iter().filter(|told| told.to_string().contains("nft hangs")).count()
    };
    assert_eq!(complaints(&world), 1);
    world.step(Event::Reload(Arc::new(with_nat())));
    assert_eq!(complaints(&world), 2, "whoever reloads is told again");
    world.beside.refuses.clear();
    world.step(Event::Reload(Arc::new(with_nat())));
    assert!(!world.beside.rules().is_empty() && world.alarms().is_empty());
}

#[test]
fn a_sysctl_that_the_kernel_lacks_is_one_alarm_and_no_failure() {
    let mut config = orders();
    let lacking = Sysctl::new("est_nice");
    config.kernel.sysctls.insert(lacking, SysctlValue::new("5"));
    let mut world = World::settled();
    let why = "read net.ipv4.vs.est_nice: the running kernel has no such setting";
    world.beside.lacks.insert(SettingKey::Sysctl(lacking), why);
    world.step(Event::Reload(Arc::new(config)));
    world.lives(40_000, &all());
    assert_eq!(world.told.iter().filter(|told| told.to_string().contains("est_nice")).count(), 1);
    assert_eq!(world.alarms().iter().filter(|alarm| alarm.contains("est_nice")).count(), 1);
}

#[test]
fn timeouts_that_another_program_set_are_restored_and_the_others_stay() {
    let mut world = World::settled();
    let theirs = Timeouts { tcp: 60, tcp_fin: 30, udp: 40 };
    world.beside.made.insert(SettingKey::Timeouts, Setting::Timeouts(theirs));
    world.lives(2_000, &all());
    let ours = Setting::Timeouts(Timeouts { tcp: 7500, ..theirs });
    assert_eq!(world.beside.value(SettingKey::Timeouts), ours);
    assert!(world.was_told("were set to tcp 60 s by another program"));
}

#[test]
fn whose_services_the_timeouts_hold_for_as_well_is_said() {
    let foreign = ServiceKey::tcp("10.9.0.200:80".parse().unwrap());
    let service = Service::plain(Scheduler::new("rr").unwrap(), Family::V4);
    let mut table = Table::default();
    table::apply(&mut table, &Op::AddService(foreign, service));
    let world = World::started(orders(), Memory::default(), table);
    assert!(world.was_told("so for 1 services that are not ours"));
}

#[test]
fn the_same_repair_again_and_again_slows_down_and_is_an_alarm() {
    let mut world = World::settled();
    let mut repairs = 0;
    for _ in 0..20 {
        world.beside.made.remove(&SettingKey::Timeouts);
        world.lives(1_500, &all());
        repairs += usize::from(world.beside.tcp_timeout() == 7500);
    }
    assert!((5..=9).contains(&repairs), "{repairs} repairs in 30 s");
    assert!(world.alarms().iter().any(|alarm| alarm.contains("keeps changing the timeouts")));
}

#[test]
fn a_sync_daemon_that_is_gone_is_started_again() {
    let mut world = World::settled_with(with_master("eth0"));
    assert_eq!(world.beside.daemon(SyncRole::Master).as_deref(), Some("eth0"));
    world.beside.made.remove(&SettingKey::Daemon(SyncRole::Master));
    world.lives(1_500, &all());
    assert_eq!(world.beside.daemon(SyncRole::Master).as_deref(), Some("eth0"));
    assert!(world.was_told("master sync daemon on eth0 with id 5 was gone; started again"));
}

#[test]
fn a_reload_changes_and_stops_a_sync_daemon() {
    let mut world = World::settled_with(with_master("eth0"));
    world.step(Event::Reload(Arc::new(with_master("eth1"))));
    assert_eq!(world.beside.daemon(SyncRole::Master).as_deref(), Some("eth1"));
    world.step(Event::Reload(Arc::new(orders())));
    assert_eq!(world.beside.daemon(SyncRole::Master), None);
    assert!(world.was_told("master sync daemon stopped"));
    starts(&mut world, master("eth9"));
    world.lives(5_000, &all());
    assert_eq!(world.beside.daemon(SyncRole::Master).as_deref(), Some("eth9"), "not ours");
}

#[test]
fn a_sync_daemon_of_another_program_is_not_touched() {
    let mut world = World::settled_with(with_master("eth0"));
    let backup = SyncDaemon { role: SyncRole::Backup, ..master("eth7") };
    starts(&mut world, backup);
    world.beside.written.clear();
    world.lives(40_000, &all());
    assert_eq!(world.beside.written, []);
}

#[test]
fn a_sync_daemon_of_a_declared_role_is_replaced_where_it_differs_and_taken_where_not() {
    let mut world = World::settled();
    starts(&mut world, master("eth0"));
    world.beside.written.clear();
    world.step(Event::Reload(Arc::new(with_master("eth0"))));
    assert_eq!(world.beside.written, []);
    starts(&mut world, master("eth3"));
    world.lives(2_000, &all());
    assert_eq!(world.beside.daemon(SyncRole::Master).as_deref(), Some("eth0"));
    assert!(world.was_told("another program started the master sync daemon on eth3"));
}

#[test]
fn a_sync_daemon_that_left_the_config_while_we_were_dead_is_stopped() {
    let before = World::settled_with(with_master("eth0"));
    let world = before.restarted(orders());
    assert_eq!(world.beside.daemon(SyncRole::Master), None);
    assert!(world.saved.last().unwrap().sync_daemons.is_empty());
}

#[test]
fn when_ipvs_was_gone_and_is_back_everything_is_set_again() {
    let mut world = World::settled_with(with_master("eth0"));
    world.beside.is_gone = true;
    world.lives(3_000, &all());
    assert!(world.was_told("the kernel has no IPVS"));
    world.beside.made.clear();
    world.beside.is_gone = false;
    world.lives(3_000, &all());
    assert_eq!(world.beside.daemon(SyncRole::Master).as_deref(), Some("eth0"));
    assert_eq!(world.beside.tcp_timeout(), 7500);
    assert_eq!(sysctl(&world, Sysctl::EXPIRE_NODEST_CONN), one(Sysctl::EXPIRE_NODEST_CONN));
    assert!(world.alarms().is_empty(), "{:?}", world.alarms());
}

#[test]
fn an_unmanaged_kernel_is_left_as_it_is_with_a_warning() {
    let mut config = with_master("eth0");
    config.kernel.manage = false;
    let mut world = World::settled_with(config.clone());
    world.lives(5_000, &all());
    assert_eq!(world.beside.written, []);
    let mut world = World::started(config, Memory::default(), Table::default());
    world.lives(5_000, &all());
    let warnings =
        world.told.iter().filter(|told| told.to_string().contains("`[kernel] manage` is off"));
    assert_eq!(warnings.count(), 2, "one for each sysctl, once");
}

#[test]
fn nothing_is_set_while_paused() {
    let mut world = World::settled();
    world.step(Event::Pause(None));
    world.beside.made.clear();
    world.beside.written.clear();
    world.lives(40_000, &all());
    assert_eq!(world.beside.written, []);
    world.step(Event::Resume);
    world.lives(1_000, &all());
    assert_eq!(world.beside.tcp_timeout(), 7500);
}

#[test]
fn full_nat_has_its_rules_and_conntrack_before_the_service_is_made() {
    let mut world = World::started(with_nat(), Memory::default(), Table::default());
    let rules = world.beside.rules();
    assert!(rules.as_str().contains("ct original ip daddr 10.9.0.100"), "{}", rules.as_str());
    assert!(!rules.as_str().contains("10.9.0.101"), "{}", rules.as_str());
    assert_eq!(sysctl(&world, Sysctl::CONNTRACK), one(Sysctl::CONNTRACK));
    assert_eq!(world.first_written.take(), Some(world.beside.written.len()));
}

#[test]
fn whoever_wants_no_rules_waits_for_no_nft_and_looks_for_old_ones_once() {
    let mut world = World::started(orders(), Memory::default(), Table::default());
    assert!(world.first_written.is_some() && !world.beside.asks.contains(&true));
    world.lives(60_000, &all());
    assert_eq!(world.beside.asks.iter().filter(|asked| **asked).count(), 1);
}

#[test]
fn old_rules_that_nobody_wants_are_removed() {
    let before = World::settled_with(with_nat());
    let mut world = before.restarted(orders());
    world.lives(2_000, &all());
    assert!(world.beside.rules().is_empty());
}

#[test]
fn rules_that_were_deleted_are_written_again_and_go_with_the_last_service() {
    let mut world = World::settled_with(with_nat());
    let rules = world.beside.rules();
    world.beside.made.remove(&SettingKey::SourceNat);
    world.lives(1_500, &all());
    assert_eq!(world.beside.rules(), rules);
    assert!(world.was_told("changed or deleted by another program; written again"));
    world.step(Event::Reload(Arc::new(orders())));
    assert!(world.beside.rules().is_empty());
}

#[test]
fn rules_that_nft_lists_in_another_form_are_written_once() {
    let mut config = with_nat();
    config.director.on_stop = OnStop::Remove;
    let mut world = World::settled();
    world.beside.lists_otherwise = true;
    world.step(Event::Reload(Arc::new(config)));
    world.lives(100_000, &all());
    let writes = |world: &World| {
        let written = world.beside.written.iter();
        written.filter(|it| it.key() == SettingKey::SourceNat).count()
    };
    assert_eq!(writes(&world), 1);
    world.step(Event::Stop);
    assert!(world.has_stopped && world.beside.rules().is_empty());
}

#[test]
fn without_nft_services_are_made_and_an_alarm_says_why_clients_get_no_answer() {
    let mut world = World::settled();
    world.beside.lacks.insert(SettingKey::SourceNat, "full NAT needs nft, which is not here");
    let mut config = with_nat();
    config.services.remove(1);
    world.step(Event::Reload(Arc::new(config)));
    assert!(world.alarms().iter().any(|alarm| alarm.contains("needs nft")));
    world.step(Event::Reload(Arc::new(orders())));
    world.lives(1_000, &all());
    assert!(world.table.services.contains_key(&RO));
    assert!(world.alarms().is_empty(), "{:?}", world.alarms());
}

#[test]
fn a_stop_leaves_rules_and_sync_daemons_or_removes_them_as_the_config_says() {
    for on_stop in [OnStop::Leave, OnStop::Remove] {
        let mut config = with_nat();
        config.director.on_stop = on_stop;
        config.kernel.sync_daemons = vec![master("eth0")];
        let mut world = World::settled_with(config);
        world.step(Event::Stop);
        assert!(world.has_stopped, "{on_stop:?}");
        let is_left = on_stop == OnStop::Leave;
        assert_eq!(world.beside.rules().is_empty(), !is_left);
        assert_eq!(world.beside.daemon(SyncRole::Master).is_some(), is_left);
    }
}
