//! `pgvs ipvsadm` beside the real ipvsadm on the same kernel: what they print, say and do is the same.

use anyhow::{Context, Result, ensure};
use pgvs::host::netlink::Kernel;
use pgvs::model::destination::{DestinationKey, Forwarding};
use pgvs::model::service::{Protocol, ServiceFlags, ServiceKey};
use pgvs::model::table::Table;

use super::Scenario;
use super::kernel_tables::seed;
use crate::lab::Lab;
use crate::net::Namespace;
use crate::random;
use crate::twin::{Program, Said, words};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ipvsadm-lists",
        shows: "random tables are listed and saved by both programs to the byte, and restored from each other's text",
        run: lists,
    },
    Scenario {
        name: "ipvsadm-commands",
        shows: "command lines, valid and not, end with the same words and exit codes and leave the same table",
        run: commands,
    },
];

/// Every way to list or save a table.
const LISTS: [&str; 14] = [
    "-Ln",
    "-L",
    "-ln --stats",
    "-Ln --rate",
    "-Ln --thresholds",
    "-Ln --persistent-conn",
    "-Ln --tun-info",
    "-Ln --stats --exact",
    "-Ln --nosort",
    "-Lnc",
    "-L --timeout",
    "-L --daemon",
    "-S",
    "-Sn",
];

/// Random tables, each listed, saved and restored.
const TABLES: usize = 2;
/// Recorded command lines that are tried, besides those that build and change a table.
const LINES: usize = 60;
/// What the project recorded of the real program, for its unit tests.
const RECORDED: &str = "integration/golden/ipvsadm-lines.txt";

fn lists(lab: &mut Lab) -> Result<()> {
    let seed = seed()?;
    lab.step(format!("seed {seed}"));
    let mut dice = fastrand::Rng::with_seed(seed);
    let (mut lists, mut lines) = (0, 0);
    for round in 0..TABLES {
        let context = || format!("seed {seed}, table {round}");
        let table = random::table(&mut dice, 12);
        let listed = built(lab, &table).and_then(|()| one_table(lab, &table, &mut lists));
        listed.with_context(context)?;
        built(lab, &readable(table)).with_context(context)?;
        lines += restored(lab).with_context(context)?;
    }
    ensure!(lines > 20, "only {lines} lines were saved");
    lab.step(format!(
        "{TABLES} tables: {lists} lists the same to the byte, {lines} lines restored"
    ));
    Ok(())
}

/// A table like that one of which ipvsadm can read what it saves itself: no marks with a sign, no protocol without
/// a name, and none of what the kernel takes and ipvsadm refuses.
fn readable(table: Table) -> Table {
    let mut readable = Table::default();
    for (key, mut entry) in table.services {
        let (port, may_be_ops) = match key {
            ServiceKey::FwMark { mark, .. } if i32::try_from(mark).is_err() => continue,
            ServiceKey::Address { protocol: Protocol(50), .. } => continue,
            ServiceKey::FwMark { .. } => (None, true),
            ServiceKey::Address { protocol, address } => {
                (Some(address.port()), protocol == Protocol::UDP)
            }
        };
        let flags = &mut entry.service.flags;
        if !may_be_ops {
            *flags = flags.without(ServiceFlags::ONE_PACKET);
        }
        if ["sh", "mh"].contains(&entry.service.scheduler.as_str()) {
            *flags = flags.without(ServiceFlags::SCHED_3);
        }
        for (DestinationKey(mut at), mut to) in std::mem::take(&mut entry.destinations) {
            if to.forwarding == Forwarding::Local {
                to.forwarding = Forwarding::DirectRoute;
            }
            if to.forwarding != Forwarding::Masquerade {
                at.set_port(port.unwrap_or(at.port()));
            }
            if to.tunnel.kind == 2 && to.tunnel.flags == 2 {
                to.tunnel.flags = 0;
            }
            entry.destinations.insert(DestinationKey(at), to);
        }
        readable.services.insert(key, entry);
    }
    readable
}

/// Makes the director's table that one.
fn built(lab: &Lab, table: &Table) -> Result<()> {
    Program::Ours.fine(lab, "-C", "")?;
    let ops = random::ops(&Table::default(), table);
    let outcomes = Namespace::Director.inside(|| Ok(Kernel::open()?.apply(&ops)?))?;
    for (op, outcome) in ops.iter().zip(outcomes) {
        ensure!(outcome.is_ok(), "{op}: {outcome:?}");
    }
    Ok(())
}

fn one_table(lab: &Lab, table: &Table, lists: &mut usize) -> Result<()> {
    for line in LISTS {
        same(lab, Namespace::Director, line, "")?;
        *lists += 1;
    }
    for key in table.services.keys().take(4) {
        let service = match key {
            ServiceKey::FwMark { mark, .. } => format!("-f {mark}"),
            // Of another protocol than TCP there is none, which both have to say.
            ServiceKey::Address { address, .. } => format!("-t {address}"),
        };
        same(lab, Namespace::Director, &format!("-Ln {service}"), "")?;
        same(lab, Namespace::Director, &format!("-Ln --stats {service}"), "")?;
        *lists += 2;
    }
    Ok(())
}

/// Both programs answer a line alike that changes nothing.
fn same(lab: &Lab, place: Namespace, line: &str, input: &str) -> Result<Said> {
    let words = words(line);
    let ours = Program::Ours.run(lab, place, &words, input)?;
    let theirs = Program::Theirs.run(lab, place, &words, input)?;
    for (ours, theirs) in ours.out.lines().zip(theirs.out.lines()) {
        ensure!(ours == theirs, "{line}: ours\n{ours:?}\nipvsadm's\n{theirs:?}");
    }
    ensure!(ours == theirs, "{line}: ours\n{ours:?}\nipvsadm's\n{theirs:?}");
    Ok(ours)
}

/// What one program saved the other restores, and the other way round; returns the lines.
fn restored(lab: &Lab) -> Result<usize> {
    let saved = Program::Theirs.fine(lab, "-Sn", "")?.out;
    let mut ended = Vec::new();
    for program in [Program::Ours, Program::Theirs] {
        program.fine(lab, "-C", "")?;
        let empty = Program::Theirs.fine(lab, "-Sn", "")?.out;
        ensure!(empty.is_empty(), "{program:?} -C left\n{empty}");
        ended.push(program.run(lab, Namespace::Director, &words("-R"), &saved)?);
        let again = Program::Ours.fine(lab, "-Sn", "")?.out;
        // The kernel's order, and with it that of equals, is another after a restore.
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(String::from).collect();
            lines.sort();
            lines
        };
        ensure!(
            sorted(&again) == sorted(&saved),
            "{program:?} restored\n{again}\nof\n{saved}{ended:?}"
        );
    }
    ensure!(ended[0] == ended[1], "the ends of -R: {ended:?}");
    Ok(saved.lines().count())
}

/// Ours in one network namespace, ipvsadm in another.
fn commands(lab: &mut Lab) -> Result<()> {
    let seed = seed()?;
    lab.step(format!("seed {seed}"));
    let mut dice = fastrand::Rng::with_seed(seed);
    let recorded = std::fs::read_to_string(lab.repository.join(RECORDED)).context(RECORDED)?;
    let mut lines: Vec<&str> =
        recorded.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    // Names that do not exist take their time, and the interfaces are not the same in both namespaces.
    lines.retain(|line| !line.contains("nosuch") && !line.contains("start-daemon"));
    dice.shuffle(&mut lines);
    let story = include_str!("ipvsadm-story.txt").lines();
    let mut counts = [0, 0];
    for line in story.chain(lines.into_iter().take(LINES)) {
        twins(lab, line, &mut counts).with_context(|| format!("seed {seed}"))?;
    }
    let tables = [Program::Ours, Program::Theirs].map(|program| whole(lab, program));
    let [ours, theirs] = tables;
    let (ours, theirs) = (ours?, theirs?);
    ensure!(
        ours == theirs,
        "seed {seed}: the tables differ: ours\n{ours:#?}\nipvsadm's\n{theirs:#?}"
    );
    for program in [Program::Ours, Program::Theirs] {
        for line in ["-C", "--stop-daemon master", "--stop-daemon backup"] {
            program.run(lab, home(program), &words(line), "")?;
        }
    }
    let [fine, refused] = counts;
    ensure!(fine > 30 && refused > 30, "only {fine} succeeded and {refused} did not");
    lab.step(format!("{fine} commands succeeded, {refused} were refused, all alike"));
    Ok(())
}

const fn home(program: Program) -> Namespace {
    match program {
        Program::Ours => Namespace::Client,
        Program::Theirs => Namespace::Director,
    }
}

fn twins(lab: &Lab, line: &str, counts: &mut [usize; 2]) -> Result<()> {
    let words = words(line);
    let ours = Program::Ours.run(lab, home(Program::Ours), &words, "")?;
    let theirs = Program::Theirs.run(lab, home(Program::Theirs), &words, "")?;
    let sorted = |said: &Said| {
        // The kernel's order differs from one namespace to the other.
        let mut lines: Vec<_> = said.out.lines().map(String::from).collect();
        lines.sort();
        lines
    };
    ensure!(
        ours.code == theirs.code && ours.err == theirs.err && sorted(&ours) == sorted(&theirs),
        "{line}: ours\n{ours:?}\nipvsadm's\n{theirs:?}"
    );
    counts[usize::from(ours.code != Some(0))] += 1;
    Ok(())
}

/// Everything that a list tells, whatever the order; read by ipvsadm.
fn whole(lab: &Lab, program: Program) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for list in ["-Sn", "-Ln --thresholds", "-Ln --tun-info", "-L --timeout", "-L --daemon"] {
        let said = Program::Theirs.run(lab, home(program), &words(list), "")?;
        ensure!(said.code == Some(0), "{list}: {said:?}");
        lines.extend(said.out.lines().map(String::from));
    }
    lines.sort();
    Ok(lines)
}
