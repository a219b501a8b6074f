//! The nouns: virtual services, destinations, tables, real servers, and what PostgreSQL says of itself.
//!
//! No behaviour that needs a decision, no bytes, no effects.

pub mod destination;
pub mod kernel;
pub mod op;
pub mod postgres;
pub mod saved;
pub mod server;
pub mod service;
pub mod setting;
pub mod table;
