//! What we ask of the kernel: one request of the IPVS family, appended to a batch as bytes.

use netlink_packet_core::{Emitable, NetlinkMessage};
use netlink_packet_generic::{GenlFamily, GenlMessage};

use super::attr::AttrWriter;
use super::destination::Zeros;
use super::ids::{self, command, top};
use crate::model::destination::{Destination, DestinationKey};
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::op::Op;
use crate::model::service::{Service, ServiceKey};

/// A request, before it has a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    command: u8,
    attributes: AttrWriter,
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
    pub fn services() -> Self {
        Self::bare(command::GET_SERVICE)
    }

    /// One service (`IPVS_CMD_GET_SERVICE`); `ESRCH` if it does not exist.
    pub fn service(key: ServiceKey) -> Self {
        Self::about(command::GET_SERVICE, key)
    }

    /// The destinations of a service, as a dump (`IPVS_CMD_GET_DEST`); empty if the service does not exist.
    pub fn destinations(service: ServiceKey) -> Self {
        Self::about(command::GET_DEST, service)
    }

    /// Version and size of the connection table (`IPVS_CMD_GET_INFO`).
    pub fn info() -> Self {
        Self::bare(command::GET_INFO)
    }

    /// The timeouts (`IPVS_CMD_GET_CONFIG`).
    pub fn config() -> Self {
        Self::bare(command::GET_CONFIG)
    }

    /// New timeouts (`IPVS_CMD_SET_CONFIG`).
    pub fn set_config(timeouts: Timeouts) -> Self {
        Self::with(command::SET_CONFIG, |attrs| {
            attrs.u32(top::TIMEOUT_TCP, timeouts.tcp);
            attrs.u32(top::TIMEOUT_TCP_FIN, timeouts.tcp_fin);
            attrs.u32(top::TIMEOUT_UDP, timeouts.udp);
        })
    }

    /// Counters back to zero, of one service or of all (`IPVS_CMD_ZERO`).
    pub fn zero(service: Option<ServiceKey>) -> Self {
        match service {
            Some(key) => Self::about(command::ZERO, key),
            None => Self::bare(command::ZERO),
        }
    }

    /// Every service gone (`IPVS_CMD_FLUSH`).
    pub fn flush() -> Self {
        Self::bare(command::FLUSH)
    }

    /// The connection-sync daemons, as a dump (`IPVS_CMD_GET_DAEMON`).
    pub fn daemons() -> Self {
        Self::bare(command::GET_DAEMON)
    }

    /// A connection-sync daemon is to run (`IPVS_CMD_NEW_DAEMON`).
    pub fn start_daemon(daemon: &SyncDaemon) -> Self {
        Self::with(command::NEW_DAEMON, |attrs| {
            attrs.nest(top::DAEMON, |attrs| daemon.encode(attrs));
        })
    }

    /// The connection-sync daemon of a role is to end (`IPVS_CMD_DEL_DAEMON`).
    pub fn stop_daemon(role: SyncRole) -> Self {
        Self::with(command::DEL_DAEMON, |attrs| {
            attrs.nest(top::DAEMON, |attrs| role.encode(attrs));
        })
    }

    /// One change of the table.
    pub fn op(op: &Op) -> Self {
        let key = op.service();
        match op {
            Op::AddService(_, to) => Self::service_op(command::NEW_SERVICE, key, to),
            Op::EditService(_, to) => Self::service_op(command::SET_SERVICE, key, to),
            Op::DeleteService(_) => Self::about(command::DEL_SERVICE, key),
            Op::AddDestination(_, it, to) => {
                Self::destination_op(command::NEW_DEST, key, *it, Some((to, Zeros::Omitted)))
            }
            Op::EditDestination(_, it, to) => {
                Self::destination_op(command::SET_DEST, key, *it, Some((to, Zeros::Sent)))
            }
            Op::DeleteDestination(_, it) => Self::destination_op(command::DEL_DEST, key, *it, None),
        }
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

    fn service_op(command: u8, key: ServiceKey, to: &Service) -> Self {
        Self::with(command, |attrs| {
            attrs.nest(top::SERVICE, |attrs| {
                key.encode(attrs);
                to.encode(attrs);
            });
        })
    }

    fn destination_op(
        command: u8,
        service: ServiceKey,
        key: DestinationKey,
        to: Option<(&Destination, Zeros)>,
    ) -> Self {
        Self::with(command, |attrs| {
            attrs.nest(top::SERVICE, |attrs| service.encode(attrs));
            attrs.nest(top::DEST, |attrs| {
                key.encode(attrs);
                if let Some((to, zeros)) = to {
                    to.encode(zeros, attrs);
                }
                key.encode_family(attrs);
            });
        })
    }

    /// About one service.
    fn about(command: u8, key: ServiceKey) -> Self {
        Self::with(command, |attrs| attrs.nest(top::SERVICE, |attrs| key.encode(attrs)))
    }

    fn with(command: u8, write: impl FnOnce(&mut AttrWriter)) -> Self {
        let mut attributes = AttrWriter::with_room();
        write(&mut attributes);
        Self { command, attributes }
    }

    fn bare(command: u8) -> Self {
        Self { command, attributes: AttrWriter::default() }
    }
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
        self.attributes.bytes().len()
    }

    /// Fills `buffer`, which is exactly `buffer_len` long.
    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(self.attributes.bytes());
    }
}
