//! What cannot work is said in one clear line, nothing changes in the kernel, and the exit status is 2.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::lab::{Lab, NotHere};
use crate::net::Namespace;
use crate::pgvs::{Answer, Pgvs};
use crate::stage::SOON;
use crate::tap::Tap;
use crate::{kernel, net, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "refusals",
        shows: "no CAP_NET_ADMIN, a second daemon, a busy socket, a state directory on a full or read-only disk",
        run: refusals,
    },
    Scenario {
        name: "passwords",
        shows: "a missing or world-readable password file: one clear line",
        run: passwords,
    },
    Scenario {
        name: "state-file",
        shows: "an unreadable state file is kept aside with an alarm, and only the config's services are ours",
        run: state_file,
    },
    Scenario { name: "no-ipvs", shows: "a kernel without ip_vs: one clear line", run: no_ipvs },
];

const TWO: &[(u8, u32)] = &[(1, 100), (2, 100)];

fn config() -> String {
    text::unprobed(TWO) + &text::service("orders", net::vip(0), "any")
}

/// Exit status 2, and one line of standard error with all these words.
fn refused(lab: &Lab, what: &str, answer: Answer, words: &[&str]) -> Result<()> {
    let answer = answer.expect(2).with_context(|| what.to_owned())?;
    let says = |line: &&str| words.iter().all(|word| line.contains(word));
    let line = answer.stderr.lines().find(says);
    let line =
        line.with_context(|| format!("{what}: no line with {words:?}:\n{}", answer.said()))?;
    ensure!(!answer.said().contains("panicked"), "{what}: {}", answer.said());
    lab.step(format!("{what}: {}", line.trim()));
    Ok(())
}

fn refusals(lab: &mut Lab) -> Result<()> {
    let mut pgvs = lab.daemon(&config())?;
    let (tap, before) = (Tap::start()?, kernel::by_proc()?);
    let unable = {
        let mut command = pgvs.command_without(&["net_admin"]);
        command.arg("run");
        pgvs.finish(command)?
    };
    refused(lab, "no CAP_NET_ADMIN", unable, &["CAP_NET_ADMIN"])?;

    let socket = pgvs.path("run/pgvs.sock");
    let busy = UnixListener::bind(&socket).context("take the control socket")?;
    refused(lab, "a busy control socket", pgvs.run_to_end()?, &["pgvs.sock"])?;
    drop(busy);

    let state = pgvs.path("state");
    let path = state.to_string_lossy().into_owned();
    shell("mount", &["-t", "tmpfs", "-o", "ro", "none", &path])?;
    let answer = pgvs.run_to_end();
    shell("umount", &[&path])?;
    refused(lab, "a state directory that is not writable", answer?, &["state"])?;

    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "refused starts wrote {writes:?}");
    ensure!(kernel::by_proc()? == before, "refused starts changed the table");

    // The socket that nobody listens on any more is in nobody's way.
    ensure!(socket.exists(), "the dead socket is the point here");
    pgvs.start()?;
    let first = kernel::by_proc()?;
    drop(tap.writes()?);
    let second = lab.daemon_alone("second", &config().replace("weight = 100", "weight = 7"))?;
    refused(lab, "a second daemon", second.run_to_end()?, &["another", "namespace"])?;
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "the second daemon wrote {writes:?}");
    ensure!(kernel::by_proc()? == first, "the second daemon changed the table");
    pgvs.run(&["status"])?.expect(0)?;
    pgvs.kill()?;
    let mut second = second;
    second.start()?;
    lab.step("the lock of a killed daemon is in nobody's way");
    Ok(())
}

fn passwords(lab: &mut Lab) -> Result<()> {
    let pgvs = lab.daemon("")?;
    let secret = pgvs.path("secret");
    let line = format!("user = \"pgvs\"\npassword_file = \"{}\"", secret.display());
    pgvs.write(&text::orders().replace("user = \"pgvs\"", &line))?;
    let (tap, before) = (Tap::start()?, kernel::by_proc()?);
    let check = |what: &str, words: &[&str]| refused(lab, what, pgvs.run_to_end()?, words);
    check("no password file", &["secret", "no such file"])?;
    fs::write(&secret, "lab-secret\n")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644))?;
    check("a world-readable password file", &["secret", "0644"])?;
    fs::remove_file(&secret)?;
    fs::create_dir(&secret)?;
    check("a directory for a password file", &["secret"])?;
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "refused starts wrote {writes:?}");
    ensure!(kernel::by_proc()? == before, "refused starts changed the table");
    Ok(())
}

fn state_file(lab: &mut Lab) -> Result<()> {
    let two = config() + &text::service("more", net::vip(1), "any");
    let mut pgvs = lab.daemon(&two)?;
    pgvs.start()?;
    // Ready means that the kernel has it.
    ensure!(kernel::by_proc()?.0.len() == 3, "ready, and the table is\n{}", kernel::by_proc()?);
    pgvs.stop()?;
    let files = files_in(&pgvs.path("state"))?;
    ensure!(files.len() == 1, "one state file expected, not {files:?}");
    let name = files.first().context("no state file")?;
    fs::write(pgvs.path("state").join(name), "\u{0}garbage{{{").context("spoil the state file")?;
    // With the file gone nobody knows that "more" was ours: it is foreign now.
    pgvs.write(&config())?;
    let (tap, length) = (Tap::start()?, pgvs.log().len());
    pgvs.start()?;
    let alarm = pgvs.wait_alarm("state", Duration::from_secs(5))?;
    lab.step(format!("alarm: {alarm}"));
    std::thread::sleep(Duration::from_secs(2));
    let writes = tap.writes()?;
    ensure!(writes.is_empty(), "after a spoilt state file it wrote {writes:?}");
    let files = files_in(&pgvs.path("state"))?;
    let kept = files.iter().any(|file| {
        fs::read_to_string(pgvs.path("state").join(file)).is_ok_and(|text| text.contains("garbage"))
    });
    ensure!(kept, "the spoilt file is not kept aside: {files:?}");
    let status = pgvs.status()?;
    let foreign = status["foreign"].to_string();
    ensure!(foreign.contains("10.9.0.101:5432"), "foreign services are {foreign}");
    ensure!(
        pgvs.log_since(length).lines().any(|line| line.contains("state")),
        "no line in the log"
    );
    Ok(())
}

fn files_in(path: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn no_ipvs(lab: &mut Lab) -> Result<()> {
    if !lab.is_guest() {
        // The machine's own kernel may be at work with its table.
        return Err(NotHere("takes the module away, which only the virtual machine allows").into());
    }
    let pgvs = lab.daemon_alone("pgvs", &config())?;
    let loader = fs::read_to_string(LOADER).context("read the kernel's module loader")?;
    fs::write(LOADER, "/bin/false").context("stop the kernel from loading modules")?;
    let outcome = unload().and_then(|()| tries(lab, &pgvs));
    fs::write(LOADER, loader.trim()).context("let the kernel load modules again")?;
    shell("modprobe", &["ip_vs"])?;
    outcome
}

pub(super) const LOADER: &str = "/proc/sys/kernel/modprobe";

fn tries(lab: &Lab, pgvs: &Pgvs) -> Result<()> {
    refused(lab, "no ip_vs", pgvs.run_to_end()?, &["ip_vs"])?;
    let answer = pgvs.run(&["plan"])?;
    ensure!(answer.status == 2, "plan without ip_vs: {answer:?}");
    ensure!(
        Namespace::Director.inside(|| Ok(!Path::new("/proc/net/ip_vs").exists()))?,
        "a refused start loaded the module"
    );
    Ok(())
}

/// Unloads every IPVS module; namespaces that are being taken down hold them for a moment.
pub(super) fn unload() -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let text = fs::read_to_string("/proc/modules").context("read /proc/modules")?;
        let names = text.lines().filter_map(|line| line.split(' ').next());
        let ours: Vec<_> = names.filter(|name| name.starts_with("ip_vs")).collect();
        if ours.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "still loaded: {ours:?}");
        for name in ours {
            // One that is in use goes at a later round.
            drop(Command::new("rmmod").arg(name).output());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(super) fn shell(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("start {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), said.trim());
    Ok(())
}
