//! The next transaction with the kernel: from what is wanted and what is there, service by service.

use std::ops::Bound::{Excluded, Unbounded};

use super::event::Action;
use super::membership::Membership;
use super::reconcile::Reconciler;
use super::table::{self, Order};
use super::want;
use crate::config::{OnStop, Target};
use crate::model::op::Op;
use crate::model::service::ServiceKey;
use crate::model::table::{Entry, Table};
use crate::time::Time;

/// At most so many changes in one transaction, so that a failover never queues behind a reload.
const BUDGET: usize = 1024;

/// What a transaction is planned from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground<'a> {
    pub(super) membership: &'a Membership,
    /// The table as it is.
    pub(super) actual: Option<&'a Table>,
    pub(super) stopping: Option<OnStop>,
    pub(super) now: Time,
}

impl<'a> Ground<'a> {
    /// The service as it is.
    pub(super) fn have(self, key: ServiceKey) -> Option<&'a Entry> {
        self.actual?.services.get(&key)
    }

    fn order(self, key: ServiceKey) -> Order {
        match self.membership.services.get(&key) {
            Some(service) if service.config.target == Target::Primary => Order::BreakBeforeMake,
            Some(_) | None => Order::MakeBeforeBreak,
        }
    }
}

impl Reconciler {
    /// The next transaction: writers first, then the other services, then one scheduler.
    pub(super) fn plan(
        &mut self,
        membership: &mut Membership,
        stopping: Option<OnStop>,
        now: Time,
        actions: &mut Vec<Action>,
    ) -> Vec<Op> {
        // Lent out for the while, so that nothing of it has to be copied.
        let actual = self.actual.take();
        let ground = Ground { membership, actual: actual.as_ref(), stopping, now };
        let mut scheduler = None;
        let mut ops = Vec::new();
        for order in [Order::BreakBeforeMake, Order::MakeBeforeBreak] {
            if ops.is_empty() && (order == Order::MakeBeforeBreak || membership.has_writers) {
                ops = self.plan_for(order, ground, &mut scheduler, actions);
            }
        }
        self.actual = actual;
        if ops.is_empty() { scheduler.into_iter().collect() } else { ops }
    }

    /// The next changes of the services for the primary, which break before they make, or of the others.
    fn plan_for(
        &mut self,
        order: Order,
        ground: Ground<'_>,
        scheduler: &mut Option<Op>,
        actions: &mut Vec<Action>,
    ) -> Vec<Op> {
        let mut ops = Vec::new();
        let mut next = self.dirty.first().copied();
        while let Some(key) = next {
            next = self.dirty.range((Excluded(key), Unbounded)).next().copied();
            if ops.len() >= BUDGET {
                break;
            }
            if ground.order(key) != order || self.waits(key, ground.now) {
                continue;
            }
            let have = ground.have(key);
            if want::is_there(ground, key, have) {
                self.dirty.remove(&key);
                self.strikes.forget(key);
                continue;
            }
            let wanted = want::entry(self, ground, key, actions);
            let plan = table::diff(key, have, wanted.as_ref(), order);
            let is_new = matches!(plan.ops.first(), Some(Op::AddService(..)));
            if is_new && !self.is_safe_to_make(key) {
                continue;
            }
            if !plan.is_partial && plan.scheduler.is_none() {
                self.dirty.remove(&key);
                if plan.ops.is_empty() {
                    self.strikes.forget(key);
                }
            }
            if scheduler.is_none() {
                *scheduler = plan.scheduler.filter(|_| plan.ops.is_empty());
            }
            ops.extend(plan.ops);
        }
        ops
    }
}
