//! Quorum, sorry server, backups, `alpha` and `fall`: what is read, and what can never do what it says.

use std::path::PathBuf;

use pgvs::config::outside::HostView;
use pgvs::config::sources::Sources;

use super::{GOOD, accepted, good_with, refuses, warns};

/// [`GOOD`] with these keys in the service of the pool that is not probed.
fn web_with(keys: &str) -> String {
    good_with("scheduler = \"wrr\"", keys)
}

#[test]
fn a_quorum_is_read_with_its_defaults_and_absent_without_a_key_of_it() {
    assert!(accepted(GOOD).services.iter().all(|service| service.quorum.is_none()));
    let config = accepted(&web_with("sorry_server = \"10.8.0.99:80\""));
    let quorum = config.services[1].quorum.clone().unwrap();
    assert_eq!((quorum.servers, quorum.hysteresis), (1, 0));
    assert_eq!(quorum.sorry_server, Some("10.8.0.99:80".parse().unwrap()));
    assert_eq!((quorum.up, quorum.down), (None, None));
    let keys =
        "quorum = 2\nquorum_up = [\"/bin/notify\", \"up it is\"]\nquorum_down = [\"/bin/x\"]";
    let quorum = accepted(&web_with(keys)).services[1].quorum.clone().unwrap();
    assert_eq!(quorum.servers, 2);
    assert_eq!(
        quorum.up.unwrap().iter().map(|it| &**it).collect::<Vec<_>>(),
        ["/bin/notify", "up it is"]
    );
    assert_eq!(quorum.down.unwrap().len(), 1);
}

#[test]
fn a_quorum_that_can_never_be_gained_is_refused() {
    refuses(
        &web_with("quorum = 3"),
        "3",
        "3 servers are needed",
        "counts servers, not their weights",
    );
    refuses(&web_with("quorum = 2\nhysteresis = 1"), "2", "at most 2 may serve", "counts servers");
    refuses(&web_with("hysteresis = 1"), "1", "not less than the quorum of 1", "write 0 to 0");
    refuses(&web_with("quorum = 0"), "0", "not 1 to 10000", "");
    let of_writers = good_with("target = \"primary\"", "target = \"primary\"\nquorum = 2");
    refuses(&of_writers, "2", "at most 1 may serve", "quorum = 1");
    let with_backup =
        web_with("quorum = 2").replace("10.8.0.22:80\"", "10.8.0.22:80\"\nbackup = true");
    refuses(&with_backup, "2", "at most 1 may serve", "");
}

#[test]
fn a_sorry_server_is_another_server_that_the_service_reaches() {
    let sorry = |address: &str| web_with(&format!("sorry_server = \"{address}\""));
    let member = sorry("10.8.0.21:80");
    refuses(&member, "\"10.8.0.21:80\"", "is a member of the pool", "`backup = true`");
    refuses(
        &sorry("10.9.0.101:80"),
        "\"10.9.0.101:80\"",
        "both a service and its sorry server",
        "",
    );
    refuses(&sorry("[2001:db8::9]:80"), "\"[2001:db8::9]:80\"", "other address family", "family");
    let routed = sorry("10.8.0.99:81").replace("sorry_server", "forwarding = \"dr\"\nsorry_server");
    refuses(&routed, "\"10.8.0.99:81\"", "80 cannot become 81", "masq");
    accepted(&sorry("10.8.0.99:81"));
}

#[test]
fn a_sorry_server_for_writers_is_a_surprise() {
    let text = good_with(
        "target = \"primary\"",
        "target = \"primary\"\nsorry_server = \"10.8.0.99:5432\"",
    );
    warns(&text, "\"10.8.0.99:5432\"", "the writers go to the sorry server", "refuses them");
}

#[test]
fn commands_are_lists_that_begin_with_a_whole_path() {
    let up = |value: &str| web_with(&format!("quorum_up = {value}"));
    refuses(&up("\"/bin/notify up\""), "\"/bin", "a text, not a program", "write a list");
    refuses(&up("[]"), "[]", "no program is named", "write a list");
    refuses(&up("[\"notify\"]"), "[\"notify\"]", "not the whole path", "write a list");
    refuses(&up("[\"/bin/notify\", 7]"), "7", "a bare number, not a text", "\"7\"");
}

#[test]
fn only_servers_that_need_no_role_may_start_as_up() {
    let text = good_with("name = \"orders\"", "name = \"orders\"\nalpha = false");
    refuses(&text, "\"primary\"", "no role before it has answered", "leave `alpha` out");
    let any = text.replace("target = \"primary\"", "target = \"any\"");
    assert!(!accepted(&any).pools[0].alpha);
    let unprobed = good_with("probe = \"none\"", "probe = \"none\"\nalpha = true");
    warns(&unprobed, "true", "alpha has no effect", "remove the key");
}

#[test]
fn backups_and_falls_are_read() {
    let config = accepted(&good_with("weight = 100", "backup = true"));
    let backups: Vec<bool> =
        config.pools[0].servers.iter().map(|server| server.is_backup).collect();
    assert_eq!(backups, [false, true]);
    let all = good_with("weight = 100", "backup = true")
        .replace("10.8.0.11:5432\"", "10.8.0.11:5432\"\nbackup = true");
    warns(&all, "[[pool]]", "every server of pool orders is a backup", "leave `backup` out");
    refuses(&good_with("pulse = \"100ms\"", "fall = 0"), "0", "not 1 to 100", "");
}

#[test]
fn a_program_that_cannot_be_run_is_said_before_it_is_needed() {
    let text = web_with("quorum_down = [\"/nowhere/notify\", \"down\"]");
    let mut sources = Sources::default();
    sources.add("t.toml".as_ref(), &text);
    let program = PathBuf::from("/nowhere/notify");
    assert!(sources.questions().programs.contains(&program));
    let programs = [(program, "/nowhere/notify: No such file or directory".into())].into();
    let checked = sources.check(&HostView { programs, ..HostView::default() }).unwrap();
    let [warning] = &*checked.findings.all else { panic!("{:?}", checked.findings) };
    assert_eq!(warning.title, "/nowhere/notify: No such file or directory");
}
