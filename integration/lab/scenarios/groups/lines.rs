//! Random command lines, sensible and not, to `pgvs ipvsadm` and the real ipvsadm in two namespaces alike.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;

use super::Scenario;
use super::kernel_tables::seed;
use crate::lab::Lab;
use crate::net::Namespace;
use crate::twin::{Program, Said, words};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ipvsadm-lines",
    shows: "random command lines end with the same exit code, output and error text, and leave the same table",
    run,
}];

/// Lines unless `PGVS_LAB_LINES` says otherwise.
const LINES: u64 = 250;
/// A word on how it goes, so often.
const EVERY: u64 = 250;

/// Two namespaces that look the same from inside: interfaces `lo` and `eth0`, one address of the same network.
const fn home(program: Program) -> Namespace {
    match program {
        Program::Ours => Namespace::Server(1),
        Program::Theirs => Namespace::Server(2),
    }
}

fn run(lab: &mut Lab) -> Result<()> {
    let seed = seed()?;
    let lines = match std::env::var("PGVS_LAB_LINES") {
        Ok(given) if !given.is_empty() => given.parse().context("PGVS_LAB_LINES")?,
        _ => LINES,
    };
    lab.step(format!("{lines} lines, seed {seed}"));
    let dice = &mut Rng::with_seed(seed);
    let mut counts = [0_u64; 2];
    clean(lab)?;
    let began = Instant::now();
    for number in 1..=lines {
        let line = if dice.u8(..) < 150 { sensible(dice) } else { wild(dice) };
        let context = || format!("seed {seed}, line {number}: ipvsadm {line}");
        let said = both(lab, &line, "").with_context(context)?;
        counts[usize::from(said.code != Some(0))] += 1;
        if number % EVERY == 0 || number == lines {
            for list in ["-Sn", "-Ln --thresholds", "-Ln --tun-info", "-L --timeout", "-L --daemon"]
            {
                both(lab, list, "").with_context(context)?;
            }
            let [fine, refused] = counts;
            let seconds = began.elapsed().as_secs();
            lab.step(format!(
                "{number} lines in {seconds} s: {fine} succeeded, {refused} were refused"
            ));
        }
    }
    clean(lab)?;
    let [fine, refused] = counts;
    ensure!(fine.min(refused) > lines / 8, "{fine} succeeded and {refused} did not");
    Ok(())
}

fn clean(lab: &Lab) -> Result<()> {
    for program in [Program::Ours, Program::Theirs] {
        for line in ["-C", "--stop-daemon master", "--stop-daemon backup", "--set 900 120 300"] {
            program.run(lab, home(program), &words(line), "")?;
        }
    }
    Ok(())
}

/// Both at once, each in its namespace.
fn both(lab: &Lab, line: &str, input: &str) -> Result<Said> {
    let words = words(line);
    let run = |program: Program| program.run(lab, home(program), &words, input);
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| run(Program::Ours));
        let theirs = run(Program::Theirs);
        (ours.join(), theirs)
    });
    let ours = ours.map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    let theirs = theirs?;
    // The kernel's order differs from one namespace to the other.
    let sorted = |said: &Said| {
        let mut lines: Vec<_> = said.out.lines().map(String::from).collect();
        lines.sort();
        lines
    };
    let same =
        ours.code == theirs.code && ours.err == theirs.err && sorted(&ours) == sorted(&theirs);
    ensure!(same, "ours\n{ours:#?}\nipvsadm's\n{theirs:#?}");
    Ok(ours)
}

fn pick<'a>(dice: &mut Rng, from: &[&'a str]) -> &'a str {
    from[dice.usize(..from.len())]
}

/// `-w 3`, `-w3`, `--weight 3` or `--weight=3`.
fn option(dice: &mut Rng, short: Option<char>, long: &str, value: &str) -> String {
    match (short, dice.u8(..4)) {
        (Some(short), 0) if !value.is_empty() => format!("-{short}{value}"),
        (Some(short), 1) => format!("-{short} {value}"),
        (_, 2) => format!("--{long}={value}"),
        _ => format!("--{long} {value}"),
    }
}

const ADDRESSES: [&str; 9] = [
    "10.0.0.1:5432",
    "10.0.0.1:80",
    "10.0.0.2:80",
    "10.0.0.2",
    "192.168.0.1:5432",
    "[2001:db8::1]:80",
    "[2001:db8::2]:5432",
    "localhost:80",
    "10.0.0.1:http",
];

fn service(dice: &mut Rng) -> String {
    let address = pick(dice, &ADDRESSES);
    match dice.u8(..8) {
        0 => option(dice, Some('u'), "udp-service", address),
        1 => option(dice, None, "sctp-service", address),
        2 => {
            let mark = pick(dice, &["1", "2", "3"]);
            option(dice, Some('f'), "fwmark-service", mark)
        }
        3 => option(dice, Some('f'), "fwmark-service", "3") + " -6",
        _ => option(dice, Some('t'), "tcp-service", address),
    }
}

fn server(dice: &mut Rng) -> String {
    let servers = [
        "10.1.1.1:80",
        "10.1.1.1",
        "10.1.1.2:5432",
        "10.1.1.3",
        "[2001:db8:1::1]:80",
        "2001:db8:1::2",
        "localhost:5432",
    ];
    let server = pick(dice, &servers);
    option(dice, Some('r'), "real-server", server)
}

/// Options of a service, mostly sound.
fn service_options(dice: &mut Rng) -> String {
    let mut text = String::new();
    let mut maybe = |option: String, dice: &mut Rng| {
        if dice.bool() {
            text += &format!(" {option}");
        }
    };
    let scheduler = pick(dice, &["rr", "wrr", "wlc", "sh", "mh", "fo", "ovf", "nosuch"]);
    let it = option(dice, Some('s'), "scheduler", scheduler);
    maybe(it, dice);
    let it = match dice.u8(..3) {
        0 => "-p".to_owned(),
        _ => {
            let seconds = pick(dice, &["1", "300", "2678400", "2678401"]);
            option(dice, Some('p'), "persistent", seconds)
        }
    };
    maybe(it, dice);
    if dice.u8(..4) == 0 {
        let mask = pick(dice, &["255.255.255.0", "64", "128", "0.0.0.0"]);
        let it = option(dice, Some('M'), "netmask", mask);
        maybe(it, dice);
    }
    if dice.u8(..4) == 0 {
        maybe("-o".into(), dice);
    }
    if dice.u8(..4) == 0 {
        let it = option(dice, None, "pe", "sip");
        maybe(it, dice);
    }
    if dice.u8(..3) == 0 {
        let flags = pick(
            dice,
            &["sh-port", "sh-fallback,sh-port", "mh-port", "flag-3", "flag-1,flag-2", "x"],
        );
        let it = option(dice, Some('b'), "sched-flags", flags);
        maybe(it, dice);
    }
    text
}

/// Options of a server, mostly sound.
fn server_options(dice: &mut Rng) -> String {
    let mut text = match dice.u8(..5) {
        0 => String::new(),
        1 => " -g".to_owned(),
        2 => " -m".to_owned(),
        3 => " --masquerading".to_owned(),
        _ => {
            let tunnels = [
                " -i",
                " --ipip",
                " -i --tun-type ipip",
                " -i --tun-type gue --tun-port 6080",
                " -i --tun-type=gue --tun-port=6080 --tun-remcsum",
                " -i --tun-type gre --tun-csum",
                " -i --tun-type gre --tun-remcsum",
                " -i --tun-type gue",
            ];
            pick(dice, &tunnels).to_owned()
        }
    };
    for (short, long, values) in [
        ('w', "weight", ["0", "1", "65536", "2147483648"]),
        ('x', "u-threshold", ["0", "10", "100", "-1"]),
        ('y', "l-threshold", ["0", "5", "50", "x"]),
    ] {
        if dice.u8(..3) == 0 {
            let value = pick(dice, &values);
            text += " ";
            text += &option(dice, Some(short), long, value);
        }
    }
    text
}

/// What an administrator could mean.
fn sensible(dice: &mut Rng) -> String {
    match dice.u8(..32) {
        0..9 => {
            let command = pick(dice, &["-A", "-A", "--add-service", "-E", "--edit-service"]);
            format!("{command} {}{}", service(dice), service_options(dice))
        }
        9..20 => {
            let command = pick(dice, &["-a", "-a", "--add-server", "-e", "--edit-server"]);
            format!("{command} {} {}{}", service(dice), server(dice), server_options(dice))
        }
        20..22 => format!("{} {}", pick(dice, &["-D", "--delete-service"]), service(dice)),
        22..24 => {
            let command = pick(dice, &["-d", "--delete-server"]);
            format!("{command} {} {}", service(dice), server(dice))
        }
        24 => format!("{} {}", pick(dice, &["-Z", "--zero"]), pick(dice, &["", "-t 10.0.0.1:80"]))
            .trim_end()
            .to_owned(),
        25 => format!("--set {} {} {}", dice.u32(..3000), dice.u32(..300), dice.u32(..300)),
        26 | 27 => {
            let role = pick(dice, &["master", "backup"]);
            let interface = pick(dice, &["lo", "eth0", "nosuch0"]);
            let more = pick(
                dice,
                &[
                    "",
                    " --syncid 7",
                    " --mcast-group 224.0.0.82 --mcast-port 8850",
                    " --sync-maxlen 1400 --mcast-ttl 2",
                    " --mcast-group ff02::81",
                ],
            );
            format!("--start-daemon {role} --mcast-interface {interface}{more}")
        }
        28 => format!("--stop-daemon {}", pick(dice, &["master", "backup"])),
        _ => {
            let list = pick(
                dice,
                &[
                    "-Ln",
                    "-ln",
                    "-L",
                    "-Ln --stats",
                    "-Ln --rate --exact",
                    "--list --numeric --thresholds",
                    "-Ln --tun-info",
                    "-Ln --persistent-conn",
                    "-Lnc",
                    "-L --timeout",
                    "-L --daemon",
                    "-S",
                    "-Sn",
                ],
            );
            match list.starts_with("-Ln") && dice.bool() {
                true => format!("{list} {}", service(dice)),
                false => list.to_owned(),
            }
        }
    }
}

const WILD_COMMANDS: &str = "-A -E -D -C -L -a -d -e -S -Z -R --set -v --version -An -Lx --start-daemon --stop-daemon \
    --start-daemon=master --stop-daemon=backup --add-service --lists - -- -t x '' -W";
const WILD_OPTIONS: &str = "-t -u -f --sctp-service -6 -s -p -M -r -m -i -g -w -x -y -n -c -o -b --pe -X \
    --mcast-interface --syncid --timeout --daemon --stats --rate --thresholds --persistent-conn --nosort --sort --exact \
    --ops --mcast-group --mcast-port --mcast-ttl --sync-maxlen --tun-info --tun-type --tun-port --tun-nocsum --tun-csum \
    --tun-remcsum --nosuch -q --weight= --numeric=1 -nc -mw --persistent=9";
const WILD_VALUES: &str = "10.0.0.1:80 10.0.0.1:99999 10.0.0.256:80 0x0a000001:80 10.1:80 [2001:db8::1]:80 [::1 ::1 :80 \
    nosuch.invalid:80 '' 1 0 -1 +7 07 1x 99999999999 rr averyveryverylongname sip lo 255.255.255.0 129 224.0.0.81 \
    10.0.0.1 gue ipip x sh-port";

/// Anything: options of whatever command, with values of whatever option, some of them twice.
fn wild(dice: &mut Rng) -> String {
    let [commands, options, values] = [WILD_COMMANDS, WILD_OPTIONS, WILD_VALUES]
        .map(|text| text.split_ascii_whitespace().collect::<Vec<_>>());
    let mut line = pick(dice, &commands).to_owned();
    for _ in 0..dice.u8(..6) {
        line += " ";
        line += pick(dice, &options);
        if dice.u8(..3) != 0 {
            line += " ";
            line += pick(dice, &values);
        }
    }
    line
}
