//! `pgvs import`: what other programs were told comes out as what their authors meant, and nothing is dropped in
//! silence.
//!
//! Needs no root, no network and no sleep.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod account;
mod command;
mod hostile;
mod meaning;
mod reviewed;
mod tables;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use pgvs::host::files::foreign::Included;
use pgvs::import::{Around, Format, Imported, import};
use pgvs::ipvsadm::values::{Names, NoNames};
use pgvs::model::service::Protocol;

/// What is imported in these tests.
const FIXTURES: [(Format, &str); 10] = [
    (Format::Haproxy, "haproxy-round-robin.cfg"),
    (Format::Haproxy, "haproxy-patroni.cfg"),
    (Format::Haproxy, "haproxy-frontends.cfg"),
    (Format::Haproxy, "haproxy-scripts.cfg"),
    (Format::Haproxy, "haproxy-replicas.cfg"),
    (Format::Keepalived, "keepalived-postgres.conf"),
    (Format::Keepalived, "keepalived-shared.conf"),
    (Format::Keepalived, "keepalived-table.conf"),
    (Format::Ipvsadm, "ipvsadm-numeric.txt"),
    (Format::Ipvsadm, "ipvsadm-script.txt"),
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("integration/import").join(name)
}

/// A fixture's text.
fn fixture(name: &str) -> String {
    std::fs::read_to_string(path("fixtures").join(name)).unwrap()
}

/// Imports a text as if it were the fixture of that name, so that its includes are found.
fn import_as(format: Format, name: &str, text: &str) -> Imported {
    import_with(format, name, text, &NoNames, &[])
}

fn import_with(
    format: Format,
    name: &str,
    text: &str,
    names: &dyn Names,
    addresses: &[IpAddr],
) -> Imported {
    let name = path("fixtures").join(name);
    let around = Around { addresses, names, loader: &Included::default() };
    import(format, name.to_str().unwrap(), text, around)
}

/// Knows one host and one port.
struct OneName;

impl Names for OneName {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        (name == "db-a.example.com").then_some(Ipv4Addr::new(10, 8, 0, 1))
    }

    fn port(&self, name: &str, _: Protocol) -> Option<u16> {
        (name == "postgresql").then_some(5432)
    }

    fn host_name(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn port_name(&self, _: u16, _: Protocol) -> Option<String> {
        None
    }
}
