//! What the stories' kernel has beside its table: settings, kept as they were set.

use std::collections::BTreeMap;

use crate::engine::event::Event;
use crate::model::kernel::{SyncRole, Timeouts};
use crate::model::setting::{Found, NftTable, Setting, SettingKey, SysctlValue};

/// The kernel's own timeouts.
pub(super) const FRESH: Timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };

#[derive(Default)]
pub(super) struct Beside {
    pub(super) made: BTreeMap<SettingKey, Setting>,
    /// What was set since the last look, in order.
    pub(super) written: Vec<Setting>,
    /// Settings that cannot be set, and why.
    pub(super) refuses: BTreeMap<SettingKey, &'static str>,
    /// Settings that cannot be read, and why.
    pub(super) lacks: BTreeMap<SettingKey, &'static str>,
    /// Whether each read asked for the rules of full NAT, which takes a process.
    pub(super) asks: Vec<bool>,
    /// IPVS is not there.
    pub(super) is_gone: bool,
    /// nft lists rules in another form than ours.
    pub(super) lists_otherwise: bool,
}

impl Beside {
    pub(super) fn value(&self, key: SettingKey) -> Setting {
        let fresh = || match key {
            SettingKey::Sysctl(sysctl) => Setting::Sysctl(sysctl, SysctlValue::new("0")),
            SettingKey::Timeouts => Setting::Timeouts(FRESH),
            SettingKey::Daemon(role) => Setting::Daemon(role, None),
            SettingKey::SourceNat => Setting::SourceNat(NftTable::default()),
        };
        self.made.get(&key).cloned().unwrap_or_else(fresh)
    }

    pub(super) fn read(&mut self, keys: &[SettingKey]) -> Event {
        self.asks.push(keys.contains(&SettingKey::SourceNat));
        if self.is_gone {
            return Event::SettingsRead(Err("the kernel has no IPVS".into()));
        }
        let read = |key: SettingKey| match (self.lacks.get(&key), self.value(key)) {
            (Some(why), _) => Err((*why).into()),
            (None, Setting::SourceNat(rules)) if self.lists_otherwise && !rules.is_empty() => {
                let other = rules.as_str().replace("l4proto 6", "l4proto tcp");
                Ok(Setting::SourceNat(NftTable::new(&other)))
            }
            (None, value) => Ok(value),
        };
        let found: Found = keys.iter().map(|&key| (key, read(key))).collect();
        Event::SettingsRead(Ok(found))
    }

    pub(super) fn set(&mut self, settings: Vec<Setting>) -> Event {
        let done = settings.into_iter().map(|setting| {
            let key = setting.key();
            if let Some(why) = self.refuses.get(&key) {
                return (setting, Err((*why).into()));
            }
            self.written.push(setting.clone());
            let kept = match (&setting, self.value(key)) {
                (Setting::Timeouts(to), Setting::Timeouts(from)) => {
                    Setting::Timeouts(to.with(from))
                }
                (other, _) => other.clone(),
            };
            self.made.insert(key, kept);
            (setting, Ok(()))
        });
        Event::SettingsApplied(done.collect())
    }

    /// The interface of the sync daemon of a role, if one runs.
    pub(super) fn daemon(&self, role: SyncRole) -> Option<String> {
        let Setting::Daemon(_, daemon) = self.value(SettingKey::Daemon(role)) else {
            panic!("another setting");
        };
        daemon.map(|it| it.interface)
    }

    pub(super) fn tcp_timeout(&self) -> u32 {
        let Setting::Timeouts(timeouts) = self.value(SettingKey::Timeouts) else {
            panic!("another setting");
        };
        timeouts.tcp
    }

    pub(super) fn rules(&self) -> NftTable {
        let Setting::SourceNat(rules) = self.value(SettingKey::SourceNat) else {
            panic!("another setting");
        };
        rules
    }
}
