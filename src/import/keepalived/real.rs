//! `real_server`: an address, a weight, thresholds, and a way to it of its own.

use std::net::SocketAddr;

use super::super::ipvsadm::{Way, thresholds};
use super::super::ledger::{Report, Statement};
use super::super::names;
use super::super::plan::{Key, Server};
use super::{address, number};
use crate::model::destination::{Forwarding, Tunnel, Weight};

/// One as written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Real<'a> {
    pub(super) line: &'a Statement,
    pub(super) address: SocketAddr,
    /// Its share.
    pub(super) weight: u32,
}

/// Those of a virtual server at `port`.
pub(super) fn reals<'a>(line: &'a Statement, port: u16, report: &mut Report) -> Vec<Real<'a>> {
    let default = line.last("weight").and_then(|it| number(it, 0..=Weight::MAX.0));
    let mut reals: Vec<Real<'a>> = Vec::new();
    for line in line.all("real_server") {
        let Some(address) = address::socket(line, 1, port) else {
            report.hand(line, "not an IP address and a port: write a [[pool.server]] for it");
            continue;
        };
        if reals.iter().any(|it| it.address == address) {
            report.hand(line, "this server stands in the service already");
            continue;
        }
        line.take_words(0..3);
        let own = line.last("weight").and_then(|it| number(it, 0..=Weight::MAX.0));
        // keepalived's default.
        let weight = own.or(default).unwrap_or(1);
        reals.push(Real { line, address, weight });
    }
    reals
}

/// `NAT`, `DR`, `TUN [type ipip|gue port N|gre [nocsum|csum|remcsum]]`, from a word on; takes what it reads.
pub(super) fn way(line: &Statement) -> Option<Way> {
    let forwarding = match &*line.word(1).to_ascii_uppercase() {
        "NAT" => Forwarding::Masquerade,
        "DR" => Forwarding::DirectRoute,
        "TUN" => Forwarding::Tunnel,
        _ => return None,
    };
    line.take_words(0..2);
    let mut tunnel = Tunnel::default();
    if forwarding == Forwarding::Tunnel {
        let mut at = 2;
        while at < line.len() {
            let (is_read, length) = match (line.word(at), line.word(at + 1)) {
                ("type", "ipip") => (true, 2),
                ("type", "gue") => {
                    tunnel.kind = 1;
                    (true, 2)
                }
                ("type", "gre") => {
                    tunnel.kind = 2;
                    (true, 2)
                }
                ("port", port) => (port.parse().map(|it| tunnel.port = it).is_ok(), 2),
                ("nocsum", _) => (true, 1),
                ("csum", _) => {
                    tunnel.flags = 1;
                    (true, 1)
                }
                ("remcsum", _) => {
                    tunnel.flags = 2;
                    (true, 1)
                }
                _ => (false, 1),
            };
            if is_read {
                line.take_words(at..at + length);
            }
            at += length;
        }
    }
    Some(Way { forwarding, tunnel })
}

/// Real servers as a pool has them; `usual` is how the service reaches those that say nothing.
pub(super) fn servers(reals: &[Real<'_>], usual: Way) -> Vec<Server> {
    let addresses: Vec<SocketAddr> = reals.iter().map(|it| it.address).collect();
    let server = |real: &Real<'_>| {
        let mut keys = vec![Key::number("weight", real.weight)];
        let threshold = |name| {
            let line = real.line.last(name)?;
            number(line, 1..=Weight::MAX.0)
        };
        let (upper, lower) = (threshold("uthreshold"), threshold("lthreshold"));
        keys.extend(thresholds(upper.unwrap_or(0), lower.unwrap_or(0)));
        let own = real.line.last("lvs_method").or_else(|| real.line.last("lb_kind")).and_then(way);
        keys.extend(own.filter(|own| *own != usual).iter().flat_map(Way::keys));
        Server {
            name: names::host(real.address, &addresses),
            address: real.address,
            keys,
            why: String::new(),
            places: vec![real.line.place],
        }
    };
    reals.iter().map(server).collect()
}
