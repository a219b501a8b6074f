//! What the engine has heard of each server, kept beside it; and whether a decision follows from that.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use pgvs::config::{Config, Pool, PostgresProbe, Probe, Server, Target};
use pgvs::engine::evidence::{Evidence, Observation, of};
use pgvs::model::destination::DestinationKey;
use pgvs::model::postgres::{Facts, Role, Timeline};
use pgvs::model::service::ServiceKey;
use pgvs::model::table::Table;
use pgvs::time::Time;

use crate::setup;
use crate::world::World;

/// Silence shorter than this is soft evidence, whatever the probe's settings.
const LOST_AFTER: Duration = Duration::from_millis(1500);

/// So long a server that comes up needs at most until it counts: three pulses, and a request of the kernel.
const RISE: Duration = Duration::from_millis(700);

/// What a daemon has heard in its life.
#[derive(Default)]
pub(crate) struct Ears {
    heard: BTreeMap<Asked, Heard>,
    /// What each probe said last, apart from pulses of the same content.
    told: BTreeMap<SocketAddr, Observation>,
    /// The table as it was first read.
    pub(crate) adopted: Option<Table>,
    /// The newest timeline on which the engine said that a pool's writer is.
    pub(crate) newest: BTreeMap<Box<str>, Timeline>,
    /// Since when every server that answered has been cut off, if all were at once.
    pub(crate) all_silent_since: Option<Time>,
}

/// A server and how it is asked: what one probe hears another may not have heard yet.
pub(crate) type Asked = (SocketAddr, PostgresProbe);

#[derive(Clone, Debug)]
struct Heard {
    facts: Option<Facts>,
    last_answer: Time,
    /// Since when it has said this without a break.
    since: Time,
    /// Hard evidence against it since it last told its role.
    is_condemned: bool,
    /// It is shutting down or starting: only a fresh connection that is admitted says otherwise.
    is_closed: bool,
    has_session: bool,
    /// Fresh connections that were refused since one was admitted.
    refusals: u32,
    /// Nothing listened there when it was last asked: hard evidence where no session answers.
    is_refused: bool,
}

impl Ears {
    /// Something happened that no rule about silence foresees.
    pub(crate) const fn disturbed(&mut self) {
        self.all_silent_since = None;
    }

    /// Whether a report is another than the last one.
    pub(crate) fn is_news(&mut self, address: SocketAddr, observation: &Observation) -> bool {
        *observation != Observation::Admitted
            && self.told.insert(address, observation.clone()).as_ref() != Some(observation)
    }

    pub(crate) fn hear(
        &mut self,
        address: SocketAddr,
        settings: &PostgresProbe,
        at: Time,
        observation: &Observation,
    ) {
        let heard = self.heard.entry((address, settings.clone())).or_insert(Heard {
            facts: None,
            last_answer: Time::ZERO,
            since: at,
            is_condemned: false,
            is_closed: false,
            has_session: false,
            refusals: 0,
            is_refused: false,
        });
        let mut is_answer = true;
        match observation {
            Observation::Pulse(facts) => {
                heard.has_session = true;
                heard.is_refused = false;
                if heard.is_condemned || heard.facts.map(|old| old.role) != Some(facts.role) {
                    heard.since = at;
                }
                heard.facts = Some(*facts);
                heard.is_condemned = heard.is_closed;
            }
            Observation::Admitted => (heard.is_closed, heard.refusals) = (false, 0),
            Observation::SessionEnded(word) => {
                heard.has_session = false;
                is_answer = word.is_some();
            }
            Observation::NotAdmitted(error) => match of(error) {
                // A session may have ended unheard a moment ago; the next refusal is sure.
                Evidence::Gone => {
                    heard.refusals += 1;
                    let had_session = std::mem::take(&mut heard.has_session);
                    if heard.refusals >= settings.fall {
                        heard.is_refused = true;
                        heard.is_condemned |= !had_session;
                    }
                }
                Evidence::NotNow => {
                    heard.refusals += 1;
                    if heard.refusals >= settings.fall {
                        (heard.is_condemned, heard.is_closed) = (true, true);
                    }
                }
                Evidence::Silence | Evidence::Blind => is_answer = false,
                Evidence::Full
                | Evidence::Refusing(_)
                | Evidence::HangingUp
                | Evidence::Misconfigured => (),
            },
        }
        if is_answer {
            heard.last_answer = heard.last_answer.max(at);
            self.all_silent_since = None;
        }
    }

    /// A probe that only asks differently inherits what the old one knew.
    pub(crate) fn inherit(&mut self, config: &Config) {
        for pool in &config.pools {
            let Probe::Postgres(settings) = &pool.probe else { continue };
            for server in &pool.servers {
                let old = self.heard.iter().find(|((address, _), _)| *address == server.address);
                let Some(old) = old.map(|(_, heard)| heard.clone()) else { continue };
                self.heard.entry((server.address, (**settings).clone())).or_insert(old);
            }
        }
    }

    pub(crate) fn last_word(&self, asked: &Asked) -> Option<Facts> {
        self.heard.get(asked).and_then(|heard| heard.facts)
    }

    /// What a server said, as long as nothing hard speaks against it.
    pub(crate) fn standing_word(&self, asked: &Asked, now: Time) -> Option<Facts> {
        let heard =
            self.heard.get(asked).filter(|heard| !heard.is_condemned && !heard.is_refused)?;
        heard.facts.filter(|_| now.since(heard.last_answer) < LOST_AFTER)
    }
}

impl World {
    /// All servers are cut off at this moment: whoever answered until now must not lose anything by it for a while,
    /// unless something else happens.
    pub(crate) fn watch_cut_off(&mut self) {
        let now = self.daemon_time();
        let Some(daemon) = &self.daemon else { return };
        let answered = |at: Time| now.since(at) < Duration::from_millis(110);
        let probers = daemon.probers.values();
        let asked: Vec<Asked> = probers.map(|it| (it.address, (*it.settings).clone())).collect();
        let all = asked.iter().all(|asked| {
            self.watch.ears.heard.get(asked).is_some_and(|heard| {
                let is_doubted = heard.is_condemned || heard.refusals > 0;
                !is_doubted && heard.facts.is_some() && answered(heard.last_answer)
            })
        });
        let is_calm =
            daemon.is_settled && daemon.stall.is_none() && self.now >= self.watch.disturbed_until;
        if all && asked.len() > 1 && is_calm && !self.troubles.is_kernel_troubled(self.now) {
            self.note("everything must stay as it is for a while".into());
            self.watch.ears.all_silent_since = Some(now);
        }
    }

    /// Whether nothing has changed about a server for longer than the engine needs to see it.
    pub(crate) fn is_long_heard(&self, asked: &Asked) -> bool {
        let now = self.daemon_time();
        self.watch.ears.heard.get(asked).is_some_and(|it| now.since(it.since) > RISE)
    }

    pub(crate) fn pool_of(&self, key: ServiceKey) -> Option<(Target, &Pool, &PostgresProbe)> {
        let service = self.in_force(key)?;
        let pool = self.daemon.as_ref()?.config.pool(&service.pool)?;
        match &pool.probe {
            Probe::Postgres(settings) => Some((service.target, pool, settings)),
            Probe::None => None,
        }
    }

    /// Whether the probe of a destination has heard its role.
    pub(crate) fn is_heard(&self, key: ServiceKey, to: DestinationKey) -> bool {
        let probe = self.pool_of(key).map(|(_, _, settings)| settings.clone());
        let Some(server) = self.member_at(key, to) else { return false };
        probe.is_some_and(|probe| self.watch.ears.last_word(&(server.address, probe)).is_some())
    }

    /// The server that the kernel knows by this in a service.
    fn member_at(&self, key: ServiceKey, to: DestinationKey) -> Option<&Server> {
        let (service, (_, pool, _)) = (self.in_force(key)?, self.pool_of(key)?);
        pool.servers.iter().find(|server| setup::key_in(service, server) == to)
    }

    /// Whether servers of several clusters have spoken: whoever is a stranger is fenced.
    pub(crate) fn is_mixed(&self, pool: &Pool, settings: &PostgresProbe) -> bool {
        let word = |address| self.watch.ears.last_word(&(address, settings.clone()));
        let mut said = pool.servers.iter().filter_map(|it| word(it.address)?.system_identifier);
        let first = said.next();
        said.any(|other| Some(other) != first)
    }

    /// Soft evidence never takes a service's last usable destination; what everybody's silence takes is nothing.
    pub(crate) fn judge_fall(
        &self,
        key: ServiceKey,
        old: &[DestinationKey],
        new: &[DestinationKey],
    ) {
        let Some((target, pool, settings)) = self.pool_of(key) else {
            return;
        };
        let now = self.daemon_time();
        let daemon = self.daemon.as_ref().unwrap();
        let ears = &self.watch.ears;
        let fallen: Vec<_> = old.iter().filter(|to| !new.contains(to)).collect();
        if let Some(since) = ears.all_silent_since
            && now < since.after(daemon.config.director.freeze_timeout)
            && !fallen.is_empty()
            && !daemon.is_stopping
        {
            self.fail(&format!("{key} loses {fallen:?} while all are silent at once"));
        }
        if fallen.is_empty() || !new.is_empty() || self.now < self.watch.disturbed_until {
            return;
        }
        let said = |address| ears.standing_word(&(address, settings.clone()), now);
        let words: Vec<Facts> = pool.servers.iter().filter_map(|it| said(it.address)).collect();
        let primaries = words.iter().filter(|word| word.role == Role::Primary).count();
        let standbys = words.len() - primaries;
        if self.is_mixed(pool, settings) || primaries > 1 || daemon.is_stopping {
            return;
        }
        for to in fallen {
            let Some(member) = self.member_at(key, *to) else { continue };
            // One that comes up may still fall by what was heard before.
            let asked = (member.address, settings.clone());
            let is_long = ears.heard.get(&asked).is_some_and(|it| now.since(it.since) > RISE);
            // A primary on an older timeline than the last writer's never serves.
            let newest = ears.newest.get(&pool.name).copied();
            let is_current = |word: &Facts| word.timeline.is_none() || word.timeline >= newest;
            let fits = match said(member.address)
                .filter(|_| is_long)
                .filter(is_current)
                .map(|word| (target, word.role))
            {
                Some((Target::Primary, Role::Primary) | (Target::Any, _)) => true,
                Some((Target::Standby | Target::PreferStandby, Role::Standby)) => true,
                Some((Target::PreferStandby, Role::Primary)) => standbys == 0,
                Some((Target::Primary, Role::Standby) | (Target::Standby, Role::Primary))
                | None => false,
            };
            if fits && member.weight.is_usable() {
                self.fail(&format!(
                    "{to}, the last usable one of {key}, falls without hard evidence"
                ));
            }
        }
    }

    /// Only who says that it is the primary gets weight in a service for the primary.
    pub(crate) fn judge_rise(
        &self,
        key: ServiceKey,
        old: &[DestinationKey],
        new: &[DestinationKey],
    ) {
        let Some((Target::Primary, pool, settings)) = self.pool_of(key) else {
            return;
        };
        let now = self.daemon_time();
        let ears = &self.watch.ears;
        let sorry = self.sorry_server(key);
        for to in new.iter().filter(|to| !old.contains(to) && sorry != Some(**to)) {
            let adopted = ears.adopted.as_ref().and_then(|table| table.destination(key, *to));
            let was_adopted = adopted.is_some_and(|it| it.weight.is_usable());
            let Some(member) = self.member_at(key, *to) else { continue };
            let asked = (member.address, settings.clone());
            match ears.last_word(&asked) {
                None if was_adopted => continue,
                Some(word) if word.role == Role::Primary => (),
                word => self.fail(&format!("{to} is raised in {key}, and has said {word:?}")),
            }
            if ears.heard.get(&asked).is_some_and(|heard| heard.is_condemned) {
                self.fail(&format!("{to} is raised in {key}, and hard evidence speaks against it"));
            }
            let own = ears.last_word(&asked).unwrap();
            let rival = pool.servers.iter().find(|server| {
                let asked = (server.address, settings.clone());
                let is_long = ears.heard.get(&asked).is_some_and(|it| now.since(it.since) > RISE);
                ears.standing_word(&asked, now).filter(|_| is_long).is_some_and(|word| {
                    word.role == Role::Primary
                        && word.system_identifier == own.system_identifier
                        && word.timeline > own.timeline
                })
            });
            if let Some(rival) = rival {
                self.fail(&format!("{to} is raised in {key} beside the newer {}", rival.name));
            }
        }
    }
}
