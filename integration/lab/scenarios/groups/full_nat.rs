//! Masquerading where the director is not the servers' gateway: full NAT by nftables.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::client;
use crate::lab::Lab;
use crate::net::{self, Namespace};
use crate::pgvs::Pgvs;
use crate::postgres::{ADMIN, Programs};
use crate::session::Session;
use crate::stage::SOON;
use crate::text;

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "full-nat",
    shows: "servers without a way back to the clients answer through the director; its rules come, stay and go as the config says",
    run: full_nat,
}];

/// So long a client waits that cannot be answered.
const IN_VAIN: Duration = Duration::from_secs(3);

fn full_nat(lab: &mut Lab) -> Result<()> {
    lab.cluster()?;
    let _detached = Detached::new()?;
    nft(&["add", "table", "inet", "other"])?;
    nft(&["add", "chain", "inet", "other", "kept", "{ type filter hook forward priority 0 ; }"])?;
    let before = nft(&["list", "ruleset"])?;
    let mut pgvs = lab.daemon(&config("", ""))?;
    // As under the systemd unit: nft has to inherit the one capability that is left.
    pgvs.start_without(&["all,+net_admin"], &[])?;
    ensure!(nft(&["list", "ruleset"])? == before, "nobody wants rules");
    let lost = Namespace::Client
        .inside(|| Ok(TcpStream::connect_timeout(&net::vip(0), IN_VAIN).map(drop)))?;
    ensure!(lost.is_err(), "a server answered past the director: the scenario shows nothing");
    lab.step("without full NAT a client waits in vain");

    reload(&pgvs, &config("true", "true"))?;
    let (mut four, mut six) = (client::connect(net::vip(0))?, client::connect(net::vip6(0))?);
    ensure!(seen(&mut four)? == "10.8.0.1", "a server sees {}", seen(&mut four)?);
    ensure!(seen(&mut six)? == "fd00:8::1", "a server sees {}", seen(&mut six)?);
    for address in [net::vip(0), net::vip6(0)] {
        let said = psql(address)?;
        ensure!(said == "42", "psql through {address}: {said:?}");
    }
    lab.step("over IPv4 and IPv6 sessions and psql go through, and servers see the director");
    let conntrack = Namespace::Director.read_sysctl("net/ipv4/vs/conntrack")?;
    ensure!(conntrack == "1", "conntrack is {conntrack}");

    kept(lab, &pgvs, &mut four)?;
    by_address(lab, &pgvs)?;
    without_nft(lab, &pgvs)?;

    reload(&pgvs, &config("", ""))?;
    ensure!(nft(&["list", "ruleset"])? == before, "{}", nft(&["list", "ruleset"])?);
    lab.step(
        "the rules went with the last service that wanted them; the foreign table is as it was",
    );

    reload(&pgvs, &(config("true", "") + "[director]\non_stop = \"remove\"\n"))?;
    ensure!(nft(&["list", "ruleset"])? != before, "no rules");
    let status = pgvs.stop()?;
    ensure!(status == 0, "pgvs ended with {status}");
    ensure!(nft(&["list", "ruleset"])? == before, "{}", nft(&["list", "ruleset"])?);
    lab.step("a stop with on_stop = \"remove\" removed them too");
    Ok(())
}

/// What another program deleted is put back, and sessions do not notice.
fn kept(lab: &Lab, pgvs: &Pgvs, session: &mut Session) -> Result<()> {
    let (length, rules) = (pgvs.log().len(), nft(&["list", "table", "inet", "pgvs"])?);
    nft(&["delete", "table", "inet", "pgvs"])?;
    let began = Instant::now();
    let line = pgvs.wait_log(length, "written again", SOON)?;
    let took = began.elapsed().as_secs_f64();
    ensure!(nft(&["list", "table", "inet", "pgvs"])? == rules, "other rules than before");
    session.value("select 1").context("a session from before")?;
    lab.figure(format!("nft delete table inet pgvs: repaired after {took:.1} s"))?;
    lab.step(line);
    Ok(())
}

fn by_address(lab: &Lab, pgvs: &Pgvs) -> Result<()> {
    net::add_address("10.8.0.9/24")?;
    let plan = {
        pgvs.write(&config("\"10.8.0.9\"", "true"))?;
        pgvs.run(&["plan"])?.expect(1)?
    };
    ensure!(plan.stdout.contains("~ rules for full NAT of 2 services"), "{}", plan.stdout);
    pgvs.run(&["reload"])?.expect(0)?;
    let mut session = client::connect(net::vip(0))?;
    let seen = seen(&mut session)?;
    ensure!(seen == "10.8.0.9", "a server sees {seen}");
    lab.step("with an address of its own servers see that one");
    Ok(())
}

/// A machine without nft is one alarm that says what to install.
fn without_nft(lab: &Lab, pgvs: &Pgvs) -> Result<()> {
    if !lab.is_guest() {
        lab.step("NOT TRIED: without nft; this machine's is not the lab's own");
        return Ok(());
    }
    pgvs.write(&config("true", "true"))?;
    std::fs::rename("/usr/sbin/nft", "/usr/sbin/nft.away").context("hide nft")?;
    let answer = pgvs.run(&["reload"]);
    let alarm = pgvs.wait_alarm("install nftables", SOON);
    std::fs::rename("/usr/sbin/nft.away", "/usr/sbin/nft").context("bring nft back")?;
    let answer = answer?.expect(2)?;
    ensure!(answer.stderr.contains("install nftables"), "{}", answer.said());
    lab.step(format!("without nft: {}", alarm?));
    pgvs.run(&["reload"])?.expect(0)?;
    let alarms = pgvs.alarms()?;
    ensure!(alarms.is_empty(), "nft is back: {alarms}");
    let seen = seen(&mut client::connect(net::vip(0))?)?;
    ensure!(seen == "10.8.0.1", "a server sees {seen}");
    Ok(())
}

/// The writer over IPv4 and over IPv6, each with or without full NAT.
fn config(four: &str, six: &str) -> String {
    let mut text = text::unprobed(&[(1, 100)]) + &text::service("four", net::vip(0), "any");
    let nat = |text: &mut String, nat: &str| {
        if !nat.is_empty() {
            text.push_str(&format!("source_nat = {nat}\n"));
        }
    };
    nat(&mut text, four);
    text.push_str("[[pool]]\nname = \"six\"\nprobe = \"none\"\n");
    text::server(&mut text, "pg1", net::server6(1), 100);
    text.push_str(&text::service("six", net::vip6(0), "any").replace("\"orders\"", "\"six\""));
    nat(&mut text, six);
    text
}

fn reload(pgvs: &Pgvs, config: &str) -> Result<()> {
    pgvs.write(config)?;
    pgvs.run(&["reload"])?.expect(0).map(drop)
}

/// Whom the server takes for the client.
fn seen(session: &mut Session) -> Result<String> {
    session.value("select host(inet_client_addr())")
}

fn psql(address: SocketAddr) -> Result<String> {
    let programs = Programs::find()?;
    Namespace::Client.inside(|| {
        let mut command = programs.command("psql");
        command.args(["-AtXw", "-U", ADMIN, "-d", "postgres", "-c", "select 6 * 7"]);
        command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
        let output = command.env("PAGER", "cat").stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "psql: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    })
}

/// What `nft` says in the director.
fn nft(arguments: &[&str]) -> Result<String> {
    Namespace::Director.inside(|| {
        let output = Command::new("nft").args(arguments).output().context("start nft")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "nft {}: {}", arguments.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    })
}

/// Servers that have no route to their clients, until it is dropped.
struct Detached;

impl Detached {
    fn new() -> Result<Self> {
        for number in 1..=net::SERVERS {
            net::gateway(number, false)?;
        }
        Ok(Self)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        for number in 1..=net::SERVERS {
            if let Err(error) = net::gateway(number, true) {
                crate::say(&format!("server {number} stays without a gateway: {error:#}"));
            }
        }
    }
}
