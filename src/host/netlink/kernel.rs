//! What can be asked of the kernel's IPVS, in nouns.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};

use super::error::KernelError;
use super::exchange::{Exchange, Failure};
use super::transport::{NetlinkSocket, Transport};
use crate::model::destination::Connections;
use crate::model::kernel::{
    IpvsInfo, ListedDestination, ListedService, SyncDaemon, SyncRole, Timeouts,
};
use crate::model::op::{Errno, Op};
use crate::model::service::ServiceKey;
use crate::model::table::{Counters, Entry, Table};
use crate::wire::proc::{ProcReader, ProcTable, Room};
use crate::wire::reply::Reply;
use crate::wire::request::Request;

/// The table of the network namespace of the reading thread, whatever the process's first thread is in.
const PROC: &str = "/proc/thread-self/net/ip_vs";

/// The kernel's IPVS in one network namespace: that of the thread that opened it, on which it should stay.
#[derive(Debug)]
pub struct Kernel<T = NetlinkSocket> {
    exchange: Exchange<T>,
}

impl Kernel {
    /// Opens the socket and finds IPVS, which loads the module where that is possible. Needs no capability.
    pub fn open() -> Result<Self, KernelError> {
        Self::over(NetlinkSocket::open()?)
    }
}

impl<T: Transport> Kernel<T> {
    /// The kernel behind a transport.
    pub fn over(transport: T) -> Result<Self, KernelError> {
        let exchange = Exchange::new(transport);
        let exchange = exchange.map_err(|it| it.while_doing("look for IPVS in the kernel"))?;
        Ok(Self { exchange })
    }

    /// Its version and the size of its connection table.
    pub fn info(&mut self) -> Result<IpvsInfo, KernelError> {
        let doing = "read the version of IPVS";
        match self.ask(Request::info(), doing)? {
            Some(Reply::Info(info)) => Ok(info),
            _ => Err(unexpected(doing)),
        }
    }

    /// Its timeouts.
    pub fn config(&mut self) -> Result<Timeouts, KernelError> {
        let doing = "read the timeouts of IPVS";
        match self.ask(Request::config(), doing)? {
            Some(Reply::Config(timeouts)) => Ok(timeouts),
            _ => Err(unexpected(doing)),
        }
    }

    /// Changes its timeouts; those that are 0 stay.
    pub fn set_config(&mut self, timeouts: Timeouts) -> Result<(), KernelError> {
        let doing = "set the timeouts of IPVS";
        self.ask(Request::set_config(timeouts), doing).map(drop)
    }

    /// Sets the counters of one service, or of all, back to zero.
    pub fn zero(&mut self, service: Option<ServiceKey>) -> Result<(), KernelError> {
        self.ask(Request::zero(service), "zero the counters of IPVS").map(drop)
    }

    /// Deletes every service with its destinations.
    pub fn flush(&mut self) -> Result<(), KernelError> {
        self.ask(Request::flush(), "clear the table of IPVS").map(drop)
    }

    /// Starts a connection-sync daemon.
    pub fn start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), KernelError> {
        self.ask(Request::start_daemon(daemon), "start a sync daemon of IPVS").map(drop)
    }

    /// Ends the connection-sync daemon of a role.
    pub fn stop_daemon(&mut self, role: SyncRole) -> Result<(), KernelError> {
        self.ask(Request::stop_daemon(role), "stop a sync daemon of IPVS").map(drop)
    }

    /// The connection-sync daemons that run.
    pub fn daemons(&mut self) -> Result<Vec<SyncDaemon>, KernelError> {
        let doing = "read the sync daemons of IPVS";
        let replies = self.exchange.dump(&Request::daemons());
        let replies = replies.map_err(|it| it.while_doing(doing))?;
        let daemons = replies.into_iter().map(|reply| match reply {
            Reply::Daemon(daemon) => Ok(daemon),
            Reply::Service(_)
            | Reply::Destination(_)
            | Reply::Info(_)
            | Reply::Config(_)
            | Reply::Other(_) => Err(unexpected(doing)),
        });
        daemons.collect()
    }

    /// Reads the table and counts its connections.
    ///
    /// Dumps are not consistent while another program writes: entries may come twice or not at all. So
    /// whoever expects a service names it in `confirm`, and it is asked for by key before it counts as gone.
    pub fn dump(&mut self, confirm: &[ServiceKey]) -> Result<(Table, Counters), KernelError> {
        let listed = self.services()?;
        let mut services: BTreeMap<_, _> = listed.into_iter().map(|it| (it.key, it)).collect();
        for key in confirm {
            if !services.contains_key(key)
                && let Some(missed) = self.service(*key)?
            {
                services.insert(*key, missed);
            }
        }
        let (mut table, mut counters) = (Table::default(), Counters::new());
        for (key, listed) in services {
            let destinations = self.destinations(key)?;
            // A service that is gone has an empty dump as well.
            if destinations.is_empty() && self.service(key)?.is_none() {
                continue;
            }
            let busy = destinations.iter().filter(|it| it.connections != Connections::default());
            counters.extend(busy.map(|it| ((key, it.key), it.connections)));
            let destinations = destinations.iter();
            let entry = Entry {
                service: listed.service,
                destinations: destinations.map(|it| (it.key, it.destination)).collect(),
            };
            table.services.insert(key, entry);
        }
        Ok((table, counters))
    }

    /// The services and their destinations in the kernel's order, with their traffic.
    pub fn list(&mut self) -> Result<Vec<ListedService>, KernelError> {
        let mut services = self.services()?;
        for service in &mut services {
            service.destinations = self.destinations(service.key)?;
        }
        Ok(services)
    }

    /// Carries out changes in order. Each is acknowledged or refused by itself, and refusals do not stop the
    /// ones behind them; an error means that it is not known which were carried out.
    pub fn apply(&mut self, ops: &[Op]) -> Result<Vec<Result<(), Errno>>, KernelError> {
        let outcomes = self.exchange.apply(ops);
        outcomes.map_err(|failure| match ops {
            [op] => failure.while_doing(op.to_string()),
            _ => failure.while_doing(format!("apply {} changes to the IPVS table", ops.len())),
        })
    }

    /// One service without its destinations; `None` if it does not exist.
    pub fn service(&mut self, key: ServiceKey) -> Result<Option<ListedService>, KernelError> {
        match self.exchange.ask(&Request::service(key)) {
            Ok(Some(Reply::Service(service))) => Ok(Some(service)),
            Ok(_) => Err(unexpected(&reading(key))),
            Err(Failure::Refused(Errno::ESRCH)) => Ok(None),
            Err(failure) => Err(failure.while_doing(reading(key))),
        }
    }

    /// The services in the kernel's order, without their destinations.
    pub fn services(&mut self) -> Result<Vec<ListedService>, KernelError> {
        let doing = "read the services of IPVS";
        let replies = self.exchange.dump(&Request::services());
        let replies = replies.map_err(|it| it.while_doing(doing))?;
        let services = replies.into_iter().map(|reply| match reply {
            Reply::Service(service) => Ok(service),
            Reply::Destination(_)
            | Reply::Info(_)
            | Reply::Config(_)
            | Reply::Daemon(_)
            | Reply::Other(_) => Err(unexpected(doing)),
        });
        services.collect()
    }

    /// The destinations of a service in the kernel's order; none if it does not exist.
    pub fn destinations(
        &mut self,
        service: ServiceKey,
    ) -> Result<Vec<ListedDestination>, KernelError> {
        let replies = self.exchange.dump(&Request::destinations(service));
        let replies = replies.map_err(|it| it.while_doing(reading(service)))?;
        let destinations = replies.into_iter().map(|reply| match reply {
            Reply::Destination(it) => Ok(it.of_service(service.family())),
            Reply::Service(_)
            | Reply::Info(_)
            | Reply::Config(_)
            | Reply::Daemon(_)
            | Reply::Other(_) => Err(unexpected(&reading(service))),
        });
        destinations.collect()
    }

    fn ask(&mut self, request: Request, doing: &str) -> Result<Option<Reply>, KernelError> {
        let reply = self.exchange.ask(&request);
        reply.map_err(|failure| failure.while_doing(doing))
    }
}

/// The cheap list of the table: needs no capability, shows less.
#[derive(Debug)]
pub struct CheapList {
    /// One page is what the kernel hands out at once, unless a service is longer than that.
    buffer: Box<[u8]>,
    /// As much as was there the last time.
    room: Room,
}

impl Default for CheapList {
    fn default() -> Self {
        Self { buffer: vec![0; 1 << 16].into(), room: Room::default() }
    }
}

impl CheapList {
    /// Reads /proc/net/ip_vs in the calling thread's network namespace.
    pub fn read(&mut self) -> Result<ProcTable, KernelError> {
        let failed = |cause: io::Error| {
            if cause.kind() == io::ErrorKind::NotFound {
                return KernelError::ModuleGone;
            }
            KernelError::Proc { path: PROC, cause }
        };
        let mut file = File::open(PROC).map_err(failed)?;
        let mut reader = ProcReader::with_room(self.room);
        let not_understood = |cause| KernelError::ProcLine { path: PROC, cause };
        loop {
            let length = match file.read(&mut self.buffer) {
                Ok(0) => {
                    let list = reader.finish().map_err(not_understood)?;
                    self.room = list.room();
                    return Ok(list);
                }
                Ok(length) => length,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => return Err(failed(cause)),
            };
            let piece = self.buffer.get(..length).unwrap_or_default();
            reader.take(piece).map_err(not_understood)?;
        }
    }
}

fn reading(key: ServiceKey) -> String {
    format!("read service {key}")
}

fn unexpected(doing: &str) -> KernelError {
    KernelError::Unexpected { doing: doing.into() }
}

#[cfg(test)]
mod tests;
