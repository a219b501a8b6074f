//! What a result means, read by the config's own check: the examples of every tutorial first.

use std::net::IpAddr;

use pgvs::config::sources::check_text;
use pgvs::config::{Config, OnDown, PostgresProbe, Probe, Target};
use pgvs::import::{Format, Imported};
use pgvs::ipvsadm::values::NoNames;
use pgvs::model::service::ServiceKey;

use super::{OneName, fixture, import_as, import_with};

fn config(imported: &Imported) -> Config {
    let checked = check_text("pgvs.toml", &imported.toml);
    checked.unwrap_or_else(|error| panic!("{error}\n{}", imported.toml)).config
}

fn probe(config: &Config, pool: usize) -> &PostgresProbe {
    match &config.pools[pool].probe {
        Probe::Postgres(probe) => probe,
        other => panic!("{other:?}"),
    }
}

fn addresses(config: &Config, pool: usize) -> Vec<String> {
    config.pools[pool].servers.iter().map(|it| format!("{} {}", it.name, it.address)).collect()
}

#[test]
fn round_robin_over_two_nodes_is_one_service_for_any_server() {
    let name = "haproxy-round-robin.cfg";
    let config = config(&import_as(Format::Haproxy, name, &fixture(name)));
    assert_eq!((config.pools.len(), config.services.len()), (1, 1));
    assert_eq!(addresses(&config, 0), ["node1 10.8.0.11:5432", "node2 10.8.0.12:5432"]);
    assert_eq!(&*probe(&config, 0).user, "haproxy");
    let service = &config.services[0];
    assert_eq!(service.key, ServiceKey::tcp("10.9.0.100:5432".parse().unwrap()));
    assert_eq!((service.target, service.service.scheduler.as_str()), (Target::Any, "wrr"));
}

#[test]
fn patronis_example_is_one_pool_with_a_writer_and_a_reader() {
    let name = "haproxy-patroni.cfg";
    let own: IpAddr = "10.9.0.100".parse().unwrap();
    let imported = import_with(Format::Haproxy, name, &fixture(name), &NoNames, &[own]);
    let config = config(&imported);
    assert_eq!(config.pools.len(), 1);
    let servers = ["pg1 10.0.0.1:5432", "pg2 10.0.0.2:5432", "pg3 10.0.0.3:5432"];
    assert_eq!(addresses(&config, 0), servers);
    let probe = probe(&config, 0);
    assert_eq!((probe.rise, probe.fall), (2, 3));
    let services: Vec<_> = config
        .services
        .iter()
        .map(|it| (&*it.name, it.key.to_string(), it.target, it.on_down))
        .collect();
    assert_eq!(
        services,
        [
            ("postgres_write", "TCP 10.9.0.100:5000".to_owned(), Target::Primary, OnDown::Cut),
            ("postgres_read", "TCP 10.9.0.100:5001".to_owned(), Target::Standby, OnDown::Cut),
        ]
    );
    let lines = imported.lines().join("\n");
    for lost in ["inter 3s", "maxconn 100", "port 8008", "timeout client 30m"] {
        assert!(lines.contains(lost), "{lost} is not listed in {lines}");
    }
    assert!(imported.toml.contains("within 9s"), "{}", imported.toml);
}

#[test]
fn newer_paths_and_syntax_of_patroni_mean_the_same() {
    let name = "haproxy-patroni.cfg";
    let text = fixture(name);
    let before = config(&import_as(Format::Haproxy, name, &text));
    for (old, new) in [
        ("OPTIONS /master", "GET /primary"),
        ("OPTIONS /master", "/read-write"),
        ("option httpchk OPTIONS /master", "option httpchk\nhttp-check send meth GET uri /primary"),
        ("option httpchk OPTIONS /master", "option httpchk"),
        ("OPTIONS /replica", "GET /replica"),
        (
            "listen postgres_write\n",
            "listen postgres_write\nbalance leastconn\nno option httpchk\n",
        ),
    ] {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        let imported = import_as(Format::Haproxy, name, &text.replace(old, new));
        let after = config(&imported);
        let targets = |config: &Config| -> Vec<Target> {
            config.services.iter().map(|it| it.target).collect()
        };
        assert_eq!(targets(&after), targets(&before), "{new}");
        assert_eq!(after.pools, before.pools, "{new}");
    }
}

#[test]
fn read_only_serves_from_any_server() {
    let name = "haproxy-patroni.cfg";
    let text = fixture(name).replace("OPTIONS /replica", "GET /read-only");
    let config = config(&import_as(Format::Haproxy, name, &text));
    assert_eq!(config.services[1].target, Target::Any);
}

#[test]
fn names_are_looked_up_only_by_who_may() {
    let name = "haproxy-frontends.cfg";
    let text = fixture(name);
    let without = import_as(Format::Haproxy, name, &text);
    assert!(without.toml.contains("192.0.2.11:5432"), "{}", without.toml);
    let with = import_with(Format::Haproxy, name, &text, &OneName, &[]);
    assert!(with.toml.contains("\"10.8.0.1:5432\""), "{}", with.toml);
    assert!(with.toml.contains("db-a.example.com, looked up"), "{}", with.toml);
    let lines = with.lines().join("\n");
    assert!(!lines.contains("db-a.example.com:5432: a host name"), "{lines}");
    assert!(lines.contains("db-b.example.com:5432: a host name"), "{lines}");
}

#[test]
fn a_port_without_a_host_name_is_known() {
    let text =
        "-A -t 10.9.0.1:postgresql -s rr\n-a -t 10.9.0.1:postgresql -r 10.8.0.1:postgresql -m\n";
    let imported = import_with(Format::Ipvsadm, "table", text, &OneName, &[]);
    assert_eq!(imported.listed, []);
    let config = config(&imported);
    assert_eq!(config.services[0].key, ServiceKey::tcp("10.9.0.1:5432".parse().unwrap()));
}

#[test]
fn a_saved_table_comes_out_as_the_same_table() {
    let name = "ipvsadm-numeric.txt";
    let imported = import_as(Format::Ipvsadm, name, &fixture(name));
    assert_eq!(imported.listed, []);
    let config = config(&imported);
    let keys: Vec<String> = config.services.iter().map(|it| it.key.to_string()).collect();
    assert_eq!(
        keys,
        [
            "TCP 10.9.0.100:5432",
            "TCP 10.9.0.101:5432",
            "TCP [2001:db8::100]:6432",
            "UDP 10.9.0.120:53",
            "FWM 7"
        ]
    );
    // The two services of one pair of servers share a pool.
    assert_eq!(config.pools.len(), 4);
    assert_eq!(config.services[0].pool, config.services[1].pool);
}

#[test]
fn inhibit_on_failure_holds_and_retries_are_falls() {
    let name = "keepalived-postgres.conf";
    let config = config(&import_as(Format::Keepalived, name, &fixture(name)));
    let service = &config.services[0];
    assert_eq!((service.on_down, service.target), (OnDown::Hold, Target::Any));
    assert_eq!(probe(&config, 0).fall, 3);
    let readers = config.services.iter().find(|it| it.key.to_string() == "TCP 10.9.0.111:5432");
    assert_eq!(readers.expect("a range").target, Target::Standby);
}

#[test]
fn four_sections_with_the_same_servers_are_one_pool_with_four_services() {
    let name = "haproxy-replicas.cfg";
    let imported = import_as(Format::Haproxy, name, &fixture(name));
    let config = config(&imported);
    assert_eq!((config.pools.len(), &*config.pools[0].name), (1, "orders"));
    let targets: Vec<Target> = config.services.iter().map(|it| it.target).collect();
    // The last one wants whoever is no primary.
    let standby = Target::Standby;
    assert_eq!(targets, [Target::Primary, standby, standby, standby]);
    let lines = imported.lines().join("\n");
    for told in ["rise 2: the same servers are one pool", "a limit of replication lag"] {
        assert!(lines.contains(told), "{told} is not listed in {lines}");
    }
    assert!(imported.toml.contains("also called first"), "{}", imported.toml);
}

#[test]
fn services_of_the_same_real_servers_share_a_pool() {
    let name = "keepalived-shared.conf";
    let imported = import_as(Format::Keepalived, name, &fixture(name));
    let config = config(&imported);
    let [one, two] = &config.services[..2] else { panic!("two services") };
    assert_eq!(one.pool, two.pool);
    assert_eq!((one.service.timeout, two.service.timeout), (360, 0));
    assert_eq!(probe(&config, 0).fall, 4);
    assert!(!imported.toml.contains("rosebud"), "a secret in the result");
}

#[test]
fn the_words_that_a_script_answers_are_targets() {
    let text = |answer: &str| {
        format!(
            "listen pgsql\n mode tcp\n bind 10.9.0.1:5432\n option httpchk GET /\n http-check expect string {answer}\n \
             server a 10.8.0.1:5432 check\n server b 10.8.0.2:5432 check\n"
        )
    };
    for (answer, target, is_told) in [
        ("OK\\ :\\ master", Target::Primary, false),
        ("standby", Target::Standby, false),
        ("OK", Target::Any, true),
    ] {
        let imported = import_as(Format::Haproxy, "haproxy.cfg", &text(answer));
        assert_eq!(config(&imported).services[0].target, target, "{answer}");
        let is_seen =
            imported.lines().iter().any(|line| line.contains("until you narrow the target"));
        assert_eq!(is_seen, is_told, "{answer}: {:?}", imported.lines());
    }
}
