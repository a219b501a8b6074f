//! `source_nat` of `[[service]]`: full NAT, where the director is not the servers' gateway.

use std::net::IpAddr;

use super::Check;
use super::address;
use super::value::{Written, written};
use crate::config::file::{Field, Scalar};
use crate::config::report::{Draft, Place};
use crate::model::destination::Forwarding;
use crate::model::service::{Family, ServiceKey};
use crate::model::setting::SourceNat;

impl Check<'_> {
    /// What the servers see of each of a service's addresses, if not their clients.
    pub(super) fn source_nats(
        &mut self,
        number: usize,
        own: &Field,
        forwarding: Forwarding,
        keys: &[(ServiceKey, Place)],
    ) -> Vec<Option<SourceNat>> {
        let before = self.report.refusals();
        let mut nats = vec![None; keys.len()];
        for (nat, &(key, _)) in nats.iter_mut().zip(keys) {
            // What does not fit one address is said once.
            if self.report.refusals() == before {
                *nat = self.source_nat(number, own, forwarding, key);
            }
        }
        nats
    }

    /// A default holds only where it can.
    fn source_nat(
        &mut self,
        number: usize,
        own: &Field,
        forwarding: Forwarding,
        key: ServiceKey,
    ) -> Option<SourceNat> {
        let can = forwarding == Forwarding::Masquerade && matches!(key, ServiceKey::Address { .. });
        let (written, nat) = match written(number, own.as_ref()) {
            Some(written) => (written, self.nat(written)?),
            None if !can => return None,
            None => {
                let written = written(0, self.defaults.service.0.source_nat.as_ref())?;
                (written, self.nat(written)?)
            }
        };
        let refused = if forwarding != Forwarding::Masquerade {
            Some((
                "full NAT is masquerading, and this service forwards otherwise",
                "leave it out, or write forwarding = \"masq\"",
            ))
        } else if !can {
            Some((
                "full NAT finds a service by its address, and a firewall mark has none",
                "give the service an address, or leave `source_nat` out",
            ))
        } else if let SourceNat::Address(to) = nat
            && Family::of(to) != key.family()
        {
            Some((
                "the servers' family is not this address's",
                "write an address of the servers' family, or true",
            ))
        } else {
            None
        };
        if let Some((title, help)) = refused {
            self.report.error(Draft::new(title).at(written.place, "not possible").help(help));
            return None;
        }
        if let Some(off) = self.no_conntrack {
            let draft = Draft::new("full NAT needs net.ipv4.vs.conntrack = 1")
                .at(written.place, "full NAT")
                .at(off, "and conntrack is off");
            self.report
                .error(draft.help("take `conntrack` out of [kernel]: it is set with `source_nat`"));
        }
        Some(nat)
    }

    /// Reads the default by itself.
    pub(super) fn source_nat_default(&mut self) {
        if let Some(written) = written(0, self.defaults.service.0.source_nat.as_ref()) {
            self.nat(written);
        }
    }

    fn nat(&mut self, written: Written<'_>) -> Option<SourceNat> {
        if let Scalar::Boolean(is_on) = written.value {
            return is_on.then_some(SourceNat::Masquerade);
        }
        if let Scalar::Text(_) = written.value {
            let to: IpAddr = address::ip(self.report, written)?;
            if self.host.absent.contains(&to) {
                let draft = Draft::new(format!("{to} is not an address of this host"));
                let help = "the servers' answers would not come back here; write one of this host's, or true";
                self.report.warning(draft.at(written.place, "not on this host").help(help));
            }
            return Some(SourceNat::Address(to));
        }
        let draft = Draft::new("`source_nat` is true, false or an address of this host");
        let help = "write true for the address of the interface towards the servers";
        self.report.error(draft.at(written.place, "not accepted").help(help));
        None
    }
}
