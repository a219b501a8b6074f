//! Config texts: the pool "orders" with its services, and parts of them for scenarios with wishes of their own.

use std::net::SocketAddr;

use crate::net;

/// How long a pulse may take before silence counts: an emulated processor stands still for seconds when the
/// machine under it is busy. What scenarios measure does not wait for it, and those about silence go without.
const PATIENCE: &str = "suspect_after = \"4s\"\nlost_after = \"10s\"\n";

/// A pool of the lab's servers by number and weight, probed by PostgreSQL's protocol without a password.
pub(crate) fn pool(servers: &[(u8, u32)]) -> String {
    let mut text = String::from(
        "[[pool]]\nname = \"orders\"\nprobe = \"postgres\"\n[pool.postgres]\nuser = \"pgvs\"\n",
    ) + PATIENCE;
    for &(number, weight) in servers {
        server(&mut text, &format!("pg{number}"), net::server(number), weight);
    }
    text
}

/// A pool that nobody probes.
pub(crate) fn unprobed(servers: &[(u8, u32)]) -> String {
    let mut text = String::from("[[pool]]\nname = \"orders\"\nprobe = \"none\"\n");
    for &(number, weight) in servers {
        server(&mut text, &format!("pg{number}"), net::server(number), weight);
    }
    text
}

/// Adds a server to the pool that the text ends with.
pub(crate) fn server(text: &mut String, name: &str, address: SocketAddr, weight: u32) {
    text.push_str(&format!(
        "[[pool.server]]\nname = \"{name}\"\naddress = \"{address}\"\nweight = {weight}\n"
    ));
}

/// A service of the pool.
pub(crate) fn service(name: &str, address: SocketAddr, target: &str) -> String {
    format!(
        "[[service]]\nname = \"{name}\"\naddress = \"{address}\"\npool = \"orders\"\n\
         target = \"{target}\"\nscheduler = \"wrr\"\n"
    )
}

/// The writer at the virtual address 0 and the readers at 1.
pub(crate) fn orders() -> String {
    orders_with(&[(1, 100), (2, 100), (3, 100)])
}

/// The same with less patience.
pub(crate) fn attentive() -> String {
    orders().replace(PATIENCE, "suspect_after = \"1s\"\nlost_after = \"4s\"\n")
}

/// The same with servers and weights of the scenario's own.
pub(crate) fn orders_with(servers: &[(u8, u32)]) -> String {
    pool(servers) + &both_services()
}

/// `orders-rw` and `orders-ro`.
pub(crate) fn both_services() -> String {
    service("orders-rw", net::vip(0), "primary")
        + &service("orders-ro", net::vip(1), "prefer-standby")
}
