//! What cannot work: one clear line, nothing changed, exit status 2.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::daemon::{CONFIG, Daemon, exists, pgvs, said};

/// Without a service nothing could be written, even where a refusal did not work.
const NOTHING: &str = "[[pool]]\nname = \"orders\"\nprobe = \"none\"\n[[pool.server]]\nname = \"pg1\"\naddress = \"10.8.0.11:5432\"\n";

/// There is one lock for each network namespace, and all tests are in one.
static LOCK: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(files: &Daemon) -> crate::daemon::Said {
    said(pgvs().args(["run", "--config"]).arg(files.config()))
}

#[test]
fn a_second_daemon_in_the_same_network_namespace() {
    let _alone = alone();
    let name = SocketAddr::from_abstract_name("pgvs/director").unwrap();
    let first = UnixListener::bind_addr(&name).unwrap();
    let files = Daemon::files(NOTHING);
    let said = run(&files);
    let line = said.refusal();
    let holder = format!("another pgvs (pid {}", std::process::id());
    assert!(line.contains(&holder) && line.contains("network namespace"), "{line}");
    assert!(!exists(&files.path("state")) && !exists(&files.socket()));
    drop(first);
}

#[test]
fn a_file_to_restore_that_is_wrong_is_told_with_its_line_before_anything_is_asked_of_the_kernel() {
    let files = Daemon::files(NOTHING);
    let path = files.path("table");
    for (text, told) in [
        ("-A -t 10.9.0.100:80\n\n-A -t 10.9.0.100:80 -s\n", "line 3: -s: missing argument"),
        (
            "{\"pgvs_save\": 1,\n \"services\": [{}]}",
            "line 2, column 16: missing field `scheduler`",
        ),
        ("\n", "it is empty; nothing was changed"),
    ] {
        fs::write(&path, text).unwrap();
        let said = said(pgvs().arg("restore").arg(&path));
        let line = said.refusal();
        assert!(line.contains(told) && line.contains("nothing was changed"), "{line}");
    }
}

#[test]
fn a_state_directory_that_cannot_be_written() {
    let _alone = alone();
    let files = Daemon::files(NOTHING);
    fs::write(files.path("state"), "a file").unwrap();
    let said = run(&files);
    let line = said.refusal();
    assert!(line.contains("state") && line.contains("state_dir"), "{line}");
    assert!(!exists(&files.socket()));
}

#[test]
fn a_control_socket_that_is_in_use() {
    let _alone = alone();
    let files = Daemon::files(NOTHING);
    let living = UnixListener::bind(files.socket()).unwrap();
    let said = run(&files);
    let line = said.refusal();
    let holder = format!("process {}", std::process::id());
    assert!(line.contains("pgvs.sock") && line.contains(&holder), "{line}");
    drop(living);
}

#[test]
fn a_file_in_the_place_of_the_control_socket() {
    let _alone = alone();
    let files = Daemon::files(NOTHING);
    fs::write(files.socket(), "precious").unwrap();
    let said = run(&files);
    assert!(said.refusal().contains("no socket"), "{said:?}");
    assert_eq!(fs::read_to_string(files.socket()).unwrap(), "precious");
}

#[test]
fn a_second_observer_at_the_same_socket() {
    let daemon = Daemon::observing(CONFIG);
    let mut command = pgvs();
    command.args(["run", "--observe", "--config"]).arg(daemon.config());
    let said = said(command.arg("--socket").arg(daemon.socket()));
    let holder = format!("process {}", daemon.pid());
    assert!(said.refusal().contains(&holder), "{said:?}");
    assert_eq!(daemon.run(&["status"]).code, 0, "the first one is disturbed");
}

#[test]
fn a_config_that_is_not_there_or_broken() {
    let files = Daemon::files("surprise = 1\n");
    let said = run(&files);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("surprise") && said.err.contains("pgvs.toml:5:1"), "{}", said.err);
    fs::remove_file(files.config()).unwrap();
    let said = run(&files);
    assert_eq!(said.code, 2);
    assert!(said.err.to_lowercase().contains("no such file"), "{}", said.err);
}

#[test]
fn a_password_file_that_others_may_read() {
    let files = Daemon::files("");
    let secret = files.path("secret");
    let probed = CONFIG.replace(
        "probe = \"none\"",
        &format!("[pool.postgres]\nuser = \"pgvs\"\npassword_file = \"{}\"", secret.display()),
    );
    files.write(&probed);
    let observe = || said(pgvs().args(["run", "--observe", "--config"]).arg(files.config()));
    let missing = observe();
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("secret"), "{}", missing.err);
    fs::write(&secret, "hunter2\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = observe();
    assert_eq!(exposed.code, 2);
    assert!(exposed.err.contains("secret") && exposed.err.contains("chmod"), "{}", exposed.err);
    assert!(!exposed.err.contains("hunter2"), "a secret in the log");
}

#[test]
fn commands_without_a_daemon() {
    let files = Daemon::files(CONFIG);
    for command in ["status", "reload", "pause", "resume"] {
        let said = files.run(&[command]);
        let line = said.refusal();
        assert!(line.contains("no pgvs answers at") && line.contains("pgvs.sock"), "{line}");
    }
}

#[test]
fn a_socket_that_is_none() {
    let files = Daemon::files(CONFIG);
    fs::write(files.socket(), "").unwrap();
    assert!(files.run(&["status"]).refusal().contains("pgvs.sock"));
}

#[test]
fn a_log_level_or_an_option_that_does_not_exist() {
    let files = Daemon::files(CONFIG);
    let mut command = pgvs();
    command.args(["run", "--observe", "--log-level", "loud=no=yes", "--config"]);
    let refused = said(command.arg(files.config()));
    assert!(refused.refusal().contains("log level"), "{refused:?}");
    for arguments in [&["run", "--quickly"][..], &["flush"], &[]] {
        assert_eq!(said(pgvs().args(arguments)).code, 2, "{arguments:?}");
    }
}

#[test]
fn a_link_named_ipvsadm_speaks_its_language() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("ipvsadm");
    symlink(env!("CARGO_BIN_EXE_pgvs"), &link).unwrap();
    for arguments in [&["-Ln"][..], &["-L", "--nonsense"]] {
        let by_link = said(std::process::Command::new(&link).args(arguments));
        let by_name = said(pgvs().arg("ipvsadm").args(arguments));
        assert_eq!((by_link.code, by_link.out), (by_name.code, by_name.out), "{arguments:?}");
        assert_eq!(by_link.err, by_name.err);
        assert!(!by_link.err.contains("Usage: pgvs"), "{}", by_link.err);
    }
}
