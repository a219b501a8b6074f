//! Services whose changes the kernel refused: what it was, whether it has been told, and when it is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::op::{Errno, Op};
use crate::model::service::ServiceKey;
use crate::time::Time;

/// The longest wait between two attempts: so soon a service appears when what it lacked is there.
const LONGEST: Duration = Duration::from_secs(30);

/// The refusals of one service, without success in between.
#[derive(Clone, Debug)]
struct Strike {
    count: u32,
    /// No further attempt before; `None`: the time has passed.
    until: Option<Time>,
    /// What was refused last, and why.
    op: Op,
    errno: Errno,
}

/// The services that the kernel refused something of.
#[derive(Clone, Debug, Default)]
pub(super) struct Strikes(BTreeMap<ServiceKey, Strike>);

impl Strikes {
    /// Notes what was refused first in a transaction; says whether that is news.
    pub(super) fn add(&mut self, op: Op, errno: Errno, now: Time) -> bool {
        let key = op.service();
        let before = self.0.get(&key);
        let count = before.map_or(0, |strike| strike.count).saturating_add(1);
        let is_news = before.is_none_or(|strike| (&strike.op, strike.errno) != (&op, errno));
        let wait = match count {
            0 | 1 => Duration::ZERO,
            2..6 => Duration::from_secs(1 << (count - 2)),
            6.. => LONGEST,
        };
        self.0.insert(key, Strike { count, until: Some(now.after(wait)), op, errno });
        is_news
    }

    /// The kernel took a change, or nothing is left to change.
    pub(super) fn forget(&mut self, key: ServiceKey) {
        self.0.remove(&key);
    }

    /// There is something else to try: it waits for no second attempt.
    pub(super) fn let_go(&mut self, key: ServiceKey) {
        if let Some(strike) = self.0.get_mut(&key) {
            strike.until = None;
        }
    }

    /// Lets those go whose time has passed.
    pub(super) fn release(&mut self, now: Time) {
        for strike in self.0.values_mut() {
            strike.until = strike.until.filter(|&until| now < until);
        }
    }

    /// Whether a service has to wait.
    pub(super) fn waits(&self, key: ServiceKey) -> bool {
        self.0.get(&key).is_some_and(|strike| strike.until.is_some())
    }

    /// When the first of these services may be tried again.
    pub(super) fn deadline(&self, of: &BTreeSet<ServiceKey>) -> Option<Time> {
        let strikes = self.0.iter().filter(|(key, _)| of.contains(key));
        strikes.filter_map(|(_, strike)| strike.until).min()
    }

    /// What was refused more than once, and with which number.
    pub(super) fn lasting(&self) -> impl Iterator<Item = (&Op, Errno)> {
        let lasting = self.0.values().filter(|strike| strike.count > 1);
        lasting.map(|strike| (&strike.op, strike.errno))
    }
}
