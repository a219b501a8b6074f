//! The lab's scenarios.

fn main() {}
