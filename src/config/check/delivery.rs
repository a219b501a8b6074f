//! How packets reach servers: the forwarding method, its encapsulation, and which servers it can reach.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Check;
use super::choices::{CHECKSUMS, FORWARDINGS, TUNNELS};
use super::value::{self, either, written};
use crate::config::Delivery;
use crate::config::file::{self, Field};
use crate::config::report::{Draft, Place};
use crate::model::destination::{Forwarding, Tunnel};
use crate::model::service::{Family, ServiceKey};

/// The four keys, of a service, its defaults or a server.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    forwarding: &'a Field,
    tunnel: &'a Field,
    port: &'a Field,
    checksum: &'a Field,
}

/// Nothing written.
const NONE: Fields<'static> =
    Fields { forwarding: &None, tunnel: &None, port: &None, checksum: &None };

impl<'a> Fields<'a> {
    pub(super) const fn of_service(file: &'a file::Service) -> Self {
        Self {
            forwarding: &file.forwarding,
            tunnel: &file.tunnel,
            port: &file.tunnel_port,
            checksum: &file.tunnel_checksum,
        }
    }

    pub(super) const fn of_defaults(file: &'a file::ServiceDefaults) -> Self {
        Self {
            forwarding: &file.forwarding,
            tunnel: &file.tunnel,
            port: &file.tunnel_port,
            checksum: &file.tunnel_checksum,
        }
    }

    pub(super) const fn of_server(file: &'a file::Server) -> Self {
        Self {
            forwarding: &file.forwarding,
            tunnel: &file.tunnel,
            port: &file.tunnel_port,
            checksum: &file.tunnel_checksum,
        }
    }

    fn is_empty(self) -> bool {
        [self.forwarding, self.tunnel, self.port, self.checksum].into_iter().all(Option::is_none)
    }
}

/// Servers that are reached the same way, by the first of each kind.
#[derive(Debug, Default)]
pub(super) struct Reach {
    v4: Option<Place>,
    v6: Option<Place>,
    /// The first server at each port.
    ports: BTreeMap<u16, Place>,
}

impl Reach {
    /// Takes one more server.
    pub(super) fn add(&mut self, address: SocketAddr, place: Place) {
        let family = if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        family.get_or_insert(place);
        // Port 0 is whatever port the client asks for.
        if address.port() != 0 {
            self.ports.entry(address.port()).or_insert(place);
        }
    }
}

impl Check<'_> {
    /// What a server says itself about how packets reach it.
    pub(super) fn server_delivery(
        &mut self,
        number: usize,
        file: &file::Server,
    ) -> Option<Delivery> {
        let own = Fields::of_server(file);
        if own.is_empty() {
            return None;
        }
        if own.forwarding.is_none() {
            let first = [own.tunnel, own.port, own.checksum].into_iter().find_map(Option::as_ref);
            let written = written(number, first)?;
            let draft = Draft::new("a server's tunnel without its forwarding");
            let help = "write forwarding = \"tun\" beside it, or set the tunnel in the service";
            self.report.error(draft.at(written.place, "no `forwarding`").help(help));
            return None;
        }
        self.delivery(number, own, NONE)
    }

    /// Reads the defaults by themselves, those for tunnels too where no tunnel is the default.
    pub(super) fn delivery_defaults(&mut self) {
        let default = Fields::of_defaults(&self.defaults.service.0);
        self.delivery(0, NONE, default);
        self.word(0, &None, default.tunnel, &TUNNELS);
        self.word(0, &None, default.checksum, &CHECKSUMS);
        let port = written(0, default.port.as_ref());
        port.and_then(|port| value::number(self.report, port, 1..=u16::MAX.into()));
    }

    /// How packets reach servers. Defaults for tunnels count where there is such a tunnel.
    pub(super) fn delivery(
        &mut self,
        number: usize,
        own: Fields<'_>,
        default: Fields<'_>,
    ) -> Option<Delivery> {
        let forwarding = self.word(number, own.forwarding, default.forwarding, &FORWARDINGS);
        if forwarding.is_none() && (own.forwarding.is_some() || default.forwarding.is_some()) {
            return None;
        }
        let forwarding = forwarding.unwrap_or(Forwarding::Masquerade);
        if forwarding != Forwarding::Tunnel {
            for (field, key) in [
                (own.tunnel, "tunnel"),
                (own.port, "tunnel_port"),
                (own.checksum, "tunnel_checksum"),
            ] {
                if let Some(written) = written(number, field.as_ref()) {
                    let draft = Draft::new(format!("{key} is for forwarding = \"tun\""));
                    let help = "write forwarding = \"tun\" beside it, or leave it out";
                    self.report.error(draft.at(written.place, "no tunnel").help(help));
                }
            }
            return Some(Delivery { forwarding, tunnel: Tunnel::default() });
        }
        let tunnel = self.tunnel(number, own, default)?;
        Some(Delivery { forwarding, tunnel })
    }

    fn tunnel(&mut self, number: usize, own: Fields<'_>, default: Fields<'_>) -> Option<Tunnel> {
        let before = self.report.refusals();
        let kind = self.word(number, own.tunnel, default.tunnel, &TUNNELS);
        let kind = kind.unwrap_or(Tunnel::IPIP);
        let checksum = either(number, own.checksum, default.checksum);
        let port = either(number, own.port, default.port);
        let mut tunnel = Tunnel { kind, ..Tunnel::default() };
        if kind == Tunnel::GUE {
            match port {
                Some(port) => {
                    let number = value::number(self.report, port, 1..=u16::MAX.into());
                    tunnel.port = number.and_then(|it| u16::try_from(it).ok()).unwrap_or(0);
                }
                None => {
                    let at = either(number, own.tunnel, default.tunnel)?.place;
                    let draft =
                        Draft::new("a gue tunnel without a port").at(at, "no `tunnel_port`");
                    self.report.error(draft.help(
                        "give the UDP port at which servers decapsulate: tunnel_port = 6080",
                    ));
                }
            }
        } else if let Some(port) = written(number, own.port.as_ref()) {
            let draft = Draft::new("only a gue tunnel has a port").at(port.place, "not gue");
            self.report.error(draft.help("write tunnel = \"gue\" beside it, or leave it out"));
        }
        let flags = checksum.and_then(|it| value::choice(self.report, it, &CHECKSUMS));
        let fits = match (kind, flags) {
            (_, None | Some(Tunnel::NO_CHECKSUM)) | (Tunnel::GUE, _) => true,
            (Tunnel::GRE, Some(flags)) => flags == Tunnel::CHECKSUM,
            (_, Some(_)) => false,
        };
        if fits {
            tunnel.flags = flags.unwrap_or(Tunnel::NO_CHECKSUM);
        } else if let Some(written) = written(number, own.checksum.as_ref()) {
            let (title, help) = match kind {
                Tunnel::GRE => ("gre knows no remote checksum", "write none or csum"),
                _ => ("ipip has no checksum", "leave it out, or write tunnel = \"gue\" or \"gre\""),
            };
            self.report.error(Draft::new(title).at(written.place, "does not fit").help(help));
        }
        (self.report.refusals() == before).then_some(tunnel)
    }

    /// Whether the kernel can reach every server of the pool from this service, and tell them apart there.
    pub(super) fn reachable(
        &mut self,
        (key, key_at): (ServiceKey, Place),
        forwarding: Forwarding,
        pool: &str,
    ) {
        let Some(known) = self.pools.get(pool) else {
            return;
        };
        for (own, reach) in &known.reach {
            let forwarding = own.unwrap_or(forwarding);
            if let Some(draft) = unreachable(key, key_at, forwarding, reach) {
                self.report.error(draft);
                return;
            }
            let other = other_family(key, reach);
            self.mixed = self.mixed.or(other.map(|server| (key_at, server)));
        }
        let has_port = match key {
            ServiceKey::Address { address, .. } => address.port() != 0,
            ServiceKey::FwMark { .. } => {
                let mut ways = known.reach.keys().map(|own| own.unwrap_or(forwarding));
                ways.all(|forwarding| forwarding == Forwarding::Masquerade)
            }
        };
        if let (Some((one, other)), false) = (known.twins, has_port) {
            let draft = Draft::new(format!("{key} tells servers apart by address only"));
            self.report.error(
                draft
                    .at(key_at, "all ports")
                    .at(one, "one server")
                    .at(other, "another at the same address")
                    .help("make a pool without one of them, or a service with a port"),
            );
        }
    }
}

const fn other_family(key: ServiceKey, reach: &Reach) -> Option<Place> {
    match key.family() {
        Family::V4 => reach.v6,
        Family::V6 => reach.v4,
    }
}

/// A server that the kernel could not reach from this service the way that is asked for.
fn unreachable(
    key: ServiceKey,
    key_at: Place,
    forwarding: Forwarding,
    reach: &Reach,
) -> Option<Draft> {
    // The kernel carries the other family in tunnels only.
    if let (Some(server), false) = (other_family(key, reach), forwarding == Forwarding::Tunnel) {
        let service = match key {
            ServiceKey::Address { address, .. } => address.to_string(),
            ServiceKey::FwMark { .. } => key.to_string(),
        };
        return Some(
            Draft::new(format!(
                "{service} cannot be forwarded to a server of the other address family"
            ))
            .at(key_at, "one family")
            .at(server, "the other")
            .help("make a pool and a service of each family, or write forwarding = \"tun\""),
        );
    }
    let ServiceKey::Address { address, .. } = key else {
        return None;
    };
    if forwarding == Forwarding::Masquerade || address.port() == 0 {
        return None;
    }
    let (port, server) = reach.ports.iter().find(|(port, _)| **port != address.port())?;
    Some(
        Draft::new(format!("dr and tun keep the port: {} cannot become {port}", address.port()))
            .at(key_at, "the service's port")
            .at(*server, "the server's port")
            .help("use one port for both, or forwarding = \"masq\""),
    )
}
