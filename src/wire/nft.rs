//! The rules for full NAT in the language of nft(8): in a table of our own, and as `nft -n list` shows them again.
//!
//! A connection is matched by what the client sent first, which IPVS has rewritten when the rules are asked: so only
//! conntrack knows it, and only while `net.ipv4.vs.conntrack` is 1.

use std::net::{IpAddr, SocketAddr};

use crate::model::service::Protocol;
use crate::model::setting::{NftTable, SourceNat};

/// The family and the name of our table; no other is ever read or written.
pub const TABLE: &str = "inet pgvs";

/// One service whose servers see an address of the director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<'a> {
    /// The service's protocol.
    pub protocol: Protocol,
    /// Where its clients connect.
    pub address: SocketAddr,
    /// What its servers see.
    pub to: SourceNat,
    /// The service's name: letters, digits and `. _ -`.
    pub name: &'a str,
}

/// The table with these rules, in their order; without any there is no table.
pub fn table<'a>(rules: impl Iterator<Item = Rule<'a>>) -> NftTable {
    let lines: Vec<String> = rules.map(|rule| line(&rule)).collect();
    if lines.is_empty() {
        return NftTable::default();
    }
    let rules = lines.join("\n");
    NftTable::new(&format!(
        "table {TABLE} {{\nchain source_nat {{\ntype nat hook postrouting priority 100; policy accept;\n{rules}\n}}\n}}"
    ))
}

/// What nft is told: our table as it should be, in the place of what it was, in one transaction.
pub fn script(table: &NftTable) -> String {
    // Adding a table that exists is no mistake, deleting one that does not would be.
    format!("add table {TABLE}\ndelete table {TABLE}\n{}\n", table.as_str())
}

fn line(rule: &Rule<'_>) -> String {
    let family = |address: IpAddr| if address.is_ipv4() { "ip" } else { "ip6" };
    let address = rule.address.ip();
    let to = match rule.to {
        SourceNat::Masquerade => "masquerade".to_owned(),
        SourceNat::Address(to) => format!("snat {} to {to}", family(to)),
    };
    format!(
        "meta l4proto {} ct original {} daddr {address} ct original proto-dst {} {to} comment \"{}\"",
        rule.protocol.0,
        family(address),
        rule.address.port(),
        rule.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `nft -n -s list table inet pgvs` of nftables 1.0.6 after `script` had been given to `nft -f -`.
    const LISTED: &str = "table inet pgvs {
\tchain source_nat {
\t\ttype nat hook postrouting priority 100; policy accept;
\t\tmeta l4proto 6 ct original ip daddr 10.9.0.100 ct original proto-dst 5432 masquerade comment \"orders-rw\"
\t\tmeta l4proto 17 ct original ip6 daddr fd00:9::100 ct original proto-dst 53 snat ip6 to fd00:8::1 comment \"dns\"
\t}
}
";

    fn rules() -> [Rule<'static>; 2] {
        let rule = |protocol, address: &str, to, name| Rule {
            protocol,
            address: address.parse().unwrap(),
            to,
            name,
        };
        let to = SourceNat::Address("fd00:8::1".parse().unwrap());
        [
            rule(Protocol::TCP, "10.9.0.100:5432", SourceNat::Masquerade, "orders-rw"),
            rule(Protocol::UDP, "[fd00:9::100]:53", to, "dns"),
        ]
    }

    #[test]
    fn rules_are_written_as_nft_lists_them() {
        assert_eq!(table(rules().into_iter()), NftTable::new(LISTED));
    }

    #[test]
    fn the_script_replaces_our_table_and_names_no_other() {
        let script = script(&table(rules().into_iter()));
        assert!(
            script.starts_with("add table inet pgvs\ndelete table inet pgvs\ntable inet pgvs {\n")
        );
        assert_eq!(script.matches("table ").count(), 3);
    }

    #[test]
    fn without_rules_there_is_no_table() {
        assert!(table(std::iter::empty()).is_empty());
        assert_eq!(script(&NftTable::default()), "add table inet pgvs\ndelete table inet pgvs\n\n");
    }
}
