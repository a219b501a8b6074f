//! What files can do to a reader: includes, limits, links, pipes, and findings that span files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use pgvs::config::finding::ConfigError;
use pgvs::host::files::{MAX_BYTES, load};
use tempfile::TempDir;

use super::{GOOD, good_with, repository};

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn pool(name: &str) -> String {
    let servers: String = (1..=2)
        .map(|server| {
            format!("[[pool.server]]\nname = \"pg{server}\"\naddress = \"10.8.0.{server}:5432\"\n")
        })
        .collect();
    format!("[[pool]]\nname = \"{name}\"\nprobe = \"none\"\n{servers}")
}

fn service(name: &str, pool: &str, port: u16) -> String {
    format!("[[service]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\npool = \"{pool}\"\n")
}

/// The errors of a directory's `pgvs.toml`, one on a line.
fn errors(directory: &Path) -> String {
    match load(&directory.join("pgvs.toml")) {
        Ok(checked) => panic!("accepted: {:?}", checked.config),
        Err(ConfigError(findings)) => {
            let lines: Vec<String> = findings.all.iter().map(ToString::to_string).collect();
            lines.join("\n").replace(&*directory.to_string_lossy(), "DIR")
        }
    }
}

#[test]
fn included_files_are_read_in_the_order_of_patterns_and_names() {
    let directory = directory(&[
        ("pgvs.toml", "include = [\"conf.d/*.toml\", \"last.toml\"]\n"),
        ("last.toml", &service("z", "a", 9)),
        ("conf.d/20-b.toml", &service("y", "a", 8)),
        ("conf.d/10-a.toml", &(pool("a") + &service("x", "a", 7))),
        ("conf.d/.hidden.toml", "nonsense"),
        ("conf.d/10-a.toml~", "nonsense"),
        ("conf.d/README", "nonsense"),
    ]);
    let checked = load(&directory.path().join("pgvs.toml")).unwrap();
    assert_eq!(checked.findings.all, []);
    let names: Vec<&str> = checked.config.services.iter().map(|service| &*service.name).collect();
    assert_eq!(names, ["x", "y", "z"]);
}

#[test]
fn a_service_may_name_a_pool_of_a_later_file() {
    let directory = directory(&[("pgvs.toml", "include = [\"*.d/../b.toml\"]\n"), ("b.toml", "")]);
    assert!(errors(directory.path()).contains("not for directories"));
    fs::write(directory.path().join("pgvs.toml"), "include = [\"a.toml\", \"b.toml\"]\n").unwrap();
    fs::write(directory.path().join("a.toml"), service("x", "late", 7)).unwrap();
    fs::write(directory.path().join("b.toml"), pool("late")).unwrap();
    assert_eq!(load(&directory.path().join("pgvs.toml")).unwrap().config.services.len(), 1);
}

#[test]
fn duplicates_name_both_files() {
    let directory = directory(&[
        ("pgvs.toml", "include = [\"conf.d/*.toml\"]\n"),
        ("conf.d/a.toml", &(pool("p") + &service("x", "p", 7))),
        ("conf.d/b.toml", &service("x", "p", 7)),
    ]);
    let expected = "DIR/conf.d/b.toml:2:8: two services are named \"x\" (DIR/conf.d/a.toml:11:8); rename one of them, or remove it
DIR/conf.d/b.toml:3:11: two services are at 127.0.0.1:7 (DIR/conf.d/a.toml:12:11); give one of them an address or a port of its own";
    assert_eq!(errors(directory.path()), expected);
}

#[test]
fn a_pattern_without_a_file_is_a_warning_and_a_name_without_a_file_an_error() {
    let directory = directory(&[("pgvs.toml", &format!("include = [\"conf.d/*.toml\"]\n{GOOD}"))]);
    let checked = load(&directory.path().join("pgvs.toml")).unwrap();
    let titles: Vec<&str> = checked.findings.all.iter().map(|finding| &*finding.title).collect();
    assert!(
        titles[0].starts_with("no file is named ") && titles[0].ends_with("conf.d/*.toml"),
        "{titles:?}"
    );
    fs::write(directory.path().join("pgvs.toml"), "include = [\"missing.toml\"]\n").unwrap();
    assert!(
        errors(directory.path())
            .starts_with("DIR/pgvs.toml:1:12: read DIR/missing.toml: no such file or directory")
    );
}

#[test]
fn each_broken_file_has_its_say() {
    let directory = directory(&[
        ("pgvs.toml", "include = [\"conf.d/*.toml\"]\n"),
        ("conf.d/a.toml", "[[service]\n"),
        ("conf.d/b.toml", "[[pool]]\nnmae = \"x\"\n"),
    ]);
    let errors = errors(directory.path());
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 2, "{errors}");
    assert!(lines[0].starts_with("DIR/conf.d/a.toml:1:"), "{errors}");
    assert!(
        lines[1].starts_with("DIR/conf.d/b.toml:2:1: unknown key `nmae`; did you mean `name`?"),
        "{errors}"
    );
}

#[test]
fn only_the_main_file_speaks_for_the_director() {
    for (text, what) in [
        ("include = [\"x.toml\"]\n", "include"),
        ("[director]\nname = \"x\"\n", "[director]"),
        ("[kernel]\nmanage = false\n", "[kernel]"),
        ("[defaults.server]\nweight = 1\n", "[defaults]"),
    ] {
        let directory = directory(&[("pgvs.toml", "include = [\"a.toml\"]\n"), ("a.toml", text)]);
        let errors = errors(directory.path());
        assert!(errors.contains(&format!("{what} stands in an included file")), "{errors}");
    }
}

#[test]
fn a_file_that_includes_itself_is_refused_and_one_included_twice_is_read_once() {
    let directory = directory(&[("pgvs.toml", "include = [\"*.toml\"]\n"), ("a.toml", &pool("p"))]);
    assert!(errors(directory.path()).contains("the file includes itself as DIR/pgvs.toml"));
    fs::write(
        directory.path().join("pgvs.toml"),
        "include = [\"a*.toml\", \"a.toml\", \"b.toml\"]\n",
    )
    .unwrap();
    symlink("a.toml", directory.path().join("b.toml")).unwrap();
    assert_eq!(load(&directory.path().join("pgvs.toml")).unwrap().config.pools.len(), 1);
}

#[test]
fn what_is_not_a_readable_file_is_one_clear_error() {
    let directory = directory(&[("conf.d/x.toml", "")]);
    let at = |name: &str| directory.path().join(name);
    let refused = |name: &str| {
        let error = load(&at(name)).unwrap_err();
        assert_eq!(error.0.errors, 1);
        assert!(error.line().contains("--config FILE"), "{}", error.line());
        error.line()
    };
    assert!(refused("missing.toml").contains("missing.toml: no such file or directory"));
    assert!(refused("conf.d").contains("is a directory"));
    symlink("loop.toml", at("loop.toml")).unwrap();
    assert!(refused("loop.toml").contains("symbolic link"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("pipe.toml"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(refused("pipe.toml").contains("is not a regular file"));
    fs::write(at("latin1.toml"), b"[director]\nname = \"\xe4\"\n").unwrap();
    assert!(refused("latin1.toml").contains("line 2 is not UTF-8"));
    fs::write(at("huge.toml"), "#".repeat(MAX_BYTES + 1)).unwrap();
    assert!(refused("huge.toml").contains("longer than 1048576 bytes"));
    fs::write(at("full.toml"), "#".repeat(MAX_BYTES)).unwrap();
    assert!(load(&at("full.toml")).is_ok());
    assert!(load(Path::new("/dev/zero")).unwrap_err().line().contains("is not a regular file"));
}

#[test]
fn an_included_directory_or_loop_is_shown_at_its_include() {
    let directory =
        directory(&[("pgvs.toml", "include = [\"conf.d/*.toml\"]\n"), ("conf.d/d.toml/x", "")]);
    symlink("l.toml", directory.path().join("conf.d/l.toml")).unwrap();
    let errors = errors(directory.path());
    assert!(
        errors.contains("DIR/pgvs.toml:1:12: read DIR/conf.d/d.toml: is a directory"),
        "{errors}"
    );
    assert!(errors.contains("DIR/pgvs.toml:1:12: read DIR/conf.d/l.toml: "), "{errors}");
}

#[test]
fn more_than_a_thousand_included_files_are_refused() {
    let directory = directory(&[("pgvs.toml", "include = [\"conf.d/*.toml\"]\n")]);
    fs::create_dir(directory.path().join("conf.d")).unwrap();
    let add = |number: usize| {
        fs::write(directory.path().join(format!("conf.d/{number}.toml")), "").unwrap()
    };
    (0..1000).for_each(add);
    assert!(load(&directory.path().join("pgvs.toml")).is_ok());
    add(1000);
    assert!(errors(directory.path()).contains("more than 1000 included files"));
}

#[test]
fn an_include_is_a_path_of_files() {
    for (entry, why) in [
        ("1", "path in quotes"),
        ("\"\"", "names files"),
        ("\"conf.d/\"", "names files"),
        ("\"..\"", "names files"),
        ("\"*/x.toml\"", "not for directories"),
        ("\"a\\nb\"", "names files"),
    ] {
        let directory = directory(&[("pgvs.toml", &format!("include = [{entry}]\n"))]);
        let errors = errors(directory.path());
        assert!(errors.contains(why), "{entry}: {errors}");
    }
}

#[test]
fn password_files_are_looked_at_beside_the_file_that_names_them() {
    let text = good_with("pulse = \"100ms\"", "password_file = \"orders.pass\"");
    let directory = directory(&[("pgvs.toml", &text)]);
    let pass = directory.path().join("orders.pass");
    let seen = errors(directory.path());
    assert!(
        seen.contains("pgvs.toml:8:17: read password file DIR/orders.pass: no such file"),
        "{seen}"
    );
    fs::write(&pass, "s3cret\n").unwrap();
    for mode in [0o644, 0o640, 0o604, 0o620] {
        fs::set_permissions(&pass, Permissions::from_mode(mode)).unwrap();
        let seen = errors(directory.path());
        assert!(seen.contains(&format!("(mode {mode:04o})")), "{seen}");
        assert!(seen.contains("chmod 600 DIR/orders.pass"), "{seen}");
    }
    fs::set_permissions(&pass, Permissions::from_mode(0o600)).unwrap();
    assert!(load(&directory.path().join("pgvs.toml")).is_ok());
    fs::write(&pass, "\n").unwrap();
    assert!(errors(directory.path()).contains("is empty"));
}

#[test]
fn a_services_address_that_is_not_on_this_host_is_said_once() {
    let text = pool("p")
        + &service("local", "p", 7)
        + &service("a", "p", 8).replace("127.0.0.1", "192.0.2.77")
        + &service("b", "p", 9).replace("127.0.0.1", "192.0.2.77");
    let directory = directory(&[("pgvs.toml", &text)]);
    let findings = load(&directory.path().join("pgvs.toml")).unwrap().findings;
    let [only] = &*findings.all else { panic!("one warning: {findings:?}") };
    assert!(only.title.starts_with("192.0.2.77 is not an address of this host"));
    assert_eq!(only.marks[0].line, 16);
}

#[test]
fn the_examples_are_valid() {
    let mut examples =
        vec![repository("config/examples/split/pgvs.toml"), repository("config/pgvs.toml")];
    for entry in fs::read_dir(repository("config/examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            examples.push(path);
        }
    }
    assert!(examples.len() >= 5, "{examples:?}");
    for path in examples {
        let checked = load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(!checked.config.services.is_empty(), "{}", path.display());
        // Their addresses are not this machine's; nothing else is to be said of an example.
        for finding in checked.findings.all {
            assert!(finding.title.contains("is not an address of this host"), "{finding}");
        }
    }
}
