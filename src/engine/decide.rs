//! From verdicts to decisions: one pool at a time, its cluster first, then each of its services.

use std::collections::BTreeMap;

use super::cluster::Standing;
use super::event::{Action, Transition};
use super::health::Verdict;
use super::membership::{Cut, Member, Membership, PoolState, ProbeState, ServiceState};
use super::policy::{self, Adopted, Decision, View};
use super::quorum;
use crate::config::{OnDown, Target};
use crate::model::destination::Weight;
use crate::model::postgres::Role;
use crate::model::server::ServerId;
use crate::model::service::ServiceKey;
use crate::model::table::Table;

/// Decides a pool anew; the services whose wanted destinations changed go to `dirty`.
pub(super) fn pool(
    membership: &mut Membership,
    place: usize,
    (is_frozen, actual): (bool, Option<&Table>),
    dirty: &mut Vec<ServiceKey>,
    actions: &mut Vec<Action>,
) {
    let Membership { pools, services, probes, cutting, are_cuts_new, is_waiting, .. } = membership;
    let Some(pool) = pools.get_mut(place) else {
        return;
    };
    let verdict = |probe| probes.get(&probe).map(|probe: &ProbeState| probe.health.verdict());
    pool.verdicts = pool
        .members
        .iter()
        .map(|member| match member.probe {
            None => Verdict::UNPROBED,
            Some(probe) => verdict(probe).unwrap_or(Verdict::UNPROBED),
        })
        .collect();
    await_adopted_writer(pool, services);
    let view = pool.cluster.decide(&pool.verdicts);
    if view.writer != pool.view.writer {
        let name = |place: Option<usize>| Some(pool.members.get(place?)?.name.clone());
        actions.push(Action::Report(Transition::Writer {
            pool: pool.name.clone(),
            from: name(pool.view.writer),
            to: name(view.writer),
            timeline: view.writer.and(pool.cluster.timeline),
        }));
    }
    pool.view = view;
    let moment = Moment { is_frozen, is_waiting: *is_waiting, actual };
    for key in &pool.services {
        let Some(service) = services.get_mut(key) else {
            continue;
        };
        if decide(service, pool, moment, actions) {
            dirty.push(*key);
        }
        if service.cuts.iter().any(Option::is_some) {
            cutting.insert(*key);
            *are_cuts_new = true;
        }
    }
}

/// What is the matter with everybody.
#[derive(Clone, Copy)]
struct Moment<'a> {
    /// Silence is not believed.
    is_frozen: bool,
    /// Servers that have not been heard may yet speak.
    is_waiting: bool,
    /// The table as it is; `None`: in doubt.
    actual: Option<&'a Table>,
}

/// A writer that was found in the kernel has its say before any claim counts: after a restart an old primary may
/// answer sooner than the one that has taken its place. Once there is a writer, nobody is waited for.
fn await_adopted_writer(pool: &mut PoolState, services: &BTreeMap<ServiceKey, ServiceState>) {
    if pool.view.writer.is_some() {
        return;
    }
    let of_pool = pool.services.iter().filter_map(|key| services.get(key));
    let of_writers = of_pool.filter(|service| service.config.target == Target::Primary);
    let is_awaited = of_writers.flat_map(|it| it.adopted.iter().zip(&pool.verdicts)).any(
        |(adopted, verdict)| {
            matches!(adopted, Some(Adopted::Weight(weight)) if weight.is_usable())
                && verdict.is_awaited()
        },
    );
    if is_awaited {
        for verdict in &mut pool.verdicts {
            verdict.facts = verdict.facts.filter(|facts| facts.role == Role::Standby);
        }
    }
}

/// Decides one service; says whether any weight changed.
fn decide(
    service: &mut ServiceState,
    pool: &PoolState,
    moment: Moment<'_>,
    actions: &mut Vec<Action>,
) -> bool {
    forget_adopted(service, pool);
    demote(service, pool);
    call_off(service, pool);
    let target = service.config.target;
    let views: Vec<View> =
        (0..pool.members.len()).filter_map(|place| view(service, pool, place)).collect();
    let mut new = policy::decide(target, service.config.on_down, &views, moment.is_frozen);
    let mut is_changed =
        quorum::count(service, &pool.verdicts, moment.is_waiting, &mut new, actions);
    for (place, decision) in new.decisions.into_iter().enumerate() {
        let Some(slot) = service.decisions.get_mut(place) else {
            continue;
        };
        let old = slot.replace(decision);
        if target == Target::Primary && decision.weight.is_some_and(Weight::is_usable) {
            service.last_writer = Some(place);
        }
        is_changed |= old.map(|old| old.weight) != Some(decision.weight);
        let was_absent = service.adopted.get(place) == Some(&Some(Adopted::Absent));
        let was_there = old.map_or(!was_absent, |old| old.weight.is_some());
        if let Some(cut) = service.cuts.get_mut(place) {
            *cut = match (decision.weight, *cut) {
                (None, None) if was_there => Some(Cut::Wanted),
                (_, cut) => cut,
            };
        }
        let Some((old, member)) = old.zip(pool.members.get(place)) else {
            continue;
        };
        let was_never_there = || {
            let to = (service.config.key, service.key_of(member));
            moment.actual.is_some_and(|table| table.destination(to.0, to.1).is_none())
        };
        // One that was to be made and is not any more has not changed for anybody.
        let is_news = decision.weight.is_some()
            || old.weight.is_some_and(Weight::is_usable)
            || !was_never_there();
        if is_news {
            report(service, pool, member, (old, decision), actions);
        }
    }
    is_changed
}

fn report(
    service: &ServiceState,
    pool: &PoolState,
    member: &Member,
    (old, new): (Decision, Decision),
    actions: &mut Vec<Action>,
) {
    if old.weight != new.weight {
        actions.push(Action::Report(Transition::Weight {
            service: service.config.label().into(),
            server: ServerId { pool: pool.name.clone(), name: member.name.clone() },
            from: old.weight,
            to: new.weight,
            reason: new.reason,
        }));
    }
}

fn view(service: &ServiceState, pool: &PoolState, place: usize) -> Option<View> {
    let member = pool.members.get(place)?;
    Some(View {
        verdict: *pool.verdicts.get(place)?,
        standing: pool.view.standings.get(place).copied().unwrap_or(Standing::Member),
        is_another_writer: pool.view.is_another_writer(place),
        adopted: service.adopted.get(place).copied().flatten(),
        configured: member.weight,
        is_backup: member.is_backup,
        starts_up: pool.starts_up,
        is_cut: service.cuts.get(place).is_some_and(Option::is_some),
    })
}

/// What the kernel had counts until a server's own first verdict; one that nobody probes has none to wait for.
fn forget_adopted(service: &mut ServiceState, pool: &PoolState) {
    let servers = pool.members.iter().zip(&pool.verdicts);
    for (adopted, (member, verdict)) in service.adopted.iter_mut().zip(servers) {
        if verdict.condition.is_hard() || verdict.facts.is_some() || member.probe.is_none() {
            *adopted = None;
        }
    }
}

/// A cut that has not begun is called off when the server may serve again: its sessions are new ones.
fn call_off(service: &mut ServiceState, pool: &PoolState) {
    let is_for_writers = service.config.target == Target::Primary;
    for (place, cut) in service.cuts.iter_mut().enumerate() {
        let is_up = pool
            .verdicts
            .get(place)
            .is_some_and(|verdict| verdict.facts.is_some() && !verdict.condition.is_hard());
        let is_wanted = !is_for_writers || pool.view.writer == Some(place);
        if *cut == Some(Cut::Wanted) && is_up && is_wanted {
            *cut = None;
        }
    }
}

/// The sessions of a writer are cut when another server becomes the writer.
fn demote(service: &mut ServiceState, pool: &PoolState) {
    let config = &service.config;
    if config.target != Target::Primary || config.on_down != OnDown::Cut {
        return;
    }
    let Some(old) = service.last_writer else {
        return;
    };
    if pool.view.is_another_writer(old) {
        service.last_writer = None;
        let is_there = service
            .decisions
            .get(old)
            .is_some_and(|decision| decision.is_none_or(|decision| decision.weight.is_some()));
        if let Some(cut) = service.cuts.get_mut(old)
            && is_there
        {
            *cut = cut.or(Some(Cut::Wanted));
        }
    }
}
