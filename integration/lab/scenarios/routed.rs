//! Other places for the director than between clients and servers: a router joins the networks, and the director
//! stands in the servers' own segment or in a network apart. Everything is as it was when the scene is dropped.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::net::{self, Namespace, SERVERS, SWITCH};

const MAC: &str = "02:00:0a:08:00:fe";

/// Where the director stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Between clients and servers, one leg on each side: the usual topology.
    Between,
    /// In the servers' segment, with no leg elsewhere.
    Beside,
    /// In a network of its own, with no leg among the servers.
    Apart,
}

/// A topology for one scenario. Its director forwards nothing, its servers trust no packet from where they would
/// not answer (rp_filter = 1), and none has a virtual address: all that is the operator's to prepare.
pub(crate) struct Scene;

impl Scene {
    /// Takes the usual topology, as the scenario found it, and moves the director.
    pub(crate) fn lay(place: Place) -> Result<Self> {
        // From here on whatever is half made is unmade.
        let scene = Self;
        if place != Place::Between {
            join_by_router(place)?;
        }
        let director = Namespace::Director;
        if place == Place::Between {
            sh(director, NO_VIPS)?;
        }
        director.sysctl("net/ipv4/ip_forward", "0")?;
        director.sysctl("net/ipv6/conf/all/forwarding", "0")?;
        for number in 1..=SERVERS {
            let server = Namespace::Server(number);
            server.sysctl("net/ipv4/conf/all/rp_filter", "1")?;
            let lines = match place {
                Place::Between => {
                    ["10.8.0.1", "fd00:8::1"].map(|it| format!("route del default via {it}"))
                }
                Place::Beside | Place::Apart => gateway("10.8.0.254", "fd00:8::fe"),
            };
            net::ip(Some(&server.name()), &lines)?;
        }
        Ok(scene)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Err(error) = restore() {
            crate::say(&format!("  the usual topology does not come back: {error:#}"));
        }
    }
}

/// Does lines of shell in a namespace, up to the first that fails.
pub(crate) fn sh(namespace: Namespace, script: &str) -> Result<()> {
    let output = namespace.inside(|| {
        let mut command = Command::new("sh");
        command.args(["-e", "-c", script]).output().context("start sh")
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "in {}: {script}\n{}", namespace.name(), said.trim());
    Ok(())
}

/// The usual topology has its virtual addresses already.
const NO_VIPS: &str = "\
ip address flush dev front to 10.9.0.96/28
ip address flush dev front to fd00:9::100/120
";

fn gateway(four: &str, six: &str) -> [String; 2] {
    [format!("route replace default via {four}"), format!("route replace default via {six}")]
}

fn join_by_router(place: Place) -> Result<()> {
    let [client, director, router] =
        [Namespace::Client, Namespace::Director, Namespace::Router].map(Namespace::name);
    // Both ends of a pair go at once.
    let mut legs = vec!["link del front".to_owned()];
    let mut root = vec![
        format!("netns add {router}"),
        format!("link add clients netns {router} type veth peer name eth0 netns {client}"),
        // The servers remember the router's hardware address from the scenario before.
        format!(
            "link add servers address {MAC} netns {router} type veth peer name router netns {SWITCH}"
        ),
    ];
    let mut routes = addresses("clients", ["10.7.0.1/24", "fd00:7::1/64"]);
    routes.extend(addresses("servers", ["10.8.0.254/24", "fd00:8::fe/64"]));
    let mut ways = gateway("10.8.0.254", "fd00:8::fe").to_vec();
    if place == Place::Apart {
        // Its end at the switch is what the next scenario begins with.
        legs.extend(["addr flush dev back".to_owned(), "link set back down".to_owned()]);
        root.push(format!(
            "link add directors netns {router} type veth peer name front netns {director}"
        ));
        routes.extend(addresses("directors", ["10.9.0.254/24", "fd00:9::fe/64"]));
        ways = addresses("front", ["10.9.0.1/24", "fd00:9::1/64"]);
        ways.extend(gateway("10.9.0.254", "fd00:9::fe"));
    }
    let mut outside = addresses("eth0", ["10.7.0.2/24", "fd00:7::2/64"]);
    outside.extend(gateway("10.7.0.1", "fd00:7::1"));
    net::ip(Some(&director), &legs)?;
    net::ip(None, &root)?;
    net::ip(Some(SWITCH), &["link set router master back up".to_owned()])?;
    net::ip(Some(&router), &routes)?;
    Namespace::Router.sysctl("net/ipv4/ip_forward", "1")?;
    Namespace::Router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    net::ip(Some(&client), &outside)?;
    net::ip(Some(&director), &ways)
}

fn addresses(device: &str, [four, six]: [&str; 2]) -> Vec<String> {
    vec![
        format!("addr add {four} dev {device}"),
        format!("addr add {six} dev {device} nodad"),
        format!("link set {device} up"),
    ]
}

/// The servers' side alone: every scenario begins with a new client and a new director.
fn restore() -> Result<()> {
    let router = Namespace::Router.name();
    if Path::new("/run/netns").join(&router).exists() {
        net::ip(None, &[format!("netns del {router}")])?;
    }
    for number in 1..=SERVERS {
        restore_server(Namespace::Server(number))?;
    }
    Ok(())
}

/// What examples make on a server: the kernel's own devices of a kind cannot be deleted, only silenced.
const TUNNELS: [&str; 5] = ["tunl0", "ip6tnl0", "sit0", "gre0", "ip6gre0"];

/// The port at which examples have servers unwrap GUE.
const GUE: u16 = 6080;

fn restore_server(server: Namespace) -> Result<()> {
    let mut lines = vec!["addr flush dev lo scope global".to_owned()];
    // To name a device that is not there would have the kernel look for a module of that name.
    let devices = server.inside(|| {
        std::fs::read_to_string("/proc/thread-self/net/dev").context("read /proc/net/dev")
    })?;
    let names =
        devices.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    for name in names.filter(|it| TUNNELS.contains(it)) {
        lines.extend([format!("addr flush dev {name}"), format!("link set {name} down")]);
    }
    lines.extend(gateway("10.8.0.1", "fd00:8::1"));
    net::ip(Some(&server.name()), &lines)?;
    let ports = server.inside(|| {
        std::fs::read_to_string("/proc/thread-self/net/udp").context("read /proc/net/udp")
    })?;
    if ports.contains(&format!(":{GUE:04X} ")) {
        sh(server, &format!("ip fou del port {GUE}; ip -6 fou del port {GUE}"))?;
    }
    for name in ["arp_ignore", "arp_announce", "rp_filter"] {
        server.sysctl(&format!("net/ipv4/conf/all/{name}"), "0")?;
    }
    Ok(())
}
