//! What breaks, at random: servers, the network, the kernel's table, the disk, the daemon itself.

use pgvs::engine::event::Event;
use pgvs::model::postgres::Role;

use crate::cluster::{Obstacle, Stage, identity_of};
use crate::prober::said;
use crate::setup;
use crate::world::{At, MS, SECOND, What, World};

/// Troubles of the machine that the daemon runs on.
#[derive(Default)]
pub(crate) struct Troubles {
    pub(crate) is_kernel_slow: bool,
    pub(crate) is_kernel_flaky: bool,
    /// The module is not there, and nothing loads it.
    pub(crate) is_kernel_gone: bool,
    /// Another program writes what we write, just before we do.
    pub(crate) is_rival: bool,
    /// When the kernel last was in trouble; refusals are waited out for up to 30 s.
    pub(crate) kernel_until: At,
    /// How many faults are left.
    pub(crate) faults: u64,
}

/// The end of a trouble.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Relief {
    Obstacle(usize),
    Network(usize),
    Machine(usize),
    Kernel,
    Disk,
    Pause,
}

impl Troubles {
    pub(crate) const fn is_kernel_troubled(&self, now: At) -> bool {
        self.is_kernel_slow || self.is_kernel_flaky || now < self.kernel_until
    }
}

impl World {
    /// One fault, and the next one planned.
    pub(crate) fn fault(&mut self) {
        if self.troubles.faults == 0 {
            return;
        }
        self.troubles.faults -= 1;
        self.break_something();
        let wait = self.about(5 * MS, 3 * SECOND);
        self.after(wait, What::Fault);
    }

    pub(crate) fn break_something(&mut self) {
        match self.rng.u8(0..100) {
            0..28 => self.break_server(),
            28..36 => self.promote(),
            36..46 => self.break_network(),
            46..62 => self.intrude(),
            62..70 => self.break_kernel(),
            70..74 => self.break_disk(),
            74..88 => self.operate(),
            _ => self.break_daemon(),
        }
    }

    /// A server that the config names, mostly.
    pub(crate) fn any_server(&mut self) -> usize {
        let pool = &self.config.pools[self.rng.usize(0..self.config.pools.len())];
        let address = pool.servers[self.rng.usize(0..pool.servers.len())].address;
        self.servers.iter().position(|server| server.address == address).unwrap()
    }

    fn break_server(&mut self) {
        let server = self.any_server();
        let address = self.servers[server].address;
        match (self.servers[server].stage, self.rng.u8(0..8)) {
            (Stage::Stopped, _) => self.start_server(server),
            (Stage::Starting | Stage::Closing(_), 0..4) | (Stage::Running, 0) => {
                self.note(format!("{address}: the postmaster is killed"));
                self.stop_server(server, Some("57P01"), "FATAL", 0);
            }
            (Stage::Running, 1) => {
                self.note(format!("{address}: immediate stop"));
                self.stop_server(server, Some("57P01"), "WARNING", 0);
            }
            (Stage::Running, 2 | 3) => {
                self.note(format!("{address}: fast stop"));
                let wait = self.about(5 * MS, 2 * SECOND);
                self.stop_server(server, Some("57P01"), "FATAL", wait);
            }
            (Stage::Running, 4) => {
                self.note(format!("{address}: smart stop"));
                self.servers[server].clients_until = self.now + self.rng.u64(0..5 * SECOND);
                self.stage_in(server, 100 * MS, Stage::Closing(true));
                self.servers[server].stage = Stage::Closing(true);
            }
            (Stage::Running, 5) => {
                self.note(format!("{address}: crash and restart"));
                self.servers[server].stage = Stage::Starting;
                self.end_sessions(server, Some(&said("57P02", "WARNING", None)));
                let wait = self.about(20 * MS, 4 * SECOND);
                self.stage_in(server, wait, Stage::Running);
            }
            _ => self.obstruct(server),
        }
    }

    /// `wait` is how long the shutdown takes; 0 where nothing is left to shut down.
    fn stop_server(&mut self, server: usize, word: Option<&str>, severity: &str, wait: At) {
        let stage = if wait == 0 { Stage::Stopped } else { Stage::Closing(false) };
        self.servers[server].stage = stage;
        self.servers[server].plan += 1;
        let word = word.map(|code| said(code, severity, None));
        self.end_sessions(server, word.as_ref());
        if wait > 0 {
            self.stage_in(server, wait, Stage::Stopped);
        }
    }

    fn stage_in(&mut self, server: usize, wait: At, stage: Stage) {
        self.servers[server].plan += 1;
        let plan = self.servers[server].plan;
        self.after(wait, What::Stage(server, plan, stage));
    }

    /// A stage that was planned is reached.
    pub(crate) fn staged(&mut self, server: usize, plan: u64, stage: Stage) {
        if self.servers[server].plan != plan {
            return;
        }
        let address = self.servers[server].address;
        let has_probe = self
            .daemon
            .iter()
            .flat_map(|daemon| daemon.probers.values())
            .any(|it| it.address == address && it.session.is_some());
        let is_waiting = has_probe || self.now < self.servers[server].clients_until;
        match stage {
            Stage::Closing(true) if is_waiting => {
                self.stage_in(server, 100 * MS, stage);
            }
            Stage::Closing(true) => {
                self.servers[server].incarnation += 1;
                self.servers[server].stage = Stage::Stopped;
            }
            Stage::Closing(false) | Stage::Stopped | Stage::Starting | Stage::Running => {
                self.servers[server].stage = stage;
            }
        }
        let stage = self.servers[server].stage;
        if stage != Stage::Closing(true) {
            self.note(format!("{address}: {stage:?}"));
        }
    }

    /// Starts a server: as what it was, as a standby of the newest primary, or as a clone of another cluster.
    pub(crate) fn start_server(&mut self, server: usize) {
        let choice = self.rng.u8(0..10);
        let identity = identity_of(self.servers[server].cluster);
        let it = &mut self.servers[server];
        it.identity = identity;
        match choice {
            0 => it.identity = 9_999,
            1..4 => (),
            _ => it.role = Role::Standby,
        }
        it.stage = Stage::Starting;
        let line = format!("{}: starts as {} of {}", it.address, it.role, it.identity);
        self.note(line);
        let wait = self.about(20 * MS, 3 * SECOND);
        self.stage_in(server, wait, Stage::Running);
    }

    /// A standby is promoted, the old primary dead or alive.
    fn promote(&mut self) {
        let server = self.any_server();
        let cluster = self.servers[server].cluster;
        if self.servers[server].stage != Stage::Running {
            return;
        }
        for other in 0..self.servers.len() {
            let it = &self.servers[other];
            let is_old = it.cluster == cluster && other != server && it.role == Role::Primary;
            if !is_old || it.stage != Stage::Running {
                continue;
            }
            match self.rng.u8(0..4) {
                0 => (),
                1 => {
                    // A switchover: the old one restarts as a standby.
                    self.servers[other].role = Role::Standby;
                    self.servers[other].stage = Stage::Starting;
                    self.end_sessions(other, Some(&said("57P01", "FATAL", None)));
                    self.stage_in(other, 300 * MS, Stage::Running);
                }
                _ => self.stop_server(other, Some("57P01"), "FATAL", 0),
            }
        }
        let of_cluster = self.servers.iter().filter(|it| it.cluster == cluster);
        let newest = of_cluster.map(|it| it.timeline).max().unwrap();
        let it = &mut self.servers[server];
        it.role = Role::Primary;
        it.timeline = newest + 1;
        let line = format!("{}: promoted to timeline {}", it.address, it.timeline);
        self.note(line);
    }

    fn obstruct(&mut self, server: usize) {
        use Obstacle::{
            Descriptors, DiskFull, Full, HangsUp, PostmasterHangs, RoleLimit, WrongPassword,
        };
        let all = [Full, RoleLimit, WrongPassword, Descriptors, DiskFull, PostmasterHangs, HangsUp];
        let obstacle = setup::pick(&mut self.rng, &all);
        self.servers[server].obstacle = obstacle;
        let address = self.servers[server].address;
        self.note(format!("{address}: {obstacle:?}"));
        let wait = self.rng.u64(100 * MS..15 * SECOND);
        self.after(wait, What::Relief(Relief::Obstacle(server)));
    }

    fn break_network(&mut self) {
        let wait = self.about(50 * MS, 16 * SECOND);
        match self.rng.u8(0..4) {
            0 => self.cut_all(wait),
            1 => {
                let server = self.any_server();
                self.servers[server].is_frozen = true;
                let address = self.servers[server].address;
                self.note(format!("{address}: the machine hangs for {} ms", wait / MS));
                self.after(wait, What::Relief(Relief::Machine(server)));
            }
            _ => {
                let server = self.any_server();
                self.servers[server].is_reachable = false;
                let address = self.servers[server].address;
                self.note(format!("{address}: cut off for {} ms", wait / MS));
                self.after(wait, What::Relief(Relief::Network(server)));
            }
        }
    }

    /// The director's own network breaks.
    pub(crate) fn cut_all(&mut self, wait: At) {
        self.note(format!("the director is cut off for {} ms", wait / MS));
        self.watch_cut_off();
        for server in 0..self.servers.len() {
            self.servers[server].is_reachable = false;
            self.after(wait, What::Relief(Relief::Network(server)));
        }
    }

    fn break_disk(&mut self) {
        self.disk.is_full = self.rng.bool();
        self.disk.is_slow = self.rng.bool();
        let wait = self.rng.u64(SECOND..8 * SECOND);
        self.after(wait, What::Relief(Relief::Disk));
    }

    /// The operator reloads, pauses, resumes.
    fn operate(&mut self) {
        if self.rng.u8(0..4) > 0 {
            let config = setup::edit(&self.config, &mut self.rng);
            self.reload(config);
            return;
        }
        let Some(life) = self.daemon.as_ref().map(|daemon| daemon.life) else {
            return;
        };
        let until =
            self.rng.bool().then(|| self.daemon_time().after(std::time::Duration::from_secs(3)));
        if until.is_none() {
            self.after(2 * SECOND, What::Relief(Relief::Pause));
        }
        self.watch_disturbed(self.now + 6 * SECOND);
        self.arrive(life, Event::Pause(until));
    }

    /// The daemon stalls, dies, or is stopped properly; it comes back.
    fn break_daemon(&mut self) {
        let choice = self.rng.u8(0..5);
        if choice < 3 {
            let time = self.about(100 * MS, 30 * SECOND);
            let is_whole = self.rng.bool();
            self.stall(time, is_whole);
            return;
        }
        match &self.daemon {
            Some(daemon) if choice == 3 => {
                let life = daemon.life;
                self.arrive(life, Event::Stop);
            }
            Some(_) | None => self.kill(),
        }
        let wait = self.rng.u64(300 * MS..4 * SECOND);
        self.after(wait, What::Start);
    }

    pub(crate) fn relieve(&mut self, relief: Relief) {
        match relief {
            Relief::Obstacle(server) => self.servers[server].obstacle = Obstacle::None,
            Relief::Network(server) => self.servers[server].is_reachable = true,
            Relief::Machine(server) => self.servers[server].is_frozen = false,
            Relief::Kernel => self.relieve_kernel(),
            Relief::Disk => {
                self.disk.is_full = false;
                self.disk.is_slow = false;
            }
            Relief::Pause => {
                if let Some(life) = self.daemon.as_ref().map(|daemon| daemon.life) {
                    self.arrive(life, Event::Resume);
                }
            }
        }
    }
}
