//! What the kernel is told of a server in a virtual service: its address there, and how packets reach it.

use std::net::SocketAddr;

use super::{Delivery, VirtualService};
use crate::model::destination::{Destination, DestinationKey, Forwarding, Thresholds, Weight};
use crate::model::service::ServiceKey;

impl VirtualService {
    /// How the operator finds it: its name, and its key where the name alone says too little.
    pub fn label(&self) -> String {
        match self.shares_name {
            true => format!("{} ({})", self.name, self.key),
            false => self.name.to_string(),
        }
    }

    /// How packets reach a server that says `own`, or nothing, about it.
    pub fn delivery(&self, own: Option<Delivery>) -> Delivery {
        own.unwrap_or(Delivery { forwarding: self.forwarding, tunnel: self.tunnel })
    }

    /// The address by which the kernel knows a server in this service.
    ///
    /// Only masquerading changes the port of a packet. Elsewhere the kernel takes any port and ignores it, so it is
    /// set to the only one that is true: the service's, or 0 where the service stands for all ports. A firewall mark
    /// has no port, so there the server keeps its own, as ipvsadm(8) and keepalived have it: what they made is adopted.
    pub fn destination_key(&self, server: SocketAddr, own: Option<Delivery>) -> DestinationKey {
        let is_rewritten = self.delivery(own).forwarding == Forwarding::Masquerade;
        let port = match self.key {
            ServiceKey::Address { address, .. }
                if !is_rewritten || address.port() == 0 || server.port() == 0 =>
            {
                address.port()
            }
            ServiceKey::Address { .. } | ServiceKey::FwMark { .. } => server.port(),
        };
        DestinationKey(SocketAddr::new(server.ip(), port))
    }

    /// Everything that the kernel is told of a server in this service.
    pub fn destination(
        &self,
        own: Option<Delivery>,
        thresholds: Thresholds,
        weight: Weight,
    ) -> Destination {
        let Delivery { forwarding, tunnel } = self.delivery(own);
        Destination { forwarding, weight, thresholds, tunnel }
    }
}
