//! The only place where health, role and configuration meet: which weight a server gets in a service, and why.
//!
//! Without memory: the same facts give the same decision.

use std::fmt;

use super::cluster::Standing;
use super::health::{Condition, Verdict};
use crate::config::{OnDown, Target};
use crate::model::destination::Weight;
use crate::model::postgres::{Role, SqlState};

/// What is known of one server where a service is decided.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The verdict of its probe.
    pub verdict: Verdict,
    /// How it stands to the writer's place.
    pub standing: Standing,
    /// Whether a writer is known and it is another server.
    pub is_another_writer: bool,
    /// What the kernel had when the daemon began to look after the service, while there is no verdict.
    pub adopted: Option<Adopted>,
    /// The configured weight.
    pub configured: Weight,
    /// Whether its sessions are being cut, so that it must stay away a moment longer.
    pub is_cut: bool,
}

/// What a service that was already there had of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// Nothing: whoever removed it had a reason, so it returns with its first good verdict.
    Absent,
    /// A destination of this weight.
    Weight(Weight),
}

/// Where a server stands in one service, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its weight; `None`: it is not in the table.
    pub weight: Option<Weight>,
    /// Why.
    pub reason: Reason,
}

/// Evidence that quiesces, but never the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Soft {
    /// No slot is free.
    Full,
    /// Refuses fresh connections with a code of its own.
    Refusing(SqlState),
    /// Fresh connections do not get through.
    Hung,
    /// It ended the probe's session as a server does that stops.
    Ending,
    /// No answer.
    Silent,
}

/// Why a server has its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It may serve.
    Serving,
    /// The primary serves because no standby is left.
    Fallback,
    /// The weight that the kernel had; no verdict yet.
    Adopted,
    /// The operator configured weight 0.
    ConfiguredZero,
    /// No verdict yet.
    NoVerdict,
    /// Its role is not the one that the service wants.
    Role(Role),
    /// It says that it is a primary, but another server is the writer.
    OtherWriter,
    /// It says that it is a primary, on an older timeline than the last writer's.
    Outdated,
    /// It belongs to another cluster.
    Foreign,
    /// Takes no new connections after it had been up.
    Closing,
    /// Takes no connections yet.
    Starting,
    /// Nothing listens.
    Down,
    /// Silent for too long.
    Lost,
    /// Lowered by soft evidence.
    Soft(Soft),
    /// Soft evidence speaks against it, but it is kept: the last ones never go.
    Kept(Soft),
    /// It is silent, but so are all at once: we suspect ourselves.
    Frozen,
    /// Its old sessions are being flushed by the kernel.
    Cut,
}

/// What a server is to a service, before its peers are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Fixed(Decision),
    Candidate { weight: Weight, soft: Option<Soft>, reason: Reason },
    Fallback { weight: Weight, soft: Option<Soft> },
}

/// Decides one service: a decision for each server, in the order of `views`.
pub fn decide(target: Target, on_down: OnDown, views: &[View], is_frozen: bool) -> Vec<Decision> {
    let parts: Vec<Part> =
        views.iter().map(|view| part(target, on_down, view, is_frozen)).collect();
    let is_sound = |part: &Part| matches!(part, Part::Candidate { weight, soft: None, .. } if weight.is_usable());
    let candidates = parts.iter().filter(|part| is_usable_candidate(part)).count();
    let has_sound = parts.iter().any(is_sound);
    let has_fallback = parts
        .iter()
        .any(|part| matches!(part, Part::Fallback { weight, .. } if weight.is_usable()));
    // Soft evidence lowers only where something else keeps serving, and never more than half of three or more.
    let may_fall = match candidates {
        _ if !(has_sound || has_fallback) => 0,
        0..3 => candidates,
        3.. => candidates / 2,
    };
    let lowered = worst(&parts, may_fall);
    let is_fallback_needed = !parts
        .iter()
        .enumerate()
        .any(|(place, part)| is_usable_candidate(part) && !lowered.contains(&place));
    parts
        .iter()
        .enumerate()
        .map(|(place, part)| finish(part, lowered.contains(&place), is_fallback_needed))
        .collect()
}

fn is_usable_candidate(part: &Part) -> bool {
    matches!(part, Part::Candidate { weight, .. } if weight.is_usable())
}

/// The places of at most `limit` candidates against which the strongest soft evidence speaks.
fn worst(parts: &[Part], limit: usize) -> Vec<usize> {
    let mut against: Vec<(Soft, usize)> = parts
        .iter()
        .enumerate()
        .filter_map(|(place, part)| match part {
            Part::Candidate { soft: Some(soft), weight, .. } if weight.is_usable() => {
                Some((*soft, place))
            }
            Part::Candidate { .. } | Part::Fallback { .. } | Part::Fixed(_) => None,
        })
        .collect();
    against.sort_by_key(|&(soft, place)| (std::cmp::Reverse(soft), place));
    against.into_iter().take(limit).map(|(_, place)| place).collect()
}

fn finish(part: &Part, is_lowered: bool, is_fallback_needed: bool) -> Decision {
    let kept = |soft: Option<Soft>, otherwise| soft.map_or(otherwise, Reason::Kept);
    match *part {
        Part::Fixed(decision) => decision,
        Part::Candidate { soft: Some(soft), .. } if is_lowered => quiesced(Reason::Soft(soft)),
        Part::Candidate { weight, soft, reason } => {
            let reason = if weight.is_usable() { kept(soft, reason) } else { reason };
            Decision { weight: Some(weight), reason }
        }
        Part::Fallback { weight, soft } if is_fallback_needed => {
            Decision { weight: Some(weight), reason: kept(soft, Reason::Fallback) }
        }
        Part::Fallback { .. } => quiesced(Reason::Role(Role::Primary)),
    }
}

const fn quiesced(reason: Reason) -> Decision {
    Decision { weight: Some(Weight::QUIESCED), reason }
}

/// What one server is to a service by its own facts.
fn part(target: Target, on_down: OnDown, view: &View, is_frozen: bool) -> Part {
    let gone = |reason| {
        Part::Fixed(match on_down {
            // A destination that was deleted stays away until its sessions are flushed, whatever the config says now.
            OnDown::Hold if !view.is_cut => quiesced(reason),
            OnDown::Cut | OnDown::Hold => Decision { weight: None, reason },
        })
    };
    if view.standing == Standing::Foreign {
        return gone(Reason::Foreign);
    }
    match view.verdict.condition {
        Condition::Down => return gone(Reason::Down),
        Condition::Lost => return gone(Reason::Lost),
        _ if view.is_cut => return gone(Reason::Cut),
        Condition::Closing => return Part::Fixed(quiesced(Reason::Closing)),
        Condition::Starting => return Part::Fixed(quiesced(Reason::Starting)),
        Condition::Unknown
        | Condition::Up
        | Condition::Suspect
        | Condition::Hung
        | Condition::Ending
        | Condition::Full
        | Condition::Refusing(_) => (),
    }
    let is_ignored = is_frozen && view.verdict.condition == Condition::Suspect;
    let soft = soft(view.verdict.condition).filter(|_| !is_ignored);
    let candidate = || {
        let reason = match view.configured.is_usable() {
            false => Reason::ConfiguredZero,
            true if is_ignored => Reason::Frozen,
            true => Reason::Serving,
        };
        Part::Candidate { weight: view.configured, soft, reason }
    };
    let Some(facts) = view.verdict.facts else {
        return without_facts(target, view, soft, candidate());
    };
    match (target, facts.role, view.standing) {
        (Target::Primary | Target::Any, Role::Primary, Standing::Writer)
        | (Target::Standby | Target::PreferStandby | Target::Any, Role::Standby, _) => candidate(),
        (Target::PreferStandby, Role::Primary, Standing::Writer) => {
            Part::Fallback { weight: view.configured, soft }
        }
        (Target::Standby, Role::Primary, Standing::Writer) => {
            Part::Fixed(quiesced(Reason::Role(Role::Primary)))
        }
        (_, Role::Primary, Standing::Outdated) => Part::Fixed(quiesced(Reason::Outdated)),
        (_, Role::Primary, _) => Part::Fixed(quiesced(Reason::OtherWriter)),
        (Target::Primary, Role::Standby, _) => Part::Fixed(quiesced(Reason::Role(Role::Standby))),
    }
}

/// What a server is of which no role is known: what the kernel had, as far as nothing speaks against it.
fn without_facts(target: Target, view: &View, soft: Option<Soft>, candidate: Part) -> Part {
    let is_unknown = matches!(view.verdict.condition, Condition::Unknown | Condition::Suspect);
    match (target, view.adopted) {
        (_, Some(Adopted::Absent)) => {
            Part::Fixed(Decision { weight: None, reason: Reason::NoVerdict })
        }
        (Target::Primary, _) if view.is_another_writer => {
            Part::Fixed(quiesced(Reason::OtherWriter))
        }
        (_, Some(Adopted::Weight(weight))) => {
            Part::Candidate { weight, soft, reason: Reason::Adopted }
        }
        (Target::Any, None) if !is_unknown => candidate,
        (_, None) => Part::Fixed(quiesced(Reason::NoVerdict)),
    }
}

const fn soft(condition: Condition) -> Option<Soft> {
    match condition {
        Condition::Suspect => Some(Soft::Silent),
        Condition::Hung => Some(Soft::Hung),
        Condition::Ending => Some(Soft::Ending),
        Condition::Full => Some(Soft::Full),
        Condition::Refusing(code) => Some(Soft::Refusing(code)),
        Condition::Unknown
        | Condition::Up
        | Condition::Closing
        | Condition::Starting
        | Condition::Lost
        | Condition::Down => None,
    }
}

impl fmt::Display for Soft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Refusing(code) => write!(f, "refuses new connections ({code})"),
            Self::Hung => f.write_str("new connections hang"),
            Self::Ending => f.write_str("ended the probe's session"),
            Self::Silent => f.write_str("silent"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serving => f.write_str("serving"),
            Self::Fallback => f.write_str("serving: no standby is left"),
            Self::Adopted => f.write_str("as found in the kernel: no verdict yet"),
            Self::ConfiguredZero => f.write_str("weight 0 in the config"),
            Self::NoVerdict => f.write_str("no verdict yet"),
            Self::Role(role) => write!(f, "is a {role}"),
            Self::OtherWriter => f.write_str("another server is the writer"),
            Self::Outdated => f.write_str("a primary on an older timeline than the last writer's"),
            Self::Foreign => f.write_str("belongs to another cluster"),
            Self::Closing => f.write_str("shutting down or restarting"),
            Self::Starting => f.write_str("starting up"),
            Self::Down => f.write_str("down: connection refused"),
            Self::Lost => f.write_str("lost: no answer"),
            Self::Soft(soft) => soft.fmt(f),
            Self::Kept(soft) => write!(f, "{soft}, kept: the last one"),
            Self::Frozen => f.write_str("silent, kept: all fell silent at once"),
            Self::Cut => f.write_str("its old sessions are being cut"),
        }
    }
}
