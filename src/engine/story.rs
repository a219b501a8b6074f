//! The engine's decisions told as stories: a pool of three servers, an address for writes (`rw`) and one for reads
//! (`ro`), a kernel that does everything at once. Each story asserts what is written, in its order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::controller::Controller;
use super::event::{Action, Event, Transition};
use super::evidence::{Observation, Pace, ProbeError, ProbeId, ServerError, Stage};
use super::memory::Memory;
use super::table;
use crate::config::{
    Config, Director, KernelSettings, OnDown, OnStop, Pool, PostgresProbe, Probe, Server, SslMode,
    Target, VirtualService,
};
use crate::model::destination::{
    Connections, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use crate::model::op::{Errno, Op};
use crate::model::postgres::{Facts, Role, SqlState, SystemIdentifier, Timeline};
use crate::model::service::{Family, Scheduler, Service, ServiceKey};
use crate::model::table::{Counters, Table};
use crate::time::Time;
use crate::wire::proc::ProcTable;

mod alpha;
mod attributes;
mod backup;
mod beside;
mod failover;
mod kernel;
mod quorum;
mod restart;
mod settings;
mod silence;

pub(super) const RW: ServiceKey = ServiceKey::tcp(address(9, 100));
pub(super) const RO: ServiceKey = ServiceKey::tcp(address(9, 101));

const fn address(net: u8, last: u8) -> SocketAddr {
    let ip = std::net::Ipv4Addr::new(10, net, 0, last);
    SocketAddr::V4(std::net::SocketAddrV4::new(ip, 5432))
}

/// The number of the address of a sorry server, where a story has one.
pub(super) const SORRY: u8 = 99;

pub(super) fn pg(number: u8) -> DestinationKey {
    DestinationKey(address(8, number))
}

/// The config of the stories.
pub(super) fn orders() -> Config {
    let probe = PostgresProbe {
        user: "pgvs".into(),
        password_file: None,
        dbname: "postgres".into(),
        sslmode: SslMode::Prefer,
        pulse: Duration::from_millis(100),
        suspect_after: Duration::from_millis(300),
        lost_after: Duration::from_millis(1500),
        admission: Duration::from_secs(2),
        rise: 3,
        fall: 1,
        source: None,
    };
    let server = |number: u8| Server {
        name: format!("pg{number}").into(),
        address: pg(number).0,
        weight: Weight(100),
        thresholds: Thresholds::default(),
        delivery: None,
        is_backup: false,
    };
    let service = |name: &str, key: ServiceKey, target| VirtualService {
        name: name.into(),
        shares_name: false,
        key,
        service: Service::plain(Scheduler::new("wlc").unwrap(), Family::V4),
        forwarding: Forwarding::Masquerade,
        tunnel: Tunnel::default(),
        pool: "orders".into(),
        target,
        on_down: OnDown::Cut,
        drain_timeout: Duration::from_secs(60),
        source_nat: None,
        quorum: None,
    };
    Config {
        director: Director {
            name: None,
            state_dir: "/var/lib/pgvs".into(),
            control_socket: "/run/pgvs/pgvs.sock".into(),
            on_stop: OnStop::Leave,
            freeze_timeout: Duration::from_secs(10),
        },
        kernel: KernelSettings::default(),
        pools: vec![Pool {
            name: "orders".into(),
            probe: Probe::Postgres(Arc::new(probe)),
            alpha: true,
            servers: [1, 2, 3].map(server).to_vec(),
        }],
        services: vec![
            service("rw", RW, Target::Primary),
            service("ro", RO, Target::PreferStandby),
        ],
    }
}

pub(super) fn primary(timeline: u32) -> Observation {
    Observation::Pulse(facts(Role::Primary, Some(Timeline(timeline)), 7))
}

pub(super) fn standby() -> Observation {
    Observation::Pulse(facts(Role::Standby, None, 7))
}

pub(super) const fn facts(role: Role, timeline: Option<Timeline>, identity: u64) -> Facts {
    let system_identifier = Some(SystemIdentifier(identity));
    Facts { role, timeline, system_identifier, read_only: None }
}

pub(super) const fn refused() -> Observation {
    Observation::NotAdmitted(ProbeError::Refused)
}

pub(super) const fn timed_out() -> Observation {
    Observation::NotAdmitted(ProbeError::TimedOut(Stage::Login))
}

/// A fresh connection is refused with an SQLSTATE, reported by a routine of PostgreSQL's source.
pub(super) fn said(code: &str, routine: &str) -> Observation {
    Observation::NotAdmitted(ProbeError::Said(ServerError {
        sqlstate: SqlState::new(code).unwrap(),
        severity: Some("FATAL".into()),
        routine: Some(routine.into()),
    }))
}

/// The engine with everything around it.
pub(super) struct World {
    engine: Controller,
    pub(super) now: Time,
    pub(super) table: Table,
    pub(super) sessions: Counters,
    /// What was written since the last look, as short lines.
    written: Vec<String>,
    told: Vec<Transition>,
    /// The commands that were run since the last look.
    run: Vec<String>,
    pub(super) saved: Vec<Memory>,
    beside: beside::Beside,
    pub(super) hung_up: Vec<ProbeId>,
    pub(super) asked_now: Vec<ProbeId>,
    pub(super) pace: Pace,
    /// The kernel refuses changes with this number.
    pub(super) refuses: Option<Errno>,
    /// The kernel has no module for this scheduler.
    pub(super) lacks_scheduler: Option<&'static str>,
    /// What the cheap list shows, where it matters that it does not show everything.
    pub(super) cheap_list: Option<fn(&Table) -> ProcTable>,
    /// The state file cannot be written.
    pub(super) is_disk_full: bool,
    is_checking: bool,
    /// How many settings had been made when the table was written first.
    pub(super) first_written: Option<usize>,
    pub(super) has_stopped: bool,
}

impl World {
    /// A daemon that has been started on what the kernel has.
    pub(super) fn started(config: Config, memory: Memory, table: Table) -> Self {
        Self::started_beside(config, memory, table, beside::Beside::default())
    }

    fn started_beside(
        config: Config,
        memory: Memory,
        table: Table,
        beside: beside::Beside,
    ) -> Self {
        let mut world = Self {
            engine: Controller::new(Arc::new(config), memory, Time::ZERO),
            now: Time::ZERO,
            table,
            sessions: Counters::new(),
            written: Vec::new(),
            told: Vec::new(),
            run: Vec::new(),
            saved: Vec::new(),
            beside,
            hung_up: Vec::new(),
            asked_now: Vec::new(),
            pace: Pace::Normal,
            refuses: None,
            lacks_scheduler: None,
            cheap_list: None,
            is_disk_full: false,
            is_checking: false,
            first_written: None,
            has_stopped: false,
        };
        world.step(Event::Tick);
        world
    }

    /// pg1 the primary, pg2 and pg3 its standbys, everything in place, four seconds after the start: silence counts.
    pub(super) fn settled() -> Self {
        Self::settled_with(orders())
    }

    pub(super) fn settled_with(config: Config) -> Self {
        let mut world = Self::started(config, Memory::default(), Table::default());
        for (number, word) in [(1, primary(1)), (2, standby()), (3, standby())] {
            world.hears(number, Observation::Admitted);
            world.hears(number, word);
        }
        world.lives(4_000, &[(1, primary(1)), (2, standby()), (3, standby())]);
        world.forget();
        world
    }

    /// The same daemon dead and started again, with what it had saved.
    pub(super) fn restarted(&self, config: Config) -> Self {
        let memory = self.saved.last().cloned().unwrap_or_default();
        let made = self.beside.made.clone();
        let beside = beside::Beside { made, ..beside::Beside::default() };
        Self::started_beside(config, memory, self.table.clone(), beside)
    }

    /// A probe reports; the servers' numbers are those of their probes, as the config has them in order.
    pub(super) fn hears(&mut self, server: u32, observation: Observation) {
        let at = self.now;
        self.step(Event::Probe { probe: ProbeId(server - 1), at, observation });
    }

    /// So many milliseconds pass in which these servers answer every pulse, and nobody else does.
    pub(super) fn lives(&mut self, millis: u64, words: &[(u32, Observation)]) {
        let end = self.now.after(Duration::from_millis(millis));
        loop {
            let beat = self.now.after(Duration::from_millis(100)).min(end);
            self.ticks_until(beat);
            for (server, word) in words {
                self.hears(*server, word.clone());
            }
            if beat == end {
                return;
            }
        }
    }

    /// So many milliseconds pass in silence.
    pub(super) fn passes(&mut self, millis: u64) {
        self.ticks_until(self.now.after(Duration::from_millis(millis)));
    }

    fn ticks_until(&mut self, end: Time) {
        while let Some(at) = self.engine.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.step(Event::Tick);
        }
        self.now = end;
    }

    /// One event, and whatever follows from it at the same moment.
    pub(super) fn step(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.engine.step(event, self.now) {
                self.act(action, &mut events);
            }
            if events.is_empty() && std::mem::take(&mut self.is_checking) {
                events.push(match self.cheap_list {
                    Some(list) => Event::Checked(list(&self.table)),
                    None => self.dump(),
                });
            }
        }
    }

    /// The table with the sessions of every destination.
    fn dump(&self) -> Event {
        let mut counters = Counters::new();
        for (&service, entry) in &self.table.services {
            for &to in entry.destinations.keys() {
                let active = self.sessions.get(&(service, to)).copied().unwrap_or_default();
                counters.insert((service, to), active);
            }
        }
        Event::Dumped(self.table.clone(), counters)
    }

    fn act(&mut self, action: Action, events: &mut Vec<Event>) {
        match action {
            Action::Dump { .. } => events.push(self.dump()),
            Action::Check => self.is_checking = true,
            Action::Apply(ops) => {
                let results = ops.into_iter().map(|op| self.carry_out(op)).collect();
                events.push(Event::Applied(results));
            }
            Action::ReadSettings(keys) => events.push(self.beside.read(&keys)),
            Action::Set(settings) => events.push(self.beside.set(settings)),
            Action::SaveState(memory) => {
                let result = match self.is_disk_full {
                    true => Err("write the state file: no space left on device".into()),
                    false => Ok(()),
                };
                if result.is_ok() {
                    self.saved.push(memory);
                }
                events.push(Event::StateSaved(result));
            }
            Action::Report(told) => self.told.push(told),
            Action::Run(command) => {
                let event = if command.is_gained { "up" } else { "down" };
                self.run.push(format!("{} {event} {}", command.service, command.argv.join(" ")));
            }
            Action::HangUp(probe) => self.hung_up.push(probe),
            Action::ProbeNow(probe) => self.asked_now.push(probe),
            Action::Pace(_, pace) => self.pace = pace,
            Action::Stopped => self.has_stopped = true,
            Action::StartProbe { .. } | Action::StopProbe(_) | Action::Settled => (),
        }
    }

    fn carry_out(&mut self, op: Op) -> (Op, Result<(), Errno>) {
        if let Some(errno) = self.refuses {
            return (op, Err(errno));
        }
        match &op {
            Op::AddService(_, new) | Op::EditService(_, new)
                if self.lacks_scheduler == Some(new.scheduler.as_str()) =>
            {
                return (op, Err(Errno::ENOENT));
            }
            Op::AddDestination(key, ..) if !self.table.services.contains_key(key) => {
                return (op, Err(Errno::ESRCH));
            }
            Op::AddService(..)
            | Op::EditService(..)
            | Op::DeleteService(_)
            | Op::AddDestination(..)
            | Op::EditDestination(..)
            | Op::DeleteDestination(..) => (),
        }
        self.written.push(line(&op));
        self.first_written.get_or_insert(self.beside.written.len());
        table::apply(&mut self.table, &op);
        (op, Ok(()))
    }

    /// Another program changes the table.
    pub(super) fn intrudes(&mut self, op: &Op) {
        table::apply(&mut self.table, op);
    }

    pub(super) fn has_sessions(&mut self, service: ServiceKey, to: DestinationKey, active: u32) {
        let connections = Connections { active, ..Connections::default() };
        self.sessions.insert((service, to), connections);
    }

    fn forget(&mut self) {
        self.written.clear();
        self.told.clear();
        self.run.clear();
    }

    /// What was written since the last look is this, in this order.
    #[track_caller]
    pub(super) fn expect(&mut self, lines: &[&str]) {
        assert_eq!(std::mem::take(&mut self.written), lines);
    }

    /// The commands that were run since the last look are these, in this order.
    #[track_caller]
    pub(super) fn expect_run(&mut self, commands: &[&str]) {
        assert_eq!(std::mem::take(&mut self.run), commands);
    }

    /// Whether the operator was told something like it.
    pub(super) fn was_told(&self, what: &str) -> bool {
        self.told.iter().any(|told| told.to_string().contains(what))
    }

    /// What a status would alarm about.
    pub(super) fn alarms(&self) -> Vec<String> {
        self.engine.status(self.now).alarms
    }

    /// The weights of a service, by server number; `None`: not there.
    pub(super) fn weights(&self, service: ServiceKey) -> [Option<u32>; 3] {
        [1, 2, 3].map(|number| {
            self.table.destination(service, pg(number)).map(|destination| destination.weight.0)
        })
    }
}

/// `rw pg1 +100` for an addition, `rw pg1 100` for an edit, `rw pg1 -` for a deletion; services likewise.
fn line(op: &Op) -> String {
    let key = op.service();
    let known = [(RW, "rw"), (RO, "ro")].into_iter().find(|(known, _)| *known == key);
    let service = known.map_or_else(|| key.to_string(), |(_, name)| name.to_owned());
    let server = |to: &DestinationKey| {
        if *to == pg(SORRY) {
            return "sorry".to_owned();
        }
        let of = (1..=9).find(|&number| pg(number) == *to);
        of.map_or_else(|| to.to_string(), |number| format!("pg{number}"))
    };
    match op {
        Op::AddService(..) => format!("{service} +"),
        Op::EditService(_, new) => format!("{service} {}", new.scheduler),
        Op::DeleteService(_) => format!("{service} -"),
        Op::AddDestination(_, to, new) => format!("{service} {} +{}", server(to), new.weight),
        Op::EditDestination(_, to, new) => format!("{service} {} {}", server(to), new.weight),
        Op::DeleteDestination(_, to) => format!("{service} {} -", server(to)),
    }
}
