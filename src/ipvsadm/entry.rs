//! What the options of one command line add up to, and what the command makes of it.

use std::net::{IpAddr, SocketAddr};

use super::args::{Change, Columns, Command, Format, List, Refused};
use super::options::{CommandName, DaemonTag, Given, Known, ServerTag, ServiceTag, Tag, TunnelTag};
use super::values::{self, Names, Place};
use super::words;
use crate::model::destination::{Destination, DestinationKey, Forwarding, Weight};
use crate::model::kernel::{SyncDaemon, SyncRole, Timeouts};
use crate::model::op::Op;
use crate::model::service::{
    Family, Netmask, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};

/// Seconds of persistence where `-p` names none.
const PERSISTENCE: u32 = 360;
/// The longest timeout, in seconds: 31 days.
const LONGEST: u32 = 31 * 86_400;
/// The greatest number of most options.
const MOST: u32 = 0x7fff_ffff;

/// The options so far, with ipvsadm's defaults for the others.
#[derive(Debug)]
pub(super) struct Entry {
    given: Given,
    key: Option<ServiceKey>,
    service: ServiceOptions,
    server: Option<Place>,
    /// The port of a server that names none: the service's, if that was named before it.
    default_port: u16,
    destination: Destination,
    daemon: SyncDaemon,
    timeouts: Timeouts,
}

#[derive(Debug)]
struct ServiceOptions {
    scheduler: String,
    flags: ServiceFlags,
    scheduler_flags: String,
    timeout: u32,
    netmask: Option<Netmask>,
    engine: String,
}

impl Entry {
    pub(super) fn new(role: Option<SyncRole>) -> Self {
        Self {
            given: Given::default(),
            key: None,
            service: ServiceOptions {
                scheduler: String::new(),
                flags: ServiceFlags::default(),
                scheduler_flags: String::new(),
                timeout: 0,
                netmask: None,
                engine: String::new(),
            },
            server: None,
            default_port: 0,
            destination: Destination::plain(Forwarding::DirectRoute, Weight(1)),
            daemon: SyncDaemon::new(role.unwrap_or(SyncRole::Master)),
            timeouts: Timeouts { tcp: 0, tcp_fin: 0, udp: 0 },
        }
    }

    /// Takes one option.
    pub(super) fn take(
        &mut self,
        known: Known,
        value: Option<&str>,
        names: &dyn Names,
    ) -> Result<(), Refused> {
        if let Some(name) = known.name() {
            self.given.note(name)?;
        }
        let text = value.unwrap_or_default();
        match known.tag {
            Tag::Address(protocol) => self.take_address(protocol, text, names),
            Tag::Mark => {
                let mark = values::mark(text).ok_or_else(|| {
                    Refused::usage(format!("invalid fwmark value `{text}' specified"))
                })?;
                self.key = Some(ServiceKey::FwMark { family: Family::V4, mark });
                Ok(())
            }
            Tag::Ipv6 => match self.key {
                Some(ServiceKey::FwMark { mark, .. }) => {
                    self.key = Some(ServiceKey::FwMark { family: Family::V6, mark });
                    self.service.netmask = None;
                    Ok(())
                }
                _ => Err(Refused::usage("-6 used before -f\n")),
            },
            Tag::Forward(forwarding) => {
                self.destination.forwarding = forwarding;
                Ok(())
            }
            Tag::Service(tag) => self.take_of_service(tag, value, names),
            Tag::Server(tag) => self.take_of_server(tag, text, names),
            Tag::Tunnel(tag) => self.take_of_tunnel(tag, text),
            Tag::Daemon(tag) => self.take_of_daemon(tag, text),
            Tag::Command(_) | Tag::Help | Tag::Version | Tag::List | Tag::Sort => Ok(()),
        }
    }

    fn take_address(
        &mut self,
        protocol: Protocol,
        text: &str,
        names: &dyn Names,
    ) -> Result<(), Refused> {
        let place = values::place(text, Some(protocol), names)
            .ok_or_else(|| Refused::usage("illegal virtual server address[:port] specified"))?;
        let address = SocketAddr::new(place.address, place.port.unwrap_or(0));
        self.default_port = address.port();
        self.key = Some(ServiceKey::Address { protocol, address });
        if place.address.is_ipv6() {
            self.service.netmask = None;
        }
        Ok(())
    }

    fn take_of_service(
        &mut self,
        tag: ServiceTag,
        value: Option<&str>,
        names: &dyn Names,
    ) -> Result<(), Refused> {
        let text = value.unwrap_or_default();
        if tag == ServiceTag::Netmask {
            self.service.netmask = Some(self.netmask(text, names)?);
        }
        let service = &mut self.service;
        match tag {
            ServiceTag::Scheduler => service.scheduler = words::cut(text, Scheduler::MAX_LEN),
            ServiceTag::Engine => service.engine = words::cut(text, 16),
            ServiceTag::Flags => service.scheduler_flags = text.into(),
            ServiceTag::OnePacket => service.flags = service.flags.with(ServiceFlags::ONE_PACKET),
            ServiceTag::Persistent => {
                service.flags = service.flags.with(ServiceFlags::PERSISTENT);
                service.timeout = match value {
                    Some(text) => timeout(text, 1)?,
                    None => PERSISTENCE,
                };
            }
            // Taken above.
            ServiceTag::Netmask => (),
        }
        Ok(())
    }

    fn netmask(&self, text: &str, names: &dyn Names) -> Result<Netmask, Refused> {
        if self.key.is_some_and(|key| key.family() == Family::V6) {
            let length = u8::try_from(values::leading_number(text)).ok();
            let length = length.filter(|length| (1..=128).contains(length));
            return length
                .map(Netmask::V6)
                .ok_or_else(|| Refused::usage("illegal ipv6 netmask specified"));
        }
        let mask = values::ipv4(text).or_else(|| names.host(text));
        mask.map(Netmask::V4)
            .ok_or_else(|| Refused::usage("illegal virtual server persistent mask specified"))
    }

    fn take_of_server(
        &mut self,
        tag: ServerTag,
        text: &str,
        names: &dyn Names,
    ) -> Result<(), Refused> {
        let destination = &mut self.destination;
        match tag {
            ServerTag::Weight => {
                destination.weight = Weight(number(text, 0, MOST, "illegal weight specified")?);
            }
            ServerTag::Upper => {
                destination.thresholds.upper =
                    number(text, 0, MOST, "illegal u_threshold specified")?;
            }
            ServerTag::Lower => {
                destination.thresholds.lower =
                    number(text, 0, MOST, "illegal l_threshold specified")?;
            }
            ServerTag::Address => {
                let protocol = self.key.map(|key| match key {
                    ServiceKey::Address { protocol, .. } => protocol,
                    ServiceKey::FwMark { .. } => Protocol::TCP,
                });
                let place = values::place(text, protocol, names).ok_or_else(|| {
                    Refused::usage("illegal real server address[:port] specified")
                })?;
                let port = place.port.unwrap_or(self.default_port);
                self.server = Some(Place { port: Some(port), ..place });
            }
        }
        Ok(())
    }

    fn take_of_tunnel(&mut self, tag: TunnelTag, text: &str) -> Result<(), Refused> {
        let tunnel = &mut self.destination.tunnel;
        match tag {
            TunnelTag::NoChecksum => tunnel.flags = words::NO_CHECKSUM,
            TunnelTag::Checksum => tunnel.flags = words::CHECKSUM,
            TunnelTag::RemoteChecksum => tunnel.flags = words::REMOTE_CHECKSUM,
            TunnelTag::Port => {
                let port = number(text, 1, u32::from(u16::MAX), "illegal tunnel port specified")?;
                tunnel.port = u16::try_from(port).unwrap_or(0);
            }
            TunnelTag::Kind => {
                let kinds = words::TUNNELS.iter().zip(0..);
                let mut found = kinds.filter(|((name, _), _)| *name == text);
                let (_, kind) =
                    found.next().ok_or_else(|| Refused::usage("illegal tunnel type specified"))?;
                tunnel.kind = kind;
            }
        }
        Ok(())
    }

    fn take_of_daemon(&mut self, tag: DaemonTag, text: &str) -> Result<(), Refused> {
        let daemon = &mut self.daemon;
        match tag {
            DaemonTag::Interface => daemon.interface = words::cut(text, 15),
            DaemonTag::SyncId => daemon.sync_id = number(text, 0, 255, "illegal syncid specified")?,
            DaemonTag::Port => {
                let port = number(text, 1, u32::from(u16::MAX), "illegal mcast-port specified")?;
                daemon.port = u16::try_from(port).ok();
            }
            DaemonTag::Ttl => {
                let ttl = number(text, 1, 255, "illegal mcast-ttl specified")?;
                daemon.ttl = u8::try_from(ttl).ok();
            }
            DaemonTag::MaxLength => {
                let length = number(text, 1, 65_507, "illegal sync-maxlen specified")?;
                daemon.max_length = u16::try_from(length).ok();
            }
            DaemonTag::Group => {
                let version = if text.contains(':') { "IPv6" } else { "IPv4" };
                let group = text.parse::<IpAddr>().ok().filter(IpAddr::is_multicast);
                daemon.group = Some(group.ok_or_else(|| {
                    Refused::usage(format!("invalid {version} mcast-group `{text}'"))
                })?);
            }
        }
        Ok(())
    }

    /// The options are all there, so that the scheduler is known to which its flags belong.
    pub(super) fn scheduler_flags(&mut self) -> Result<(), Refused> {
        let service = &mut self.service;
        let flags = words::scheduler_flags(&service.scheduler, &service.scheduler_flags)?;
        service.flags = service.flags.with(flags);
        Ok(())
    }

    /// The three values of `--set`.
    pub(super) fn set_timeouts(&mut self, [tcp, tcp_fin, udp]: [&str; 3]) -> Result<(), Refused> {
        self.timeouts = Timeouts {
            tcp: timeout(tcp, 0)?,
            tcp_fin: timeout(tcp_fin, 0)?,
            udp: timeout(udp, 0)?,
        };
        Ok(())
    }

    /// Everything is there: what is to be done?
    pub(super) fn command(self, command: CommandName) -> Result<Command, Refused> {
        self.given.check(command)?;
        let key = self.key;
        // Every command that needs a service has been refused without one.
        let needed = || key.ok_or_else(|| Refused::usage("no service"));
        let change = match command {
            CommandName::List => return self.list(),
            CommandName::Save => return Ok(Command::Save(self.format())),
            CommandName::Restore => return Ok(Command::Restore),
            CommandName::Flush => Change::Flush,
            CommandName::Zero => Change::Zero(key),
            CommandName::Set => Change::Timeouts(self.timeouts),
            CommandName::StartDaemon => {
                let mut daemon = self.daemon;
                if daemon.interface.is_empty() {
                    daemon.interface = "eth0".into();
                }
                Change::StartDaemon(daemon)
            }
            CommandName::StopDaemon => Change::StopDaemon(self.daemon.role),
            CommandName::AddService => {
                let key = needed()?;
                Change::Op(Op::AddService(key, self.service(key)?))
            }
            CommandName::EditService => {
                let key = needed()?;
                Change::Op(Op::EditService(key, self.service(key)?))
            }
            CommandName::DeleteService => Change::Op(Op::DeleteService(needed()?)),
            CommandName::AddServer => {
                let (key, to) = self.destination(needed()?)?;
                Change::Op(Op::AddDestination(needed()?, key, to))
            }
            CommandName::EditServer => {
                let (key, to) = self.destination(needed()?)?;
                Change::Op(Op::EditDestination(needed()?, key, to))
            }
            CommandName::DeleteServer => {
                Change::Op(Op::DeleteDestination(needed()?, self.server_key()?))
            }
        };
        Ok(Command::Change(change))
    }

    fn format(&self) -> Format {
        let first = [
            ("stats", Columns::Stats),
            ("rate", Columns::Rate),
            ("thresholds", Columns::Thresholds),
            ("persistent-conn", Columns::Persistent),
            ("tun-info", Columns::Tunnel),
        ];
        let first = first.iter().find(|(name, _)| self.given.has(name));
        Format {
            columns: first.map_or(Columns::Plain, |(_, columns)| *columns),
            numeric: self.given.has("numeric"),
            exact: self.given.has("exact"),
            unsorted: self.given.has("nosort"),
            persistent: self.given.has("persistent-conn"),
            wide: false,
        }
    }

    fn list(self) -> Result<Command, Refused> {
        let given = &self.given;
        let one = given.any(&["connection", "timeout", "daemon"]);
        let other = given.any(&["timeout", "daemon"]);
        if one && given.any(&["stats", "rate", "thresholds"])
            || other && given.has("persistent-conn")
        {
            return Err(Refused::usage("options conflicts in the list command"));
        }
        let list = if given.has("connection") {
            List::Connections
        } else if let Some(key) = self.key {
            List::Service(key)
        } else if given.has("timeout") {
            List::Timeouts
        } else if given.has("daemon") {
            List::Daemons
        } else {
            List::All
        };
        Ok(Command::List(list, self.format()))
    }

    fn service(&self, key: ServiceKey) -> Result<Service, Refused> {
        let options = &self.service;
        if let ServiceKey::Address { protocol, address } = key {
            if address.port() == 0 && !options.flags.contains(ServiceFlags::PERSISTENT) {
                return Err(Refused::usage("Zero port specified for non-persistent service"));
            }
            if options.flags.contains(ServiceFlags::ONE_PACKET) && protocol != Protocol::UDP {
                return Err(Refused::usage(
                    "One-Packet Scheduling is only for UDP virtual services",
                ));
            }
        }
        let name = if options.scheduler.is_empty() { "wlc" } else { &options.scheduler };
        // The kernel would look for it in vain.
        let scheduler = Scheduler::new(name).ok_or_else(words::no_scheduler)?;
        Ok(Service {
            scheduler,
            flags: options.flags,
            timeout: options.timeout,
            netmask: options.netmask.unwrap_or_else(|| Netmask::host(key.family())),
            persistence_engine: match options.engine.as_str() {
                "" => None,
                engine => Some(engine.into()),
            },
        })
    }

    fn server_key(&self) -> Result<DestinationKey, Refused> {
        let server = self.server.ok_or_else(|| Refused::usage("no server"))?;
        Ok(DestinationKey(SocketAddr::new(server.address, server.port.unwrap_or(0))))
    }

    /// Packets that are not rewritten must arrive at the service's own port.
    fn destination(&self, service: ServiceKey) -> Result<(DestinationKey, Destination), Refused> {
        let DestinationKey(mut address) = self.server_key()?;
        let destination = self.destination;
        let is_tunnel = destination.forwarding == Forwarding::Tunnel;
        if let ServiceKey::Address { address: own, .. } = service
            && destination.forwarding != Forwarding::Masquerade
        {
            address.set_port(own.port());
        }
        if Family::of(address.ip()) != service.family() && !is_tunnel {
            return Err(Refused::usage(
                "Different address family is allowed only for tunneling servers",
            ));
        }
        let tunnel = ["tun-type", "tun-port", "tun-nocsum", "tun-csum", "tun-remcsum"];
        if is_tunnel {
            let kind = usize::from(destination.tunnel.kind);
            let (name, row) = words::TUNNELS.get(kind).copied().unwrap_or_default();
            self.given.check_tunnel(name, row)?;
        } else if self.given.any(&tunnel) {
            return Err(Refused::usage("Tunnel options conflict with forward method"));
        }
        Ok((DestinationKey(address), destination))
    }
}

fn number(text: &str, least: u32, most: u32, otherwise: &str) -> Result<u32, Refused> {
    values::number(text, least, most).ok_or_else(|| Refused::usage(otherwise))
}

fn timeout(text: &str, least: u32) -> Result<u32, Refused> {
    number(text, least, LONGEST, &format!("invalid timeout value `{text}' specified"))
}
