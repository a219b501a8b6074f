//! Who serves before whom: backups, the sorry server, and the quorum that stands between.

use pgvs::config::{Pool, Target};
use pgvs::model::destination::DestinationKey;
use pgvs::model::postgres::Role;
use pgvs::model::service::ServiceKey;

use crate::setup;
use crate::world::{SECOND, World};

/// So long after another config came into force a count may begin anew.
const SETTLED: u64 = 5 * SECOND;

impl World {
    /// The sorry server of a service as the daemon has it.
    pub(crate) fn sorry_server(&self, key: ServiceKey) -> Option<DestinationKey> {
        let service = self.in_force(key)?;
        let address = service.quorum.as_ref()?.sorry_server?;
        Some(service.destination_key(address, None))
    }

    fn members_of(&self, key: ServiceKey) -> Option<&Pool> {
        self.daemon.as_ref()?.config.pool(&self.in_force(key)?.pool)
    }

    /// At the end of each transaction a backup has no weight beside a server that is none, and nobody has any beside
    /// the sorry server.
    pub(crate) fn judge_order(&self, key: ServiceKey, new: &[DestinationKey]) {
        let (Some(service), Some(pool)) = (self.in_force(key), self.members_of(key)) else {
            return;
        };
        // What others wrote while the daemon stood still it has not read yet.
        if self.now < self.watch.disturbed_until + SECOND {
            return;
        }
        let serving =
            || pool.servers.iter().filter(|server| new.contains(&setup::key_in(service, server)));
        let backup = serving().find(|server| server.is_backup);
        let other = serving().find(|server| !server.is_backup);
        if let (Some(backup), Some(other)) = (backup, other) {
            let (backup, other) = (&backup.name, &other.name);
            self.fail(&format!("the backup {backup} has weight in {key} beside {other}"));
        }
        let sorry = self.sorry_server(key).filter(|sorry| new.contains(sorry));
        if let (Some(_), Some(other)) = (sorry, serving().next()) {
            self.fail(&format!("the sorry server of {key} has weight beside {}", other.name));
        }
    }

    /// The sorry server gets weight only where, by hard evidence, too few are left.
    pub(crate) fn judge_sorry_server(
        &self,
        key: ServiceKey,
        old: &[DestinationKey],
        new: &[DestinationKey],
    ) {
        let Some(sorry) = self.sorry_server(key) else { return };
        let Some((target, pool, settings)) = self.pool_of(key) else { return };
        let is_raised = new.contains(&sorry) && !old.contains(&sorry);
        let is_new = self.kernel.services.get(&key).is_none_or(|service| {
            service.destinations.is_empty() || !service.destinations.contains_key(&sorry)
        });
        let daemon = self.daemon.as_ref().unwrap();
        // What was decided while nothing could be written may be written later, within the hysteresis.
        let is_settled = self.now > self.watch.reloaded + SETTLED
            && self.now > daemon.paused_until.saturating_add(SETTLED)
            && !self.troubles.is_kernel_troubled(self.now)
            && !is_new;
        if !is_raised || !is_settled || self.now < self.watch.disturbed_until || daemon.is_stopping
        {
            return;
        }
        let now = self.daemon_time();
        let word = |address| {
            let asked = (address, settings.clone());
            self.watch.ears.standing_word(&asked, now).filter(|_| self.is_long_heard(&asked))
        };
        let words: Vec<_> = pool.servers.iter().filter_map(|it| word(it.address)).collect();
        let primaries = words.iter().filter(|word| word.role == Role::Primary).count();
        if self.is_mixed(pool, settings) || primaries > 1 {
            return;
        }
        let newest = self.watch.ears.newest.get(&pool.name).copied();
        let serves = |server: &&pgvs::config::Server| {
            let Some(word) = word(server.address) else { return false };
            let is_current = word.timeline.is_none() || word.timeline >= newest;
            let fits = match (target, word.role) {
                (Target::Primary | Target::Any, Role::Primary) => is_current,
                (Target::Standby | Target::PreferStandby | Target::Any, Role::Standby) => true,
                (Target::Primary, Role::Standby)
                | (Target::Standby | Target::PreferStandby, Role::Primary) => false,
            };
            fits && server.weight.is_usable() && !server.is_backup
        };
        let able = pool.servers.iter().filter(serves).count();
        let quorum = self.in_force(key).unwrap().quorum.as_ref().unwrap();
        let enough = usize::try_from((quorum.servers - quorum.hysteresis).max(1)).unwrap();
        if able >= enough {
            self.fail(&format!("the sorry server of {key} is raised while {able} may serve"));
        }
    }
}
