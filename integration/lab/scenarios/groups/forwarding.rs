//! Forwarding with real traffic: each method as a shipped example sets it up, over IPv4 and IPv6, for TCP and UDP.
//! What the kernel did is read from the servers, from the packets and from ipvsadm, never from pgvs.

mod proof;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use self::proof::{Proof, wait_serving};
use super::Scenario;
use crate::echo::Echo;
use crate::example::{Example, Service};
use crate::lab::Lab;
use crate::routed::{Place, Scene};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "traffic-masquerade",
        shows: "examples/masquerade.toml: servers see the client, answers come back through the director",
        run: |lab| prove(lab, &MASQUERADE),
    },
    Scenario {
        name: "traffic-full-nat",
        shows: "examples/full-nat.toml: servers with another gateway see the director and answer it",
        run: |lab| prove(lab, &FULL_NAT),
    },
    Scenario {
        name: "traffic-direct-routing",
        shows: "examples/direct-routing.toml: servers see the client and answer it past the director",
        run: |lab| prove(lab, &DIRECT_ROUTING),
    },
    Scenario {
        name: "traffic-tunnel",
        shows: "examples/tunnel.toml: servers unwrap IPIP, see the client and answer it past the director",
        run: |lab| prove(lab, &TUNNEL),
    },
    Scenario {
        name: "traffic-tunnel-kinds",
        shows: "examples/tunnel-kinds.toml: GUE, GRE, IPv4 in IPv6 and IPv6 in IPv4 carry a psql",
        run: |lab| prove(lab, &TUNNEL_KINDS),
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
    /// Whether the example shows writers and readers by TCP, and something by UDP, each over both families.
    is_complete: bool,
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
    is_complete: true,
    hides_clients: false,
    answers_pass_by: false,
    loses_server: None,
};

const FULL_NAT: Method =
    Method { example: "full-nat", place: Place::Apart, hides_clients: true, ..MASQUERADE };

const DIRECT_ROUTING: Method = Method {
    example: "direct-routing",
    place: Place::Beside,
    word: "Route",
    answers_pass_by: true,
    loses_server: Some(2),
    ..MASQUERADE
};

const TUNNEL: Method = Method {
    example: "tunnel",
    place: Place::Apart,
    word: "Tunnel",
    answers_pass_by: true,
    loses_server: Some(3),
    ..MASQUERADE
};

const TUNNEL_KINDS: Method =
    Method { example: "tunnel-kinds", is_complete: false, loses_server: None, ..TUNNEL };

/// An emulated processor stands still for seconds, and no proof here is about silence.
const PATIENCE: &str = "[defaults.postgres]\nsuspect_after = \"4s\"\nlost_after = \"10s\"\n";

fn prove(lab: &mut Lab, method: &Method) -> Result<()> {
    let example = Example::read(&lab.repository, method.example)?;
    if method.is_complete {
        is_complete(&example.services)?;
    }
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
    if method.hides_clients {
        proof::wait_rules(&example.services)?;
    }
    let mut proof = Proof::begin(method, example)?;
    if let Err(error) = proof.traffic(lab) {
        return Err(error.context(proof.packets()?));
    }
    proof.ways()?;
    lab.step("the packets went the way that the method promises");
    proof.counters()?;
    lab.step(format!("ipvsadm lists every service as {}, with counters that fit it", method.word));
    if let Some(number) = method.loses_server {
        proof.failover(lab, &pgvs, number)?;
    }
    drop(echo);
    ensure!(pgvs.is_running(), "pgvs has ended");
    Ok(())
}

/// Writers and readers by TCP, something by UDP, each over both families.
fn is_complete(services: &[Service]) -> Result<()> {
    for protocol in ["tcp", "udp"] {
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
