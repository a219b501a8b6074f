//! The thread that reads and sets what stands beside the table: sysctls, timeouts, sync daemons, rules of nftables.
//!
//! A thread of its own with a socket of its own: nft may take seconds, and no failover waits for it. Takes one wish after
//! the other from a bounded queue and answers each exactly once.

mod generation;
mod nft;
mod sysctl;

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::netlink::{Kernel, KernelError};
use crate::engine::event::Event;
use crate::model::kernel::{SyncRole, Timeouts};
use crate::model::op::Errno;
use crate::model::setting::{Found, NftTable, Setting, SettingKey, SysctlValue};
use sysctl::Sysctls;

/// Wishes that may wait; there is never more than one.
const QUEUE: usize = 4;

/// Something to be done with the settings.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Read these.
    Read(Vec<SettingKey>),
    /// Set these, each by itself.
    Set(Vec<Setting>),
}

/// Where settings are kept.
#[derive(Debug)]
pub enum Keeper {
    /// In the kernel.
    Kernel(Box<InKernel>),
    /// In memory, for a daemon that only observes.
    Memory(Imagined),
}

/// Settings in memory, shared with whoever wants to look at them; the kernel's own values where nothing was set.
#[derive(Clone, Debug, Default)]
pub struct Imagined(Arc<Mutex<BTreeMap<SettingKey, Setting>>>);

/// Settings in the kernel of the calling thread's network namespace.
#[derive(Debug, Default)]
pub struct InKernel {
    /// Opened when it is needed; `None` again after a failure.
    kernel: Option<Kernel>,
    sysctls: Sysctls,
    rules: Option<Listed>,
}

/// The rules as nft listed them.
#[derive(Debug)]
struct Listed {
    /// The number of the ruleset before they were listed; `None` from a kernel that has no such number.
    generation: Option<u32>,
    at: Instant,
    rules: NftTable,
}

/// Without the number of the ruleset, rules are listed this often.
const LIST_EVERY: Duration = Duration::from_secs(10);

/// Starts the thread. It ends when the last sender of wishes is dropped; `answer` is called on it.
pub fn spawn(
    mut keeper: Keeper,
    mut answer: impl FnMut(Event) + Send + 'static,
) -> io::Result<(SyncSender<Wish>, JoinHandle<()>)> {
    let (sender, wishes) = sync_channel(QUEUE);
    let builder = std::thread::Builder::new().name("settings".into());
    let thread = builder.spawn(move || {
        while let Ok(wish) = wishes.recv() {
            answer(match wish {
                Wish::Read(keys) => Event::SettingsRead(keeper.read(&keys)),
                Wish::Set(settings) => Event::SettingsApplied(
                    settings.into_iter().map(|it| (it.clone(), keeper.set(&it))).collect(),
                ),
            });
        }
    })?;
    Ok((sender, thread))
}

impl Keeper {
    /// The settings in the kernel.
    pub fn kernel() -> Self {
        Self::Kernel(Box::default())
    }

    /// What is there; an error means that nothing of it could be read.
    pub fn read(&mut self, keys: &[SettingKey]) -> Result<Found, Box<str>> {
        match self {
            Self::Kernel(kernel) => kernel.read(keys),
            Self::Memory(imagined) => Ok(imagined.read(keys)),
        }
    }

    fn set(&mut self, setting: &Setting) -> Result<(), Box<str>> {
        match self {
            Self::Kernel(kernel) => kernel.set(setting),
            Self::Memory(imagined) => {
                imagined.set(setting);
                Ok(())
            }
        }
    }
}

impl InKernel {
    fn read(&mut self, keys: &[SettingKey]) -> Result<Found, Box<str>> {
        let mut found = Found::new();
        let needs_daemons = keys.iter().any(|key| matches!(key, SettingKey::Daemon(_)));
        let daemons = match needs_daemons {
            true => self.ask(Kernel::daemons).map_err(words)?,
            false => Vec::new(),
        };
        for &key in keys {
            let value = match key {
                SettingKey::Sysctl(sysctl) => match self.sysctls.read(sysctl) {
                    Err(error) if error.is_no_ipvs() => return Err(words(error)),
                    value => value.map(|value| Setting::Sysctl(sysctl, value)).map_err(words),
                },
                SettingKey::Timeouts => {
                    Ok(Setting::Timeouts(self.ask(Kernel::config).map_err(words)?))
                }
                SettingKey::Daemon(role) => {
                    let running = daemons.iter().find(|daemon| daemon.role == role);
                    Ok(Setting::Daemon(role, running.cloned()))
                }
                SettingKey::SourceNat => self.rules().map(Setting::SourceNat).map_err(words),
            };
            found.insert(key, value);
        }
        Ok(found)
    }

    fn set(&mut self, setting: &Setting) -> Result<(), Box<str>> {
        match setting {
            Setting::Sysctl(sysctl, value) => self.sysctls.set(*sysctl, value).map_err(words),
            Setting::Timeouts(timeouts) => {
                self.ask(|kernel| kernel.set_config(*timeouts)).map_err(words)
            }
            Setting::Daemon(role, None) => self.stop(*role),
            Setting::Daemon(role, Some(daemon)) => {
                self.stop(*role)?;
                let started = self.ask(|kernel| kernel.start_daemon(daemon));
                started.map_err(|error| {
                    let interface = &daemon.interface;
                    let hint = match error.errno() {
                        Some(Errno::ENODEV) => {
                            format!("there is no interface {interface}; `ip link` lists them")
                        }
                        Some(Errno::EINVAL) => "is there a tunnel to servers of the other address family, or no IPv6 on the interface of an IPv6 group?".to_owned(),
                        _ => "see [[sync_daemon]]".to_owned(),
                    };
                    format!("{} sync daemon on {interface}: {error}: {hint}", role.as_str()).into()
                })
            }
            Setting::SourceNat(table) => {
                self.rules = None;
                nft::replace(table).map_err(words)
            }
        }
    }

    /// The rules for full NAT, listed anew only if some rule was changed since.
    fn rules(&mut self) -> Result<NftTable, nft::NftError> {
        let generation = generation::generation().ok();
        let is_same = |listed: &&Listed| {
            listed.generation == generation
                && (generation.is_some() || listed.at.elapsed() < LIST_EVERY)
        };
        if let Some(listed) = self.rules.as_ref().filter(is_same) {
            return Ok(listed.rules.clone());
        }
        let rules = nft::list()?;
        self.rules = Some(Listed { generation, at: Instant::now(), rules: rules.clone() });
        Ok(rules)
    }

    /// Stops the sync daemon of a role, if one runs.
    fn stop(&mut self, role: SyncRole) -> Result<(), Box<str>> {
        match self.ask(|kernel| kernel.stop_daemon(role)) {
            Err(error) if error.errno() == Some(Errno::ESRCH) => Ok(()),
            result => result.map_err(words),
        }
    }

    /// Asks the kernel over a socket that is opened where there is none.
    fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Kernel) -> Result<T, KernelError>,
    ) -> Result<T, KernelError> {
        let mut kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None => Kernel::open()?,
        };
        let answer = question(&mut kernel);
        // After a failure that is no answer the socket may hold the answers of before.
        let is_sound = answer.as_ref().err().is_none_or(|error| error.errno().is_some());
        self.kernel = is_sound.then_some(kernel);
        answer
    }
}

fn words(error: impl std::fmt::Display) -> Box<str> {
    error.to_string().into()
}

impl Imagined {
    /// What stands there for these keys.
    pub fn read(&self, keys: &[SettingKey]) -> Found {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = |key: &SettingKey| kept.get(key).cloned().unwrap_or_else(|| fresh(*key));
        keys.iter().map(|key| (*key, Ok(value(key)))).collect()
    }

    fn set(&self, setting: &Setting) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let setting = match (setting, kept.get(&SettingKey::Timeouts)) {
            (Setting::Timeouts(to), Some(Setting::Timeouts(from))) => {
                Setting::Timeouts(to.with(*from))
            }
            (Setting::Timeouts(to), _) => Setting::Timeouts(to.with(FRESH)),
            (other, _) => other.clone(),
        };
        kept.insert(setting.key(), setting);
    }
}

/// The kernel's own timeouts (`tcp_timeouts`, `udp_timeouts` in net/netfilter/ipvs).
const FRESH: Timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };

/// What a kernel has that nobody has set.
fn fresh(key: SettingKey) -> Setting {
    match key {
        SettingKey::Sysctl(sysctl) => {
            let value = match sysctl.file() {
                "conn_reuse_mode" | "snat_reroute" | "pmtu_disc" | "sync_version"
                | "sync_ports" | "run_estimation" => "1",
                "sync_threshold" => "3 50",
                "am_droprate" => "10",
                "amemthresh" => "1024",
                _ => "0",
            };
            Setting::Sysctl(sysctl, SysctlValue::new(value))
        }
        SettingKey::Timeouts => Setting::Timeouts(FRESH),
        SettingKey::Daemon(role) => Setting::Daemon(role, None),
        SettingKey::SourceNat => Setting::SourceNat(NftTable::default()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn every_wish_is_answered_in_order_and_memory_keeps_what_was_set() {
        let (answers, answered) = channel();
        let keeper = Keeper::Memory(Imagined::default());
        let (wishes, thread) = spawn(keeper, move |event| answers.send(event).unwrap()).unwrap();
        let timeouts = Setting::Timeouts(Timeouts { tcp: 7500, ..Timeouts::NONE });
        wishes.send(Wish::Set(vec![timeouts.clone()])).unwrap();
        wishes.send(Wish::Read(vec![SettingKey::Timeouts])).unwrap();
        drop(wishes);
        thread.join().unwrap();
        let answers: Vec<_> = answered.iter().collect();
        let [Event::SettingsApplied(results), Event::SettingsRead(Ok(found))] = &answers[..] else {
            panic!("{answers:?}");
        };
        assert_eq!(results, &[(timeouts, Ok(()))]);
        let kept = Setting::Timeouts(Timeouts { tcp: 7500, tcp_fin: 120, udp: 300 });
        assert_eq!(found[&SettingKey::Timeouts], Ok(kept));
    }
}
