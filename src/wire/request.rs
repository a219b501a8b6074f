//! What we ask of the kernel: one request of the IPVS family, appended to a batch as bytes.

use netlink_packet_core::{Emitable, NetlinkMessage};
use netlink_packet_generic::{GenlFamily, GenlMessage};

use super::attr::Attr;
use super::destination::Zeros;
use super::ids::{self, command, top};
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::op::Op;
use crate::model::service::ServiceKey;

/// A request, before it has a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    command: u8,
    attributes: Vec<Attr>,
}

/// What the header of a request says beside the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The number by which the kernel knows the IPVS family, resolved at run time.
    pub family: u16,
    /// `NLM_F_REQUEST` with `NLM_F_ACK` or `NLM_F_DUMP`.
    pub flags: u16,
    /// The number that every answer to this request carries.
    pub sequence: u32,
}

impl Request {
    /// Every service, as a dump (`IPVS_CMD_GET_SERVICE`).
    pub const fn services() -> Self {
        Self::new(command::GET_SERVICE, Vec::new())
    }

    /// One service (`IPVS_CMD_GET_SERVICE`); `ESRCH` if it does not exist.
    pub fn service(key: ServiceKey) -> Self {
        Self::new(command::GET_SERVICE, vec![identity(key)])
    }

    /// The destinations of a service, as a dump (`IPVS_CMD_GET_DEST`); empty if the service does not exist.
    pub fn destinations(service: ServiceKey) -> Self {
        Self::new(command::GET_DEST, vec![identity(service)])
    }

    /// Version and size of the connection table (`IPVS_CMD_GET_INFO`).
    pub const fn info() -> Self {
        Self::new(command::GET_INFO, Vec::new())
    }

    /// The timeouts (`IPVS_CMD_GET_CONFIG`).
    pub const fn config() -> Self {
        Self::new(command::GET_CONFIG, Vec::new())
    }

    /// New timeouts (`IPVS_CMD_SET_CONFIG`).
    pub fn set_config(timeouts: Timeouts) -> Self {
        Self::new(
            command::SET_CONFIG,
            vec![
                Attr::u32(top::TIMEOUT_TCP, timeouts.tcp),
                Attr::u32(top::TIMEOUT_TCP_FIN, timeouts.tcp_fin),
                Attr::u32(top::TIMEOUT_UDP, timeouts.udp),
            ],
        )
    }

    /// Counters back to zero, of one service or of all (`IPVS_CMD_ZERO`).
    pub fn zero(service: Option<ServiceKey>) -> Self {
        Self::new(command::ZERO, service.into_iter().map(identity).collect())
    }

    /// Every service gone (`IPVS_CMD_FLUSH`).
    pub const fn flush() -> Self {
        Self::new(command::FLUSH, Vec::new())
    }

    /// The connection-sync daemons, as a dump (`IPVS_CMD_GET_DAEMON`).
    pub const fn daemons() -> Self {
        Self::new(command::GET_DAEMON, Vec::new())
    }

    /// A connection-sync daemon is to run (`IPVS_CMD_NEW_DAEMON`).
    pub fn start_daemon(daemon: &SyncDaemon) -> Self {
        Self::new(command::NEW_DAEMON, vec![Attr::nest(top::DAEMON, daemon.encode())])
    }

    /// The connection-sync daemon of a role is to end (`IPVS_CMD_DEL_DAEMON`).
    pub fn stop_daemon(role: SyncRole) -> Self {
        Self::new(command::DEL_DAEMON, vec![Attr::nest(top::DAEMON, vec![role.encode()])])
    }

    /// One change of the table.
    pub fn op(op: &Op) -> Self {
        let mut service = op.service().encode();
        let mut destination = Vec::new();
        let command = match op {
            Op::AddService(_, to) => {
                to.encode(&mut service);
                command::NEW_SERVICE
            }
            Op::EditService(_, to) => {
                to.encode(&mut service);
                command::SET_SERVICE
            }
            Op::DeleteService(_) => command::DEL_SERVICE,
            Op::AddDestination(_, key, to) => {
                destination = key.encode();
                to.encode(Zeros::Omitted, &mut destination);
                destination.push(key.encode_family());
                command::NEW_DEST
            }
            Op::EditDestination(_, key, to) => {
                destination = key.encode();
                to.encode(Zeros::Sent, &mut destination);
                destination.push(key.encode_family());
                command::SET_DEST
            }
            Op::DeleteDestination(_, key) => {
                destination = key.encode();
                destination.push(key.encode_family());
                command::DEL_DEST
            }
        };
        let mut attributes = vec![Attr::nest(top::SERVICE, service)];
        if !destination.is_empty() {
            attributes.push(Attr::nest(top::DEST, destination));
        }
        Self::new(command, attributes)
    }

    /// Appends the message to a batch.
    pub fn append(self, envelope: Envelope, batch: &mut Vec<u8>) {
        let mut inner = GenlMessage::from_payload(self);
        inner.set_resolved_family_id(envelope.family);
        let mut message = NetlinkMessage::from(inner);
        message.header.flags = envelope.flags;
        message.header.sequence_number = envelope.sequence;
        message.finalize();
        let start = batch.len();
        batch.resize(start + message.buffer_len(), 0);
        if let Some(room) = batch.get_mut(start..) {
            message.serialize(room);
        }
    }

    const fn new(command: u8, attributes: Vec<Attr>) -> Self {
        Self { command, attributes }
    }
}

fn identity(key: ServiceKey) -> Attr {
    Attr::nest(top::SERVICE, key.encode())
}

impl GenlFamily for Request {
    fn family_name() -> &'static str {
        ids::FAMILY
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        ids::VERSION
    }
}

impl Emitable for Request {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}
