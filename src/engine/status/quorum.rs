//! What a status shows of quorums.

use serde::Serialize;

use super::super::event;
use super::super::membership::ServiceState;
use super::super::quorum::Standing;
use super::ServiceStatus;

/// The quorum of a service.
#[derive(Clone, Debug, Serialize)]
pub struct QuorumStatus {
    /// Whether the service has it; absent: too many servers have not been heard yet.
    pub gained: Option<bool>,
    /// Servers that may serve, whatever soft evidence says.
    pub able: u32,
    /// Servers that are needed.
    pub needed: u32,
    /// By so many fewer it is lost, by so many more it is gained.
    pub hysteresis: u32,
}

impl ServiceStatus {
    /// Whether it has too few servers.
    pub fn has_lost_quorum(&self) -> bool {
        self.quorum.as_ref().is_some_and(|quorum| quorum.gained == Some(false))
    }
}

/// The quorum of a service that counts.
pub(super) fn quorum(service: &ServiceState) -> Option<QuorumStatus> {
    let quorum = service.config.quorum.as_ref()?;
    Some(QuorumStatus {
        gained: match service.count.standing {
            Standing::Undecided => None,
            Standing::Gained => Some(true),
            Standing::Lost => Some(false),
        },
        able: service.count.able,
        needed: quorum.servers,
        hysteresis: quorum.hysteresis,
    })
}

/// What the operator should see of it.
pub(super) fn alarm(service: &ServiceState) -> Option<String> {
    let QuorumStatus { able, needed, .. } =
        quorum(service).filter(|quorum| quorum.gained == Some(false))?;
    let sorry = service.sorry_server().map(|(sorry, _)| sorry.0);
    let words = event::quorum(false, (able, needed), sorry);
    Some(format!("service {}: {words}", service.config.name))
}

/// Why its sorry server has its weight.
pub(super) fn sorry_reason(service: &ServiceState) -> String {
    let needed = service.config.quorum.as_ref().map_or(0, |quorum| quorum.servers);
    let able = service.count.able;
    match service.count.standing {
        Standing::Undecided => "sorry server: not all servers have been heard".to_owned(),
        Standing::Gained => format!("sorry server: there is a quorum, {able} of {needed}"),
        Standing::Lost => format!("sorry server: quorum lost, {able} of {needed}"),
    }
}
