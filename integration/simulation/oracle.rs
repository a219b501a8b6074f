//! What the kernel must look like when nothing breaks any more, told from the truth and not from the engine.

use std::collections::BTreeMap;

use pgvs::config::{Config, OnDown, Pool, Probe, Target, VirtualService};
use pgvs::model::destination::{Destination, DestinationKey, Thresholds, Weight};
use pgvs::model::postgres::Role;

use crate::cluster::{Obstacle, Server, Stage, identity_of};
use crate::faults::Relief;
use crate::setup;
use crate::world::{At, MS, SECOND, What, World};

/// By then everything that waits for something has had its time: refusals 30 s, sessions 12 s, the freeze 10 s.
const PATIENCE: At = 75 * SECOND;
/// So long nothing more is written.
const QUIET: At = 3 * SECOND;

impl World {
    /// Nothing breaks any more, and some servers stay dead.
    pub(crate) fn heal(&mut self) {
        self.note("the faults stop".into());
        self.troubles.faults = 0;
        for server in 0..self.servers.len() {
            for relief in
                [Relief::Obstacle(server), Relief::Network(server), Relief::Machine(server)]
            {
                self.relieve(relief);
            }
            let it = &self.servers[server];
            let is_stranger = it.identity != identity_of(it.cluster);
            if is_stranger || (it.stage != Stage::Running && self.rng.u8(0..5) < 3) {
                self.restart_server(server, is_stranger);
            } else if it.stage != Stage::Running {
                self.servers[server].plan += 1;
                self.servers[server].stage = Stage::Stopped;
                self.end_sessions(server, None);
            }
        }
        self.relieve(Relief::Kernel);
        self.relieve(Relief::Disk);
        // The longest stall ends, and with it what it held up.
        self.run_for(32 * SECOND);
        if self.daemon.as_ref().is_some_and(|daemon| daemon.is_stopping) {
            self.kill();
        }
        self.after(500 * MS, What::Start);
        self.run_for(SECOND);
        self.relieve(Relief::Pause);
    }

    fn restart_server(&mut self, server: usize, is_stranger: bool) {
        let it = &mut self.servers[server];
        if is_stranger {
            it.identity = identity_of(it.cluster);
            it.role = Role::Standby;
        }
        it.stage = Stage::Running;
        it.plan += 1;
        self.end_sessions(server, None);
    }

    /// Waits until the kernel is as it must be and stays so.
    pub(crate) fn converge(&mut self) {
        let end = self.now + PATIENCE;
        loop {
            let wrong = self.difference();
            if wrong.is_none() {
                let before = self.daemon.as_ref().unwrap().transactions;
                self.run_for(QUIET);
                if self.daemon.as_ref().unwrap().transactions == before
                    && self.difference().is_none()
                {
                    return;
                }
            }
            if self.now > end {
                self.fail(&format!("no convergence: {}", wrong.unwrap_or("never quiet".into())));
            }
            self.run_for(500 * MS);
        }
    }

    /// A restart finds everything as it should be and writes nothing.
    pub(crate) fn restart_quietly(&mut self) {
        // Of two primaries on one timeline the first to answer is taken for the only one where no service says who
        // it was.
        let is_odd = |pool: &Pool| self.primaries(pool) > 1 && !self.has_writer_service(pool);
        if self.config.pools.iter().any(is_odd) {
            return;
        }
        self.kill();
        self.run_for(300 * MS);
        if self.rng.u8(0..3) == 0 {
            for server in &mut self.servers {
                server.obstacle = Obstacle::WrongPassword;
            }
        }
        let before = self.kernel.table();
        self.start();
        self.run_for(5 * SECOND);
        let transactions = self.daemon.as_ref().unwrap().transactions;
        if transactions != 0 || self.kernel.table() != before {
            self.fail(&format!("a restart that changes nothing wrote {transactions} times"));
        }
    }

    /// What is not as it must be.
    pub(crate) fn difference(&self) -> Option<String> {
        let Some(daemon) = &self.daemon else {
            return Some("the daemon is not there".into());
        };
        if !daemon.is_settled {
            return Some("it does not say that it has settled".into());
        }
        if let Some(unset) = self.settings.unset(&self.config) {
            return Some(format!("{unset:?} is not as it should be"));
        }
        for service in &self.config.services {
            let pool = self.config.pool(&service.pool).unwrap();
            if let Some(wrong) = self.wrong(&self.config, service, pool) {
                return Some(format!("{} ({:?}): {wrong}", service.key, service.target));
            }
        }
        for (key, service) in &self.kernel.services {
            if self.config.services.iter().any(|it| it.key == *key) {
                continue;
            }
            match self.watch.foreign.get(key) {
                None if self.disk.has_lost && !self.disk.memory.owned.contains(key) => (),
                None => return Some(format!("{key} is still there")),
                Some(foreign) if *foreign != service.entry() => {
                    return Some(format!("the foreign {key} has changed"));
                }
                Some(_) => (),
            }
        }
        let gone = self.watch.foreign.keys().find(|key| !self.kernel.services.contains_key(key));
        gone.map(|key| format!("the foreign {key} is gone"))
    }

    fn server(&self, server: &pgvs::config::Server) -> &Server {
        self.servers.iter().find(|it| it.address == server.address).unwrap()
    }

    fn wrong(&self, _: &Config, service: &VirtualService, pool: &Pool) -> Option<String> {
        let Some(have) = self.kernel.services.get(&service.key) else {
            return Some("it is not there".into());
        };
        if have.service != service.service {
            return Some(format!("it is {:?}", have.service));
        }
        let have: BTreeMap<_, _> =
            have.destinations.iter().map(|(&to, it)| (to, it.destination)).collect();
        // Among primaries on one timeline any may be the writer, but only one.
        let writers = self.writers(pool);
        let mut answers: Vec<_> =
            writers.iter().flat_map(|&writer| self.expected(service, pool, Some(writer))).collect();
        if writers.is_empty() {
            answers = self.expected(service, pool, None);
        }
        (!answers.contains(&have)).then(|| format!("has {have:?}, not {answers:?}"))
    }

    /// Whether a service says who the writer was.
    fn has_writer_service(&self, pool: &Pool) -> bool {
        let mut services = self.config.services.iter().filter(|it| it.pool == pool.name);
        services.any(|it| it.target == Target::Primary && !self.kernel.usable(it.key).is_empty())
    }

    fn primaries(&self, pool: &Pool) -> usize {
        let servers = pool.servers.iter().map(|server| self.server(server));
        servers.filter(|it| it.stage == Stage::Running && it.role == Role::Primary).count()
    }

    /// Who may be the writer: the servers on the highest timeline among those that say that they are primaries.
    fn writers(&self, pool: &Pool) -> Vec<usize> {
        let primaries = |place: &usize| {
            let it = self.server(&pool.servers[*place]);
            it.stage == Stage::Running && it.role == Role::Primary
        };
        let all: Vec<usize> = (0..pool.servers.len()).filter(primaries).collect();
        let timeline = |place: usize| self.server(&pool.servers[place]).timeline;
        let newest = all.iter().map(|&place| timeline(place)).max();
        // Who is behind the last writer never takes over.
        let seen = self.watch.ears.newest.get(&pool.name).map(|timeline| timeline.0);
        let newest = newest.max(seen);
        all.into_iter().filter(|&place| Some(timeline(place)) == newest).collect()
    }

    /// What a service may look like: within the hysteresis both with its quorum and without.
    fn expected(
        &self,
        service: &VirtualService,
        pool: &Pool,
        writer: Option<usize>,
    ) -> Vec<BTreeMap<DestinationKey, Destination>> {
        let stands: Vec<Stand> = (0..pool.servers.len())
            .map(|place| self.stand(service, pool, place, writer == Some(place)))
            .collect();
        let usable = |place: &usize| pool.servers[*place].weight.is_usable();
        let tier = |place: usize| match stands[place] {
            Stand::Able(tier) => Some(tier),
            Stand::Gone | Stand::Quiesced => None,
        };
        let places = || 0..pool.servers.len();
        let turn = places().filter(usable).filter_map(tier).min();
        let able = places().filter(usable).filter(|&it| turn.is_some() && tier(it) == turn).count();
        let with_quorum = |has_quorum: bool| {
            let sorry = service.quorum.as_ref().and_then(|quorum| quorum.sorry_server);
            let yields = !has_quorum && sorry.is_some();
            let weight = |place: usize| match stands[place] {
                Stand::Gone => None,
                Stand::Able(tier) if Some(tier) == turn && !yields => {
                    Some(pool.servers[place].weight)
                }
                Stand::Able(_) | Stand::Quiesced => Some(Weight::QUIESCED),
            };
            let members = places().filter_map(|it| {
                let server = &pool.servers[it];
                let (own, limits) = (server.delivery, server.thresholds);
                let to = setup::key_in(service, server);
                Some((to, service.destination(own, limits, weight(it)?)))
            });
            let sorry = sorry.map(|it| {
                let weight = Weight(u32::from(yields));
                let to = service.destination_key(it, None);
                (to, service.destination(None, Thresholds::default(), weight))
            });
            members.chain(sorry).collect()
        };
        let Some(quorum) = &service.quorum else { return vec![with_quorum(true)] };
        let able = u32::try_from(able).unwrap();
        let mut answers = Vec::new();
        if able > 0 && able >= quorum.servers - quorum.hysteresis {
            answers.push(with_quorum(true));
        }
        if able < quorum.servers + quorum.hysteresis {
            answers.push(with_quorum(false));
        }
        answers
    }

    /// What one server is to a service, by its own facts.
    fn stand(&self, service: &VirtualService, pool: &Pool, place: usize, writes: bool) -> Stand {
        let server = &pool.servers[place];
        let it = self.server(server);
        let role = (it.stage == Stage::Running).then_some(it.role);
        let able = |tier: u8| Stand::Able(tier + if server.is_backup { 2 } else { 0 });
        if pool.probe == Probe::None {
            return able(0);
        }
        match (service.target, role) {
            (_, None) if service.on_down == OnDown::Cut => Stand::Gone,
            (Target::Primary | Target::Any, Some(Role::Primary)) if writes => able(0),
            (Target::Standby | Target::PreferStandby | Target::Any, Some(Role::Standby)) => able(0),
            (Target::PreferStandby, Some(Role::Primary)) if writes => able(1),
            (Target::Primary | Target::Standby | Target::PreferStandby | Target::Any, _) => {
                Stand::Quiesced
            }
        }
    }
}

/// What a server is to a service.
#[derive(Clone, Copy)]
enum Stand {
    /// Not in the table.
    Gone,
    /// At weight 0, whatever the others are.
    Quiesced,
    /// It serves where no server of a lower number does.
    Able(u8),
}
