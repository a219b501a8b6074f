//! What is wanted beside the table, as a function of the config alone.

use std::collections::BTreeMap;

use crate::config::{Config, OnStop};
use crate::model::kernel::{SyncRole, Timeouts};
use crate::model::service::ServiceKey;
use crate::model::setting::{NftTable, Setting, SettingKey, Sysctl, SysctlValue};
use crate::wire::nft::{self, Rule};

/// Everything that a config wants; at the end of the daemon what `on_stop` leaves of it.
pub(super) fn wanted(config: &Config, stopping: Option<OnStop>) -> BTreeMap<SettingKey, Setting> {
    let is_removing = stopping == Some(OnStop::Remove);
    let rules = if is_removing { NftTable::default() } else { rules(config) };
    let mut wanted = vec![Setting::SourceNat(rules)];
    if config.kernel.manage {
        wanted.extend(sysctls(config));
        if config.kernel.timeouts != Timeouts::NONE {
            wanted.push(Setting::Timeouts(config.kernel.timeouts));
        }
        wanted.extend(config.kernel.sync_daemons.iter().map(|daemon| {
            let declared = (!is_removing).then(|| daemon.clone());
            Setting::Daemon(daemon.role, declared)
        }));
    }
    wanted.into_iter().map(|setting| (setting.key(), setting)).collect()
}

/// What should have a value that we may not set.
pub(super) fn advised(config: &Config) -> BTreeMap<SettingKey, Setting> {
    if config.kernel.manage {
        return BTreeMap::new();
    }
    let needed = needed(config).map(|sysctl| Setting::Sysctl(sysctl, SysctlValue::new("1")));
    needed.map(|setting| (setting.key(), setting)).collect()
}

/// Everything that may have to be read for a config.
pub fn keys(config: &Config) -> Vec<SettingKey> {
    let roles = [SyncRole::Master, SyncRole::Backup].map(SettingKey::Daemon);
    let wanted = wanted(config, None).into_keys().chain(advised(config).into_keys());
    let mut keys: Vec<_> = wanted.chain(roles).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The sysctls that have to be 1.
fn needed(config: &Config) -> impl Iterator<Item = Sysctl> {
    let has_rules = config.services.iter().any(|service| service.source_nat.is_some());
    let always = [Sysctl::EXPIRE_NODEST_CONN, Sysctl::EXPIRE_QUIESCENT_TEMPLATE];
    always.into_iter().chain(has_rules.then_some(Sysctl::CONNTRACK))
}

/// The operator's values, and ours where he says nothing.
fn sysctls(config: &Config) -> impl Iterator<Item = Setting> {
    let mut sysctls = config.kernel.sysctls.clone();
    for sysctl in needed(config) {
        sysctls.entry(sysctl).or_insert_with(|| SysctlValue::new("1"));
    }
    sysctls.into_iter().map(|(sysctl, value)| Setting::Sysctl(sysctl, value))
}

fn rules(config: &Config) -> NftTable {
    nft::table(config.services.iter().filter_map(|service| match service.key {
        ServiceKey::Address { protocol, address } => {
            Some(Rule { protocol, address, to: service.source_nat?, name: &service.name })
        }
        ServiceKey::FwMark { .. } => None,
    }))
}
