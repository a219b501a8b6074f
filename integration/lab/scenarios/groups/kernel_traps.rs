//! What the kernel does that a reader of its documentation would not expect, one after the other.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use pgvs::host::netlink::{Kernel, KernelError, NetlinkSocket, Transport, Wait};
use pgvs::model::destination::{
    Destination, DestinationKey, Forwarding, Thresholds, Tunnel, Weight,
};
use pgvs::model::op::{Errno, Op};
use pgvs::model::service::{Family, Netmask, Scheduler, Service, ServiceKey};
use pgvs::wire::message::{Payload, messages};
use pgvs::wire::refusal::Refusal;
use pgvs::wire::reply::Reply;
use pgvs::wire::request::{Envelope, Request};

use super::Scenario;
use crate::lab::Lab;
use crate::net::{self, Namespace};
use crate::{full, kernel};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kernel-batch",
        shows: "errors in a batch belong to their requests; lost replies are an unknown result; long batches are split",
        run: batches,
    },
    Scenario {
        name: "kernel-dumps",
        shows: "a dump of a missing service is told from an empty one, and an unfinished dump does no harm",
        run: dumps,
    },
    Scenario {
        name: "kernel-edits",
        shows: "an edit keeps thresholds and tunnel, IPv6 services carry a netmask, refusals are put into words",
        run: edits,
    },
    Scenario {
        name: "kernel-refusals",
        shows: "no capability, no module, a module loaded anew: what pgvs says and does",
        run: refusals,
    },
];

/// Buffers that hold some ten replies or thirty requests.
const SMALL: usize = 4096;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;

fn batches(lab: &mut Lab) -> Result<()> {
    let (first, second) = (key(1), key(2));
    let ops = [add(first, "wlc"), add(first, "wlc"), add(key(3), "nosuch"), add(second, "rr")];
    let outcomes = apply(&ops)?;
    let expected = [Ok(()), Err(Errno::EEXIST), Err(Errno::ENOENT), Ok(())];
    ensure!(outcomes == expected, "a batch with errors in its middle: {outcomes:?}");
    let table = full::table()?;
    let keys: Vec<_> = table.services.keys().copied().collect();
    ensure!(keys == [first, second], "after the batch there are {keys:?}");
    lab.step("[added, exists, no such scheduler, added]: each error at its request, both good ones exist");

    let words = Refusal { op: &ops[2], errno: Errno::ENOENT }.to_string();
    ensure!(words.contains("try modprobe ip_vs_nosuch"), "{words}");
    let again: Vec<_> = (0..400).map(|_| add(first, "wlc")).collect();
    let outcomes = apply(&again)?;
    ensure!(outcomes == vec![Err(Errno::EEXIST); 400], "with large buffers every error arrives");

    let (lost, dumped) = Namespace::Director.inside(|| {
        let mut kernel = Kernel::over(NetlinkSocket::with_buffers(SMALL)?)?;
        let lost = kernel.apply(&again);
        Ok((lost, kernel.dump(&[])?.0))
    })?;
    let Err(KernelError::RepliesLost { .. }) = lost else {
        bail!("400 errors in a buffer for ten: {lost:?}");
    };
    ensure!(dumped == full::table()?, "the table after lost replies");
    lab.step(
        "lost replies (ENOBUFS) are an unknown result, and the same socket reads the table at once",
    );

    let many: Vec<_> = (10..200).map(|port| add(key(port), "rr")).collect();
    let outcomes = Namespace::Director
        .inside(|| Ok(Kernel::over(NetlinkSocket::with_buffers(SMALL)?)?.apply(&many)?))?;
    ensure!(outcomes == vec![Ok(()); many.len()], "split batches: {outcomes:?}");
    let services = full::table()?.services.len();
    ensure!(services == many.len() + 2, "{services} services after split batches");
    lab.step("a batch that is too long for the socket (EMSGSIZE) is sent in parts");
    Ok(())
}

fn dumps(lab: &mut Lab) -> Result<()> {
    let many: Vec<_> = (1..=500).map(|port| add(key(port), "rr")).collect();
    apply(&many)?;
    Namespace::Director.inside(|| {
        let mut kernel = Kernel::open()?;
        let gone = key(9999);
        ensure!(kernel.destinations(gone)?.is_empty(), "a dump of a missing service is empty");
        ensure!(kernel.service(gone)?.is_none(), "asked for by key it is missing");
        ensure!(kernel.destinations(key(1))?.is_empty(), "an empty service");
        ensure!(kernel.service(key(1))?.is_some(), "asked for by key it is there");
        let (table, _) = kernel.dump(&[gone, key(1)])?;
        ensure!(table.services.len() == 500, "{} services", table.services.len());
        Ok(())
    })?;
    lab.step("an empty dump is told from a missing service by key");

    Namespace::Director.inside(|| {
        let mut socket = NetlinkSocket::open()?;
        let family = kernel::family()?;
        let begin = |sequence| {
            let mut bytes = Vec::new();
            Request::services().append(Envelope { family, flags: DUMP, sequence }, &mut bytes);
            bytes
        };
        socket.send(&begin(1_000_001)).context("begin a dump")?;
        socket.send(&begin(1_000_002)).context("begin another")?;
        let mut refusals = Vec::new();
        let mut datagram = Vec::new();
        // The first datagrams of the first dump and the refusal of the second; the rest stays unread.
        for _ in 0..3 {
            if socket.receive(&mut datagram, Wait::No).is_err() {
                break;
            }
            for message in messages::<Reply>(&datagram, |_| true) {
                let message = message?;
                if let Payload::Refused(errno) = message.payload {
                    refusals.push((message.sequence, errno));
                }
            }
        }
        ensure!(refusals == [(1_000_002, Errno::EBUSY)], "two dumps on one socket: {refusals:?}");
        socket.send(&begin(1_000_003)).context("begin a third")?;
        let (table, _) = Kernel::over(socket)?.dump(&[])?;
        ensure!(table.services.len() == 500, "{} services", table.services.len());
        Ok(())
    })?;
    lab.step("a second dump is refused (EBUSY); a client on a socket with unfinished dumps reads the whole table");
    Ok(())
}

fn edits(lab: &mut Lab) -> Result<()> {
    let (vip, at) = (key(1), DestinationKey(net::server(1)));
    let tunnel = Destination {
        forwarding: Forwarding::Tunnel,
        weight: Weight(3),
        thresholds: Thresholds { upper: 100, lower: 50 },
        tunnel: Tunnel { kind: 1, port: 6080, flags: 1 },
    };
    let six = ServiceKey::tcp(net::vip6(0));
    let outcomes = apply(&[
        add(vip, "wlc"),
        Op::AddDestination(vip, at, tunnel),
        Op::EditDestination(vip, at, tunnel.with_weight(Weight(9))),
        Op::AddService(six, Service::plain(scheduler("rr"), Family::V6)),
    ])?;
    ensure!(outcomes == [Ok(()); 4], "{outcomes:?}");
    let table = full::table()?;
    let read = table.destination(vip, at).copied();
    ensure!(read == Some(tunnel.with_weight(Weight(9))), "after an edit of the weight: {read:?}");
    let listed = kernel::ipvsadm(&["-Ln", "--tun-info"])?;
    ensure!(listed.contains("Tunnel  gue:6080:+c   9 "), "ipvsadm --tun-info:\n{listed}");
    let listed = kernel::ipvsadm(&["-Ln", "--thresholds"])?;
    ensure!(listed.contains(" 100        50  "), "ipvsadm --thresholds:\n{listed}");
    lab.step("an edit of the weight keeps thresholds and tunnel");
    let netmask = table.services.get(&six).map(|entry| entry.service.netmask);
    ensure!(netmask == Some(Netmask::V6(128)), "the netmask of an IPv6 service: {netmask:?}");

    let masq = Destination::plain(Forwarding::Masquerade, Weight(1));
    let (server, other) = (DestinationKey(net::server(2)), DestinationKey(net::server6(2)));
    let high = Destination { thresholds: Thresholds { upper: 5, lower: 9 }, ..masq };
    let portless = Destination { tunnel: Tunnel { port: 0, ..tunnel.tunnel }, ..tunnel };
    let cases = [
        (
            Op::EditService(key(2), Service::plain(scheduler("rr"), Family::V4)),
            Errno::ESRCH,
            "no such service",
        ),
        (Op::DeleteService(key(2)), Errno::ESRCH, "no such service"),
        (Op::AddDestination(key(2), server, masq), Errno::ESRCH, "no such service"),
        (Op::EditDestination(vip, server, masq), Errno::ENOENT, "no such destination"),
        (Op::DeleteDestination(vip, server), Errno::ENOENT, "no such destination"),
        (Op::AddDestination(vip, at, masq), Errno::EEXIST, "exists already"),
        (Op::AddDestination(vip, server, high), Errno::ERANGE, "lower threshold"),
        (
            Op::AddDestination(vip, server, masq.with_weight(Weight(1 << 31))),
            Errno::ERANGE,
            "2147483647",
        ),
        (Op::AddDestination(vip, other, masq), Errno::EINVAL, "needs a tunnel"),
        (Op::AddDestination(vip, server, portless), Errno::EINVAL, "needs a port"),
        (
            Op::EditService(vip, Service::plain(scheduler("nosuch"), Family::V4)),
            Errno::ENOENT,
            "modprobe ip_vs_nosuch",
        ),
    ];
    let ops: Vec<_> = cases.iter().map(|(op, ..)| op.clone()).collect();
    for ((op, expected, words), outcome) in cases.iter().zip(apply(&ops)?) {
        ensure!(outcome == Err(*expected), "{op}: {outcome:?}, not {expected}");
        let text = Refusal { op, errno: *expected }.to_string();
        ensure!(text.contains(words), "{text}: says nothing of {words:?}");
    }
    ensure!(full::table()? == table, "refused changes changed something");
    lab.step(format!("{} refusals have their number and their words", cases.len()));
    Ok(())
}

fn refusals(lab: &mut Lab) -> Result<()> {
    apply(&[add(key(1), "rr")])?;
    let ours = unprivileged(&lab.pgvs, &["ipvsadm", "-Ln"])?;
    let theirs = unprivileged("ipvsadm".as_ref(), &["-Ln"])?;
    ensure!(ours == theirs, "without a capability: ours {ours:?}, ipvsadm's {theirs:?}");
    lab.step(format!("without a capability as ipvsadm: {:?}", ours));

    let modules = std::fs::read_to_string("/proc/modules").context("read /proc/modules")?;
    let in_guest = std::fs::read_to_string("/proc/cmdline")?.contains("lab_main=");
    if !in_guest || !modules.contains("ip_vs ") {
        lab.step(
            "NOT TRIED: without the module; this kernel is not the lab's own, or has IPVS built in",
        );
        return Ok(());
    }
    without_module(lab)
}

/// Unloads the modules, so that the family vanishes, and loads them again.
fn without_module(lab: &Lab) -> Result<()> {
    let mut kernel = Namespace::Director.inside(|| Ok(Kernel::open()?))?;
    kernel::ipvsadm(&["-C"])?;
    let loader = std::fs::read_to_string("/proc/sys/kernel/modprobe")?;
    std::fs::write("/proc/sys/kernel/modprobe", "/bin/false")?;
    let unloaded = unload();
    let seen = unloaded.and_then(|()| {
        let open = kernel.services().map(|it| it.len());
        let (run, raw) = (super::kernel_tables::ours(lab, &["-Ln"])?, Kernel::open().map(drop));
        Ok((open, run, raw))
    });
    std::fs::write("/proc/sys/kernel/modprobe", loader.trim())?;
    let (open, run, raw) = seen?;
    ensure!(matches!(open, Err(KernelError::NoIpvs)), "an open client: {open:?}");
    ensure!(matches!(raw, Err(KernelError::NoIpvs)), "a new client: {raw:?}");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    ensure!(
        run.status.code() == Some(2)
            && said.starts_with("Can't initialize ipvs: Protocol not available\n"),
        "pgvs ipvsadm without the module: {run:?}"
    );
    lab.step("without the module: one clear text, exit 2");

    // Asking loads it again; the family then has another number, which the open client finds.
    let services = kernel.services()?.len();
    ensure!(services == 0, "{services} services in a fresh module");
    let outcome = apply(&[add(key(1), "wlc")])?;
    ensure!(outcome == [Ok(())], "after the module is back: {outcome:?}");
    lab.step("the module is loaded by asking for it, and an open client goes on");
    Ok(())
}

/// Unloads whatever of IPVS is loaded, users before what they use.
pub(super) fn unload() -> Result<()> {
    for _ in 0..3 {
        let modules = std::fs::read_to_string("/proc/modules").context("read /proc/modules")?;
        let names = modules.lines().filter_map(|line| line.split(' ').next());
        let names: Vec<_> = names.filter(|name| name.starts_with("ip_vs")).collect();
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            // What is still in use goes in the next round.
            drop(Command::new("rmmod").arg(name).output().context("start rmmod")?);
        }
    }
    bail!("the modules of IPVS cannot be unloaded")
}

/// What a program says and returns in the director as a user without capabilities.
fn unprivileged(program: &std::path::Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    Namespace::Director.inside(|| {
        let output = Command::new(program)
            .args(arguments)
            .uid(65_534)
            .gid(65_534)
            .output()
            .with_context(|| format!("start {}", program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.code(), said))
    })
}

fn apply(ops: &[Op]) -> Result<Vec<Result<(), Errno>>> {
    Namespace::Director.inside(|| Ok(Kernel::open()?.apply(ops)?))
}

fn add(key: ServiceKey, scheduler: &str) -> Op {
    Op::AddService(key, Service::plain(self::scheduler(scheduler), Family::V4))
}

fn scheduler(name: &str) -> Scheduler {
    Scheduler::new(name).unwrap_or_else(|| unreachable!())
}

fn key(port: u16) -> ServiceKey {
    ServiceKey::tcp((net::vip(0).ip(), port).into())
}
