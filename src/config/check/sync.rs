//! `[[sync_daemon]]`: which of the kernel's connection-sync daemons are to run, and with whom they may not run together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Check;
use super::value::{self, Choice, Written, written};
use crate::config::file::{self, Entry, Field, File};
use crate::config::report::{Draft, Place};
use crate::model::kernel::{SyncDaemon, SyncRole};

const ROLES: Choice<SyncRole> = Choice {
    what: "role",
    words: &[("master", SyncRole::Master), ("backup", SyncRole::Backup)],
    synonyms: &[("active", "master"), ("sender", "master"), ("receiver", "backup")],
    not_yet: &[],
};

/// The longest name of an interface, in bytes (`IFNAMSIZ` without its NUL).
const INTERFACE: usize = 15;

/// A datagram without the headers of IPv4 and UDP, and of IPv6 and UDP (`ip_vs_start_sync_thread`).
const LONGEST: (u32, u32) = (65_507, 65_487);

/// What the kernel makes of a shorter message that a backup should take.
const SHORTEST_OF_BACKUP: u32 = 1024;

impl Check<'_> {
    pub(super) fn sync_daemons(&mut self, main: &File) -> Vec<SyncDaemon> {
        let mut roles: BTreeMap<SyncRole, Place> = BTreeMap::new();
        let mut daemons = Vec::new();
        for entry in &main.sync_daemon {
            let place = Place::new(0, entry.span());
            let Some(daemon) = self.sync_daemon(entry) else { continue };
            if let Some(other) = roles.insert(daemon.role, place) {
                let role = daemon.role.as_str();
                let draft = Draft::new(format!("two sync daemons are {role}"))
                    .at(place, "this one")
                    .at(other, "and this one");
                self.report.error(draft.help("the kernel runs one of each role; remove one"));
            }
            self.sync_daemon_at.get_or_insert(place);
            daemons.push(daemon);
        }
        daemons
    }

    fn sync_daemon(&mut self, entry: &Entry<file::SyncDaemon>) -> Option<SyncDaemon> {
        let (header, file) = (Place::new(0, entry.span()), &entry.get_ref().0);
        let role = self.needed(header, "role", &file.role);
        let role = role.and_then(|written| value::choice(self.report, written, &ROLES));
        let interface = self.needed(header, "interface", &file.interface);
        let interface = interface.and_then(|written| self.interface(written));
        let sync_id = self.small(&file.sync_id, 0, 255);
        let port = self.small(&file.port, 1, 65_535);
        let ttl = self.small(&file.ttl, 1, 255);
        let group = written(0, file.group.as_ref());
        let group = group.and_then(|written| self.group(written));
        let is_v6 = group.is_some_and(|group| group.is_ipv6());
        let longest = if is_v6 { LONGEST.1 } else { LONGEST.0 };
        let shortest = if role == Some(SyncRole::Backup) { SHORTEST_OF_BACKUP } else { 1 };
        let max_length = self.small(&file.max_length, shortest, longest);
        Some(SyncDaemon {
            role: role?,
            interface: interface?,
            sync_id: sync_id.unwrap_or(0),
            max_length: max_length.and_then(|it| it.try_into().ok()),
            group: Some(group.unwrap_or(IpAddr::from([224, 0, 0, 81]))),
            port: Some(port.and_then(|it| it.try_into().ok()).unwrap_or(8848)),
            ttl: Some(ttl.and_then(|it| it.try_into().ok()).unwrap_or(1)),
        })
    }

    fn needed<'a>(&mut self, header: Place, key: &str, field: &'a Field) -> Option<Written<'a>> {
        let written = written(0, field.as_ref());
        if written.is_none() {
            let draft = Draft::new(format!("a sync daemon without `{key}`"));
            let help =
                "write role = \"master\" or \"backup\", and interface = \"eth0\" or the like";
            self.report.error(draft.at(header, format!("no `{key}`")).help(help));
        }
        written
    }

    fn small(&mut self, field: &Field, from: u32, to: u32) -> Option<u32> {
        let written = written(0, field.as_ref())?;
        value::number(self.report, written, from..=to)
    }

    fn interface(&mut self, written: Written<'_>) -> Option<String> {
        let name = value::short(self.report, written, INTERFACE)?;
        if self.host.absent_interfaces.contains(&name) {
            let draft = Draft::new(format!("this host has no interface {name}"))
                .at(written.place, "not on this host");
            self.report
                .warning(draft.help("`ip link` lists them; the daemon starts when it is there"));
        }
        Some(name.into())
    }

    fn group(&mut self, written: Written<'_>) -> Option<IpAddr> {
        let text = value::text(self.report, written)?;
        if let Some(group) = text.parse::<IpAddr>().ok().filter(IpAddr::is_multicast) {
            return Some(group);
        }
        let draft = Draft::new(format!("{text:?} is no multicast group"));
        let help = "write an address of 224.0.0.0/4, or of ff00::/8 as ff02::8848 (on an interface that has IPv6)";
        self.report.error(draft.at(written.place, "not multicast").help(help));
        None
    }

    /// The kernel refuses each while it has the other (`EINVAL`).
    pub(super) fn sync_beside_mixed(&mut self) {
        let (Some(place), Some((service, server))) = (self.sync_daemon_at, self.mixed) else {
            return;
        };
        let draft = Draft::new(
            "no sync daemon can run beside a tunnel to servers of the other address family",
        )
        .at(place, "a sync daemon")
        .at(service, "a service")
        .at(server, "its server of the other family");
        self.report.error(draft.help("the kernel refuses the two together: give up one of them"));
    }
}
