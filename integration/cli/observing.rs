//! A daemon in shadow mode, from its start to its end.

use std::io::Read;
use std::process::Stdio;

use rustix::process::Signal;

use crate::daemon::{CONFIG, Daemon, exists, pgvs, said, wait};

#[test]
fn status_shows_every_weight_with_its_reason() {
    let daemon = Daemon::observing(CONFIG);
    let said = daemon.run(&["status"]);
    assert_eq!(said.code, 0, "{said:?}");
    let head = said.out.lines().next().unwrap();
    assert!(head.starts_with("lb1: healthy, observing"), "{head}");
    let words: Vec<Vec<&str>> =
        said.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let pg2 = vec!["pg2", "10.8.0.12:5432", "not", "probed", "50", "0", "0", "serving"];
    assert!(words.contains(&pg2), "{}", said.out);
    let status = daemon.status();
    assert_eq!(status["director"], "lb1");
    assert_eq!(status["pid"], daemon.pid());
    assert_eq!(status["services"][0]["serving"], true);
}

#[test]
fn sigterm_and_sigint_end_it_with_0_and_take_the_socket_away() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::observing(CONFIG);
        assert!(exists(&daemon.socket()));
        daemon.signal(signal);
        assert_eq!(daemon.end(), 0);
        assert!(!exists(&daemon.socket()));
        assert!(daemon.log().lines().last().unwrap().contains("ends"), "{}", daemon.log());
    }
}

#[test]
fn it_writes_no_state_file() {
    let mut daemon = Daemon::observing(CONFIG);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 0);
    assert!(!exists(&daemon.path("state")));
}

#[test]
fn a_reload_writes_what_its_plan_said() {
    let daemon = Daemon::observing(CONFIG);
    assert_eq!(daemon.run(&["plan"]).out, "nothing to change\n");
    daemon.write(&CONFIG.replace("weight = 50", "weight = 60"));
    let plan = daemon.run(&["plan"]);
    let line = "~ orders-any (TCP 10.9.0.100:5432): pg2 (10.8.0.12:5432) weight 50 -> 60\n";
    assert_eq!(
        (plan.code, &*plan.out),
        (1, &*format!("{line}0 to add, 1 to change, 0 to delete\n"))
    );
    assert_eq!(daemon.weights()[1].1, 50, "a plan writes nothing");
    let reload = daemon.run(&["reload"]);
    assert_eq!((reload.code, &*reload.out), (0, "reloaded: 1 change written\n"));
    assert_eq!(daemon.weights()[1].1, 60);
    let plan = daemon.run(&["plan"]);
    assert_eq!((plan.code, &*plan.out), (0, "nothing to change\n"));
    assert_eq!(daemon.run(&["reload"]).out, "reloaded: nothing to write\n");
}

#[test]
fn a_plan_is_of_the_file_that_the_client_names() {
    let daemon = Daemon::observing(CONFIG);
    let other = daemon.path("other.toml");
    std::fs::create_dir(daemon.path("conf.d")).unwrap();
    let include = "include = [\"conf.d/*.toml\"]\n";
    std::fs::write(&other, include).unwrap();
    std::fs::write(daemon.path("conf.d/a.toml"), CONFIG.replace("\"pg1\"", "\"pg0\"")).unwrap();
    let plan = |arguments: &[&str]| {
        said(
            pgvs().args(arguments).arg("--config").arg(&other).arg("--socket").arg(daemon.socket()),
        )
    };
    assert_eq!(plan(&["plan"]).out, "nothing to change\n");
    std::fs::write(daemon.path("conf.d/b.toml"), "[[pool]]\nnaem = \"x\"\n").unwrap();
    let refused = plan(&["plan"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("b.toml:2:1") && refused.err.contains("naem"), "{}", refused.err);
}

#[test]
fn a_broken_file_is_refused_and_the_one_before_stays_in_force() {
    let daemon = Daemon::observing(CONFIG);
    daemon.write(&CONFIG.replace("weight = 50", "wieght = 60"));
    let reload = daemon.run(&["reload"]);
    assert_eq!((reload.code, &*reload.out), (2, ""));
    for word in ["wieght", "weight", "pgvs.toml:15:1", "stays in force"] {
        assert!(reload.err.contains(word), "no {word:?} in {}", reload.err);
    }
    assert_eq!(daemon.weights()[1].1, 50);
    let status = daemon.run(&["status"]);
    assert_eq!(status.code, 0);
    assert!(status.out.contains("an earlier config is in force"), "{}", status.out);
    daemon.write(CONFIG);
    assert_eq!(daemon.run(&["reload"]).code, 0);
    assert!(!daemon.run(&["status"]).out.contains("earlier"));
}

#[test]
fn a_file_that_was_cut_off_takes_no_service_away() {
    let daemon = Daemon::observing(CONFIG);
    let before = daemon.weights();
    daemon.write("");
    let reload = daemon.run(&["reload"]);
    assert_eq!(reload.code, 2, "{reload:?}");
    assert!(reload.err.contains("it has no services: refused"), "{reload:?}");
    assert_eq!(daemon.weights(), before);
}

#[test]
fn a_plan_during_a_pause_says_what_resume_will_write() {
    let daemon = Daemon::observing(CONFIG);
    // Returns when the table is as wanted.
    assert_eq!(daemon.run(&["reload"]).code, 0);
    assert_eq!(daemon.run(&["pause"]).code, 0);
    daemon.write(&CONFIG.replace("weight = 50", "weight = 60"));
    let plan = daemon.run(&["plan"]);
    assert!(plan.code == 1 && plan.out.contains("weight 50 -> 60"), "{plan:?}");
    assert!(plan.err.contains("paused"), "{plan:?}");
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    let said = pgvs().args(["run", "--observe", "--log-level", "frob"]).output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("log level \"frob\""));
}

#[test]
fn sighup_reloads_too() {
    let daemon = Daemon::observing(CONFIG);
    daemon.write(&CONFIG.replace("weight = 50", "weight = 0"));
    daemon.signal(Signal::HUP);
    wait("weight 0", || match daemon.weights()[1].1 {
        0 => Ok(()),
        other => Err(other.to_string()),
    });
}

#[test]
fn while_paused_a_reload_writes_nothing_and_resume_catches_up() {
    let daemon = Daemon::observing(CONFIG);
    assert_eq!(daemon.run(&["pause", "--for", "30m"]).code, 0);
    let status = daemon.status();
    assert_eq!(status["paused"], true);
    let left = status["paused_for"].as_u64().unwrap();
    assert!((1700..=1800).contains(&left), "{left}");
    daemon.write(&CONFIG.replace("weight = 50", "weight = 60"));
    let reload = daemon.run(&["reload"]);
    assert!(reload.out.contains("nothing to write") && reload.out.contains("paused"), "{reload:?}");
    assert_eq!(daemon.weights()[1].1, 50);
    assert_eq!(daemon.run(&["resume"]).out, "resumed: 1 change written\n");
    assert_eq!(daemon.weights()[1].1, 60);
    assert_eq!(daemon.run(&["resume"]).code, 0, "nothing to resume");
}

#[test]
fn a_pause_ends_by_itself() {
    let daemon = Daemon::observing(CONFIG);
    assert_eq!(daemon.run(&["pause", "--for", "1s"]).code, 0);
    wait("end of the pause", || match daemon.status()["paused"].as_bool() {
        Some(false) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(daemon.run(&["pause", "--for", "0s"]).code, 2);
    assert_eq!(daemon.run(&["pause", "--for", "soon"]).code, 2);
}

#[test]
fn a_server_that_leaves_the_config_leaves_the_table() {
    let daemon = Daemon::observing(CONFIG);
    let server = "[[pool.server]]\nname = \"pg1\"\naddress = \"10.8.0.11:5432\"\n";
    assert!(CONFIG.contains(server));
    daemon.write(&CONFIG.replace(server, ""));
    assert_eq!(daemon.run(&["reload"]).code, 0);
    wait("table without pg1", || {
        let status = daemon.status();
        match status["services"][0]["destinations"].as_array().unwrap().len() {
            1 => Ok(()),
            _ => Err(status.to_string()),
        }
    });
}

#[test]
fn a_large_table_is_shown_whole() {
    let mut config = CONFIG.to_owned();
    for number in 0..300 {
        config.push_str(&format!(
            "[[service]]\nname = \"s{number}\"\naddress = \"10.7.{}.{}:5432\"\npool = \"orders\"\ntarget = \"any\"\n",
            number / 200,
            number % 200 + 1
        ));
    }
    let daemon = Daemon::observing(&config);
    let status = daemon.status();
    let services = status["services"].as_array().unwrap();
    assert_eq!(services.len(), 301);
    assert!(services.iter().all(|service| service["serving"] == true));
    daemon.write(&config.replace("weight = 50", "weight = 51"));
    assert_eq!(daemon.run(&["reload"]).out, "reloaded: 301 changes written\n");
}

#[test]
fn the_socket_is_found_by_option_environment_or_config() {
    let daemon = Daemon::observing(CONFIG);
    let (socket, config) = (daemon.socket(), daemon.config());
    let commands = [
        pgvs().arg("status").arg("--socket").arg(&socket).output(),
        pgvs().arg("--socket").arg(&socket).arg("status").output(),
        pgvs().arg("status").env("PGVS_SOCKET", &socket).output(),
        pgvs().arg("status").arg("--config").arg(&config).output(),
        pgvs().arg("status").env("PGVS_CONFIG", &config).output(),
    ];
    for (number, output) in commands.into_iter().enumerate() {
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "way {number}: {output:?}");
    }
}

#[test]
fn log_lines_are_json_where_that_is_wanted() {
    let mut daemon = Daemon::observing_with(CONFIG, &["--log-format", "json"]);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 0);
    let log = daemon.log();
    assert!(log.lines().count() > 2, "{log}");
    let mut adopted = 0;
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
        adopted += usize::from(line["kind"] == "adopted");
    }
    assert_eq!(adopted, 1, "{log}");
}

#[test]
fn text_lines_in_a_file_have_no_colours() {
    let mut daemon = Daemon::observing(CONFIG);
    // The log has a thread of its own, which has written everything when the daemon has ended.
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 0);
    let log = daemon.log();
    assert!(log.contains("INFO") && !log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let daemon = Daemon::observing(CONFIG);
    for arguments in [&["status"][..], &["status", "--json"], &["check"], &["--help"]] {
        let mut command = pgvs();
        command.args(arguments);
        if arguments != ["--help"] {
            command.arg("--config").arg(daemon.config());
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(child.wait().unwrap().code().is_some(), "{arguments:?}");
        assert!(!err.contains("panicked"), "{arguments:?}: {err}");
    }
}

#[test]
fn systemd_is_told_when_it_is_ready_reloads_and_stops() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let heard = |word: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line == word) {
                return text;
            }
        }
    };
    let files = Daemon::files(CONFIG);
    let mut child = pgvs()
        .args(["run", "--observe", "--config"])
        .arg(files.config())
        .arg("--socket")
        .arg(files.socket())
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    heard("READY=1");
    heard("WATCHDOG=1");
    assert_eq!(files.run(&["reload"]).code, 0);
    assert!(heard("RELOADING=1").contains("MONOTONIC_USEC="));
    heard("READY=1");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    heard("STOPPING=1");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_service_manager_that_reads_nothing_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let _unread = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let daemon = Daemon::observing_in(CONFIG, &[], &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    // A datagram socket holds 10 messages, or what net.unix.max_dgram_qlen says.
    for _ in 0..20 {
        assert_eq!(daemon.run(&["reload"]).code, 0);
    }
}
