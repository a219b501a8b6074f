//! A config with every kind of attribute, and what ipvsadm has to say of it.

use crate::{net, text};

/// Services of every kind over pools that nobody probes; nothing listens there.
const OTHERS: &str = r#"
[[service]]
name = "orders-rw"
address = "10.9.0.100:5432"
pool = "orders"
target = "primary"
scheduler = "wrr"
[[service]]
name = "orders-ro"
address = "10.9.0.101:5432"
pool = "orders"
target = "prefer-standby"
scheduler = "sh"
scheduler_flags = ["sh-fallback", "sh-port"]
persistence_timeout = "5m"
persistence_netmask = 24

[[pool]]
name = "web"
probe = "none"
[[pool.server]]
name = "w1"
address = "10.8.0.21:8080"
[[pool.server]]
name = "w2"
address = "10.8.0.22:80"
forwarding = "tun"
tunnel = "gue"
tunnel_port = 6080
tunnel_checksum = "csum"
[[pool.server]]
name = "w3"
address = "[fd00:8::23]:80"
forwarding = "tun"
[[service]]
name = "web"
address = ["10.9.0.110-111:80", "10.9.0.119:80"]
pool = "web"

[[pool]]
name = "names"
probe = "none"
[[pool.server]]
name = "n1"
address = "10.8.0.31:53"
[[pool.server]]
name = "n2"
address = "10.8.0.32:53"
[[service]]
name = "dns"
address = "10.9.0.112:53"
protocol = "udp"
scheduler = "rr"
ops = true
forwarding = "dr"
pool = "names"
[[service]]
name = "sctp"
address = "10.9.0.113:53"
protocol = "sctp"
scheduler = "mh"
scheduler_flags = ["mh-port"]
forwarding = "tun"
tunnel = "gre"
tunnel_checksum = "csum"
pool = "names"
[[service]]
name = "sip"
fwmark = 7
persistence_timeout = "1m"
pe = "sip"
forwarding = "dr"
pool = "names"
[[service]]
name = "all"
address = "10.9.0.114:0"
persistence_timeout = "10m"
pool = "names"

[[pool]]
name = "six"
probe = "none"
[[pool.server]]
name = "x1"
address = "[fd00:8::31]:53"
[[pool.server]]
name = "x2"
address = "10.8.0.33:53"
forwarding = "tun"
[[service]]
name = "six"
address = "[fd00:9::110]:53"
protocol = "udp"
scheduler = "sed"
persistence_timeout = "1m"
persistence_netmask = 64
pool = "six"
[[service]]
name = "mark6"
fwmark = 9
family = "ipv6"
scheduler = "fo"
pool = "six"
"#;

/// The orders with limits of pg2, and everything else.
pub(super) fn config() -> String {
    let mut text = text::pool(&[(1, 100), (2, 100)]);
    text.push_str("upper_threshold = 100\nlower_threshold = 80\n");
    text::server(&mut text, "pg3", net::server(3), 100);
    text + OTHERS
}

/// What `ipvsadm -S -n` has to say of it, in its own order of options (ipvsadm(8)).
pub(super) const SAVED: &str = "\
-A -t 10.9.0.100:5432 -s wrr
-a -t 10.9.0.100:5432 -r 10.8.0.11:5432 -m -w 100
-a -t 10.9.0.100:5432 -r 10.8.0.12:5432 -m -w 0
-a -t 10.9.0.100:5432 -r 10.8.0.13:5432 -m -w 0
-A -t 10.9.0.101:5432 -s sh -p 300 -M 255.255.255.0 -b sh-fallback,sh-port
-a -t 10.9.0.101:5432 -r 10.8.0.11:5432 -m -w 0
-a -t 10.9.0.101:5432 -r 10.8.0.12:5432 -m -w 100
-a -t 10.9.0.101:5432 -r 10.8.0.13:5432 -m -w 100
-A -t 10.9.0.110:80 -s wlc
-a -t 10.9.0.110:80 -r 10.8.0.21:8080 -m -w 100
-a -t 10.9.0.110:80 -r 10.8.0.22:80 -i -w 100 --tun-type gue --tun-port 6080 --tun-csum
-a -t 10.9.0.110:80 -r [fd00:8::23]:80 -i -w 100 --tun-type ipip
-A -t 10.9.0.111:80 -s wlc
-a -t 10.9.0.111:80 -r 10.8.0.21:8080 -m -w 100
-a -t 10.9.0.111:80 -r 10.8.0.22:80 -i -w 100 --tun-type gue --tun-port 6080 --tun-csum
-a -t 10.9.0.111:80 -r [fd00:8::23]:80 -i -w 100 --tun-type ipip
-A -t 10.9.0.119:80 -s wlc
-a -t 10.9.0.119:80 -r 10.8.0.21:8080 -m -w 100
-a -t 10.9.0.119:80 -r 10.8.0.22:80 -i -w 100 --tun-type gue --tun-port 6080 --tun-csum
-a -t 10.9.0.119:80 -r [fd00:8::23]:80 -i -w 100 --tun-type ipip
-A -u 10.9.0.112:53 -s rr -o
-a -u 10.9.0.112:53 -r 10.8.0.31:53 -g -w 100
-a -u 10.9.0.112:53 -r 10.8.0.32:53 -g -w 100
-A --sctp-service 10.9.0.113:53 -s mh -b mh-port
-a --sctp-service 10.9.0.113:53 -r 10.8.0.31:53 -i -w 100 --tun-type gre --tun-csum
-a --sctp-service 10.9.0.113:53 -r 10.8.0.32:53 -i -w 100 --tun-type gre --tun-csum
-A -f 7 -s wlc -p 60 --pe sip
-a -f 7 -r 10.8.0.31:53 -g -w 100
-a -f 7 -r 10.8.0.32:53 -g -w 100
-A -t 10.9.0.114:0 -s wlc -p 600
-a -t 10.9.0.114:0 -r 10.8.0.31:0 -m -w 100
-a -t 10.9.0.114:0 -r 10.8.0.32:0 -m -w 100
-A -u [fd00:9::110]:53 -s sed -p 60 -M 64
-a -u [fd00:9::110]:53 -r [fd00:8::31]:53 -m -w 100
-a -u [fd00:9::110]:53 -r 10.8.0.33:53 -i -w 100 --tun-type ipip
-A -f 9 -6 -s fo
-a -f 9 -6 -r [fd00:8::31]:53 -m -w 100
-a -f 9 -6 -r 10.8.0.33:53 -i -w 100 --tun-type ipip
";
