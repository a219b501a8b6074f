//! The only place where health, role and configuration meet: which weight a server gets in a service, and why.
//!
//! Without memory: the same facts give the same decision.

mod reason;

use super::cluster::Standing;
use super::health::{Condition, Verdict};
use crate::config::{OnDown, Target};
use crate::model::destination::Weight;
use crate::model::postgres::Role;
pub use reason::{Reason, Soft};

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
    /// Whether it serves only where no other server is left.
    pub is_backup: bool,
    /// Whether it counts as up before it has answered, where its role does not matter.
    pub starts_up: bool,
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

/// What a server is to a service, before its peers are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Whatever the others are.
    Fixed(Decision),
    /// It may serve when the turn comes to its tier.
    Able(Able),
}

/// A server that its target, hard evidence and the operator allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Able {
    tier: Tier,
    weight: Weight,
    soft: Option<Soft>,
    /// Why it serves.
    serving: Reason,
    /// Why it does not while an earlier tier serves.
    waiting: Reason,
}

/// Whose turn it is: a tier serves while no server of an earlier one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// Those that the target asks for.
    Wanted,
    /// The primary, where standbys are only preferred.
    Fallback,
    /// Backups that the target asks for.
    Backup,
    /// The primary that is a backup, where standbys are only preferred.
    BackupFallback,
}

impl Tier {
    const ALL: [Self; 4] = [Self::Wanted, Self::Fallback, Self::Backup, Self::BackupFallback];
}

/// One service decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// A decision for each server, in the order of the views.
    pub decisions: Vec<Decision>,
    /// How many servers may serve, those among them that soft evidence lowers included: a suspicion takes no quorum.
    pub able: u32,
}

/// Decides one service.
pub fn decide(target: Target, on_down: OnDown, views: &[View], is_frozen: bool) -> Decided {
    let parts: Vec<Part> =
        views.iter().map(|view| part(target, on_down, view, is_frozen)).collect();
    let turn = turn(&parts);
    let decided = parts.iter().enumerate().map(|(place, part)| match part {
        Part::Fixed(decision) => *decision,
        Part::Able(able) => finish(able, &turn, place),
    });
    Decided { decisions: decided.collect(), able: turn.able }
}

/// The quorum is lost and the sorry server serves alone: whoever would serve keeps its sessions and gets no new ones.
pub fn yield_to_sorry_server(decided: &mut Decided, needed: u32) {
    let reason = Reason::NoQuorum { able: decided.able, needed };
    for decision in &mut decided.decisions {
        if decision.weight.is_some_and(Weight::is_usable) {
            *decision = quiesced(reason);
        }
    }
}

/// Who serves, among those who may.
#[derive(Debug, Default)]
struct Turn {
    /// The tier that serves; `None`: nobody is left.
    tier: Option<Tier>,
    /// The places of those that soft evidence lowers.
    lowered: Vec<usize>,
    /// How many would serve if soft evidence were none.
    able: u32,
}

/// Gives the turn to the first tier that soft evidence leaves a server of.
fn turn(parts: &[Part]) -> Turn {
    let usable = || {
        parts.iter().enumerate().filter_map(|(place, part)| match part {
            Part::Able(able) if able.weight.is_usable() => Some((place, able)),
            Part::Able(_) | Part::Fixed(_) => None,
        })
    };
    let mut turn = Turn::default();
    for tier in Tier::ALL {
        let own: Vec<_> = usable().filter(|(_, able)| able.tier == tier).collect();
        if turn.able == 0 {
            turn.able = u32::try_from(own.len()).unwrap_or(u32::MAX);
        }
        let has_later = usable().any(|(_, able)| able.tier > tier);
        let has_sound = own.iter().any(|(_, able)| able.soft.is_none());
        // Soft evidence lowers only where something else keeps serving, and never more than half of three or more.
        let may_fall = match own.len() {
            _ if !(has_sound || has_later) => 0,
            few @ 0..3 => few,
            many => many / 2,
        };
        let before = turn.lowered.len();
        turn.lowered.extend(worst(&own, may_fall));
        if turn.lowered.len() - before < own.len() {
            turn.tier = Some(tier);
            break;
        }
    }
    turn
}

/// The places of at most `limit` servers against which the strongest soft evidence speaks.
fn worst(tier: &[(usize, &Able)], limit: usize) -> impl Iterator<Item = usize> {
    let mut against: Vec<(Soft, usize)> =
        tier.iter().filter_map(|&(place, able)| Some((able.soft?, place))).collect();
    against.sort_by_key(|&(soft, place)| (std::cmp::Reverse(soft), place));
    against.into_iter().take(limit).map(|(_, place)| place)
}

fn finish(able: &Able, turn: &Turn, place: usize) -> Decision {
    let Able { tier, weight, soft, serving, waiting } = *able;
    match soft {
        Some(soft) if turn.lowered.contains(&place) => quiesced(Reason::Soft(soft)),
        _ if turn.tier.is_some_and(|serves| tier > serves) => quiesced(waiting),
        Some(soft) if weight.is_usable() => {
            Decision { weight: Some(weight), reason: Reason::Kept(soft) }
        }
        Some(_) | None => Decision { weight: Some(weight), reason: serving },
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
        | Condition::Failing
        | Condition::Full
        | Condition::Refusing(_) => (),
    }
    let is_ignored = is_frozen && view.verdict.condition == Condition::Suspect;
    let soft = soft(view.verdict.condition).filter(|_| !is_ignored);
    let able = |tier, serving, waiting| {
        let (tier, serving, waiting) = if view.is_backup {
            (later(tier), Reason::Backup, Reason::Spare)
        } else {
            (tier, serving, waiting)
        };
        let (serving, waiting) = match view.configured.is_usable() {
            false => (Reason::ConfiguredZero, Reason::ConfiguredZero),
            true if is_ignored => (Reason::Frozen, waiting),
            true => (serving, waiting),
        };
        Part::Able(Able { tier, weight: view.configured, soft, serving, waiting })
    };
    let candidate = able(Tier::Wanted, Reason::Serving, Reason::Serving);
    let Some(facts) = view.verdict.facts else {
        return without_facts(target, view, soft, candidate);
    };
    match (target, facts.role, view.standing) {
        (Target::Primary | Target::Any, Role::Primary, Standing::Writer)
        | (Target::Standby | Target::PreferStandby | Target::Any, Role::Standby, _) => candidate,
        (Target::PreferStandby, Role::Primary, Standing::Writer) => {
            able(Tier::Fallback, Reason::Fallback, Reason::Role(Role::Primary))
        }
        (Target::Standby, Role::Primary, Standing::Writer) => {
            Part::Fixed(quiesced(Reason::Role(Role::Primary)))
        }
        (_, Role::Primary, Standing::Outdated) => Part::Fixed(quiesced(Reason::Outdated)),
        (_, Role::Primary, _) => Part::Fixed(quiesced(Reason::OtherWriter)),
        (Target::Primary, Role::Standby, _) => Part::Fixed(quiesced(Reason::Role(Role::Standby))),
    }
}

/// The place of a backup among those of its kind.
const fn later(tier: Tier) -> Tier {
    match tier {
        Tier::Wanted | Tier::Backup => Tier::Backup,
        Tier::Fallback | Tier::BackupFallback => Tier::BackupFallback,
    }
}

/// What a server is of which no role is known: what the kernel had, as far as nothing speaks against it.
fn without_facts(target: Target, view: &View, soft: Option<Soft>, candidate: Part) -> Part {
    let is_unheard = matches!(view.verdict.condition, Condition::Unknown | Condition::Suspect);
    match (target, view.adopted) {
        (_, Some(Adopted::Absent)) => {
            Part::Fixed(Decision { weight: None, reason: Reason::NoVerdict })
        }
        (Target::Primary, _) if view.is_another_writer => {
            Part::Fixed(quiesced(Reason::OtherWriter))
        }
        (_, Some(Adopted::Weight(weight))) => {
            let tier = if view.is_backup { Tier::Backup } else { Tier::Wanted };
            let waiting = if view.is_backup { Reason::Spare } else { Reason::Adopted };
            Part::Able(Able { tier, weight, soft, serving: Reason::Adopted, waiting })
        }
        (Target::Any, None) if !is_unheard => candidate,
        (Target::Any, None) if view.starts_up => starts_up(candidate),
        (_, None) => Part::Fixed(quiesced(Reason::NoVerdict)),
    }
}

/// A candidate that has not answered yet.
const fn starts_up(candidate: Part) -> Part {
    match candidate {
        Part::Able(able) if matches!(able.serving, Reason::Serving) => {
            Part::Able(Able { serving: Reason::StartsUp, ..able })
        }
        Part::Able(_) | Part::Fixed(_) => candidate,
    }
}

const fn soft(condition: Condition) -> Option<Soft> {
    match condition {
        Condition::Suspect => Some(Soft::Silent),
        Condition::Hung => Some(Soft::Hung),
        Condition::Ending => Some(Soft::Ending),
        Condition::Failing => Some(Soft::Failing),
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

#[cfg(test)]
mod tests;
