//! Settings in words: for the log, for the plan, for alarms.

use std::fmt;

use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::setting::{NftTable, Setting, SettingKey};
use crate::wire::nft::TABLE;

/// A setting that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// Before, as far as it is known.
    pub from: Option<Setting>,
    /// After.
    pub to: Setting,
    /// Whether it had been as it is wanted before, so that somebody else changed it.
    pub is_drift: bool,
    /// Services in the table that are not ours.
    pub foreign: usize,
}

impl fmt::Display for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.to, &self.from) {
            (Setting::Sysctl(sysctl, to), Some(Setting::Sysctl(_, from))) if self.is_drift => {
                write!(
                    f,
                    "{sysctl} was set to {from} by another program, or IPVS was loaded anew; restored to {to} (change it in [kernel])"
                )
            }
            (Setting::Sysctl(sysctl, to), Some(Setting::Sysctl(_, from))) => {
                write!(f, "{sysctl} set to {to}; it was {from}")
            }
            (Setting::Sysctl(sysctl, to), _) => write!(f, "{sysctl} set to {to}"),
            (Setting::Timeouts(to), from) => self.timeouts(f, *to, from.as_ref()),
            (Setting::Daemon(role, to), Some(Setting::Daemon(_, Some(from)))) => {
                self.replaced(f, *role, to.as_ref(), from)
            }
            (Setting::Daemon(_, Some(to)), _) if self.is_drift => {
                write!(f, "the {} was gone; started again", Daemon(to))
            }
            (Setting::Daemon(_, Some(to)), _) => write!(f, "{} started", Daemon(to)),
            (Setting::Daemon(role, None), _) => write!(f, "{} sync daemon stopped", role.as_str()),
            (Setting::SourceNat(to), _) if to.is_empty() => {
                write!(f, "rules for full NAT removed (nft table {TABLE})")
            }
            (Setting::SourceNat(_), _) if self.is_drift => write!(
                f,
                "the rules for full NAT (nft table {TABLE}) were changed or deleted by another program; written again"
            ),
            (Setting::SourceNat(to), _) => {
                write!(f, "rules for full NAT of {} written (nft table {TABLE})", services(to))
            }
        }
    }
}

impl SettingChange {
    fn timeouts(
        &self,
        f: &mut fmt::Formatter<'_>,
        to: Timeouts,
        from: Option<&Setting>,
    ) -> fmt::Result {
        match from {
            Some(Setting::Timeouts(from)) if self.is_drift => write!(
                f,
                "timeouts were set to {} by another program, or IPVS was loaded anew; restored to {} (change them in [kernel])",
                Wait(*from, to),
                Wait(to, to)
            )?,
            Some(Setting::Timeouts(from)) => {
                write!(f, "timeouts set to {}; they were {}", Wait(to, to), Wait(*from, to))?;
            }
            _ => write!(f, "timeouts set to {}", Wait(to, to))?,
        }
        match self.foreign {
            0 => Ok(()),
            foreign => write!(
                f,
                "; they hold for the whole network namespace, and so for {foreign} services that are not ours"
            ),
        }
    }

    fn replaced(
        &self,
        f: &mut fmt::Formatter<'_>,
        role: SyncRole,
        to: Option<&SyncDaemon>,
        from: &SyncDaemon,
    ) -> fmt::Result {
        match to {
            Some(to) if self.is_drift => write!(
                f,
                "another program started the {}; replaced by the {}",
                Daemon(from),
                Daemon(to)
            ),
            Some(to) => write!(f, "{} started in the place of the {}", Daemon(to), Daemon(from)),
            None => write!(f, "{} sync daemon stopped", role.as_str()),
        }
    }
}

/// Timeouts as far as the second ones say something.
struct Wait(Timeouts, Timeouts);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(shown, said) = self;
        let parts = [
            ("tcp", shown.tcp, said.tcp),
            ("tcp fin", shown.tcp_fin, said.tcp_fin),
            ("udp", shown.udp, said.udp),
        ];
        let parts = parts.iter().filter(|(_, _, said)| *said > 0);
        let words = parts.map(|(name, shown, _)| format!("{name} {shown} s"));
        f.write_str(&words.collect::<Vec<_>>().join(", "))
    }
}

struct Daemon<'a>(&'a SyncDaemon);

impl fmt::Display for Daemon<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(it) = self;
        write!(f, "{} sync daemon on {} with id {}", it.role.as_str(), it.interface, it.sync_id)?;
        if let (Some(group), Some(port)) = (it.group, it.port) {
            write!(f, ", group {group} port {port}")?;
        }
        if let Some(ttl) = it.ttl {
            write!(f, ", ttl {ttl}")?;
        }
        it.max_length.map_or(Ok(()), |length| write!(f, ", at most {length} bytes"))
    }
}

fn services(rules: &NftTable) -> String {
    let count = rules.as_str().lines().filter(|line| line.starts_with("meta l4proto")).count();
    if count == 1 { "1 service".to_owned() } else { format!("{count} services") }
}

/// A setting that another program keeps changing, or the kernel does not keep.
pub(super) fn contested(key: SettingKey) -> String {
    let what = match key {
        SettingKey::Sysctl(sysctl) => sysctl.to_string(),
        SettingKey::Timeouts => "the timeouts of IPVS".to_owned(),
        SettingKey::Daemon(role) => format!("the {} sync daemon", role.as_str()),
        SettingKey::SourceNat => format!("the rules for full NAT (nft table {TABLE})"),
    };
    format!(
        "another program keeps changing {what}: repairs slow down; find it, or take the setting out of the config"
    )
}

/// Why a setting that we may not set should have another value.
pub fn advice(found: &Setting) -> String {
    let Setting::Sysctl(sysctl, value) = found else {
        return String::new();
    };
    let why = match sysctl.file() {
        "conntrack" => "clients of services with source_nat get no answer",
        "expire_quiescent_template" => {
            "clients of persistent services go on to servers of weight 0"
        }
        _ => "sessions of removed servers hang",
    };
    format!("{sysctl} is {value} and `[kernel] manage` is off: {why}; set it to 1")
}

/// One line of a plan: what it is, and what it was.
pub fn planned(from: Option<&Setting>, to: &Setting) -> String {
    match (from, to) {
        (Some(Setting::Sysctl(_, from)), Setting::Sysctl(sysctl, to)) => {
            format!("~ {sysctl}: {from} -> {to}")
        }
        (_, Setting::Sysctl(sysctl, to)) => format!("~ {sysctl}: {to}"),
        (Some(Setting::Timeouts(from)), Setting::Timeouts(to)) => {
            format!("~ timeouts: {} -> {}", Wait(*from, *to), Wait(*to, *to))
        }
        (_, Setting::Timeouts(to)) => format!("~ timeouts: {}", Wait(*to, *to)),
        (Some(Setting::Daemon(_, Some(from))), Setting::Daemon(_, Some(to))) => {
            format!("~ {} -> {}", Daemon(from), Daemon(to))
        }
        (_, Setting::Daemon(_, Some(to))) => format!("+ {}", Daemon(to)),
        (Some(Setting::Daemon(_, Some(from))), Setting::Daemon(_, None)) => {
            format!("- {}", Daemon(from))
        }
        (_, Setting::Daemon(role, None)) => format!("- {} sync daemon", role.as_str()),
        (_, Setting::SourceNat(to)) if to.is_empty() => {
            format!("- rules for full NAT (nft table {TABLE})")
        }
        (Some(Setting::SourceNat(from)), Setting::SourceNat(to)) if !from.is_empty() => {
            format!("~ rules for full NAT of {} (nft table {TABLE})", services(to))
        }
        (_, Setting::SourceNat(to)) => {
            format!("+ rules for full NAT of {} (nft table {TABLE})", services(to))
        }
    }
}
