//! What an import makes: pools and services as they will be written, in one form for all formats.
//!
//! Knows nothing of where it comes from, nor how it is written.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::ledger::Place;
use super::names;

/// A value as the config writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u32),
    Truth(bool),
    Words(Vec<String>),
    Numbers(Vec<u32>),
}

/// One line of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) value: Value,
    /// A word on it; empty where there is none.
    pub(super) why: String,
    /// Written as a comment: a choice that the operator may make.
    pub(super) is_offer: bool,
}

impl Key {
    pub(super) fn new(name: &'static str, value: Value) -> Self {
        Self { name, value, why: String::new(), is_offer: false }
    }

    pub(super) fn text(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Value::Text(text.into()))
    }

    pub(super) fn number(name: &'static str, number: u32) -> Self {
        Self::new(name, Value::Number(number))
    }

    pub(super) fn truth(name: &'static str) -> Self {
        Self::new(name, Value::Truth(true))
    }

    pub(super) fn because(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    pub(super) fn offered(self) -> Self {
        Self { is_offer: true, ..self }
    }
}

/// How a pool's servers are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Postgres {
    pub(super) user: Option<String>,
    pub(super) rise: Option<u32>,
    pub(super) fall: Option<u32>,
    /// What there is to know about it.
    pub(super) said: Vec<String>,
}

impl Postgres {
    /// Both at once, unless they are different users; of two counts the first stays.
    fn merged(&self, other: &Self) -> Option<Self> {
        fn either<T: Clone + PartialEq>(one: &Option<T>, two: &Option<T>) -> Option<Option<T>> {
            match (one, two) {
                (Some(one), Some(two)) if one != two => None,
                (Some(_), _) => Some(one.clone()),
                (None, _) => Some(two.clone()),
            }
        }
        let mut said = self.said.clone();
        said.extend(other.said.iter().filter(|it| !self.said.contains(it)).cloned());
        Some(Self {
            user: either(&self.user, &other.user)?,
            rise: self.rise.or(other.rise),
            fall: self.fall.or(other.fall),
            said,
        })
    }

    /// What it says otherwise than the one that both became.
    pub(super) fn beside(&self, kept: &Self) -> Vec<(String, String)> {
        let pairs = [("rise", self.rise, kept.rise), ("fall", self.fall, kept.fall)];
        pairs
            .into_iter()
            .filter_map(|(name, own, kept)| Some((name, own?, kept?)))
            .filter(|(_, own, kept)| own != kept)
            .map(|(name, own, kept)| {
                let why = format!(
                    "the same servers are one pool, which has {name} = {kept} from another section"
                );
                (format!("{name} {own}"), why)
            })
            .collect()
    }
}

/// `[[pool.server]]`.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) keys: Vec<Key>,
    /// A word on its address; empty where there is none.
    pub(super) why: String,
    pub(super) places: Vec<Place>,
}

/// `[[pool]]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    /// The names that its users had for it.
    pub(super) called: Vec<String>,
    /// `None`: not probed.
    pub(super) probe: Option<Postgres>,
    pub(super) keys: Vec<Key>,
    pub(super) servers: Vec<Server>,
    pub(super) places: Vec<Place>,
    pub(super) said: Vec<String>,
}

impl Pool {
    /// The servers by address, with what is said of each.
    fn members(&self) -> BTreeMap<SocketAddr, Vec<(&'static str, &Value)>> {
        fn keys(server: &Server) -> Vec<(&'static str, &Value)> {
            server.keys.iter().map(|key| (key.name, &key.value)).collect()
        }
        self.servers.iter().map(|server| (server.address, keys(server))).collect()
    }

    /// Both as one pool, if they hold the same servers and ask them alike.
    fn merged(&self, other: &Self) -> Option<Self> {
        let is_same = self.members() == other.members()
            && self.keys.len() == other.keys.len()
            && self.keys.iter().zip(&other.keys).all(|(one, two)| one.value == two.value);
        let probe = match (&self.probe, &other.probe) {
            (None, None) => None,
            (Some(one), Some(two)) => Some(one.merged(two)?),
            _ => return None,
        };
        if !is_same {
            return None;
        }
        let mut pool = Self { probe, ..self.clone() };
        pool.called.extend(other.called.iter().cloned());
        pool.places.extend(&other.places);
        pool.said.extend(other.said.iter().filter(|it| !self.said.contains(it)).cloned());
        for server in &mut pool.servers {
            let same = other.servers.iter().filter(|it| it.address == server.address);
            for same in same {
                server.places.extend(&same.places);
                if same.name != server.name {
                    server.why =
                        format!("{} also called {}", server.why, same.name).trim().to_owned();
                }
            }
        }
        Some(pool)
    }
}

/// `[[service]]`.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) name: String,
    /// The number of its pool.
    pub(super) pool: usize,
    pub(super) keys: Vec<Key>,
    pub(super) places: Vec<Place>,
    pub(super) said: Vec<String>,
}

/// Everything that will be written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) director: Vec<Key>,
    pub(super) kernel: Vec<Key>,
    /// What holds for all services.
    pub(super) defaults: Vec<Key>,
    pub(super) sync_daemons: Vec<(Place, Vec<Key>)>,
    pub(super) pools: Vec<Pool>,
    pub(super) services: Vec<Service>,
}

impl Plan {
    /// Takes a pool, or finds that it is there; its number.
    pub(super) fn pool(&mut self, pool: Pool) -> usize {
        let merged = self
            .pools
            .iter()
            .enumerate()
            .find_map(|(number, known)| known.merged(&pool).map(|merged| (number, merged)));
        let Some((number, merged)) = merged else {
            self.pools.push(pool);
            return self.pools.len() - 1;
        };
        if let Some(known) = self.pools.get_mut(number) {
            *known = merged;
        }
        number
    }

    /// The pools' names in their order: what their users' names have in common.
    pub(super) fn pool_names(&self) -> Vec<String> {
        let mut taken = names::Taken::default();
        let names = self.pools.iter().map(|pool| {
            let kind = if pool.probe.is_some() { "postgres" } else { "servers" };
            taken.name(&names::common(&pool.called, kind))
        });
        names.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(called: &str, addresses: &[&str], user: Option<&str>) -> Pool {
        let server = |address: &&str| Server {
            name: (*address).to_owned(),
            address: address.parse().unwrap(),
            keys: Vec::new(),
            why: String::new(),
            places: Vec::new(),
        };
        Pool {
            called: vec![called.to_owned()],
            probe: Some(Postgres { user: user.map(String::from), ..Postgres::default() }),
            servers: addresses.iter().map(server).collect(),
            ..Pool::default()
        }
    }

    #[test]
    fn the_same_servers_are_one_pool_in_whatever_order() {
        let mut plan = Plan::default();
        let (one, two) = ("10.0.0.1:1", "10.0.0.2:1");
        assert_eq!(plan.pool(pool("pg_write", &[one, two], None)), 0);
        assert_eq!(plan.pool(pool("pg_read", &[two, one], Some("haproxy"))), 0);
        assert_eq!(plan.pool(pool("half", &[two], None)), 1);
        assert_eq!(plan.pool(pool("other", &[one, two], Some("pgvs"))), 2);
        assert_eq!(plan.pool_names(), ["pg", "half", "other"]);
    }
}
