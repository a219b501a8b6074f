//! The control socket against peers that are wrong, slow, silent or gone.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::client::{ClientError, ask};
use super::protocol::{Form, MAX_PLAIN_REQUEST, MAX_REQUEST, Reply, Request, SourceText};
use super::*;

/// Says back what was asked.
struct Echo;

impl Desk for Echo {
    async fn meet(&self, request: Request) -> Reply {
        Reply::fine(format!("{request:?}"))
    }
}

/// A served socket, for as long as it lives.
struct Served {
    _directory: tempfile::TempDir,
    socket: ControlSocket,
    _runtime: tokio::runtime::Runtime,
}

fn serve_echo() -> Served {
    let directory = tempfile::tempdir().unwrap();
    let mut socket = ControlSocket::bind(&directory.path().join("run/pgvs.sock")).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = socket.take_listener().unwrap();
    let path = socket.path().to_owned();
    runtime.spawn(async move {
        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
        serve(listener, path, Arc::new(Echo)).await;
    });
    Served { _directory: directory, socket, _runtime: runtime }
}

impl Served {
    /// Sends bytes and reads one line: behind it is an error where the other side did not read everything.
    fn say(&self, bytes: &[u8]) -> Reply {
        let mut stream = UnixStream::connect(self.socket.path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The other side may close before it has read everything that is too much.
        drop(stream.write_all(bytes));
        let mut said = String::new();
        BufReader::new(stream).read_line(&mut said).unwrap();
        serde_json::from_str(&said).unwrap()
    }
}

#[test]
fn a_request_comes_through_as_it_was_made() {
    let served = serve_echo();
    let files = vec![SourceText { path: "a.toml".into(), text: "x = \"ä\\n\"\n".into() }];
    for request in [
        Request::Status { form: Form::Json },
        Request::Reload {},
        Request::Plan { files },
        Request::Pause { seconds: Some(1800) },
        Request::Pause { seconds: None },
        Request::Resume {},
        Request::Owned {},
    ] {
        let reply = ask(served.socket.path(), &request).unwrap();
        assert_eq!(reply, Reply::fine(format!("{request:?}")));
    }
}

#[test]
fn what_is_no_request_is_refused_in_one_line() {
    let served = serve_echo();
    let requests: [&[u8]; 9] = [
        b"\n",
        b"status\n",
        b"{}\n",
        b"{\"request\":\"status\"}\n",
        b"{\"request\":\"flush\"}\n",
        b"{\"request\":\"status\",\"form\":\"text\",\"extra\":1}\n",
        b"{\"request\":\"pause\",\"seconds\":-1}\n",
        b"{\"request\":\"reload\"",
        b"\xff\xfe\x00\n",
    ];
    for request in requests {
        let mut stream = UnixStream::connect(served.socket.path()).unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        let reply: Reply = serde_json::from_str(&said).unwrap();
        assert_eq!((reply.exit, &*reply.out), (2, ""), "{request:?}");
        assert!(reply.err.contains("not understood"), "{request:?}: {}", reply.err);
    }
}

#[test]
fn a_request_without_an_end_is_cut_off_at_the_limit() {
    let served = serve_echo();
    let reply = served.say(&vec![b'['; MAX_REQUEST + 100_000]);
    assert!(reply.err.contains("longer than"), "{}", reply.err);
}

#[test]
fn only_a_plan_may_be_long() {
    let served = serve_echo();
    let blanks = " ".repeat(MAX_PLAIN_REQUEST);
    let reply = served.say(format!("{{\"request\":\"reload\"{blanks}}}\n").as_bytes());
    assert!(reply.err.contains("longer than"), "{}", reply.err);
    let reply = served.say(format!("{{\"request\":\"plan\",\"files\":[]{blanks}}}\n").as_bytes());
    assert_eq!(reply.exit, 0, "{}", reply.err);
}

#[test]
fn peers_that_say_nothing_do_not_hold_up_others() {
    let served = serve_echo();
    let _silent: Vec<_> =
        (0..10).map(|_| UnixStream::connect(served.socket.path()).unwrap()).collect();
    let reply = ask(served.socket.path(), &Request::Resume {}).unwrap();
    assert_eq!(reply.exit, 0);
}

#[test]
fn too_many_at_once_are_told_so_and_room_comes_back() {
    let served = serve_echo();
    let crowd: Vec<_> =
        (0..40).map(|_| UnixStream::connect(served.socket.path()).unwrap()).collect();
    let reply = ask(served.socket.path(), &Request::Resume {}).unwrap();
    assert!(reply.err.contains("too many"), "{}", reply.err);
    drop(crowd);
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while ask(served.socket.path(), &Request::Resume {}).unwrap().exit != 0 {
        assert!(std::time::Instant::now() < until, "no room came back");
        std::thread::yield_now();
    }
}

#[test]
fn the_socket_is_closed_to_others_and_its_directory_too() {
    let served = serve_echo();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(served.socket.path()), 0o660);
    assert_eq!(mode(served.socket.path().parent().unwrap()), 0o750);
}

#[test]
fn a_living_socket_is_left_alone_and_a_dead_one_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgvs.sock");
    let living = UnixListener::bind(&path).unwrap();
    let error = ControlSocket::bind(&path).unwrap_err();
    let own = std::process::id().to_string();
    assert!(error.to_string().contains(&format!("process {own}")), "{error}");
    drop(living);
    assert!(path.exists());
    let socket = ControlSocket::bind(&path).unwrap();
    drop(socket);
    assert!(!path.exists());
}

#[test]
fn a_file_in_the_place_of_the_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgvs.sock");
    fs::write(&path, "precious").unwrap();
    let error = ControlSocket::bind(&path).unwrap_err();
    assert!(matches!(error, ControlError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_socket_of_a_successor_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgvs.sock");
    let first = ControlSocket::bind(&path).unwrap();
    fs::rename(&path, directory.path().join("old.sock")).unwrap();
    let second = ControlSocket::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
}

#[test]
fn without_a_daemon_the_client_says_where_it_looked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgvs.sock");
    let error = ask(&path, &Request::Resume {}).unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon(_)), "{error}");
    drop(UnixListener::bind(&path).unwrap());
    let error = ask(&path, &Request::Resume {}).unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon(_)), "{error}");
}

#[test]
fn a_daemon_that_says_nothing_or_nonsense_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for (name, said) in [("a", &b""[..]), ("b", b"{\"exit\":0}\n"), ("c", b"hello\n")] {
        let path = directory.path().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let other = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(said).unwrap();
        });
        let error = ask(&path, &Request::Resume {}).unwrap_err();
        assert!(matches!(error, ClientError::Garbled { .. }), "{name}: {error}");
        other.join().unwrap();
    }
}
