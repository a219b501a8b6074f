//! What the engine knows, as text for people and programs. Pure: values in, text out.

mod attributes;
pub mod plan;
pub mod restore;
pub mod status;
mod table;
