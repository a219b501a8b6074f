//! The simulated probers: a kept session with its pulse and fresh connections, as `engine::evidence` says.

use std::net::SocketAddr;
use std::sync::Arc;

use pgvs::config::PostgresProbe;
use pgvs::engine::event::Event;
use pgvs::engine::evidence::{
    Observation, Pace, ProbeError, ProbeId, ServerError, Stage as AttemptStage,
};
use pgvs::model::op::Errno;
use pgvs::model::postgres::SqlState;

use crate::cluster::{Obstacle, Stage};
use crate::world::{At, MS, SECOND, What, World};

/// The deadline of each stage of a fresh connection.
const DEADLINE: At = SECOND;
/// How soon a connection that hangs is looked at again.
const LOOK: At = 20 * MS;

#[derive(Clone, Debug)]
pub(crate) struct Prober {
    pub(crate) address: SocketAddr,
    pub(crate) settings: Arc<PostgresProbe>,
    pub(crate) pace: Pace,
    pub(crate) session: Option<Session>,
    /// The number of the fresh connection under way.
    fresh: Option<u64>,
    /// When the last one began.
    last_fresh: At,
    /// Counts sessions and connections.
    count: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    number: u64,
    beat: u64,
    incarnation: u64,
    asked: Option<At>,
    is_silent: bool,
}

pub(crate) fn said(code: &str, severity: &str, routine: Option<&str>) -> ServerError {
    ServerError {
        sqlstate: SqlState::new(code).unwrap(),
        severity: Some(severity.into()),
        routine: routine.map(Into::into),
    }
}

impl World {
    fn prober(&mut self, probe: ProbeId) -> Option<&mut Prober> {
        self.daemon.as_mut()?.probers.get_mut(&probe)
    }

    fn server_at(&self, address: SocketAddr) -> usize {
        self.servers.iter().position(|server| server.address == address).unwrap()
    }

    pub(crate) fn start_probe(
        &mut self,
        probe: ProbeId,
        address: SocketAddr,
        settings: Arc<PostgresProbe>,
    ) {
        let prober = Prober {
            address,
            settings,
            pace: Pace::Normal,
            session: None,
            fresh: None,
            last_fresh: self.now,
            count: 0,
        };
        self.daemon.as_mut().unwrap().probers.insert(probe, prober);
        self.fresh_in(probe, 0);
    }

    pub(crate) fn set_pace(&mut self, probe: ProbeId, pace: Pace) {
        let now = self.now;
        let Some(prober) = self.prober(probe) else {
            return;
        };
        prober.pace = pace;
        let (interval, due) = (prober.pulse(), (prober.last_fresh + prober.retry()).max(now) - now);
        let Some(session) = &mut prober.session else {
            self.fresh_in(probe, due);
            return;
        };
        session.beat += 1;
        let (session, beat) = (session.number, session.beat);
        self.after(interval, What::Ask(probe, session, beat));
    }

    pub(crate) fn hang_up(&mut self, probe: ProbeId) {
        if let Some(prober) = self.prober(probe) {
            prober.session = None;
            let due = prober.retry();
            self.fresh_in(probe, due);
        }
    }

    /// A fresh connection begins after that long, in the place of what was planned.
    pub(crate) fn fresh_in(&mut self, probe: ProbeId, wait: At) {
        let Some(prober) = self.prober(probe) else {
            return;
        };
        if prober.fresh.is_none() {
            prober.count += 1;
            let number = prober.count;
            self.after(wait, What::Fresh(probe, number));
        }
    }

    pub(crate) fn fresh(&mut self, probe: ProbeId, number: u64) {
        if let Some(wait) = self.standstill() {
            self.after(wait, What::Fresh(probe, number));
            return;
        }
        let now = self.now;
        match self.prober(probe) {
            Some(prober) if prober.fresh.is_none() && prober.count == number => {
                prober.fresh = Some(number);
                prober.last_fresh = now;
            }
            Some(_) | None => return,
        }
        let wait = self.about(200, 40 * MS);
        self.after(wait, What::FreshResult(probe, number, now));
    }

    pub(crate) fn fresh_result(&mut self, probe: ProbeId, number: u64, began: At) {
        if let Some(wait) = self.standstill() {
            self.after(wait, What::FreshResult(probe, number, began));
            return;
        }
        let Some(prober) = self.prober(probe).filter(|prober| prober.fresh == Some(number)) else {
            return;
        };
        let address = prober.address;
        let server = self.server_at(address);
        let Some(result) = self.attempt(server, began) else {
            self.after(LOOK, What::FreshResult(probe, number, began));
            return;
        };
        let is_admitted = result.is_ok();
        let observation = match result {
            Ok(()) => Observation::Admitted,
            Err(error) => Observation::NotAdmitted(error),
        };
        self.report(probe, observation);
        let facts = self.servers[server].facts();
        let incarnation = self.servers[server].incarnation;
        let prober = self.prober(probe).unwrap();
        prober.fresh = None;
        let has_answering = prober.session.as_ref().is_some_and(|session| !session.is_silent);
        if is_admitted && !has_answering {
            prober.count += 1;
            let (number, interval) = (prober.count, prober.pulse());
            prober.session =
                Some(Session { number, beat: 0, incarnation, asked: None, is_silent: false });
            self.report(probe, Observation::Pulse(facts));
            self.after(interval, What::Ask(probe, number, 0));
        }
        let prober = self.prober(probe).unwrap();
        let interval = prober.retry();
        let wait = (began + interval).saturating_sub(self.now);
        self.fresh_in(probe, wait);
    }

    /// What a fresh connection that began then meets; `None`: nothing yet.
    fn attempt(&mut self, server: usize, began: At) -> Option<Result<(), ProbeError>> {
        let server = &self.servers[server];
        let is_late = self.now >= began + DEADLINE;
        let fatal = |code, routine| Err(ProbeError::Said(said(code, "FATAL", routine)));
        if server.obstacle == Obstacle::Descriptors {
            return Some(Err(ProbeError::Prober("too many open files".into())));
        }
        if !server.answers() {
            let unreachable = ProbeError::Unreachable(Errno(113));
            let timed_out = ProbeError::TimedOut(AttemptStage::Connect);
            let is_told = !server.is_reachable && is_late && self.rng.bool();
            return is_late.then_some(Err(if is_told { unreachable } else { timed_out }));
        }
        match server.stage {
            Stage::Stopped => return Some(Err(ProbeError::Refused)),
            Stage::Starting | Stage::Closing(_) => return Some(fatal("57P03", None)),
            Stage::Running => (),
        }
        Some(match server.obstacle {
            Obstacle::PostmasterHangs if is_late => Err(ProbeError::TimedOut(AttemptStage::Login)),
            Obstacle::PostmasterHangs => return None,
            Obstacle::Full => fatal("53300", Some("InitProcess")),
            Obstacle::RoleLimit => fatal("53300", Some("InitializeSessionUserId")),
            Obstacle::WrongPassword => fatal("28P01", Some("auth_failed")),
            Obstacle::HangsUp => Err(ProbeError::Closed(AttemptStage::Login)),
            Obstacle::DiskFull => fatal("53100", None),
            Obstacle::None | Obstacle::Descriptors => Ok(()),
        })
    }

    pub(crate) fn ask(&mut self, probe: ProbeId, number: u64, beat: u64) {
        if let Some(wait) = self.standstill() {
            self.after(wait, What::Ask(probe, number, beat));
            return;
        }
        let now = self.now;
        let Some(prober) = self.prober(probe) else {
            return;
        };
        let interval = prober.pulse();
        let Some(session) =
            prober.session.as_mut().filter(|it| it.number == number && it.beat == beat)
        else {
            return;
        };
        let is_new = session.asked.is_none();
        session.asked.get_or_insert(now);
        if is_new {
            let wait = self.about(100, 8 * MS);
            self.after(wait, What::Answer(probe, number));
        }
        self.after(interval, What::Ask(probe, number, beat));
    }

    pub(crate) fn answer(&mut self, probe: ProbeId, number: u64) {
        if let Some(wait) = self.standstill() {
            self.after(wait, What::Answer(probe, number));
            return;
        }
        let now = self.now;
        let Some(prober) = self.prober(probe) else {
            return;
        };
        let (address, patience) = (prober.address, prober.settings.suspect_after);
        let Some(session) = prober.session.as_mut().filter(|it| it.number == number) else {
            return;
        };
        let (asked, incarnation, was_silent) =
            (session.asked.unwrap_or(now), session.incarnation, session.is_silent);
        let server = self.server_at(address);
        let server = &self.servers[server];
        if server.answers() && server.incarnation == incarnation {
            let facts = server.facts();
            let session = self.prober(probe).unwrap().session.as_mut().unwrap();
            session.asked = None;
            session.is_silent = false;
            self.report(probe, Observation::Pulse(facts));
        } else if server.answers() {
            self.session_ends(probe, number, None);
        } else {
            if !was_silent && u128::from(now - asked) >= patience.as_micros() {
                self.prober(probe).unwrap().session.as_mut().unwrap().is_silent = true;
                self.fresh_in(probe, 0);
            }
            self.after(LOOK, What::Answer(probe, number));
        }
    }

    pub(crate) fn session_ends(&mut self, probe: ProbeId, number: u64, word: Option<ServerError>) {
        if let Some(wait) = self.standstill() {
            self.after(wait, What::SessionEnds(probe, number, word));
            return;
        }
        let Some(prober) = self.prober(probe) else {
            return;
        };
        if prober.session.as_ref().is_some_and(|session| session.number == number) {
            prober.session = None;
            prober.fresh = None;
            // What the network broke is not told: the fresh connection that follows says the rest.
            if word.is_some() || self.rng.u8(0..3) > 0 {
                self.report(probe, Observation::SessionEnded(word));
            }
            self.fresh_in(probe, 0);
        }
    }

    /// All kept sessions to a server end, with its last word where it is heard.
    pub(crate) fn end_sessions(&mut self, server: usize, word: Option<&ServerError>) {
        let server = &mut self.servers[server];
        server.incarnation += 1;
        let (address, is_heard) = (server.address, server.answers());
        let probers = self.daemon.iter().flat_map(|daemon| &daemon.probers);
        let sessions: Vec<_> = probers
            .filter(|(_, prober)| prober.address == address && is_heard)
            .filter_map(|(&probe, prober)| Some((probe, prober.session.as_ref()?.number)))
            .collect();
        for (probe, number) in sessions {
            let wait = self.about(100, 10 * MS);
            let word = word.filter(|_| self.rng.u8(0..5) > 0).cloned();
            self.after(wait, What::SessionEnds(probe, number, word));
        }
    }

    /// Hands a report to the daemon's queue, a little later.
    fn report(&mut self, probe: ProbeId, observation: Observation) {
        let at = self.daemon_time();
        let daemon = self.daemon.as_mut().unwrap();
        let life = daemon.life;
        // Reports of one probe arrive in their order.
        let earliest = daemon.last_report.get(&probe).copied().unwrap_or(0);
        let wait = self.about(20, 15 * MS);
        let due = (self.now + wait).max(earliest + 1);
        self.daemon.as_mut().unwrap().last_report.insert(probe, due);
        let event = Event::Probe { probe, at, observation };
        self.after(due - self.now, What::Arrive(life, event));
    }
}

impl Prober {
    fn pulse(&self) -> At {
        let configured = u64::try_from(self.settings.pulse.as_micros()).unwrap();
        match self.pace {
            Pace::Normal => configured,
            Pace::Hurried => configured.min(20 * MS),
        }
    }

    /// How long after the start of one fresh connection the next one starts.
    fn retry(&self) -> At {
        let is_answering = self.session.as_ref().is_some_and(|session| !session.is_silent);
        match (is_answering, self.pace) {
            (true, _) => u64::try_from(self.settings.admission.as_micros()).unwrap(),
            (false, Pace::Normal) => 500 * MS,
            (false, Pace::Hurried) => 100 * MS,
        }
    }
}
