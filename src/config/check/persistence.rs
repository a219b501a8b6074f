//! How long a client stays at its server, who counts as one client, and what must go with it.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::Check;
use super::choices::ENGINES;
use super::scheduling::may_be_udp;
use super::value::{self, either, written};
use crate::config::file::{self, Scalar};
use crate::config::report::{Draft, Place};
use crate::model::service::{Family, Netmask, ServiceKey};

/// The longest persistence, as in ipvsadm(8): 31 days.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// Which clients share a server.
#[derive(Clone, Copy, Debug)]
enum Mask {
    /// IPv4's dotted form.
    Dotted(Ipv4Addr),
    /// A prefix length, 1 to 128.
    Length(u8),
}

/// The netmask as written, and whether it is the service's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaskAt {
    mask: Mask,
    place: Place,
    is_own: bool,
}

impl MaskAt {
    /// The mask for a family; a default of up to 32 bits is meant for IPv4, a longer one for IPv6.
    pub(super) fn fitting(self, family: Family) -> Option<Netmask> {
        match (self.mask, family) {
            (Mask::Dotted(mask), Family::V4) => Some(Netmask::V4(mask)),
            (Mask::Length(length), Family::V4) if length <= 32 => {
                let bits = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Some(Netmask::V4(Ipv4Addr::from(bits)))
            }
            (Mask::Length(length), Family::V6) if self.is_own || length > 32 => {
                Some(Netmask::V6(length))
            }
            (Mask::Dotted(_) | Mask::Length(_), _) => None,
        }
    }
}

impl Check<'_> {
    /// For how long a client stays at its server, in seconds; 0 where it does not.
    pub(super) fn timeout(&mut self, number: usize, file: &file::Service) -> u32 {
        let default = &self.defaults.service.0.persistence_timeout;
        let Some(written) = either(number, &file.persistence_timeout, default) else {
            return 0;
        };
        let timeout =
            value::duration(self.report, Some(written), Duration::ZERO..=LONGEST, Duration::ZERO);
        if timeout.subsec_nanos() != 0 {
            let draft = Draft::new("the kernel counts persistence in whole seconds");
            let help = "write 1s to 31days, or 0s for none";
            self.report.error(draft.at(written.place, "not whole seconds").help(help));
        }
        u32::try_from(timeout.as_secs()).unwrap_or(0)
    }

    pub(super) fn mask(&mut self, number: usize, file: &file::Service) -> Option<MaskAt> {
        let default = &self.defaults.service.0.persistence_netmask;
        let written = either(number, &file.persistence_netmask, default)?;
        let mask = match written.value {
            Scalar::Text(text) if text.parse::<u32>().is_err() => {
                let Ok(mask) = text.parse() else {
                    let draft = Draft::new(format!("{text:?} is not a netmask"));
                    let help = "write \"255.255.255.0\", or the length of a prefix: 24 or 64";
                    self.report.error(draft.at(written.place, "not a netmask").help(help));
                    return None;
                };
                Mask::Dotted(mask)
            }
            Scalar::Text(_)
            | Scalar::Integer(_)
            | Scalar::Boolean(_)
            | Scalar::List(_)
            | Scalar::Other(_) => {
                let length = value::number(self.report, written, 1..=128)?;
                Mask::Length(u8::try_from(length).ok()?)
            }
        };
        let is_own = file.persistence_netmask.is_some();
        Some(MaskAt { mask, place: written.place, is_own })
    }

    /// A service's own netmask has to fit all its clients.
    pub(super) fn mask_fits(&mut self, at: MaskAt, keys: &[(ServiceKey, Place)]) {
        let has = |family| keys.iter().any(|(key, _)| key.family() == family);
        let (has_v4, has_v6) = (has(Family::V4), has(Family::V6));
        let wrong = match at.mask {
            Mask::Dotted(_) if has_v6 => {
                "a dotted netmask is IPv4's, and the service has IPv6 addresses"
            }
            Mask::Length(33..) if has_v4 => {
                "a prefix of more than 32 bits, and the service has IPv4 addresses"
            }
            Mask::Length(_) if has_v4 && has_v6 => "one prefix for IPv4 and IPv6 clients",
            Mask::Dotted(_) | Mask::Length(_) => return,
        };
        if at.is_own {
            let draft = Draft::new(wrong).at(at.place, "does not fit");
            self.report.error(
                draft.help("make a service of each family, or write a prefix of its family"),
            );
        }
    }

    /// The persistence engine, which looks into packets for something better than the client's address.
    pub(super) fn engine(
        &mut self,
        number: usize,
        file: &file::Service,
        keys: &[(ServiceKey, Place)],
    ) -> Option<Box<str>> {
        let written = written(number, file.pe.as_ref())?;
        let engine = value::choice(self.report, written, &ENGINES)?;
        if !keys.iter().all(|(key, _)| may_be_udp(*key)) {
            let draft = Draft::new(format!("persistence engine {engine} reads UDP only"));
            self.report.error(
                draft
                    .at(written.place, "not UDP")
                    .help("write protocol = \"udp\", or leave it out"),
            );
        }
        if self.host.has_module(&format!("ip_vs_pe_{engine}")) == Some(false) {
            let draft =
                Draft::new(format!("this host's kernel has no persistence engine {engine}"));
            self.report.warning(draft.at(written.place, "not in this kernel").help(format!(
                "install the module ip_vs_pe_{engine}: without it the kernel refuses the service"
            )));
        }
        Some(engine.into())
    }

    /// What goes with persistence only, and what goes with persistence in any case.
    pub(super) fn persistence(
        &mut self,
        number: usize,
        file: &file::Service,
        timeout: u32,
        keys: &[(ServiceKey, Place)],
    ) {
        if timeout > 0 {
            let default = &self.defaults.service.0.persistence_timeout;
            let written = either(number, &file.persistence_timeout, default);
            self.persistent = self.persistent.or(written.map(|written| written.place));
            return;
        }
        for (field, what) in
            [(&file.persistence_netmask, "persistence_netmask"), (&file.pe, "a persistence engine")]
        {
            if let Some(written) = written(number, field.as_ref()) {
                let draft = Draft::new(format!("{what} without persistence"));
                let help = "write persistence_timeout = \"5m\" beside it, or leave it out";
                self.report.error(draft.at(written.place, "no effect").help(help));
            }
        }
        let all_ports = keys.iter().find_map(|(key, place)| match key {
            ServiceKey::Address { address, .. } if address.port() == 0 => Some((address, *place)),
            ServiceKey::Address { .. } | ServiceKey::FwMark { .. } => None,
        });
        if let Some((address, place)) = all_ports {
            let mut with_port = *address;
            with_port.set_port(5432);
            let draft = Draft::new(format!(
                "{address}: 0 is not a port, but all of them, which a client must keep to one server"
            ));
            self.report.error(
                draft
                    .at(place, "needs persistence")
                    .help(format!("write {with_port}, or persistence_timeout = \"5m\" beside it")),
            );
        }
    }

    /// Clients that are kept at a server go on to it at weight 0, unless the kernel is told otherwise.
    pub(super) fn persistence_ends_with_weight(&mut self, is_expired: bool) {
        if let Some(place) = self.persistent.filter(|_| !is_expired) {
            let draft = Draft::new(
                "persistent clients keep coming to a server at weight 0 unless the kernel's expire_quiescent_template is 1",
            );
            self.report.warning(draft.at(place, "persistent").help(
                "write manage = true in [kernel], or set net.ipv4.vs.expire_quiescent_template to 1",
            ));
        }
    }
}
