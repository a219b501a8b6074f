//! `-L -c` and the counters while there are connections: both programs at a moment at which nothing changed.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::lab::Lab;
use crate::net::{Namespace, server, server6, vip, vip6};
use crate::twin::{Program, same_text};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ipvsadm-connections",
    shows: "live connections of every kind, and their counters, are listed by both programs alike",
    run,
}];

/// Every way to list connections, as lines of `-R`: one process prints them all.
const LISTS: &str = "-L -n -c\n-L -c\n-L -n -c --persistent-conn\n-L -c --persistent-conn\n-l -n -c --exact --nosort\n";
/// Every way to list what was counted.
const COUNTERS: &str = "-L -n\n-L -n --stats\n-L -n --rate\n-L -n --stats --exact\n-L -n --rate --exact\n-L -n --persistent-conn\n-L -n --thresholds\n";
/// Each list is of a moment; the seconds run on, so that most moments are bad ones where many timers run.
const TRIES: usize = 20;

const TCP: u16 = 7001;
const DEAD: u16 = 7002;
const UDP: u16 = 7003;
const SIP: u16 = 5060;

fn run(lab: &mut Lab) -> Result<()> {
    build(lab)?;
    let _traffic = Traffic::make()?;
    // The states below are the kernel's as soon as the packets are through.
    let wanted = [
        "ESTABLISHED",
        "SYN_RECV",
        "FIN_WAIT",
        "CLOSE_WAIT",
        "UDP ",
        "10.9.0.2:0",
        "[fd00:9::2]",
        "sip                call-1@pgvs",
    ];
    let began = Instant::now();
    let text = loop {
        let text = Program::Theirs.lines(lab, LISTS)?;
        let missing = wanted.iter().find(|word| !text.contains(**word));
        let Some(missing) = missing else { break text };
        ensure!(began.elapsed() < Duration::from_secs(20), "no {missing:?} in\n{text}");
    };
    lab.step(format!("{} lines with {}", text.lines().count(), wanted.join(", ").trim()));
    let tries = compared(lab, LISTS, connections)?;
    lab.step(format!("{} lists of connections alike {tries}", LISTS.lines().count()));
    // The lists of counters would be alike without a packet too; the kernel writes them every two seconds.
    let began = Instant::now();
    loop {
        let counted = Program::Theirs.lines(lab, "-L -n --stats --exact\n")?;
        let servers = counted.lines().filter_map(|line| line.strip_prefix("  -> "));
        let busy =
            servers.filter(|line| line.split_whitespace().nth(2).is_some_and(|it| it != "0"));
        if busy.count() >= 8 {
            break;
        }
        ensure!(began.elapsed() < Duration::from_secs(20), "{counted}");
    }
    let tries = compared(lab, COUNTERS, || Program::Theirs.lines(lab, COUNTERS))?;
    lab.step(format!("{} lists of counters alike {tries}", COUNTERS.lines().count()));
    Ok(())
}

/// Prints both programs' lists between two looks at what they show. Where these differ, the moment was a bad one: then the
/// lists may differ by the seconds that have passed, and by nothing else. Says what came of it.
fn compared(lab: &Lab, lines: &str, look: impl Fn() -> Result<String>) -> Result<String> {
    let mut differs = String::new();
    let mut by_seconds = 0;
    for number in 1..=TRIES {
        let before = look()?;
        let began = Instant::now();
        let (ours, theirs) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| Program::Ours.lines(lab, lines));
            let theirs = Program::Theirs.lines(lab, lines);
            (ours.join(), theirs)
        });
        let ours = ours.map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        let theirs = theirs?;
        let passed = began.elapsed().as_secs() + 1;
        if look()? == before {
            same_text(lines, &ours, &theirs)?;
            return Ok(format!("to the byte at moment {number}"));
        }
        match but_for_seconds(&ours, &theirs, passed) {
            Ok(()) => by_seconds += 1,
            Err(what) => differs = what,
        }
    }
    ensure!(
        by_seconds > 0,
        "no moment among {TRIES} without a change, and at the last one: {differs}"
    );
    Ok(format!("but for seconds that passed, at {by_seconds} of {TRIES} moments"))
}

/// Whether lists of connections differ by no more than so many seconds in the column of the expiry.
fn but_for_seconds(ours: &str, theirs: &str, passed: u64) -> Result<(), String> {
    let (mut ours, mut theirs) = (ours.lines(), theirs.lines());
    loop {
        let (our, their) = match (ours.next(), theirs.next()) {
            (None, None) => return Ok(()),
            (our, their) => (our.unwrap_or_default(), their.unwrap_or_default()),
        };
        let is_same = match (expiry(our), expiry(their)) {
            (Some((our, of_ours)), Some((their, of_theirs))) => {
                our == their && of_ours.abs_diff(of_theirs) <= passed
            }
            (None, None) => our == their,
            _ => false,
        };
        if !is_same {
            return Err(format!("\n{our}\n{their}"));
        }
    }
}

/// A line of connections without its expiry, and that in seconds.
fn expiry(line: &str) -> Option<(String, u64)> {
    let (before, rest) = line.split_at_checked(4)?;
    let (expiry, after) = rest.split_at_checked(6)?;
    let (minutes, seconds) = expiry.trim_end().split_once(':')?;
    // As ipvsadm has them: seconds of two digits, minutes of two or more.
    if minutes.len() < 2 || seconds.len() != 2 {
        return None;
    }
    let seconds = minutes.parse::<u64>().ok()? * 60 + seconds.parse::<u64>().ok()?;
    Some((format!("{before}{after}"), seconds))
}

fn connections() -> Result<String> {
    Namespace::Director.inside(|| {
        let path = "/proc/thread-self/net/ip_vs_conn";
        std::fs::read_to_string(path).with_context(|| format!("read {path}"))
    })
}

fn build(lab: &Lab) -> Result<()> {
    let mut lines = String::from("-C\n");
    let mut add = |option: &str, at: SocketAddr, options: &str, servers: &[SocketAddr]| {
        lines += &format!("-A {option} {at} -s rr{options}\n");
        for server in servers {
            lines += &format!("-a {option} {at} -r {server} -m -x 1000 -y 500\n");
        }
    };
    let on = |mut address: SocketAddr, port| {
        address.set_port(port);
        address
    };
    let two = [on(server(1), TCP), on(server(2), TCP)];
    let two6 = [on(server6(1), TCP), on(server6(2), TCP)];
    add("-t", on(vip(0), TCP), "", &two);
    add("-t", on(vip(1), TCP), " -p 300 -M 255.255.255.0", &two);
    add("-t", on(vip(0), DEAD), "", &[SocketAddr::from(([10, 8, 0, 99], DEAD))]);
    add("-t", on(vip6(0), TCP), "", &two6);
    add("-t", on(vip6(1), TCP), " -p 3000", &two6);
    add("-u", on(vip(0), UDP), "", &[on(server(1), UDP)]);
    add("-u", on(vip6(0), UDP), "", &[on(server6(1), UDP)]);
    add("-u", on(vip(1), SIP), " -p 60 --pe sip", &[on(server(1), SIP)]);
    Program::Theirs.lines(lab, &lines).map(drop)
}

/// What has to stay open for the connections to stay.
struct Traffic {
    _listeners: Vec<TcpListener>,
    _open: Vec<TcpStream>,
    _servers: Vec<UdpSocket>,
    _clients: Vec<UdpSocket>,
}

impl Traffic {
    fn make() -> Result<Self> {
        let (mut listeners, mut servers) = (Vec::new(), Vec::new());
        for number in [1, 2] {
            listeners.push(
                Namespace::Server(number)
                    .inside(|| TcpListener::bind(("::", TCP)).context("listen"))?,
            );
            for port in [UDP, SIP] {
                servers
                    .push(Namespace::Server(number).inside(|| {
                        UdpSocket::bind(("::", port)).context("listen for datagrams")
                    })?);
            }
        }
        let (mut open, clients) = Namespace::Client.inside(|| Ok((streams()?, datagrams()?)))?;
        let mut accepted = Vec::new();
        for listener in &listeners {
            listener.set_nonblocking(true)?;
            // Some of each server's are closed by the server: half, so that they stay in that state.
            for (stream, _) in std::iter::from_fn(|| listener.accept().ok()).take(6) {
                // Those that the client has reset are none any more.
                drop(stream.shutdown(Shutdown::Write));
                accepted.push(stream);
            }
        }
        ensure!(accepted.len() > 4, "only {} connections were accepted", accepted.len());
        open.extend(accepted);
        Ok(Self { _listeners: listeners, _open: open, _servers: servers, _clients: clients })
    }
}

fn streams() -> Result<Vec<TcpStream>> {
    let mut open = Vec::new();
    for address in [vip(0), vip(1), vip6(0), vip6(1)] {
        for number in 0..6 {
            let to = SocketAddr::new(address.ip(), TCP);
            let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))
                .with_context(|| format!("connect to {to}"))?;
            stream.write_all(b"counted").context("send")?;
            match number {
                0 => stream.shutdown(Shutdown::Write).context("shut down")?,
                // A reset, which is seen as CLOSE for ten seconds.
                1 => rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?,
                _ => (),
            }
            if number != 1 {
                open.push(stream);
            }
        }
    }
    let dead = SocketAddr::new(vip(0).ip(), DEAD);
    let tried = TcpStream::connect_timeout(&dead, Duration::from_millis(100));
    ensure!(tried.is_err(), "somebody answers at {dead}");
    Ok(open)
}

fn datagrams() -> Result<Vec<UdpSocket>> {
    let mut clients = Vec::new();
    let invite =
        "INVITE sip:bob@10.9.0.101 SIP/2.0\r\nCall-ID: call-1@pgvs\r\nCSeq: 1 INVITE\r\n\r\n";
    for (to, port, text) in [(vip(0), UDP, "one"), (vip6(0), UDP, "two"), (vip(1), SIP, invite)] {
        let any: SocketAddr = if to.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(any).context("open a socket")?;
        socket.send_to(text.as_bytes(), SocketAddr::new(to.ip(), port)).context("send")?;
        clients.push(socket);
    }
    Ok(clients)
}
