//! Rendered text of a director with everything at once.

use super::*;

fn destination(server: &str, last: u8, weight: u32, reason: &str) -> DestinationStatus {
    DestinationStatus {
        part: Part::Member,
        server: Some(server.into()),
        address: format!("10.8.0.{last}:5432"),
        weight: Some(weight),
        wanted: Some(weight),
        reason: reason.into(),
        active: 0,
        inactive: 0,
    }
}

fn server(name: &str, last: u8, condition: &str, role: Option<&str>) -> ServerStatus {
    ServerStatus {
        server: format!("orders/{name}"),
        address: format!("10.8.0.{last}:5432"),
        condition: Some(condition.into()),
        role: role.map(Into::into),
        timeline: None,
        system_identifier: None,
        writer: false,
        answered_ms_ago: Some(42),
        last_failure: None,
    }
}

fn service(name: &str, last: u8, destinations: Vec<DestinationStatus>) -> ServiceStatus {
    ServiceStatus {
        name: name.into(),
        address: format!("TCP 10.9.0.{last}:5432"),
        scheduler: "wlc".into(),
        pool: "orders".into(),
        target: "prefer-standby",
        quorum: None,
        serving: destinations.iter().any(|it| it.weight.is_some_and(|weight| weight > 0)),
        destinations,
    }
}

fn overview(status: Status) -> Overview {
    Overview {
        director: "lb1".into(),
        version: "0.1.0",
        pid: 4711,
        observing: false,
        up_for: 93_784,
        config: "/etc/pgvs/pgvs.toml".into(),
        config_refused: None,
        status,
        recent: vec![Recent { seconds_ago: 3, kind: "writer", text: "pg1 -> pg2".into() }],
    }
}

fn quiet() -> Status {
    Status {
        healthy: true,
        paused: false,
        paused_for: None,
        alarms: Vec::new(),
        services: Vec::new(),
        servers: Vec::new(),
        foreign: Vec::new(),
    }
}

fn busy() -> Status {
    let mut leaving = destination("-", 19, 0, "no member: draining");
    (leaving.server, leaving.part) = (None, Part::Leaving);
    let mut gone = destination("pg3", 13, 0, "down: connection refused");
    (gone.weight, gone.wanted) = (None, None);
    let mut rising = destination("pg2", 12, 5, "serving");
    (rising.wanted, rising.active, rising.inactive) = (Some(100), 1203, 77);
    let mut dead = server("pg3", 13, "down", Some("standby"));
    dead.last_failure = Some(("connection refused".into(), 185));
    dead.answered_ms_ago = None;
    let mut writer = server("pg1", 11, "up", Some("primary"));
    (writer.writer, writer.timeline) = (true, Some(7));
    Status {
        healthy: false,
        paused: true,
        paused_for: Some(90),
        alarms: vec!["the probe of orders/pg3 cannot see more: SQLSTATE 28P01".into()],
        services: vec![
            service(
                "orders-ro",
                101,
                vec![destination("pg1", 11, 0, "is a primary"), rising, gone, leaving],
            ),
            service("orders-rw", 100, vec![destination("pg1", 11, 0, "weight 0 in the config")]),
        ],
        servers: vec![writer, server("pg2", 12, "up", Some("standby")), dead],
        foreign: vec!["TCP 10.9.0.103:80".into()],
    }
}

#[test]
fn people_see_alarms_then_services_then_servers_then_what_is_not_ours() {
    let expected = "\
lb1: degraded, paused for 1m 30s more; pgvs 0.1.0, up for 1day 2h
ALARM  the probe of orders/pg3 cannot see more: SQLSTATE 28P01

orders-ro  TCP 10.9.0.101:5432  wlc  prefer-standby of orders
  server  address         role       weight  active  inactive  why
  pg1     10.8.0.11:5432  primary         0       0         0  is a primary
  pg2     10.8.0.12:5432  standby  5 -> 100    1203        77  serving
  pg3     10.8.0.13:5432  standby         -       0         0  down: connection refused
  -       10.8.0.19:5432  -               0       0         0  no member: draining

orders-rw  TCP 10.9.0.100:5432  wlc  prefer-standby of orders  NOT SERVING
  server  address         role     weight  active  inactive  why
  pg1     10.8.0.11:5432  primary       0       0         0  weight 0 in the config

servers
  server      condition  role             timeline   answered  last failure
  orders/pg1  up         primary, writer         7  42 ms ago
  orders/pg2  up         standby                 -  42 ms ago
  orders/pg3  down       standby                 -      never  3m 5s ago: connection refused

not ours, never touched
  TCP 10.9.0.103:80
";
    assert_eq!(text(&overview(busy())), expected);
}

#[test]
fn it_fits_a_hundred_columns() {
    let text = text(&overview(busy()));
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}");
}

#[test]
fn a_refused_config_and_observing_are_said_at_the_top() {
    let mut overview = overview(quiet());
    overview.observing = true;
    overview.config_refused = Some("pgvs.toml:3:1: unknown key `wieght`".into());
    let expected = "\
lb1: healthy, observing: the kernel is not touched; pgvs 0.1.0, up for 1day 2h
the last reload was refused, an earlier config is in force: pgvs.toml:3:1: unknown key `wieght`
";
    assert_eq!(text(&overview), expected);
}

#[test]
fn programs_get_one_line_with_everything() {
    let line = json(&overview(busy()));
    assert_eq!(line.matches('\n').count(), 1);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["director"], "lb1");
    assert_eq!(value["healthy"], false);
    assert_eq!(value["paused_for"], 90);
    assert_eq!(value["services"][0]["destinations"][1]["wanted"], 100);
    assert_eq!(value["servers"][0]["timeline"], 7);
    assert_eq!(value["foreign"][0], "TCP 10.9.0.103:80");
    assert_eq!(value["recent"][0]["kind"], "writer");
}

#[test]
fn a_lost_quorum_is_seen_with_its_numbers_and_who_serves() {
    let mut backup = destination("pg2", 12, 0, "a backup: others serve");
    backup.part = Part::Backup;
    let mut sorry = destination("-", 99, 1, "sorry server: quorum lost, 1 of 2");
    (sorry.server, sorry.part) = (None, Part::Sorry);
    let left = destination("pg1", 11, 0, "quorum lost, 1 of 2: the sorry server serves");
    let mut service = service("orders-ro", 101, vec![left, backup, sorry]);
    let mut quorum = QuorumStatus { gained: Some(false), able: 1, needed: 2, hysteresis: 1 };
    service.quorum = Some(quorum.clone());
    let expected = "\
orders-ro  TCP 10.9.0.101:5432  wlc  prefer-standby of orders  quorum 1 of 2 \u{b1}1 LOST
  server        address         role  weight  active  inactive  why
  pg1           10.8.0.11:5432  -          0       0         0  quorum lost, 1 of 2: the sorry server serves
  pg2 (backup)  10.8.0.12:5432  -          0       0         0  a backup: others serve
  sorry server  10.8.0.99:5432  -          1       0         0  sorry server: quorum lost, 1 of 2
";
    assert_eq!(of_service(&service, &[]), expected);
    (quorum.gained, quorum.hysteresis) = (Some(true), 0);
    assert_eq!(of_quorum(&quorum), "  quorum 1 of 2 there");
    quorum.gained = None;
    assert_eq!(of_quorum(&quorum), "  quorum 1 of 2 not known yet");
    let status = Status { services: vec![service], ..quiet() };
    let value: serde_json::Value = serde_json::from_str(&json(&overview(status))).unwrap();
    let service = &value["services"][0];
    assert_eq!(service["quorum"]["gained"], false);
    assert_eq!(service["quorum"]["needed"], 2);
    assert_eq!(service["destinations"][1]["part"], "backup");
    assert_eq!(service["destinations"][2]["part"], "sorry");
}
