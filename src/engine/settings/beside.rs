//! The settings beside the table, as the reconciler carries them: what it knows of the kernel, and what we remember.

use super::Around;
use crate::config::{Config, OnStop};
use crate::engine::event::Action;
use crate::engine::membership::Membership;
use crate::engine::reconcile::Reconciler;
use crate::model::service::ServiceKey;
use crate::model::setting::Found;
use crate::time::Time;

impl Reconciler {
    /// Services in the table that are not ours; `None` while the table is not known.
    pub(in crate::engine) fn foreign<'a>(
        &'a self,
        membership: &'a Membership,
    ) -> Option<impl Iterator<Item = &'a ServiceKey>> {
        let keys = self.actual.as_ref()?.services.keys();
        let is_ours =
            |key: &_| membership.services.contains_key(key) || self.memory.owned.contains(key);
        Some(keys.filter(move |key| !is_ours(key)))
    }

    /// Another config is in force, or the daemon is to end.
    pub(in crate::engine) fn want_settings(
        &mut self,
        config: &Config,
        stopping: Option<OnStop>,
        now: Time,
    ) {
        let before = self.memory.sync_daemons.clone();
        self.settings.want(config, stopping, &mut self.memory.sync_daemons, now);
        if before != self.memory.sync_daemons {
            self.remember();
        }
    }

    /// Takes what was read.
    pub(in crate::engine) fn settings_read(
        &mut self,
        result: Result<Found, Box<str>>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let before = self.memory.sync_daemons.clone();
        self.settings.read(result, &mut self.memory.sync_daemons, now, actions);
        if before != self.memory.sync_daemons {
            self.remember();
        }
    }

    /// Does the next thing that is to be done with the settings.
    pub(in crate::engine) fn settle(
        &mut self,
        membership: &Membership,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let is_paused = self.memory.paused.is_some();
        let foreign = self.foreign(membership).map(Iterator::count);
        self.settings.next(Around { is_paused, foreign }, now, actions);
    }
}
