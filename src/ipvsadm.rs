//! The language of ipvsadm(8) 1.31, pure: arguments -> command, the kernel's table -> text, byte for byte.
//!
//! No kernel and no terminal; what is not built yet is refused by name, never half done.

pub mod args;
pub mod list;
mod names;
mod sort;
pub mod words;
