//! What is looked at while one method works: the sessions' own view, the packets, and ipvsadm's lists.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Method;
use crate::capture::{Capture, Packet};
use crate::client;
use crate::echo;
use crate::example::{Example, Service};
use crate::kernel;
use crate::lab::Lab;
use crate::net::{Namespace, SERVERS};
use crate::pgvs::Pgvs;
use crate::postgres::Stop;
use crate::routed::Place;
use crate::stage::SOON;
use crate::table::Key;

/// More than any packet holds, so that sizes along the way are tried as well.
const BULK: usize = 200_000;
/// The daemon gives up a first `nft` that has its modules to load on a slow machine, and tries again later.
const RULES_LIMIT: Duration = Duration::from_secs(90);
/// The director's addresses where it stands apart; there alone servers see it in place of clients, or tunnels from it.
const DIRECTOR: [&str; 2] = ["10.9.0.1", "fd00:9::1"];

/// Everything that watches one method at work.
pub(super) struct Proof<'a> {
    method: &'a Method,
    example: Example,
    director: Capture,
    servers: Vec<Capture>,
}

impl<'a> Proof<'a> {
    /// Captures from here on.
    pub(super) fn begin(method: &'a Method, example: Example) -> Result<Self> {
        let servers = (1..=SERVERS).map(|number| Capture::start(Namespace::Server(number)));
        let director = Capture::start(Namespace::Director)?;
        Ok(Self { method, example, director, servers: servers.collect::<Result<_>>()? })
    }

    /// A psql through each TCP service, questions through each UDP service.
    pub(super) fn traffic(&self, lab: &Lab) -> Result<()> {
        for service in &self.example.services {
            let name = &service.name;
            let answer = if service.protocol == "udp" {
                let mut servers = BTreeSet::new();
                for _ in 0..8 {
                    let heard = echo::ask(service.address).with_context(|| name.clone())?;
                    self.is_right_client(service, heard.client)?;
                    servers.insert(heard.server);
                }
                let all: BTreeSet<_> =
                    service.serving().iter().map(|(number, _)| *number).collect();
                ensure!(servers == all, "{name}: {servers:?} answered, not {all:?}");
                format!("8 answers from servers {servers:?}")
            } else {
                let row = psql(service.address).with_context(|| name.clone())?;
                self.check_row(service, &row)?
            };
            lab.step(format!("{name} {}: {answer}", service.address));
        }
        Ok(())
    }

    /// What one psql heard from the server at its end.
    fn check_row(&self, service: &Service, row: &str) -> Result<String> {
        let name = &service.name;
        let fields: Vec<_> = row.split('|').collect();
        let [client, server, recovering, directory, length] = fields[..] else {
            bail!("{name}: psql printed {row:?}");
        };
        self.is_right_client(service, client.parse()?)?;
        let number = directory.chars().last().and_then(|last| last.to_digit(10));
        let number = u8::try_from(number.with_context(|| directory.to_owned())?)?;
        let own = service.serving().into_iter().find(|(it, _)| *it == number);
        let (_, own) = own.with_context(|| format!("{name}: server {number} answered"))?;
        let is_primary = service.target == "primary";
        ensure!((recovering == "f") == is_primary, "{name}: pg_is_in_recovery() is {recovering}");
        // Only masquerading rewrites what the client asked for.
        let asked = if self.method.word == "Masq" { own.ip() } else { service.address.ip() };
        ensure!(server.parse() == Ok(asked), "{name}: asked at {server}, not {asked}");
        ensure!(length.parse() == Ok(BULK), "{name}: {length} of {BULK} bytes arrived");
        Ok(format!("psql at pg{number}, which sees {client} at {server}"))
    }

    fn is_right_client(&self, service: &Service, seen: IpAddr) -> Result<()> {
        let wanted = self.client(service)?;
        ensure!(seen == wanted, "{}: the server sees {seen}, not {wanted}", service.name);
        Ok(())
    }

    /// Whom the servers should see.
    fn client(&self, service: &Service) -> Result<IpAddr> {
        let [four, six] = match self.method.place {
            _ if self.method.hides_clients => DIRECTOR,
            Place::Between => ["10.9.0.2", "fd00:9::2"],
            Place::Beside | Place::Apart => ["10.7.0.2", "fd00:7::2"],
        };
        Ok(if service.address.is_ipv4() { four } else { six }.parse()?)
    }

    /// Everything that passed, for a failure.
    pub(super) fn packets(&mut self) -> Result<String> {
        let mut text = format!("the director saw {:?}", self.director.seen()?);
        for (capture, number) in self.servers.iter_mut().zip(1..) {
            text.push_str(&format!("\nserver {number} saw {:?}", capture.seen()?));
        }
        Ok(text)
    }

    /// Which way the packets went, by what the director and the servers saw of them.
    pub(super) fn ways(&mut self) -> Result<()> {
        let director = self.director.seen()?.clone();
        let mut servers = BTreeSet::new();
        for capture in &mut self.servers {
            servers.extend(capture.seen()?.iter().copied());
        }
        for service in &self.example.services {
            let (name, address) = (&service.name, service.address.ip());
            let protocol = if service.protocol == "udp" { 17 } else { 6 };
            let asked = director.iter().any(|it| it.protocol == protocol && it.to == address);
            ensure!(asked, "{name}: no packet to {address} at the director: {director:?}");
            let answered = director.iter().any(|it| it.protocol == protocol && it.from == address);
            ensure!(
                answered != self.method.answers_pass_by,
                "{name}: answers from {address} at the director: {answered}; it saw {director:?}"
            );
            let mut arrived = BTreeSet::new();
            for (number, own) in service.serving() {
                let promised = self.promised(service, own)?;
                arrived.extend(servers.contains(&promised).then_some(number));
            }
            // A psql goes to one server, the questions go to all.
            let least = if service.protocol == "udp" { service.serving().len() } else { 1 };
            ensure!(arrived.len() >= least, "{name}: only {arrived:?} were reached: {servers:?}");
        }
        Ok(())
    }

    /// The packet that this method brings to a server.
    fn promised(&self, service: &Service, own: SocketAddr) -> Result<Packet> {
        let [four, six] = DIRECTOR;
        let director = if own.is_ipv4() { four } else { six }.parse()?;
        let client = self.client(service)?;
        let plain = if service.protocol == "udp" { 17 } else { 6 };
        let (protocol, from, to) = match (self.method.word, service.tunnel.as_str()) {
            ("Tunnel", "gue") => (17, director, own.ip()),
            ("Tunnel", "gre") => (47, director, own.ip()),
            // By what is inside: IPv4 or IPv6.
            ("Tunnel", _) if service.address.is_ipv4() => (4, director, own.ip()),
            ("Tunnel", _) => (41, director, own.ip()),
            ("Route", _) => (plain, client, service.address.ip()),
            (_, _) => (plain, client, own.ip()),
        };
        Ok(Packet { protocol, from, to })
    }

    /// ipvsadm's lists: the method of every destination, and counters that fit it.
    pub(super) fn counters(&self) -> Result<()> {
        let deadline = Instant::now() + SOON;
        for service in &self.example.services {
            let option = if service.protocol == "udp" { "-u" } else { "-t" };
            let address = service.address.to_string();
            let list = kernel::ipvsadm(&["-Ln", option, &address])?;
            let rows: Vec<_> =
                list.lines().filter(|line| line.starts_with("  ->")).skip(1).collect();
            let right =
                rows.iter().filter(|row| row.split_whitespace().nth(2) == Some(self.method.word));
            let name = &service.name;
            ensure!(
                right.count() == service.servers.len(),
                "{name} is not {}:\n{list}",
                self.method.word
            );
            // The kernel adds up every two seconds.
            loop {
                let list = kernel::ipvsadm(&["-Ln", "--stats", "--exact", option, &address])?;
                let sums = sums(&list).with_context(|| list.clone())?;
                let [connections, incoming, outgoing] = sums;
                if connections > 0 && incoming > 0 {
                    let passes_by = outgoing == 0;
                    ensure!(
                        passes_by == self.method.answers_pass_by,
                        "{name}: answers counted:\n{list}"
                    );
                    break;
                }
                ensure!(Instant::now() < deadline, "{name} counted nothing:\n{list}");
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        Ok(())
    }

    /// A standby stops: new sessions go to the other one, over both families, and back when it returns.
    pub(super) fn failover(&self, lab: &mut Lab, pgvs: &Pgvs, number: u8) -> Result<()> {
        let readers = self.example.services.iter().filter(|it| it.target == "prefer-standby");
        let readers: Vec<_> = readers.cloned().collect();
        lab.cluster_as_is()?.server(number)?.tell(Stop::Fast)?;
        for service in &readers {
            let left = service.serving().into_iter().filter(|(it, _)| *it != number);
            wait_serving(service, &left.collect::<Vec<_>>()).context(pgvs.log())?;
            for _ in 0..3 {
                let mut session = client::connect(service.address)?;
                let directory = session.value("show data_directory")?;
                session.close()?;
                let wrong = directory.ends_with(&number.to_string());
                ensure!(!wrong, "{}: a new session at the dead server", service.name);
            }
        }
        lab.step(format!("pg{number} has stopped: new sessions go to the other standby"));
        lab.cluster_as_is()?.server(number)?.wait_end(SOON)?;
        lab.cluster_as_is()?.restart(number)?;
        for service in &readers {
            wait_serving(service, &service.serving())?;
        }
        lab.step(format!("pg{number} is back and takes new sessions"));
        lab.cluster_as_is()?.wait_streaming(1, 2)
    }
}

fn key(service: &Service) -> Key {
    Key::Address(if service.protocol == "udp" { 17 } else { 6 }, service.address)
}

/// Waits until exactly these servers take new clients.
pub(super) fn wait_serving(service: &Service, servers: &[(u8, SocketAddr)]) -> Result<()> {
    let wanted: BTreeSet<_> = servers.iter().map(|(_, address)| *address).collect();
    let deadline = Instant::now() + SOON;
    loop {
        let table = kernel::by_proc()?;
        let usable: BTreeSet<_> = table.usable(key(service)).into_iter().collect();
        if usable == wanted {
            return Ok(());
        }
        let name = &service.name;
        ensure!(Instant::now() < deadline, "{name}: {usable:?} serve, not {wanted:?}:\n{table}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One real psql from the client: who it is to the server, with more than a packet in each direction.
fn psql(address: SocketAddr) -> Result<String> {
    let script = format!(
        "select host(inet_client_addr()), host(inet_server_addr()), pg_is_in_recovery(), \
         current_setting('data_directory'), length('{}');\nselect repeat('y', {BULK});\n",
        "x".repeat(BULK)
    );
    let output = Namespace::Client.inside(|| {
        let mut command = Command::new("timeout");
        command.args(["60", "/usr/lib/postgresql/15/bin/psql", "-XqAt", "-v", "ON_ERROR_STOP=1"]);
        command.args(["-U", "postgres", "-d", "postgres", "-h", &address.ip().to_string()]);
        command.args(["-p", &address.port().to_string()]).env("PGCONNECT_TIMEOUT", "30");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("start psql")?;
        let mut stdin = child.stdin.take().context("psql without standard input")?;
        std::thread::scope(|scope| {
            // It may print before it has read everything.
            scope.spawn(move || drop(std::io::Write::write_all(&mut stdin, script.as_bytes())));
            child.wait_with_output().context("wait for psql")
        })
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "psql at {address}: {}: {}", output.status, said.trim());
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let row = lines.next().context("psql printed nothing")?.to_owned();
    let bulk = lines.next().unwrap_or_default().len();
    ensure!(bulk == BULK, "psql at {address}: {bulk} of {BULK} bytes came back");
    Ok(row)
}

/// Waits until the kernel has rules that rewrite the clients' addresses, by what nft lists of it.
pub(super) fn wait_rules(services: &[Service]) -> Result<()> {
    let deadline = Instant::now() + RULES_LIMIT;
    loop {
        let output = Namespace::Director.inside(|| {
            Command::new("nft").args(["-n", "list", "ruleset"]).output().context("start nft")
        })?;
        let list = String::from_utf8_lossy(&output.stdout);
        let has = |it: &Service| {
            let (address, port) = (it.address.ip(), it.address.port());
            let meant = format!("daddr {address} ct original proto-dst {port} masquerade");
            list.contains(&meant)
        };
        if services.iter().all(has) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no rules for every service; nft lists:\n{list}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The service's connections, incoming and outgoing packets in a list with counters.
fn sums(list: &str) -> Result<[u64; 3]> {
    let line = list.lines().find(|line| line.starts_with("TCP") || line.starts_with("UDP"));
    let words: Vec<_> = line.context("no service")?.split_whitespace().skip(2).collect();
    let number = |at: usize| Ok::<_, anyhow::Error>(words.get(at).context("too short")?.parse()?);
    Ok([number(0)?, number(1)?, number(2)?])
}
