//! What pgvs sets beside the table: timeouts, sysctls, connection-sync daemons; read back with ipvsadm and /proc.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::Scenario;
use super::kernel_traps::unload;
use crate::kernel::ipvsadm;
use crate::lab::Lab;
use crate::net::Namespace;
use crate::pgvs::Pgvs;
use crate::stage::SOON;
use crate::text;

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "kernel-settings",
    shows: "timeouts, sysctls and sync daemons are as declared, and again after others changed them or the module was gone",
    run: settings,
}];

const KERNEL: &str = "[kernel]\ntcp_fin_timeout = \"45s\"\nconn_reuse_mode = 0\nsync_threshold = [2, 20]\n\
                      sync_refresh_period = 5\ndrop_entry = 1\nest_cpulist = \"0\"\n";

const MASTER: &str =
    "[[sync_daemon]]\nrole = \"master\"\ninterface = \"front\"\nsync_id = 5\nmax_length = 1400\n";
const BACKUP: &str = "[[sync_daemon]]\nrole = \"backup\"\ninterface = \"back\"\nsync_id = 7\n\
                      group = \"ff02::77\"\nport = 9000\nttl = 3\n";

const MASTER_RUNS: &str =
    "master sync daemon (mcast=front, syncid=5, maxlen=1400, group=224.0.0.81, port=8848, ttl=1)\n";
const BACKUP_RUNS: &str =
    "backup sync daemon (mcast=back, syncid=7, maxlen=1452, group=ff02::77, port=9000, ttl=3)\n";

fn pool() -> String {
    text::unprobed(&[(1, 100), (2, 100)]) + &text::service("orders-ro", crate::net::vip(1), "any")
}

fn settings(lab: &mut Lab) -> Result<()> {
    let mut pgvs = lab.daemon(&(pool() + KERNEL + MASTER + BACKUP))?;
    let plan = pgvs.run(&["plan"])?.expect(1)?;
    for line in
        ["~ timeouts: tcp 900 s, tcp fin 120 s -> tcp 7500 s, tcp fin 45 s", "+ master sync"]
    {
        ensure!(plan.stdout.contains(line), "the plan lacks {line:?}:\n{}", plan.stdout);
    }
    pgvs.start()?;
    everything(&pgvs, "7500 45 300", &[MASTER_RUNS, BACKUP_RUNS])?;
    lab.step("everything is as declared");
    let log = pgvs.log();
    for words in
        ["expire_nodest_conn set to 1; it was 0", "1 services that are not ours", "est_cpulist"]
    {
        ensure!(log.contains(words), "the log lacks {words:?}:\n{log}");
    }
    let alarms = pgvs.alarms()?;
    let is_new = Namespace::Director.read_sysctl("net/ipv4/vs/est_cpulist").is_ok();
    ensure!(is_new == alarms.is_empty(), "what the kernel lacks is one alarm: {alarms:?}");
    pgvs.run(&["plan"])?.expect(0)?;

    repaired(lab, &pgvs, &["--stop-daemon", "master"], "was gone; started again")?;
    repaired(
        lab,
        &pgvs,
        &["--set", "60", "30", "40"],
        "were set to tcp 60 s, tcp fin 30 s by another",
    )?;
    // What we do not want is another program's.
    everything(&pgvs, "7500 45 40", &[MASTER_RUNS, BACKUP_RUNS])?;
    let length = pgvs.log().len();
    Namespace::Director.sysctl("net/ipv4/vs/expire_nodest_conn", "0")?;
    let line = pgvs.wait_log(length, "expire_nodest_conn was set to 0", SOON)?;
    lab.step(format!("a sysctl set by hand: {line}"));
    everything(&pgvs, "7500 45 40", &[MASTER_RUNS, BACKUP_RUNS])?;

    reloaded(lab, &pgvs)?;
    paused(lab, &pgvs)?;
    without_module(lab, &mut pgvs)
}

/// Whether everything becomes as the config has it, as ipvsadm and /proc show it.
fn everything(pgvs: &Pgvs, timeouts: &str, daemons: &[&str]) -> Result<()> {
    let began = Instant::now();
    let wanted = format!("Timeout (tcp tcpfin udp): {timeouts}\n{}", daemons.concat());
    let sysctls = "expire_nodest_conn=1 expire_quiescent_template=1 conn_reuse_mode=0 \
                   sync_threshold=2 20 sync_refresh_period=5 drop_entry=1";
    loop {
        let found = ipvsadm(&["-L", "--timeout"])? + &ipvsadm(&["-L", "--daemon"])?;
        let mut values = Vec::new();
        for name in ["expire_nodest_conn", "expire_quiescent_template", "conn_reuse_mode"]
            .iter()
            .chain(&["sync_threshold", "sync_refresh_period", "drop_entry"])
        {
            let value = Namespace::Director.read_sysctl(&format!("net/ipv4/vs/{name}"))?;
            values.push(format!("{name}={}", value.replace('\t', " ")));
        }
        if found == wanted && values.join(" ") == sysctls {
            return Ok(());
        }
        ensure!(
            began.elapsed() < SOON,
            "wanted\n{wanted}{sysctls}\nfound\n{found}{}\n{}",
            values.join(" "),
            pgvs.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn repaired(lab: &Lab, pgvs: &Pgvs, arguments: &[&str], words: &str) -> Result<()> {
    let length = pgvs.log().len();
    ipvsadm(arguments)?;
    let began = Instant::now();
    let line = pgvs.wait_log(length, words, SOON)?;
    let took = began.elapsed().as_secs_f64();
    lab.figure(format!("ipvsadm {}: repaired after {took:.2} s", arguments.join(" ")))?;
    lab.step(line);
    Ok(())
}

/// One daemon changes, one leaves; what another program starts in its place stays.
fn reloaded(lab: &Lab, pgvs: &Pgvs) -> Result<()> {
    pgvs.write(&(pool() + KERNEL + &MASTER.replace("sync_id = 5", "sync_id = 6")))?;
    let plan = pgvs.run(&["plan"])?.expect(1)?;
    ensure!(plan.stdout.contains("0 to add, 1 to change, 1 to delete"), "{}", plan.stdout);
    // A kernel without one of the settings takes the others, and the reload says so.
    let is_new = Namespace::Director.read_sysctl("net/ipv4/vs/est_cpulist").is_ok();
    let reload = pgvs.run(&["reload"])?.expect(if is_new { 0 } else { 2 })?;
    let said = reload.said();
    ensure!(said.contains("2 changes written"), "{said}");
    ensure!(is_new || said.contains("est_cpulist: the running kernel has no such"), "{said}");
    let changed = MASTER_RUNS.replace("syncid=5", "syncid=6");
    everything(pgvs, "7500 45 40", &[&changed])?;
    ipvsadm(&["--start-daemon", "backup", "--mcast-interface", "front", "--syncid", "9"])?;
    std::thread::sleep(Duration::from_secs(3));
    let theirs = "backup sync daemon (mcast=front, syncid=9, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)\n";
    everything(pgvs, "7500 45 40", &[&changed, theirs])?;
    ipvsadm(&["--stop-daemon", "backup"])?;
    lab.step("a reload changed one daemon and stopped the other; a foreign one was left alone");
    Ok(())
}

fn paused(lab: &Lab, pgvs: &Pgvs) -> Result<()> {
    pgvs.run(&["pause"])?.expect(0)?;
    ipvsadm(&["--set", "60", "30", "40"])?;
    std::thread::sleep(Duration::from_secs(3));
    let found = ipvsadm(&["-L", "--timeout"])?;
    ensure!(found.ends_with(": 60 30 40\n"), "while paused: {found}");
    pgvs.run(&["resume"])?.expect(0)?;
    let changed = MASTER_RUNS.replace("syncid=5", "syncid=6");
    everything(pgvs, "7500 45 40", &[&changed])?;
    lab.step("while paused nothing was put back");
    Ok(())
}

/// The module is removed while the daemon stands still, and comes back.
fn without_module(lab: &mut Lab, pgvs: &mut Pgvs) -> Result<()> {
    let modules = std::fs::read_to_string("/proc/modules")?;
    if !lab.is_guest() || !modules.contains("ip_vs ") {
        lab.step("NOT TRIED: without the module; this kernel is not the lab's own");
        return Ok(());
    }
    pgvs.signal(Signal::STOP)?;
    ipvsadm(&["--stop-daemon", "master"])?;
    ipvsadm(&["-C"])?;
    unload()?;
    ensure!(!std::path::Path::new("/proc/sys/net/ipv4/vs").exists(), "the sysctls are still there");
    pgvs.signal(Signal::CONT)?;
    let changed = MASTER_RUNS.replace("syncid=5", "syncid=6");
    // The daemon's own question loads it again; ipvsadm would do the same.
    std::thread::sleep(Duration::from_secs(2));
    everything(pgvs, "7500 45 300", &[&changed])?;
    lab.make_foreign()?;
    lab.step("the module was removed and is back: everything is set again");
    Ok(())
}
