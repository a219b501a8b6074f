//! `quorum`, `hysteresis`, `sorry_server` and the commands of a `[[service]]`: whether they can ever do what they say.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::Check;
use super::address::{self, ZeroPort};
use super::value::{self, Written, written};
use crate::config::file;
use crate::config::report::{Draft, Place};
use crate::config::{Quorum, Target};
use crate::model::destination::Forwarding;
use crate::model::service::{Family, ServiceKey};

/// At most so many servers are ever asked for.
const MOST: u32 = 10_000;

/// What the rules need of the service itself.
#[derive(Clone, Copy)]
pub(super) struct ServiceAt<'a> {
    /// The number of its file.
    pub(super) number: usize,
    /// Its addresses or marks.
    pub(super) keys: &'a [(ServiceKey, Place)],
    pub(super) forwarding: Forwarding,
}

impl Check<'_> {
    /// What a service says of its quorum; `None`: nothing.
    pub(super) fn quorum(
        &mut self,
        at: ServiceAt<'_>,
        file: &file::Service,
        pool: Option<&str>,
        target: Option<Target>,
    ) -> Option<Quorum> {
        let read = |field| written(at.number, field);
        let servers = read(file.quorum.as_ref());
        let hysteresis = read(file.hysteresis.as_ref());
        let sorry = read(file.sorry_server.as_ref());
        let (up, down) = (read(file.quorum_up.as_ref()), read(file.quorum_down.as_ref()));
        let first = servers.or(hysteresis).or(sorry).or(up).or(down)?;
        let number = |report: &mut _, written: Option<Written<'_>>, from, default| {
            written.map_or(Some(default), |it| value::number(report, it, from..=MOST))
        };
        let quorum = Quorum {
            servers: number(self.report, servers, 1, 1)?,
            hysteresis: number(self.report, hysteresis, 0, 0)?,
            sorry_server: sorry.and_then(|sorry| self.sorry_server(at, sorry, pool, target)),
            up: up.and_then(|up| self.command(up)),
            down: down.and_then(|down| self.command(down)),
        };
        if let Some(too_wide) = hysteresis.filter(|_| quorum.hysteresis >= quorum.servers) {
            let draft = Draft::new(format!(
                "hysteresis {} is not less than the quorum of {}",
                quorum.hysteresis, quorum.servers
            ));
            self.report.error(draft.at(too_wide.place, "too wide").help(format!(
                "lost is the quorum with fewer than quorum - hysteresis servers: write 0 to {}",
                quorum.servers - 1
            )));
            return None;
        }
        self.can_be_gained(&quorum, first.place, pool, target);
        Some(quorum)
    }

    /// A program and its arguments; one that is not there may come later.
    fn command(&mut self, written: Written<'_>) -> Option<Arc<[Box<str>]>> {
        let words = value::command(self.report, written)?;
        let program = words.first().map(|program| Path::new(&**program));
        if let Some(why) = program.and_then(|program| self.host.programs.get(program)) {
            let draft = Draft::new(&**why).at(written.place, "cannot be run");
            self.report.warning(draft.help("install it, or make it executable: chmod +x"));
        }
        Some(words)
    }

    /// More servers than may ever serve are no quorum.
    fn can_be_gained(
        &mut self,
        quorum: &Quorum,
        place: Place,
        pool: Option<&str>,
        target: Option<Target>,
    ) {
        let Some(known) = pool.and_then(|pool| self.pools.get(pool)) else {
            return;
        };
        let able = if target == Some(Target::Primary) { 1 } else { known.able.max(1) };
        let needed = quorum.servers.saturating_add(quorum.hysteresis);
        if usize::try_from(needed).is_ok_and(|needed| needed <= able) {
            return;
        }
        let draft = Draft::new(format!(
            "{needed} servers are needed to gain the quorum, and at most {able} may serve"
        ))
        .at(place, "never gained")
        .at(known.place, "its pool");
        self.report.error(draft.help(match target {
            Some(Target::Primary) => "a service for the primary has one server: quorum = 1",
            Some(Target::Standby | Target::PreferStandby | Target::Any) | None => {
                "quorum + hysteresis counts servers, not their weights as keepalived does"
            }
        }));
    }

    /// Who serves alone when the quorum is lost: a server that is no member, reached like the members.
    fn sorry_server(
        &mut self,
        at: ServiceAt<'_>,
        sorry: Written<'_>,
        pool: Option<&str>,
        target: Option<Target>,
    ) -> Option<SocketAddr> {
        let address = address::socket(self.report, sorry, ZeroPort::Accepted)?;
        let known = pool.and_then(|pool| self.pools.get(pool));
        if let Some(member) = known.and_then(|known| known.members.get(&address)) {
            let draft = Draft::new(format!("the sorry server {address} is a member of the pool"))
                .at(sorry.place, "the sorry server")
                .at(*member, "the member");
            self.report.error(draft.help(
                "a member that serves only when no other is left is written `backup = true` in its \
                 [[pool.server]]; a sorry server is another one, and not probed",
            ));
            return None;
        }
        let is_own = |key: &ServiceKey| matches!(key, ServiceKey::Address { address: own, .. } if *own == address);
        if let Some((_, own_at)) = at.keys.iter().find(|(key, _)| is_own(key)) {
            let draft = Draft::new(format!("{address} is both a service and its sorry server"))
                .at(sorry.place, "the sorry server")
                .at(*own_at, "the service");
            self.report.error(draft.help("a sorry server is a server of its own"));
            return None;
        }
        self.sorry_server_is_reachable(at, sorry.place, address);
        if target == Some(Target::Primary) {
            let draft = Draft::new("without a primary the writers go to the sorry server")
                .at(sorry.place, "takes writes")
                .help(
                    "make sure that it refuses them: what is written there is not in the cluster",
                );
            self.report.warning(draft);
        }
        Some(address)
    }

    /// The kernel reaches it as it reaches the members.
    fn sorry_server_is_reachable(&mut self, at: ServiceAt<'_>, place: Place, sorry: SocketAddr) {
        let other = at.keys.iter().find(|(key, _)| key.family() != Family::of(sorry.ip()));
        if let (Some((key, key_at)), false) = (other, at.forwarding == Forwarding::Tunnel) {
            let draft = Draft::new(format!(
                "{key} cannot be forwarded to a sorry server of the other address family"
            ))
            .at(place, "the other family")
            .at(*key_at, "one family");
            self.report.error(draft.help("give it an address of the service's family"));
        }
        let other = at.keys.iter().find_map(|(key, at)| match key {
            ServiceKey::Address { address, .. } => Some((address.port(), *at))
                .filter(|(port, _)| *port != 0 && *port != sorry.port() && sorry.port() != 0),
            ServiceKey::FwMark { .. } => None,
        });
        if let (Some((port, key_at)), false) = (other, at.forwarding == Forwarding::Masquerade) {
            let draft = Draft::new(format!(
                "dr and tun keep the port: {port} cannot become {}",
                sorry.port()
            ))
            .at(place, "the sorry server's port")
            .at(key_at, "the service's port");
            self.report.error(draft.help("use one port for both, or forwarding = \"masq\""));
        }
    }
}
