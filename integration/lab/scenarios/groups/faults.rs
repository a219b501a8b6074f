//! Faults of the kernel's side under a running daemon: another program that writes without a pause, a scheduler that
//! is not there, the module removed. The table converges, and nothing foreign is touched.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pgvs::host::netlink::Kernel;
use pgvs::model::destination::{Destination, DestinationKey, Forwarding, Weight};
use pgvs::model::op::Op;
use pgvs::model::service::{Family, Scheduler, Service, ServiceKey};
use rustix::process::Signal;

use super::Scenario;
use super::errors::{LOADER, shell, unload};
use super::kernel_tables::seed;
use crate::kernel::ipvsadm;
use crate::lab::{Lab, NotHere};
use crate::net::Namespace;
use crate::pgvs::Pgvs;
use crate::stage::{SOON, slowness};
use crate::{full, kernel, net, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "hostile-writer",
        shows: "another program adds and deletes services of its own in a tight loop: ours stay, its own are left alone",
        run: hostile_writer,
    },
    Scenario {
        name: "table-war",
        shows: "another program deletes and edits our services at random while a reload is under way: the table comes right",
        run: table_war,
    },
    Scenario {
        name: "scheduler-missing",
        shows: "a scheduler's module is not there: named with what to do, the others are programmed, it comes by itself",
        run: scheduler_missing,
    },
    Scenario {
        name: "module-removed",
        shows: "the module ip_vs removed under a running daemon: it says so, goes on, and programs everything again",
        run: module_removed,
    },
];

/// Services of ours where many are wanted.
const MANY: u16 = 300;
/// Services that the other program makes and deletes in each round.
const THEIRS: u16 = 200;
/// So long the other program is at work.
const SIEGE: Duration = Duration::from_secs(8);

/// `[[service]]` tables at consecutive ports of one virtual address.
fn many(count: u16, weight: u32) -> String {
    let mut config = text::unprobed(&[(1, weight), (2, 100), (3, 0)]);
    for number in 0..count {
        let mut address = net::vip(2);
        address.set_port(1000 + number);
        config.push_str(&text::service(&format!("s{number}"), address, "any"));
    }
    config
}

fn ours(number: u16) -> ServiceKey {
    let mut address = net::vip(2);
    address.set_port(1000 + number);
    ServiceKey::tcp(address)
}

fn theirs(number: u16) -> ServiceKey {
    ServiceKey::tcp(([10, 77, 0, 1], 1000 + number).into())
}

fn plain(scheduler: &str) -> Service {
    Service::plain(Scheduler::new(scheduler).unwrap_or_else(|| unreachable!()), Family::V4)
}

/// Lets another program work in the director until `scene` has ended.
fn beside<T, S: Send>(
    other: impl FnOnce(&AtomicBool) -> Result<S> + Send,
    scene: impl FnOnce() -> Result<T>,
) -> Result<(S, T)> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| Namespace::Director.inside(|| other(&is_over)));
        let seen = scene();
        is_over.store(true, Ordering::Relaxed);
        let did = other.join().unwrap_or_else(|_| bail!("the other program panicked"));
        let seen = seen?;
        Ok((did?, seen))
    })
}

fn hostile_writer(lab: &mut Lab) -> Result<()> {
    let mut pgvs = lab.daemon(&many(MANY, 100))?;
    pgvs.start()?;
    let before = full::table()?;
    ensure!(before.services.len() == usize::from(MANY) + 1, "{} services", before.services.len());
    let length = pgvs.log().len();
    let make: Vec<_> = (0..THEIRS).map(|it| Op::AddService(theirs(it), plain("rr"))).collect();
    let delete: Vec<_> = (0..THEIRS).map(|it| Op::DeleteService(theirs(it))).collect();
    let toggle = |is_over: &AtomicBool| {
        let (mut kernel, mut rounds) = (Kernel::open()?, 0_u32);
        while !is_over.load(Ordering::Relaxed) {
            for ops in [&make, &delete] {
                let outcomes = kernel.apply(ops)?;
                let refused = outcomes.iter().filter(|it| it.is_err()).count();
                ensure!(refused == 0, "{refused} changes of the other program's own were refused");
            }
            rounds += 1;
        }
        Ok(rounds)
    };
    let (rounds, looks) = beside(toggle, || {
        let began = Instant::now();
        let mut looks = Looks::default();
        while began.elapsed() < SIEGE {
            looks.take()?;
        }
        // What is wanted is still carried out.
        pgvs.write(&many(MANY + 20, 50))?;
        pgvs.run(&["reload"])?.expect(0)?;
        Ok(looks)
    })?;
    let drifts = drifts(&pgvs, length);
    ensure!(drifts.is_empty(), "it saw changes that nobody made:\n{}", drifts.join("\n"));
    converged(MANY + 20, 50, Instant::now())?;
    lab.figure(format!(
        "{rounds} times {THEIRS} services made and deleted beside {MANY} of ours: {} of {} dumps missed some of ours, \
         which stood there at each look all the same; a reload went through",
        looks.torn, looks.all
    ))
}

/// What the scenario itself sees of the daemon's services.
#[derive(Default)]
struct Looks {
    all: u32,
    /// Dumps that did not show all of them.
    torn: u32,
}

impl Looks {
    /// One dump, which may be torn, and some of the services by key, which cannot be.
    fn take(&mut self) -> Result<()> {
        Namespace::Director.inside(|| {
            let mut kernel = Kernel::open()?;
            let listed: BTreeSet<_> = kernel.services()?.into_iter().map(|it| it.key).collect();
            self.all += 1;
            self.torn += u32::from((0..MANY).any(|number| !listed.contains(&ours(number))));
            for number in (0..MANY).step_by(7) {
                let found = kernel.service(ours(number))?;
                ensure!(found.is_some(), "{} of ours is gone", ours(number));
                let destinations = kernel.destinations(ours(number))?;
                ensure!(destinations.len() == 3, "{} has {destinations:?}", ours(number));
            }
            Ok(())
        })
    }
}

fn drifts(pgvs: &Pgvs, length: usize) -> Vec<String> {
    let log = pgvs.log_since(length);
    let told = log.lines().filter(|line| line.contains("another program changed"));
    told.map(str::to_owned).collect()
}

fn table_war(lab: &mut Lab) -> Result<()> {
    let seed = seed()?;
    lab.step(format!("seed {seed}"));
    let mut pgvs = lab.daemon(&many(40, 100))?;
    pgvs.start()?;
    let mut dice = fastrand::Rng::with_seed(seed);
    let spoil = |is_over: &AtomicBool| {
        let (mut kernel, mut done, mut refused) = (Kernel::open()?, 0_usize, 0_usize);
        while !is_over.load(Ordering::Relaxed) {
            let ops: Vec<_> = (0..20).map(|_| spoiling(&mut dice)).collect();
            let outcomes = kernel.apply(&ops)?;
            refused += outcomes.iter().filter(|it| it.is_err()).count();
            done += ops.len();
            std::thread::sleep(Duration::from_millis(3));
        }
        Ok((done, refused))
    };
    let ((done, refused), ()) = beside(spoil, || {
        for round in 0..4_u16 {
            pgvs.write(&many(40 + 30 * round, 10 + u32::from(round)))?;
            pgvs.signal(Signal::HUP)?;
            std::thread::sleep(Duration::from_millis(1500));
        }
        Ok(())
    })?;
    let ended = Instant::now();
    ensure!(done > refused, "all of {done} changes were refused");
    ensure!(pgvs.is_running(), "the daemon has ended");
    converged(130, 13, ended)?;
    let took = ended.elapsed().as_secs_f64();
    pgvs.run(&["status"])?;
    lab.figure(format!(
        "{done} random changes of our own services ({refused} refused) during four reloads: right {took:.1} s later"
    ))
}

/// One change of a service of ours, from the services that some config has.
fn spoiling(dice: &mut fastrand::Rng) -> Op {
    let key = ours(dice.u16(0..130));
    let to = DestinationKey(net::server(dice.u8(1..=3)));
    let destination = Destination::plain(Forwarding::Masquerade, Weight(dice.u32(0..5)));
    match dice.u8(..8) {
        0 => Op::DeleteService(key),
        1 => Op::EditService(key, plain("rr")),
        2 => Op::AddService(key, plain("lc")),
        3 | 4 => Op::DeleteDestination(key, to),
        5 => Op::AddDestination(key, to, destination),
        _ => Op::EditDestination(key, to, destination),
    }
}

/// Waits until neli reads exactly the services of [`many`], and the foreign one beside them.
fn converged(count: u16, weight: u32, since: Instant) -> Result<()> {
    let weights = [weight, 100, 0].map(Some);
    // Repairs of a service that is changed again and again slow down to one in ten seconds, refusals to one in thirty.
    let limit = Duration::from_secs(45).mul_f64(slowness()?);
    loop {
        let table = kernel::by_neli()?;
        let wrong = (0..count).find(|&number| {
            let ServiceKey::Address { address, .. } = ours(number) else { return true };
            let service = table.0.get(&crate::table::Key::tcp(address));
            let is_scheduled = service.is_some_and(|it| it.scheduler == "wrr");
            let found = [1, 2, 3]
                .map(|server| table.weight(crate::table::Key::tcp(address), net::server(server)));
            !is_scheduled || found != weights
        });
        if wrong.is_none() && table.0.len() == usize::from(count) + 1 {
            return Ok(());
        }
        ensure!(
            since.elapsed() < limit,
            "{} services, {count} wanted; wrong: {wrong:?}",
            table.0.len()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Where modprobe is told that a module is none.
const HIDING: &str = "/etc/modprobe.d/pgvs-lab.conf";

fn scheduler_missing(lab: &mut Lab) -> Result<()> {
    if !lab.is_guest() {
        return Err(NotHere("hides a module, which only the virtual machine allows").into());
    }
    unload_fo()?;
    std::fs::create_dir_all("/etc/modprobe.d")?;
    std::fs::write(HIDING, "install ip_vs_fo /bin/false\n").context("hide ip_vs_fo")?;
    let seen = without_scheduler(lab);
    if Path::new(HIDING).exists() {
        std::fs::remove_file(HIDING)?;
    }
    seen
}

/// Namespaces that are being taken down hold it for a moment.
fn unload_fo() -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let modules = std::fs::read_to_string("/proc/modules").context("read /proc/modules")?;
        if !modules.lines().any(|line| line.starts_with("ip_vs_fo ")) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "ip_vs_fo is still in use");
        drop(Command::new("rmmod").arg("ip_vs_fo").output());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn without_scheduler(lab: &mut Lab) -> Result<()> {
    let with_fo = text::service("third", net::vip(1), "any").replace("\"wrr\"", "\"fo\"");
    let config = text::unprobed(&[(1, 100), (2, 50)])
        + &text::service("first", net::vip(0), "any")
        + &with_fo
        + &text::service("second", net::vip(2), "any");
    let mut pgvs = lab.daemon(&config)?;
    let took = pgvs.start()?;
    lab.step(format!("ready after {:.2} s although one scheduler is missing", took.as_secs_f64()));
    let table = kernel::by_neli()?;
    let key = |number| crate::table::Key::tcp(net::vip(number));
    ensure!(table.usable(key(0)).len() == 2 && table.usable(key(2)).len() == 2, "{table}");
    ensure!(!table.0.contains_key(&key(1)), "{table}");
    let alarm = pgvs.wait_alarm("ip_vs_fo", SOON)?;
    ensure!(alarm.contains("scheduler fo") && alarm.contains("modprobe"), "alarm: {alarm}");
    lab.step(format!("alarm: {alarm}"));
    pgvs.run(&["status"])?.expect(1)?;
    std::thread::sleep(Duration::from_secs(10));
    let lines = pgvs.log().lines().filter(|line| line.contains("ip_vs_fo")).count();
    ensure!(lines <= 2, "{lines} lines of the log say it");

    std::fs::remove_file(HIDING)?;
    let returned = Instant::now();
    let limit = Duration::from_secs(40).mul_f64(slowness()?);
    while kernel::by_neli()?.usable(key(1)).len() != 2 {
        ensure!(returned.elapsed() < limit, "not there {limit:?} after its scheduler");
        std::thread::sleep(Duration::from_millis(100));
    }
    let took = returned.elapsed().as_secs_f64();
    lab.figure(format!("the service whose scheduler had been missing came {took:.1} s after it"))?;
    pgvs.run(&["status"])?.expect(0)?;
    Ok(())
}

fn module_removed(lab: &mut Lab) -> Result<()> {
    if !lab.is_guest() {
        return Err(NotHere("removes the module, which only the virtual machine allows").into());
    }
    let loader = std::fs::read_to_string(LOADER).context("read the kernel's module loader")?;
    let seen = removed(lab, loader.trim());
    std::fs::write(LOADER, loader.trim()).context("let the kernel load modules again")?;
    shell("modprobe", &["ip_vs"])?;
    seen
}

fn removed(lab: &mut Lab, loader: &str) -> Result<()> {
    let config = text::unprobed(&[(1, 100), (2, 50)])
        + &text::service("first", net::vip(0), "any")
        + &text::service("second", net::vip(2), "any");
    // Without a foreign service: it would go with its module.
    let mut pgvs = lab.daemon_alone("pgvs", &config)?;
    pgvs.start()?;
    let before = full::table()?;
    let family = kernel::family()?;

    // First the kernel may load it again.
    let length = pgvs.log().len();
    take_away(&pgvs, "")?;
    let went_on = Instant::now();
    comes_back(lab, &pgvs, &before, went_on, "by itself")?;
    let now = kernel::family()?;
    ensure!(now != family, "the family had the number {family} and has {now}");
    pgvs.wait_log(length, "module was removed", SOON)?;
    let line = pgvs.wait_log(length, "answers again", SOON)?;
    ensure!(line.contains("0 of our 2"), "{line}");
    lab.step(format!("the family was {family} and is {now}; the log: {line}"));
    let sysctl = Namespace::Director.read_sysctl("net/ipv4/vs/expire_nodest_conn")?;
    ensure!(sysctl == "1", "expire_nodest_conn is {sysctl} in the new module");

    // Then it may not: the daemon lives on and says so.
    take_away(&pgvs, "/bin/false")?;
    let alarm = pgvs.wait_alarm("IPVS", SOON)?;
    lab.step(format!("alarm: {alarm}"));
    pgvs.run(&["status"])?.expect(1)?;
    std::thread::sleep(Duration::from_secs(3));
    ensure!(pgvs.is_running(), "the daemon ended with the module");
    std::fs::write(LOADER, loader)?;
    shell("modprobe", &["ip_vs"])?;
    comes_back(lab, &pgvs, &before, Instant::now(), "loaded by the operator")?;
    Ok(())
}

/// Takes the module away under the daemon, which stands still meanwhile: else it would have its services back first.
fn take_away(pgvs: &Pgvs, loader: &str) -> Result<()> {
    pgvs.signal(Signal::STOP)?;
    let kept = std::fs::read_to_string(LOADER)?;
    let gone = ipvsadm(&["-C"]).and_then(|_| {
        std::fs::write(LOADER, "/bin/false")?;
        unload()
    });
    if loader.is_empty() {
        std::fs::write(LOADER, kept.trim())?;
    }
    pgvs.signal(Signal::CONT)?;
    gone
}

fn comes_back(
    lab: &Lab,
    pgvs: &Pgvs,
    before: &pgvs::model::table::Table,
    since: Instant,
    how: &str,
) -> Result<()> {
    let limit = Duration::from_secs(10).mul_f64(slowness_without_ipvs());
    while kernel::proc_text().map_or(0, |text| text.lines().count()) < 3 + 2 * 3 {
        ensure!(since.elapsed() < limit, "not programmed again:\n{}", pgvs.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = since.elapsed().as_secs_f64();
    let table = full::table()?;
    ensure!(table == *before, "it was\n{before:#?}\nand is\n{table:#?}");
    lab.figure(format!("module removed, {how}: programmed again after {took:.1} s"))?;
    // Nothing else is wrong.
    let deadline = Instant::now() + SOON;
    while pgvs.run(&["status"])?.status != 0 {
        ensure!(Instant::now() < deadline, "the status stays bad");
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// ipvsadm, the usual yardstick, would load the module.
const fn slowness_without_ipvs() -> f64 {
    3.0
}
