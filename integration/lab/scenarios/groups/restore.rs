//! `pgvs save` and `pgvs restore` on a director: what a running daemon owns, what goes wrong, and no empty moment.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};

use super::Scenario;
use crate::kernel;
use crate::lab::Lab;
use crate::net::Namespace;
use crate::pgvs::Pgvs;
use crate::table::Key;
use crate::twin::{Program, Said, said};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "restore",
        shows: "a restore changes no more than differs, never empties a service, and a wrong or refused line removes nothing",
        run: restored,
    },
    Scenario {
        name: "restore-beside-daemon",
        shows: "services of a running daemon are neither changed nor removed unless forced",
        run: beside_daemon,
    },
];

const SERVICE: &str = "10.9.0.100:5432";

fn restored(lab: &mut Lab) -> Result<()> {
    whole(lab)?;
    wrong(lab)?;
    never_empty(lab)
}

/// Everything there is, through both forms and back.
fn whole(lab: &Lab) -> Result<()> {
    Program::Theirs.lines(
        lab,
        "-A -t 10.9.0.100:5432 -s wrr\n-a -t 10.9.0.100:5432 -r 10.8.0.11 -m -w 3 -x 9 -y 4\n-A -f 7 -p 60\n--set 7500 60 30\n\
         --start-daemon master --mcast-interface front --syncid 5\n--start-daemon backup --mcast-interface back --syncid 6 --mcast-port 8850\n",
    )?;
    let all = "-S -n\n-L -n --thresholds\n-L --timeout\n-L --daemon\n";
    let before = Program::Theirs.lines(lab, all)?;
    for format in ["text", "json"] {
        let saved = pgvs(lab, &["save", "--format", format], "", 0)?.out;
        let again = pgvs(lab, &["restore"], &saved, 0)?;
        ensure!(again.out == "nothing to change\n" && again.err.is_empty(), "{again:?}");
        Program::Theirs.lines(
            lab,
            "-C\n-A -u 10.9.0.100:53\n-A -t 10.9.0.100:5432 -s rr\n--set 1 2 3\n--stop-daemon backup\n--start-daemon backup --mcast-interface front\n",
        )?;
        let plan = pgvs(lab, &["restore", "--dry-run"], &saved, 1)?.out;
        for line in [
            "~ timeouts: tcp 1 s -> 7500 s, tcp fin 2 s -> 60 s, udp 3 s -> 30 s\n",
            "- backup sync daemon\n+ backup sync daemon on back, id 6\n",
            "- service UDP 10.9.0.100:53\n",
            "3 to add, 2 to change, 2 to delete\n",
        ] {
            ensure!(plan.contains(line), "no {line:?} in\n{plan}");
        }
        pgvs(lab, &["restore"], &saved, 0)?;
        let after = Program::Theirs.lines(lab, all)?;
        ensure!(after == before, "{format}: before\n{before}\nafter\n{after}");
        let file = lab.directory().join("saved");
        let path = file.to_string_lossy().into_owned();
        pgvs(lab, &["save", "--format", format, &path], "", 0)?;
        ensure!(fs::read_to_string(&file)? == saved, "the file differs from the output");
    }
    let saved = pgvs(lab, &["save"], "", 0)?.out;
    Program::Theirs.lines(lab, "-C\n--stop-daemon master\n--stop-daemon backup\n--set 1 2 3\n")?;
    Program::Theirs.lines(lab, &saved)?;
    let after = Program::Theirs.lines(lab, all)?;
    ensure!(after == before, "pgvs save | ipvsadm -R: before\n{before}\nafter\n{after}");
    lab.step("services, thresholds, timeouts and sync daemons through text, JSON and ipvsadm -R: nothing lost");
    Ok(())
}

/// Whatever is wrong, what was there stays.
fn wrong(lab: &Lab) -> Result<()> {
    let before = kernel::ipvsadm(&["-Sn"])?;
    let head = format!("-A -t {SERVICE} -s wrr\n");
    for (text, told) in [
        (
            format!("{head}-a -t {SERVICE} -r 10.8.0.12 -m -w x\n"),
            "line 2: illegal weight specified",
        ),
        (String::new(), "it is empty"),
        ("{\"pgvs_save\": 1}".to_owned(), "line 1, column 16: missing field `services`"),
        // The kernel alone can refuse it, and does before anything is removed.
        (
            format!("{head}-A -t 10.9.0.101:80 -s nosuch\n-a -t 10.9.0.101:80 -r 10.8.0.12\n"),
            "nosuch",
        ),
    ] {
        let said = pgvs(lab, &["restore"], &text, 2)?;
        ensure!(said.err.contains(told), "{text}: {said:?}");
        let after = kernel::ipvsadm(&["-Sn"])?;
        ensure!(after == before, "{text}: before\n{before}\nafter\n{after}");
    }
    lab.step(
        "a wrong line, an empty file, a scheduler that is not there: told, and nothing removed",
    );
    Ok(())
}

/// Every server of a service is replaced, again and again, while its usable ones are counted.
fn never_empty(lab: &Lab) -> Result<()> {
    let table = |servers: [u8; 2]| {
        let mut text = format!("-A -t {SERVICE} -s wrr\n");
        for server in servers {
            text += &format!("-a -t {SERVICE} -r 10.8.0.{server} -m -w 10\n");
        }
        text
    };
    Program::Theirs.lines(lab, &format!("-C\n{}", table([11, 12])))?;
    let (stop, looks, empty) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let key = Key::tcp(SERVICE.parse()?);
            Namespace::Director.enter()?;
            while !stop.load(Ordering::Relaxed) {
                let text = fs::read_to_string("/proc/thread-self/net/ip_vs")?;
                let usable = crate::table::Table::parse(&text)?.usable(key).len();
                looks.fetch_add(1, Ordering::Relaxed);
                empty.fetch_add(usize::from(usable == 0), Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
        let restored = (0..10).try_for_each(|round| {
            let servers = if round % 2 == 0 { [13, 14] } else { [11, 12] };
            let said = pgvs(lab, &["restore"], &table(servers), 0)?;
            ensure!(said.out == "restored: 4 changes written\n", "{said:?}");
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        watch.join().map_err(|_| anyhow::anyhow!("the watch panicked"))??;
        restored
    })?;
    let (looks, empty) = (looks.into_inner(), empty.into_inner());
    ensure!(empty == 0 && looks > 100, "no server in {empty} of {looks} looks");
    lab.step(format!("10 times every server replaced: usable ones in each of {looks} looks"));
    Ok(())
}

fn beside_daemon(lab: &mut Lab) -> Result<()> {
    let config = format!(
        "[[pool]]\nname = \"p\"\nprobe = \"none\"\n[[pool.server]]\nname = \"a\"\naddress = \"10.8.0.11:5432\"\n\
         [[service]]\nname = \"s\"\naddress = \"{SERVICE}\"\npool = \"p\"\ntarget = \"any\"\n"
    );
    let mut daemon = lab.daemon(&config)?;
    daemon.start()?;
    let path = daemon.path("table");
    let file = |text: &str| fs::write(&path, text).context("write the table");
    let foreign = kernel::ipvsadm(&["-Sn"])?;
    let foreign: String =
        foreign.lines().filter(|line| line.contains(":8080")).fold(String::new(), |text, line| {
            // ipvsadm's own save forgets them.
            let limit = if line.starts_with("-a") { " -x 9" } else { "" };
            format!("{text}{line}{limit}\n")
        });

    // Not in the file: the daemon's service stays, and only the others follow the file.
    file(&format!("{foreign}-A -u 10.9.0.102:53 -s rr\n"))?;
    let said = restore(&daemon, &[])?.expect(0)?;
    ensure!(
        said.said().contains("left to the running daemon: TCP 10.9.0.100:5432"),
        "{}",
        said.said()
    );
    let table = kernel::ipvsadm(&["-Sn"])?;
    ensure!(table.contains(SERVICE) && table.contains("10.9.0.102:53"), "{table}");

    // In the file as it is: nothing is touched. In the file otherwise: refused as a whole.
    let own: String = table
        .lines()
        .filter(|line| line.contains(SERVICE))
        .map(|line| format!("{line}\n"))
        .collect();
    file(&format!("{foreign}{own}"))?;
    restore(&daemon, &[])?.expect(0)?;
    let before = kernel::ipvsadm(&["-Sn"])?;
    ensure!(!before.contains("10.9.0.102:53"), "{before}");
    file(&format!("{foreign}-A -u 10.9.0.102:53 -s rr\n{}", own.replace("-w 100", "-w 7")))?;
    for arguments in [&[][..], &["--dry-run"]] {
        let said = restore(&daemon, arguments)?.expect(2)?;
        let told =
            "a running daemon owns what would change: TCP 10.9.0.100:5432; nothing was changed";
        ensure!(said.said().contains(told), "{}", said.said());
    }
    ensure!(kernel::ipvsadm(&["-Sn"])? == before, "something was changed");
    lab.step(
        "kept, left alone, refused: as the file has the daemon's service not, alike, otherwise",
    );

    // Without its word nothing is known of its services.
    let mut elsewhere = daemon.command("restore");
    elsewhere.arg("--socket").arg(daemon.path("nowhere")).arg(daemon.path("table"));
    let said = daemon.finish(elsewhere)?.expect(2)?;
    ensure!(said.said().contains("which services are its own is not known"), "{}", said.said());

    daemon.run(&["pause"])?.expect(0)?;
    restore(&daemon, &["--force"])?.expect(0)?;
    let table = kernel::ipvsadm(&["-Sn"])?;
    ensure!(table.contains("-w 7") && table.contains("10.9.0.102:53"), "{table}");
    daemon.stop()?;
    let said = restore(&daemon, &[])?.expect(0)?;
    ensure!(said.said().contains("nothing to change"), "{}", said.said());
    file(&foreign)?;
    restore(&daemon, &[])?.expect(0)?;
    let table = kernel::ipvsadm(&["-Sn"])?;
    ensure!(!table.contains(SERVICE), "without a daemon everything follows the file: {table}");
    lab.step(
        "an unknown socket refuses, --force writes, and without a daemon the file counts alone",
    );
    Ok(())
}

fn restore(daemon: &Pgvs, arguments: &[&str]) -> Result<crate::pgvs::Answer> {
    let mut command = daemon.command("restore");
    command.args(arguments).arg(daemon.path("table"));
    daemon.finish(command)
}

fn pgvs(lab: &Lab, arguments: &[&str], input: &str, code: i32) -> Result<Said> {
    let mut command = Command::new(&lab.pgvs);
    command.args(arguments);
    let said = said(command, Namespace::Director, input)?;
    ensure!(said.code == Some(code), "pgvs {}: {said:?}\n{input}", arguments.join(" "));
    Ok(said)
}
