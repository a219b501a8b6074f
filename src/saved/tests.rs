//! What is written is read back as the same, or it was said that it is not; what is wrong is refused by line.

mod dice;

use super::*;
use crate::ipvsadm::values::NoNames;

const TEXT: &str = "\
--set 7500 120 300
--start-daemon master --mcast-interface eth0 --syncid 5 --sync-maxlen 1472 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1
-A -t 10.0.0.1:5432 -s wlc -p 300 -M 255.255.255.0
-a -t 10.0.0.1:5432 -r 10.5.5.5:6432 -m -w 3 -x 100 -y 50
-a -t 10.0.0.1:5432 -r 192.168.6.7:5432 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-A -t [2001:db8::1]:5432 -s sh -b sh-fallback,flag-3
-a -t [2001:db8::1]:5432 -r [2001:db8::abcd]:5432 -g -w 2
-A -u 10.0.0.1:53 -s rr -o
-A -f 4294967295 -s mh -p 60 --pe sip
-A -f 3 -6 -s rr -p 60 -M 64
";

const JSON: &str = r#"{
  "pgvs_save": 1,
  "timeouts": {
    "tcp": 7500,
    "tcp_fin": 120,
    "udp": 300
  },
  "sync_daemons": [
    {
      "role": "backup",
      "interface": "eth1",
      "sync_id": 0
    }
  ],
  "services": [
    {
      "protocol": "tcp",
      "address": "10.0.0.1:5432",
      "scheduler": "sh",
      "scheduler_flags": [
        "sh-fallback"
      ],
      "persistence_timeout": 300,
      "persistence_netmask": "255.255.255.0",
      "destinations": [
        {
          "address": "10.5.5.5:6432",
          "forwarding": "local",
          "weight": 3,
          "upper_threshold": 100,
          "lower_threshold": 50
        },
        {
          "address": "10.5.5.6:5432",
          "forwarding": "tun",
          "weight": 1,
          "tunnel": "gue",
          "tunnel_port": 6080,
          "tunnel_checksum": "csum"
        }
      ]
    },
    {
      "protocol": 50,
      "address": "[2001:db8::1]:0",
      "scheduler": "none",
      "ops": true,
      "destinations": [
        {
          "address": "[2001:db8::2]:0",
          "forwarding": "bypass",
          "weight": 1
        }
      ]
    },
    {
      "fwmark": 7,
      "family": "ipv6",
      "scheduler": "wlc",
      "persistence_netmask": 64,
      "destinations": []
    }
  ]
}
"#;

fn wrong(text: &str) -> String {
    read(text, &NoNames).unwrap_err().to_string()
}

#[test]
fn commands_say_everything_that_ipvsadm_can_say() {
    let Read { saved, has_thresholds } = read(TEXT, &NoNames).unwrap();
    assert!(has_thresholds);
    assert_eq!(commands(&saved), Written { text: TEXT.into(), notes: Vec::new() });
}

#[test]
fn json_says_everything() {
    let Read { saved, .. } = read(JSON, &NoNames).unwrap();
    assert_eq!(json(&saved).unwrap(), JSON);
}

#[test]
fn whatever_the_kernel_holds_survives_in_json() {
    for seed in 0..2_000 {
        let saved = dice::saved(seed, 8);
        let text = json(&saved).unwrap();
        let read =
            read(&text, &NoNames).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}\n{text}"));
        assert_eq!(read.saved, saved, "seed {seed}");
    }
}

#[test]
fn whatever_commands_cannot_say_is_told_and_the_rest_survives() {
    let (mut told, mut silent) = (0, 0);
    for seed in 0..5_000 {
        let saved = dice::saved(seed, 1);
        let Written { text, notes } = commands(&saved);
        let read =
            read(&text, &NoNames).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}\n{text}"));
        // As many notes as there are things that are not as they were.
        let mut lost = usize::from(read.saved.timeouts != saved.timeouts);
        for (key, entry) in &saved.table.services {
            let Some(found) = read.saved.table.services.get(key) else {
                lost += 1;
                continue;
            };
            lost += usize::from(found.service != entry.service);
            for (to, destination) in &entry.destinations {
                lost += usize::from(found.destinations.get(to) != Some(destination));
            }
        }
        assert_eq!(notes.len(), lost, "seed {seed}: {notes:#?}\n{text}");
        assert_eq!(read.saved.daemons, saved.daemons);
        told += notes.len();
        silent += usize::from(notes.is_empty());
    }
    assert!(told > 2_000 && silent > 300, "{told} notes, {silent} files without any");
}

#[test]
fn what_cannot_be_said_is_named_with_the_reason() {
    let Read { saved, .. } = read(JSON, &NoNames).unwrap();
    let Written { text, notes } = commands(&saved);
    assert_eq!(
        notes,
        [
            "destination 10.5.5.5:6432 of service TCP 10.0.0.1:5432: left out: ipvsadm would make it 10.5.5.5:5432, since only masquerading changes ports",
            "service protocol 50 [2001:db8::1]:0 with its 1 destinations: left out: ipvsadm knows TCP, UDP, SCTP and marks",
        ]
    );
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn what_ipvsadm_saves_is_read() {
    let golden = include_str!("../../integration/golden/ipvsadm.txt");
    let saved = golden.split("=== ipvsadm -Sn\n").nth(1).unwrap().split("===").next().unwrap();
    let lines: Vec<_> = saved.lines().filter_map(|line| line.strip_suffix('|')).collect();
    assert!(lines.len() > 10, "{lines:?}");
    let text = format!("# kept\n\n{}\nipvsadm -A -f -5 -s rr\n", lines.join("\n"));
    let Read { saved, has_thresholds } = read(&text, &NoNames).unwrap();
    assert!(!has_thresholds);
    let entries = saved.table.services.values();
    let count: usize = entries.map(|entry| 1 + entry.destinations.len()).sum();
    assert_eq!(count, lines.len() + 1);
    assert_eq!((saved.timeouts, saved.daemons.len()), (None, 0));
    let marks: Vec<_> = saved.table.services.keys().map(ToString::to_string).collect();
    assert!(marks.contains(&"FWM 4294967291".to_owned()), "{marks:?}");
}

#[test]
fn commands_are_carried_out_in_the_mind_in_their_order() {
    let text = "\
-A -t 10.0.0.9:80
-C
-A -t 10.0.0.1:80 -s rr
-a -t 10.0.0.1:80 -r 10.1.1.1 -m
-e -t 10.0.0.1:80 -r 10.1.1.1 -m -w 9
-a -t 10.0.0.1:80 -r 10.1.1.2 -m
-d -t 10.0.0.1:80 -r 10.1.1.2
-E -t 10.0.0.1:80 -s wrr
--set 100 0 0
--set 0 200 0";
    let Read { saved, .. } = read(text, &NoNames).unwrap();
    let expected =
        "--set 100 200 0\n-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 10.1.1.1:80 -m -w 9\n";
    assert_eq!(commands(&saved).text, expected);
}

#[test]
fn a_wrong_command_is_told_with_its_line() {
    let service = "-A -t 10.0.0.1:80\n";
    for (text, told) in [
        (
            "-A -t 10.0.0.1:80 -s rr\n-x",
            "line 2: Try `ipvsadm -h' or 'ipvsadm --help' for more information.: -x",
        ),
        (
            "\n\n-a -t 10.0.0.1:80 -r 10.1.1.1",
            "line 3: there is no service TCP 10.0.0.1:80 before this line: -a -t 10.0.0.1:80 -r 10.1.1.1",
        ),
        (
            &format!("{service}{service}"),
            "line 2: service TCP 10.0.0.1:80 is there already: -A -t 10.0.0.1:80",
        ),
        (
            &format!("{service}-a -t 10.0.0.1:80 -r 10.1.1.1 -w x"),
            "line 2: illegal weight specified: -a -t 10.0.0.1:80 -r 10.1.1.1 -w x",
        ),
        (
            &format!("{service}-a -t 10.0.0.1:80 -r 10.1.1.1 -x 1 -y 2"),
            "line 2: destination 10.1.1.1:80 of service TCP 10.0.0.1:80: its lower threshold 2 is above its upper one 1: -a -t 10.0.0.1:80 -r 10.1.1.1 -x 1 -y 2",
        ),
        (
            &format!("{service}-a -t 10.0.0.1:80 -r 239.1.1.1"),
            "line 2: destination 239.1.1.1:80 of service TCP 10.0.0.1:80: it is no unicast address: -a -t 10.0.0.1:80 -r 239.1.1.1",
        ),
        ("-L", "line 1: this says nothing of a table: -L"),
        (
            "-A --xxx-service 10.0.0.1:80 -s rr",
            "line 1: --xxx-service: unknown option: -A --xxx-service 10.0.0.1:80 -s rr",
        ),
        (
            "-A -t nosuch:80 -s rr",
            "line 1: illegal virtual server address[:port] specified: -A -t nosuch:80 -s rr",
        ),
        (
            "--start-daemon master\n--start-daemon master",
            "line 2: this sync daemon has been started before: --start-daemon master",
        ),
        (
            "--start-daemon master\n-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r [2001:db8::1]:80 -i",
            "line 3: destination [2001:db8::1]:80 of service TCP 10.0.0.1:80 is of the other address family, which the kernel refuses beside a sync daemon",
        ),
    ] {
        assert_eq!(wrong(text), told);
    }
}

#[test]
fn wrong_json_is_told_with_its_line_and_column() {
    for (from, to, told) in [
        (
            "\"tcp\",",
            "\"tpc\",",
            "line 17, column 23: invalid value: string \"tpc\", expected a protocol: \"tcp\", \"udp\", \"sctp\", or a number up to 65535",
        ),
        (
            "\"weight\": 3",
            "\"weigth\": 3",
            "line 29, column 18: unknown field `weigth`, expected one of `address`, `forwarding`, `weight`, `upper_threshold`, `lower_threshold`, `tunnel`, `tunnel_port`, `tunnel_checksum`",
        ),
        ("10.0.0.1:5432", "10.0.0.1", "line 18, column 27: invalid socket address syntax"),
        (
            "\"sh-fallback\"",
            "\"mh-fallback\"",
            "line 42, column 5: service TCP 10.0.0.1:5432: \"mh-fallback\" is no flag of scheduler sh",
        ),
        (
            "\"lower_threshold\": 50",
            "\"lower_threshold\": 500",
            "line 42, column 5: destination 10.5.5.5:6432 of service TCP 10.0.0.1:5432: its lower threshold 500 is above its upper one 100",
        ),
        (
            "10.5.5.6:5432",
            "10.5.5.5:6432",
            "line 42, column 5: destination 10.5.5.5:6432 of service TCP 10.0.0.1:5432 stands twice",
        ),
        (
            "\"fwmark\": 7",
            "\"fwmark\": 0",
            "line 57, column 17: invalid value: integer `0`, expected a nonzero u32",
        ),
        (
            "\"family\": \"ipv6\",",
            "",
            "line 62, column 5: a service has either protocol and address, or fwmark and family",
        ),
        (
            "\"pgvs_save\": 1",
            "\"pgvs_save\": 2",
            "line 2: pgvs_save is 2: this pgvs reads 1, take the one that wrote it",
        ),
        (
            "\"services\"",
            "\"service\"",
            "line 15, column 11: unknown field `service`, expected one of `pgvs_save`, `timeouts`, `sync_daemons`, `services`",
        ),
    ] {
        assert!(JSON.contains(from), "{from}");
        assert_eq!(wrong(&JSON.replacen(from, to, 1)), told);
    }
    assert_eq!(wrong(&JSON[..JSON.len() - 10]), "line 62, column 2: EOF while parsing an object");
}
