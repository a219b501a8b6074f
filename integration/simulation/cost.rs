//! What the engine does for large configurations: counted in changes and steps, not in time.

use std::sync::Arc;
use std::time::Duration;

use pgvs::config::{Config, Pool, Probe, Target};
use pgvs::engine::controller::Controller;
use pgvs::engine::event::{Action, Event};
use pgvs::engine::evidence::{Observation, ProbeId};
use pgvs::engine::memory::Memory;
use pgvs::model::destination::Weight;
use pgvs::model::op::Op;
use pgvs::model::postgres::{Facts, Role, SystemIdentifier, Timeline};
use pgvs::model::service::ServiceKey;
use pgvs::time::Time;
use pgvs::wire::proc::ProcTable;

use crate::kernel::{Author, Kernel};
use crate::settings::Settings;
use crate::setup;

/// The engine with a kernel that does everything at once.
struct Bench {
    controller: Controller,
    kernel: Kernel,
    settings: Settings,
    transactions: Vec<Vec<Op>>,
    probes: Vec<ProbeId>,
    actions: usize,
    is_checking: bool,
}

impl Bench {
    fn new(config: Config) -> Self {
        Self {
            controller: Controller::new(Arc::new(config), Memory::default(), Time::ZERO),
            kernel: Kernel::default(),
            settings: Settings::default(),
            transactions: Vec::new(),
            probes: Vec::new(),
            actions: 0,
            is_checking: false,
        }
    }

    /// A step with everything that follows from it at the same moment.
    fn step(&mut self, event: Event, now: Time) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let actions = self.controller.step(event, now);
            self.actions += actions.len();
            for action in actions {
                match action {
                    Action::Dump { .. } => {
                        events.push(Event::Dumped(self.kernel.table(), self.kernel.counters(0)));
                    }
                    Action::Apply(ops) => {
                        let kernel = &mut self.kernel;
                        let mut done = |op: &Op| kernel.carry_out(op, Author::Daemon, 0, 0);
                        let acks = ops.iter().map(|op| (op.clone(), done(op))).collect();
                        self.transactions.push(ops);
                        events.push(Event::Applied(acks));
                    }
                    Action::SaveState(_) => events.push(Event::StateSaved(Ok(()))),
                    Action::ReadSettings(keys) => events.push(self.settings.read(&keys)),
                    Action::Set(settings) => events.push(self.settings.set(settings)),
                    Action::StartProbe { probe, .. } => self.probes.push(probe),
                    Action::Check => self.is_checking = true,
                    Action::StopProbe(_)
                    | Action::Pace(..)
                    | Action::ProbeNow(_)
                    | Action::HangUp(_)
                    | Action::Run(_)
                    | Action::Report(_)
                    | Action::Settled
                    | Action::Stopped => (),
                }
            }
        }
    }

    /// Reads the list, if that was asked for.
    fn check(&mut self, now: Time) {
        while std::mem::take(&mut self.is_checking) {
            let list = ProcTable::parse(&self.kernel.list(0)).unwrap();
            self.step(Event::Checked(list), now);
        }
    }
}

fn name(number: u16) -> Box<str> {
    format!("pool{number}").into()
}

/// So many services, each with a pool of ten servers of its own.
fn many(count: u16, probe: &Probe) -> Config {
    let mut pools = Vec::new();
    let mut services = Vec::new();
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let servers = (1..=10).map(|last| {
            let mut server = setup::server(0, last, 100);
            server.address = ([10, high, low, last], 5432).into();
            server
        });
        pools.push(Pool {
            name: name(number),
            probe: probe.clone(),
            alpha: true,
            servers: servers.collect(),
        });
        let mut service = setup::service(1, &name(number), Target::Any);
        service.name = format!("service{number}").into();
        service.key = ServiceKey::tcp(([172, 16, high, low], 5432).into());
        services.push(service);
    }
    setup::config(pools, services)
}

#[test]
fn a_thousand_services_are_made_with_exactly_their_changes_and_one_weight_is_one_change() {
    let mut config = many(1_000, &Probe::None);
    let mut bench = Bench::new(config.clone());
    bench.step(Event::Tick, Time::ZERO);
    bench.check(Time::ZERO);
    let made: Vec<&Op> = bench.transactions.iter().flatten().collect();
    let services = made.iter().filter(|op| matches!(op, Op::AddService(..))).count();
    let destinations = made.iter().filter(|op| matches!(op, Op::AddDestination(..))).count();
    assert_eq!((services, destinations, made.len()), (1_000, 10_000, 11_000));
    let longest = bench.transactions.iter().map(Vec::len).max().unwrap();
    assert!(longest <= 1_024 + 10, "{longest} changes in one transaction");

    bench.transactions.clear();
    config.pools[500].servers[3].weight = Weight(50);
    bench.step(Event::Reload(Arc::new(config.clone())), Time::from_millis(100));
    bench.check(Time::from_millis(100));
    let [only] = &*bench.transactions.concat() else {
        panic!("{} changes", bench.transactions.concat().len());
    };
    assert!(matches!(only, Op::EditDestination(_, _, to) if to.weight == Weight(50)), "{only}");

    bench.transactions.clear();
    bench.step(Event::Reload(Arc::new(config)), Time::from_millis(200));
    assert!(bench.transactions.is_empty(), "the same config again is no change");
}

#[test]
fn a_second_of_pulses_of_a_thousand_servers_is_no_work_for_the_table() {
    let config = many(100, &Probe::Postgres(Arc::new(setup::probe(100))));
    let mut bench = Bench::new(config);
    bench.step(Event::Tick, Time::ZERO);
    let probes = std::mem::take(&mut bench.probes);
    assert_eq!(probes.len(), 1_000);
    let pulse = |place: usize| {
        let role = if place.is_multiple_of(10) { Role::Primary } else { Role::Standby };
        Observation::Pulse(Facts {
            role,
            timeline: (role == Role::Primary).then_some(Timeline(1)),
            system_identifier: Some(SystemIdentifier(place as u64 / 10)),
            read_only: None,
        })
    };
    let beat = |bench: &mut Bench, from: u64| {
        let mut ticks = 0;
        for (place, &probe) in probes.iter().enumerate() {
            let now = Time::new(Duration::from_micros(from * 1_000 + place as u64 * 100));
            let is_due =
                |bench: &Bench| bench.controller.next_deadline().is_some_and(|at| at < now);
            while is_due(bench) {
                ticks += 1;
                let at = bench.controller.next_deadline().unwrap();
                bench.step(Event::Tick, at);
            }
            bench.step(Event::Probe { probe, at: now, observation: pulse(place) }, now);
            // Reading the list of so many takes the kernel a while.
            if place.is_multiple_of(100) {
                bench.check(now);
            }
        }
        ticks
    };
    beat(&mut bench, 1);
    beat(&mut bench, 101);
    (bench.actions, bench.transactions) = (0, Vec::new());
    let ticks: u32 = (2..12).map(|beats| beat(&mut bench, beats * 100 + 1)).sum();
    assert_eq!(bench.transactions, [[]; 0], "nothing new was said");
    assert!(
        bench.actions <= 3,
        "{} actions, and two reads of the list and one of the settings were due",
        bench.actions
    );
    assert!(ticks <= 20, "{ticks} looks at the silence of all in one second");
}

/// What this thread has cost so far: a busy machine must not fail a test.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

/// The bound is far above what a debug build needs (see the printed figure), and far below what comparing every server
/// with every other takes.
#[test]
fn a_reload_of_ten_thousand_probed_servers_compares_each_with_itself_only() {
    let config = Arc::new(many(1_000, &Probe::Postgres(Arc::new(setup::probe(100)))));
    let mut bench = Bench::new((*config).clone());
    bench.step(Event::Tick, Time::ZERO);
    assert_eq!(bench.probes.len(), 10_000);
    let start = processor_time();
    bench.step(Event::Reload(config), Time::from_millis(100));
    let took = processor_time() - start;
    println!("a reload of 1,000 services with 10,000 probed servers: {took:?}");
    assert_eq!(bench.probes.len(), 10_000, "no probe starts anew");
    assert!(took.as_secs() < 2, "{took:?}");
}
