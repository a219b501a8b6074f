//! Adoption: what the kernel has is taken as it is, until the servers have spoken; and what a daemon before us knew of
//! the writers holds for us too.

use super::cluster::Cluster;
use super::event::{Action, Transition};
use super::membership::{Membership, PoolState};
use super::policy::Adopted;
use super::reconcile::Reconciler;
use crate::config::Target;

impl Reconciler {
    /// Takes over the table as it was found at the start.
    pub(super) fn adopt(&self, membership: &mut Membership, actions: &mut Vec<Action>) {
        self.adopt_new(membership, true);
        let found = self.actual.iter().flat_map(|table| &table.services);
        let ours = found.filter(|(key, _)| {
            membership.services.contains_key(key) || self.memory.owned.contains(key)
        });
        let (mut services, mut destinations) = (0, 0);
        for (_, entry) in ours {
            services += 1;
            destinations += entry.destinations.len();
        }
        actions.push(Action::Report(Transition::Adopted { services, destinations }));
    }

    /// Pools go on from where their last writers were seen; of those that left the config nothing is kept.
    pub(super) fn recall_writers(&mut self, membership: &mut Membership) {
        let writers = &mut self.memory.writers;
        let before = writers.len();
        writers.retain(|name, _| membership.pools.iter().any(|pool| pool.name == *name));
        let has_forgotten = writers.len() < before;
        for pool in membership.pools.iter_mut().filter(|pool| pool.cluster == Cluster::default()) {
            if let Some(&last) = writers.get(&pool.name) {
                pool.cluster = Cluster::recalled(last);
            }
        }
        if has_forgotten {
            self.remember();
        }
    }

    /// Remembers who writes in a pool, beyond our end.
    pub(super) fn remember_writer(&mut self, pool: &PoolState) {
        let last = pool.cluster.last_writer();
        let known = self.memory.writers.get(&pool.name);
        if let Some(last) = last.filter(|last| Some(last) != known) {
            self.memory.writers.insert(pool.name.clone(), last);
            self.remember();
        }
    }

    /// Takes the weights that the kernel has for members that were never decided. At the start, what a service
    /// lacks is taken for removed with a reason; later it is new in the config.
    pub(super) fn adopt_new(&self, membership: &mut Membership, is_start: bool) {
        let Some(actual) = &self.actual else { return };
        let Membership { services, pools, .. } = membership;
        for (key, service) in services {
            let Some(entry) = actual.services.get(key) else {
                continue;
            };
            service.count.adopt(&service.config, entry);
            let Some(pool) = pools.get(service.pool) else {
                continue;
            };
            for (place, member) in pool.members.iter().enumerate() {
                let to = service.config.destination_key(member.address, member.delivery);
                let is_new = service.decisions.get(place).is_none_or(Option::is_none);
                let Some(adopted) = service.adopted.get_mut(place).filter(|_| is_new) else {
                    continue;
                };
                let Some(destination) = entry.destinations.get(&to) else {
                    *adopted = is_start.then_some(Adopted::Absent);
                    continue;
                };
                *adopted = Some(Adopted::Weight(destination.weight));
                if service.config.target == Target::Primary && destination.weight.is_usable() {
                    service.last_writer = Some(place);
                }
            }
        }
    }
}
