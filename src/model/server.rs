//! A real server: a PostgreSQL instance as the operator named it.

use std::fmt;

/// What the operator typed: the pool and the server's name within it, written `orders/pg1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    /// The pool's name.
    pub pool: Box<str>,
    /// The server's name, unique in its pool.
    pub name: Box<str>,
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pool, self.name)
    }
}
