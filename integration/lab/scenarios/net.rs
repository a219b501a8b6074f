//! The topology: a client, a director with its virtual addresses, and servers behind a switch, each
//! in a network namespace of its own. Never touches the namespace that the runner was started in.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// PostgreSQL's port on every server and on every virtual address.
pub(crate) const PORT: u16 = 5432;
/// How many servers stand behind the director.
pub(crate) const SERVERS: u8 = 3;
/// How many virtual addresses of each family the director owns.
pub(crate) const VIPS: u8 = 4;

/// The namespace of the switch that joins the servers and the director.
pub(crate) const SWITCH: &str = "pgvs-switch";
const BACK_MAC: &str = "02:00:0a:08:00:01";

/// A network namespace by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// Where the clients live; its only neighbour is the director.
    Client,
    /// Where pgvs and the IPVS table live.
    Director,
    /// Server 1, 2 or 3.
    Server(u8),
    /// What stands between clients, director and servers where the director is not the servers' gateway.
    Router,
}

impl Namespace {
    /// Its name under /run/netns.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Client => "pgvs-client".to_owned(),
            Self::Director => "pgvs-director".to_owned(),
            Self::Server(number) => format!("pgvs-server{number}"),
            Self::Router => "pgvs-router".to_owned(),
        }
    }

    /// Moves the calling thread there, and whatever process that thread starts.
    pub(crate) fn enter(self) -> Result<()> {
        let path = format!("/run/netns/{}", self.name());
        let file = File::open(&path).with_context(|| format!("open {path}"))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("enter {path}"))
    }

    /// Does a piece of work there, on a thread of its own.
    pub(crate) fn inside<T: Send>(self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                self.enter()?;
                work()
            });
            worker.join().unwrap_or_else(|_| bail!("a thread in {} panicked", self.name()))
        })
    }

    /// Sets a kernel parameter there, named with slashes: `net/ipv4/ip_forward`.
    pub(crate) fn sysctl(self, name: &str, value: &str) -> Result<()> {
        self.inside(|| {
            let path = format!("/proc/sys/{name}");
            std::fs::write(&path, value).with_context(|| format!("write {value} to {path}"))
        })
    }

    /// Reads a kernel parameter there.
    pub(crate) fn read_sysctl(self, name: &str) -> Result<String> {
        self.inside(|| {
            let path = format!("/proc/sys/{name}");
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
            Ok(text.trim().to_owned())
        })
    }
}

/// The virtual address number 0 to 3 with PostgreSQL's port.
pub(crate) fn vip(number: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 100 + number)), PORT)
}

/// The IPv6 virtual address number 0 to 3 with PostgreSQL's port.
pub(crate) fn vip6(number: u8) -> SocketAddr {
    let last = 0x100 + u16::from(number);
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, last)), PORT)
}

/// The address of server 1, 2 or 3 with PostgreSQL's port.
pub(crate) fn server(number: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 8, 0, 10 + number)), PORT)
}

/// The IPv6 address of server 1, 2 or 3 with PostgreSQL's port.
pub(crate) fn server6(number: u8) -> SocketAddr {
    let last = 0x10 + u16::from(number);
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 8, 0, 0, 0, 0, 0, last)), PORT)
}

/// Makes the switch and the servers' namespaces, after removing what an earlier run left.
pub(crate) fn make_servers() -> Result<()> {
    remove_everything()?;
    let mut root = vec![format!("netns add {SWITCH}")];
    let mut switch = vec!["link add back type bridge".to_owned(), "link set back up".to_owned()];
    for number in 1..=SERVERS {
        let name = Namespace::Server(number).name();
        root.push(format!("netns add {name}"));
        root.push(format!(
            "link add port{number} netns {SWITCH} type veth peer name eth0 netns {name}"
        ));
        switch.push(format!("link set port{number} master back up"));
    }
    ip(None, &root)?;
    ip(Some(SWITCH), &switch)?;
    for number in 1..=SERVERS {
        let lines = [
            "link set lo up".to_owned(),
            format!("addr add {}/24 dev eth0", server(number).ip()),
            format!("addr add {}/64 dev eth0 nodad", server6(number).ip()),
            "link set eth0 up".to_owned(),
            "route add default via 10.8.0.1".to_owned(),
            "route add default via fd00:8::1".to_owned(),
        ];
        ip(Some(&Namespace::Server(number).name()), &lines)?;
    }
    Ok(())
}

/// Gives a server one more address, unless it has it.
pub(crate) fn alias(server: u8, address: IpAddr) -> Result<()> {
    let line = format!("addr replace {address}/24 dev eth0");
    ip(Some(&Namespace::Server(server).name()), &[line])
}

/// Makes the client and the director anew: an empty IPVS table and the kernel's default parameters.
pub(crate) fn make_director() -> Result<()> {
    let (client, director) = (Namespace::Client.name(), Namespace::Director.name());
    let existing = existing()?;
    if existing.contains(&director) {
        // At once, and not whenever the kernel gets round to the namespace's remains.
        ip(Some(SWITCH), &["link del uplink".to_owned()])?;
    }
    let mut root: Vec<_> = [&client, &director]
        .into_iter()
        .filter(|name| existing.contains(*name))
        .map(|name| format!("netns del {name}"))
        .collect();
    root.push(format!("netns add {client}"));
    root.push(format!("netns add {director}"));
    root.push(format!("link add front netns {director} type veth peer name eth0 netns {client}"));
    // The servers remember the director's hardware address from the scenario before.
    root.push(format!(
        "link add back address {BACK_MAC} netns {director} type veth peer name uplink netns {SWITCH}"
    ));
    ip(None, &root)?;
    ip(Some(SWITCH), &["link set uplink master back up".to_owned()])?;
    ip(Some(&director), &director_lines())?;
    ip(
        Some(&client),
        &[
            "link set lo up".to_owned(),
            "addr add 10.9.0.2/24 dev eth0".to_owned(),
            "addr add fd00:9::2/64 dev eth0 nodad".to_owned(),
            "link set eth0 up".to_owned(),
            "route add default via 10.9.0.1".to_owned(),
            "route add default via fd00:9::1".to_owned(),
        ],
    )?;
    Namespace::Director.sysctl("net/ipv4/ip_forward", "1")?;
    Namespace::Director.sysctl("net/ipv6/conf/all/forwarding", "1")
}

/// Cuts a server's cable, or the director's (0), or mends it: what is sent vanishes without a word.
pub(crate) fn cable(server: u8, is_whole: bool) -> Result<()> {
    let port = if server == 0 { "uplink".to_owned() } else { format!("port{server}") };
    let state = if is_whole { "up" } else { "down" };
    ip(Some(SWITCH), &[format!("link set {port} {state}")])
}

/// Takes the director away as a server's gateway, or gives it back.
pub(crate) fn gateway(server: u8, is_there: bool) -> Result<()> {
    let verb = if is_there { "add" } else { "del" };
    let routes = ["10.8.0.1", "fd00:8::1"].map(|via| format!("route {verb} default via {via}"));
    ip(Some(&Namespace::Server(server).name()), &routes)
}

/// Gives the director another address towards the servers.
pub(crate) fn add_address(address: &str) -> Result<()> {
    ip(Some(&Namespace::Director.name()), &[format!("addr add {address} dev back")])
}

/// Adds a device to the director that shows the netlink messages of its namespace, unless it has one.
pub(crate) fn add_tap() -> Result<()> {
    let director = Namespace::Director.name();
    if ip(Some(&director), &["link show dev tap".to_owned()]).is_ok() {
        return Ok(());
    }
    ip(Some(&director), &["link add tap type nlmon".to_owned(), "link set tap up".to_owned()])
}

/// Gives a server's namespace further addresses, unless it has them.
pub(crate) fn add_addresses(namespace: Namespace, addresses: &[SocketAddr]) -> Result<()> {
    let lines: Vec<_> =
        addresses.iter().map(|it| format!("addr replace {}/24 dev eth0", it.ip())).collect();
    ip(Some(&namespace.name()), &lines)
}

/// Removes every namespace of the lab.
pub(crate) fn remove_everything() -> Result<()> {
    let lines: Vec<_> = existing()?
        .into_iter()
        .filter(|name| name.starts_with("pgvs-"))
        .map(|name| format!("netns del {name}"))
        .collect();
    if lines.is_empty() { Ok(()) } else { ip(None, &lines) }
}

fn director_lines() -> Vec<String> {
    let mut lines = vec![
        "link set lo up".to_owned(),
        "addr add 10.9.0.1/24 dev front".to_owned(),
        "addr add fd00:9::1/64 dev front nodad".to_owned(),
        "addr add 10.8.0.1/24 dev back".to_owned(),
        "addr add fd00:8::1/64 dev back nodad".to_owned(),
        "link set front up".to_owned(),
        "link set back up".to_owned(),
    ];
    for number in 0..VIPS {
        lines.push(format!("addr add {}/32 dev front", vip(number).ip()));
        lines.push(format!("addr add {}/128 dev front nodad", vip6(number).ip()));
    }
    lines
}

fn existing() -> Result<Vec<String>> {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return Ok(Vec::new());
    };
    entries
        .map(|entry| {
            Ok(entry.context("read /run/netns")?.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

/// Runs lines of `ip` commands in one process, in a namespace or in the runner's own.
pub(crate) fn ip(namespace: Option<&str>, lines: &[String]) -> Result<()> {
    let mut command = Command::new("ip");
    if let Some(name) = namespace {
        command.args(["-n", name]);
    }
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start ip (iproute2)")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all((lines.join("\n") + "\n").as_bytes()).context("write to ip")?;
    }
    let output = child.wait_with_output().context("wait for ip")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("ip {}: {}\n{}", namespace.unwrap_or("-"), said.trim(), lines.join("\n"));
    }
    Ok(())
}
