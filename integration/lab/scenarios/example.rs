//! A config that the repository ships, read without the library: its services, and the commands that its comments
//! tell an operator to run first, so that neither can say what does not work.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use toml::{Table, Value};

use crate::net::{Namespace, SERVERS};
use crate::routed::sh;

/// One of `config/examples/`.
pub(crate) struct Example {
    /// The file as it is.
    pub(crate) text: String,
    /// Its services in the file's order.
    pub(crate) services: Vec<Service>,
}

/// A `[[service]]` with what it takes from the tables around it.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) name: String,
    /// `tcp` or `udp`.
    pub(crate) protocol: String,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// Who may serve.
    pub(crate) target: String,
    /// `ipip`, `gue` or `gre`, where it is forwarded by tunnel.
    pub(crate) tunnel: String,
    /// The pool's servers: the number that their name ends with, and their address.
    pub(crate) servers: Vec<(u8, SocketAddr)>,
}

impl Service {
    /// Servers 1 is the primary, the others its standbys: those that should get clients.
    pub(crate) fn serving(&self) -> Vec<(u8, SocketAddr)> {
        let serves = |number: u8| match self.target.as_str() {
            "primary" => number == 1,
            "any" => true,
            _ => number != 1,
        };
        self.servers.iter().copied().filter(|(number, _)| serves(*number)).collect()
    }
}

impl Example {
    /// Reads `config/examples/NAME.toml`.
    pub(crate) fn read(repository: &Path, name: &str) -> Result<Self> {
        let path = repository.join("config/examples").join(name).with_extension("toml");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let table: Table = text.parse().with_context(|| format!("parse {}", path.display()))?;
        let services = services(&table).with_context(|| format!("read {}", path.display()))?;
        Ok(Self { text, services })
    }

    /// Runs what the comments say under "on the director" there and what they say under "on each server" everywhere.
    pub(crate) fn prepare(&self) -> Result<()> {
        let director = self.commands("director");
        ensure!(!director.is_empty(), "the example has no commands under \"Once on the director\"");
        sh(Namespace::Director, &director)?;
        // There are methods that ask nothing of a server.
        let servers = self.commands("each server");
        (1..=SERVERS).try_for_each(|number| sh(Namespace::Server(number), &servers))
    }

    /// The lines `#   $ COMMAND` between a comment that begins "Once on the WHOM" and the next of that kind.
    fn commands(&self, whom: &str) -> String {
        let (mut script, mut is_meant) = (String::new(), false);
        for line in self.text.lines().map_while(|line| line.strip_prefix('#')) {
            if let Some(rest) = line.strip_prefix(" Once on ") {
                is_meant = rest.trim_start_matches("the ").starts_with(whom);
            }
            if let Some(command) = line.trim_start().strip_prefix("$ ").filter(|_| is_meant) {
                script.push_str(&format!("{command}\n"));
            }
        }
        script
    }
}

fn services(table: &Table) -> Result<Vec<Service>> {
    let default = table.get("defaults").and_then(|it| it.get("service"));
    let own = |it: &Value, key: &str| text(it, key).or_else(|| text(default?, key));
    list(table, "service")
        .map(|it| {
            let name = text(it, "name").context("a service without a name")?;
            let word = |key, otherwise: &str| own(it, key).unwrap_or_else(|| otherwise.to_owned());
            let pool = text(it, "pool").context(name.clone())?;
            Ok(Service {
                protocol: word("protocol", "tcp"),
                address: address(it).context(name.clone())?,
                target: word("target", "any"),
                tunnel: word("tunnel", "ipip"),
                servers: servers(table, &pool).context(name.clone())?,
                name,
            })
        })
        .collect()
}

fn servers(table: &Table, pool: &str) -> Result<Vec<(u8, SocketAddr)>> {
    let pool = list(table, "pool").find(|it| text(it, "name").is_some_and(|name| name == pool));
    let members = pool.and_then(|it| it.get("server")).and_then(Value::as_array);
    members
        .context("no such pool")?
        .iter()
        .map(|it| {
            let name = text(it, "name").unwrap_or_default();
            let digit = name.chars().last().and_then(|last| last.to_digit(10));
            Ok((digit.context(name)?.try_into()?, address(it)?))
        })
        .collect()
}

fn list<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a Value> {
    table.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

fn address(value: &Value) -> Result<SocketAddr> {
    text(value, "address").context("no address")?.parse().context("an address")
}
