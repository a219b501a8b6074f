//! What is set in the simulated kernel beside its table: kept as it was set, with the kernel's own values before.

use std::collections::BTreeMap;

use pgvs::config::Config;
use pgvs::engine::event::Event;
use pgvs::model::kernel::Timeouts;
use pgvs::model::setting::{Found, NftTable, Setting, SettingKey, Sysctl, SysctlValue};

use crate::world::{MS, What, World};

/// The settings that were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    made: BTreeMap<SettingKey, Setting>,
}

impl Settings {
    fn value(&self, key: SettingKey) -> Setting {
        let fresh = || match key {
            SettingKey::Sysctl(sysctl) => Setting::Sysctl(sysctl, SysctlValue::new("0")),
            SettingKey::Timeouts => {
                Setting::Timeouts(Timeouts { tcp: 900, tcp_fin: 120, udp: 300 })
            }
            SettingKey::Daemon(role) => Setting::Daemon(role, None),
            SettingKey::SourceNat => Setting::SourceNat(NftTable::default()),
        };
        self.made.get(&key).cloned().unwrap_or_else(fresh)
    }

    pub(crate) fn read(&self, keys: &[SettingKey]) -> Event {
        let found: Found = keys.iter().map(|&key| (key, Ok(self.value(key)))).collect();
        Event::SettingsRead(Ok(found))
    }

    pub(crate) fn set(&mut self, settings: Vec<Setting>) -> Event {
        for setting in &settings {
            let setting = match (setting, self.value(setting.key())) {
                (Setting::Timeouts(to), Setting::Timeouts(from)) => {
                    Setting::Timeouts(to.with(from))
                }
                (other, _) => other.clone(),
            };
            self.made.insert(setting.key(), setting);
        }
        Event::SettingsApplied(settings.into_iter().map(|it| (it, Ok(()))).collect())
    }

    /// The module was removed and loaded again.
    pub(crate) fn forget(&mut self) {
        self.made.clear();
    }

    /// What a config wants and does not have.
    pub(crate) fn unset(&self, config: &Config) -> Option<SettingKey> {
        let timeouts = Setting::Timeouts(config.kernel.timeouts);
        let one = |sysctl| Setting::Sysctl(sysctl, SysctlValue::new("1"));
        let sysctls = [Sysctl::EXPIRE_NODEST_CONN, Sysctl::EXPIRE_QUIESCENT_TEMPLATE].map(one);
        let mut wanted = sysctls.into_iter().chain([timeouts]);
        wanted.find(|wanted| !wanted.is_met_by(&self.value(wanted.key()))).map(|it| it.key())
    }
}

impl World {
    /// The thread of the settings answers in its own time.
    pub(crate) fn answer_settings(&mut self, event: Event) {
        let life = self.daemon.as_ref().unwrap().life;
        let wait = self.rng.u64(1..20 * MS);
        self.after(wait, What::Arrive(life, event));
    }
}
