//! Forwarding with real traffic: each method as a shipped example sets it up, over IPv4 and IPv6, for TCP and UDP.
//! What the kernel did is read from the servers, from the packets and from ipvsadm, never from pgvs.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::capture::{Capture, Packet};
use crate::echo::{self, Echo};
use crate::example::{Example, Service};
use crate::kernel;
use crate::lab::Lab;
use crate::net::{Namespace, SERVERS};
use crate::pgvs::Pgvs;
use crate::postgres::Stop;
use crate::routed::{Place, Scene};
use crate::stage::SOON;
use crate::table::Key;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "masquerade",
        shows: "examples/masquerade.toml: servers see the client, answers come back through the director",
        run: |lab| prove(lab, &MASQUERADE),
    },
    Scenario {
        name: "direct-routing",
        shows: "examples/direct-routing.toml: servers see the client and answer it past the director",
        run: |lab| prove(lab, &DIRECT_ROUTING),
    },
    Scenario {
        name: "tunnel",
        shows: "examples/tunnel.toml: servers unwrap IPIP, see the client and answer it past the director",
        run: |lab| prove(lab, &TUNNEL),
    },
];

/// What must be seen of a method.
struct Method {
    /// The file under config/examples.
    example: &'static str,
    /// Where the director stands.
    place: Place,
    /// ipvsadm's word for it.
    word: &'static str,
    /// What a packet from the director to a server carries over IPv4 and IPv6, if it is not the client's own packet.
    outer: Option<[u8; 2]>,
    /// Whether servers see the director where they should see the client.
    hides_clients: bool,
    /// Whether answers take another way than the director.
    answers_pass_by: bool,
    /// Whether a server is stopped under traffic.
    loses_server: Option<u8>,
}

const MASQUERADE: Method = Method {
    example: "masquerade",
    place: Place::Between,
    word: "Masq",
    outer: None,
    hides_clients: false,
    answers_pass_by: false,
    loses_server: None,
};

const DIRECT_ROUTING: Method = Method {
    example: "direct-routing",
    place: Place::Beside,
    word: "Route",
    answers_pass_by: true,
    loses_server: Some(2),
    ..MASQUERADE
};

/// IPIP in IPv4 is protocol 4, IPv6 in IPv6 is 41.
const TUNNEL: Method = Method {
    example: "tunnel",
    place: Place::Apart,
    word: "Tunnel",
    outer: Some([4, 41]),
    answers_pass_by: true,
    loses_server: Some(3),
    ..MASQUERADE
};

/// An emulated processor stands still for seconds, and no proof here is about silence.
const PATIENCE: &str = "[defaults.postgres]\nsuspect_after = \"4s\"\nlost_after = \"10s\"\n";
/// More than any packet holds, so that sizes along the way are tried as well.
const BULK: usize = 200_000;

/// Everything that watches one method at work.
struct Proof<'a> {
    method: &'a Method,
    example: Example,
    director: Capture,
    servers: Vec<Capture>,
}

fn prove(lab: &mut Lab, method: &Method) -> Result<()> {
    let example = Example::read(&lab.repository, method.example)?;
    is_complete(&example.services)?;
    lab.cluster()?;
    let _scene = Scene::lay(method.place)?;
    example.prepare()?;
    lab.step("the example's own commands have prepared director and servers");
    let echo = echoes(&example.services, method)?;
    let mut pgvs = lab.daemon(&format!("{PATIENCE}{}", example.text))?;
    pgvs.start()?;
    for service in &example.services {
        wait_serving(service, &service.serving())?;
    }
    let servers = (1..=SERVERS).map(|number| Capture::start(Namespace::Server(number)));
    let mut proof = Proof {
        method,
        director: Capture::start(Namespace::Director)?,
        servers: servers.collect::<Result<_>>()?,
        example,
    };
    if let Err(error) = proof.traffic(lab) {
        return Err(error.context(proof.packets()?));
    }
    proof.ways()?;
    lab.step("the packets went the way that the method promises");
    proof.counters()?;
    lab.step(format!(
        "ipvsadm lists {} services as {} with counters",
        proof.example.services.len(),
        method.word
    ));
    if let Some(number) = method.loses_server {
        proof.failover(lab, &pgvs, number)?;
    }
    drop(echo);
    ensure!(pgvs.is_running(), "pgvs has ended");
    Ok(())
}

/// Writers and readers by TCP, something by UDP, each over both families.
fn is_complete(services: &[Service]) -> Result<()> {
    for protocol in ["tcp"] {
        for is_ipv4 in [true, false] {
            let of = |it: &&Service| it.protocol == protocol && it.address.is_ipv4() == is_ipv4;
            let targets: BTreeSet<_> =
                services.iter().filter(of).map(|it| it.target.as_str()).collect();
            let wanted =
                if protocol == "tcp" { vec!["prefer-standby", "primary"] } else { vec!["any"] };
            ensure!(
                targets.iter().copied().eq(wanted.iter().copied()),
                "the example's {protocol} services of one family want {targets:?}, not {wanted:?}"
            );
        }
    }
    Ok(())
}

/// The UDP programs answer at the address at which the packets of this method arrive.
fn echoes(services: &[Service], method: &Method) -> Result<Echo> {
    let mut echo = Echo::default();
    for service in services.iter().filter(|it| it.protocol == "udp") {
        for &(number, own) in &service.servers {
            let asked = if method.answers_pass_by { service.address } else { own };
            echo.start(number, asked)?;
        }
    }
    Ok(echo)
}

fn key(service: &Service) -> Key {
    Key::Address(if service.protocol == "udp" { 17 } else { 6 }, service.address)
}

/// Waits until exactly these servers take new clients.
fn wait_serving(service: &Service, servers: &[(u8, SocketAddr)]) -> Result<()> {
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

impl Proof<'_> {
    /// A psql through each TCP service, questions through each UDP service.
    fn traffic(&self, lab: &Lab) -> Result<()> {
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
            anyhow::bail!("{name}: psql printed {row:?}");
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
        let wanted =
            if self.method.hides_clients { DIRECTOR } else { client_of(self.method.place) };
        let wanted = wanted.map(str::parse::<IpAddr>);
        let wanted = if service.address.is_ipv4() { &wanted[0] } else { &wanted[1] };
        ensure!(&Ok(seen) == wanted, "{}: the server sees {seen}, not {wanted:?}", service.name);
        Ok(())
    }

    /// Everything that passed, for a failure.
    fn packets(&mut self) -> Result<String> {
        let mut text = format!("the director saw {:?}", self.director.seen()?);
        for (capture, number) in self.servers.iter_mut().zip(1..) {
            text.push_str(&format!("\nserver {number} saw {:?}", capture.seen()?));
        }
        Ok(text)
    }

    /// Which way the packets went, by what the director and the servers saw of them.
    fn ways(&mut self) -> Result<()> {
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
            for (number, own) in service.serving() {
                let arrived = servers.iter().any(|it| self.arrives(*it, service, own));
                // A psql goes to one of the readers, an echo to all.
                let needed = service.target != "prefer-standby";
                ensure!(
                    arrived || !needed,
                    "{name}: nothing as promised at server {number}: {servers:?}"
                );
            }
        }
        Ok(())
    }

    /// Whether a server's packet is one that this method brings there.
    fn arrives(&self, packet: Packet, service: &Service, own: SocketAddr) -> bool {
        let family = usize::from(!own.is_ipv4());
        let plain = if service.protocol == "udp" { 17 } else { 6 };
        match (self.method.outer, self.method.word) {
            (Some(outer), _) => packet.protocol == outer[family] && packet.to == own.ip(),
            (None, "Route") => packet.protocol == plain && packet.to == service.address.ip(),
            (None, _) => packet.protocol == plain && packet.to == own.ip(),
        }
    }

    /// ipvsadm's lists: the method of every destination, and counters that fit it.
    fn counters(&self) -> Result<()> {
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
    fn failover(&self, lab: &mut Lab, pgvs: &Pgvs, number: u8) -> Result<()> {
        let readers = self.example.services.iter().filter(|it| it.target == "prefer-standby");
        let readers: Vec<_> = readers.cloned().collect();
        lab.cluster_as_is()?.server(number)?.tell(Stop::Fast)?;
        for service in &readers {
            let left = service.serving().into_iter().filter(|(it, _)| *it != number);
            wait_serving(service, &left.collect::<Vec<_>>()).context(pgvs.log())?;
            for _ in 0..3 {
                let mut session = crate::client::connect(service.address)?;
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
        lab.cluster_as_is()?.wait_streaming(1, 2)
    }
}

/// The director's addresses towards the servers where it is their gateway no more.
const DIRECTOR: [&str; 2] = ["10.9.0.1", "fd00:9::1"];

const fn client_of(place: Place) -> [&'static str; 2] {
    match place {
        Place::Between => ["10.9.0.2", "fd00:9::2"],
        Place::Beside | Place::Apart => ["10.7.0.2", "fd00:7::2"],
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
        command.args(["20", "/usr/lib/postgresql/15/bin/psql", "-XqAt", "-v", "ON_ERROR_STOP=1"]);
        command.args(["-U", "postgres", "-d", "postgres", "-h", &address.ip().to_string()]);
        command.args(["-p", &address.port().to_string()]).env("PGCONNECT_TIMEOUT", "10");
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

/// The service's connections, incoming and outgoing packets in a list with counters.
fn sums(list: &str) -> Result<[u64; 3]> {
    let line = list.lines().find(|line| line.starts_with("TCP") || line.starts_with("UDP"));
    let words: Vec<_> = line.context("no service")?.split_whitespace().skip(2).collect();
    let number = |at: usize| Ok::<_, anyhow::Error>(words.get(at).context("too short")?.parse()?);
    Ok([number(0)?, number(1)?, number(2)?])
}
