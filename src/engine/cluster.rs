//! Who is the writer of a pool: the servers of one PostgreSQL cluster seen together.
//!
//! Only a server that itself says that it is not in recovery can be the writer, and there is never more than one.

use super::health::Verdict;
use super::memory::LastWriter;
use crate::model::postgres::{Role, SystemIdentifier, Timeline};

/// What must be remembered about a pool between two decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The last writer, by its place in the pool; it stays while no other takes over.
    pub incumbent: Option<usize>,
    /// The timeline on which the last writer was seen.
    pub timeline: Option<Timeline>,
    /// The identity of the last writer.
    identity: Option<SystemIdentifier>,
    /// Whether the last writer was still the writer at the last decision.
    is_seated: bool,
}

/// How a server stands to the writer's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the writer.
    Writer,
    /// It is no writer and makes no claim.
    Member,
    /// It says that it is a primary, and another one is the writer.
    OtherWriter,
    /// It says that it is a primary, on an older timeline than the last writer's: what was written since is not there.
    Outdated,
    /// It belongs to another cluster.
    Foreign,
}

/// A pool seen as one cluster, decided anew from the verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The writer's place in the pool.
    pub writer: Option<usize>,
    /// How each server stands, by its place in the pool.
    pub standings: Vec<Standing>,
}

impl View {
    /// Whether a writer is known and it is not the server at `place`.
    pub fn is_another_writer(&self, place: usize) -> bool {
        self.writer.is_some_and(|writer| writer != place)
    }
}

impl Cluster {
    /// A pool of which no more is known than who wrote last.
    pub(super) fn recalled(last: LastWriter) -> Self {
        Self { timeline: last.timeline, identity: last.identity, ..Self::default() }
    }

    /// What must be remembered beyond our end.
    pub(super) fn last_writer(&self) -> Option<LastWriter> {
        let last = LastWriter { timeline: self.timeline, identity: self.identity };
        (last != LastWriter::default()).then_some(last)
    }

    /// The same memory of a pool whose members have moved.
    #[must_use]
    pub(super) fn with_incumbent(&self, incumbent: Option<usize>) -> Self {
        Self { incumbent, ..self.clone() }
    }

    /// Decides who is the writer among `verdicts`, and remembers it.
    pub fn decide(&mut self, verdicts: &[Verdict]) -> View {
        let identity = self.identity(verdicts);
        // Whoever takes over from a writer has its timeline or a newer one; what it does not tell is let pass.
        let seen = self.timeline.filter(|_| self.identity == identity);
        let is_outdated = |timeline: Timeline| timeline != UNTOLD && Some(timeline) < seen;
        let claims = || {
            verdicts
                .iter()
                .enumerate()
                .filter(|(_, verdict)| is_of(verdict, identity))
                .filter_map(|(place, verdict)| Some((place, claim(verdict)?)))
                .filter(|&(_, timeline)| !is_outdated(timeline))
        };
        // The highest timeline wins: a promotion raises it before the new primary takes writes. On equal
        // timelines the incumbent stays; without one the first in the pool's order.
        let writer = claims()
            .max_by_key(|&(place, timeline)| {
                (timeline, self.incumbent == Some(place), std::cmp::Reverse(place))
            })
            // One that is on its way up on a newer timeline will be the writer in a moment: nobody else begins.
            .filter(|&(place, timeline)| {
                let is_seated = self.is_seated && self.incumbent == Some(place);
                let own = || verdicts.iter().filter(|verdict| is_of(verdict, identity));
                is_seated || !own().filter_map(told).any(|other| other > timeline)
            })
            .map(|(place, _)| place);
        self.is_seated = writer.is_some();
        if let Some(place) = writer {
            let facts = verdicts.get(place).and_then(|verdict| verdict.facts);
            self.incumbent = Some(place);
            self.timeline = facts.and_then(|facts| facts.timeline).or(seen);
            self.identity = facts.and_then(|facts| facts.system_identifier).or(identity);
        }
        let standings = verdicts
            .iter()
            .enumerate()
            .map(|(place, verdict)| {
                if !is_of(verdict, identity) {
                    Standing::Foreign
                } else if writer == Some(place) {
                    Standing::Writer
                } else if claim(verdict).is_some_and(is_outdated) && writer.is_none() {
                    Standing::Outdated
                } else if claim(verdict).is_some() {
                    Standing::OtherWriter
                } else {
                    Standing::Member
                }
            })
            .collect();
        View { writer, standings }
    }

    /// The cluster's identity: the incumbent's as long as any server has it, else the majority's, else the one
    /// that comes first in the pool's order.
    fn identity(&self, verdicts: &[Verdict]) -> Option<SystemIdentifier> {
        let said = || verdicts.iter().filter_map(|verdict| verdict.facts?.system_identifier);
        if let Some(kept) = self.identity
            && said().any(|id| id == kept)
        {
            return Some(kept);
        }
        let votes = |id| said().filter(|&other| other == id).count();
        said()
            .enumerate()
            .max_by_key(|&(n, id)| (votes(id), std::cmp::Reverse(n)))
            .map(|(_, id)| id)
    }
}

/// The timeline of a primary that does not tell it: below all others.
const UNTOLD: Timeline = Timeline(0);

/// Whether a server belongs to the cluster; one that has not said which it belongs to does.
fn is_of(verdict: &Verdict, identity: Option<SystemIdentifier>) -> bool {
    match (verdict.facts.and_then(|facts| facts.system_identifier), identity) {
        (Some(own), Some(cluster)) => own == cluster,
        (None, _) | (_, None) => true,
    }
}

/// The timeline on which a server says that it is the primary, whether or not it is up.
fn told(verdict: &Verdict) -> Option<Timeline> {
    let facts = verdict.facts.filter(|facts| facts.role == Role::Primary)?;
    Some(facts.timeline.unwrap_or(UNTOLD))
}

/// The timeline on which a server claims to be the primary: one that is up and says so.
fn claim(verdict: &Verdict) -> Option<Timeline> {
    if verdict.condition.is_hard() { None } else { told(verdict) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::health::Condition;
    use crate::model::postgres::Facts;

    fn verdict(role: Role, timeline: Option<u32>, id: u64) -> Verdict {
        Verdict {
            condition: Condition::Up,
            facts: Some(Facts {
                role,
                timeline: timeline.map(Timeline),
                system_identifier: Some(SystemIdentifier(id)),
                read_only: None,
            }),
            is_misconfigured: false,
        }
    }

    fn primary(timeline: u32) -> Verdict {
        verdict(Role::Primary, Some(timeline), 7)
    }

    fn standby() -> Verdict {
        verdict(Role::Standby, None, 7)
    }

    #[test]
    fn the_higher_timeline_wins_and_a_lower_one_never_comes_back() {
        let mut cluster = Cluster::default();
        assert_eq!(cluster.decide(&[primary(1), standby()]).writer, Some(0));
        let view = cluster.decide(&[primary(1), primary(2)]);
        assert_eq!(view.writer, Some(1));
        assert_eq!(view.standings, [Standing::OtherWriter, Standing::Writer]);
        let suspect = Verdict { condition: Condition::Suspect, ..primary(2) };
        assert_eq!(cluster.decide(&[primary(1), suspect]).writer, Some(1));
    }

    #[test]
    fn on_equal_timelines_the_incumbent_stays() {
        let mut cluster = Cluster::default();
        assert_eq!(cluster.decide(&[standby(), primary(1)]).writer, Some(1));
        assert_eq!(cluster.decide(&[primary(1), primary(1)]).writer, Some(1));
    }

    #[test]
    fn a_primary_that_does_not_tell_its_timeline_never_displaces_one_that_does() {
        let mut cluster = Cluster::default();
        assert_eq!(cluster.decide(&[primary(1), standby()]).writer, Some(0));
        let unknown = verdict(Role::Primary, None, 7);
        assert_eq!(cluster.decide(&[primary(1), unknown]).writer, Some(0));
        let down = Verdict { condition: Condition::Down, facts: None, is_misconfigured: false };
        assert_eq!(cluster.decide(&[down, unknown]).writer, Some(1));
    }

    #[test]
    fn a_server_of_another_cluster_is_foreign_whatever_its_timeline() {
        let mut cluster = Cluster::default();
        let stranger = verdict(Role::Primary, Some(9), 8);
        let view = cluster.decide(&[primary(1), standby(), stranger]);
        assert_eq!(view.writer, Some(0));
        assert_eq!(view.standings, [Standing::Writer, Standing::Member, Standing::Foreign]);
    }

    #[test]
    fn the_identity_is_the_incumbents_even_against_a_majority() {
        let mut cluster = Cluster::default();
        let unknown =
            Verdict { condition: Condition::Unknown, facts: None, is_misconfigured: false };
        cluster.decide(&[primary(1), unknown, unknown]);
        let stranger = verdict(Role::Standby, None, 8);
        let view = cluster.decide(&[primary(1), stranger, stranger]);
        assert_eq!(view.standings, [Standing::Writer, Standing::Foreign, Standing::Foreign]);
    }

    #[test]
    fn an_old_primary_does_not_take_over_while_the_new_one_is_down() {
        let mut cluster = Cluster::default();
        cluster.decide(&[primary(1), primary(2)]);
        let down = Verdict { condition: Condition::Down, facts: None, is_misconfigured: false };
        let view = cluster.decide(&[primary(1), down]);
        assert_eq!(view.writer, None);
        assert_eq!(view.standings, [Standing::Outdated, Standing::Member]);
        assert_eq!(cluster.decide(&[primary(3), down]).writer, Some(0));
    }

    #[test]
    fn nobody_begins_to_write_while_a_newer_primary_is_on_its_way_up() {
        let mut cluster = Cluster::default();
        let rising = Verdict { condition: Condition::Down, ..primary(3) };
        assert_eq!(cluster.decide(&[primary(2), rising]).writer, None);
        let fallen = Verdict { condition: Condition::Down, facts: None, is_misconfigured: false };
        assert_eq!(cluster.decide(&[primary(2), fallen]).writer, Some(0));
        assert_eq!(cluster.decide(&[primary(2), rising]).writer, Some(0), "it has the seat");
        assert_eq!(cluster.decide(&[primary(2), primary(3)]).writer, Some(1));
    }

    #[test]
    fn without_a_claim_there_is_no_writer() {
        let mut cluster = Cluster::default();
        assert_eq!(cluster.decide(&[standby(), standby()]).writer, None);
        let closing = Verdict { condition: Condition::Closing, ..primary(3) };
        assert_eq!(cluster.decide(&[closing, standby()]).writer, None);
    }
}
