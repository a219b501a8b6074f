//! One file per subcommand: arguments in, effects through `host`, text and an exit code out.

pub mod ipvsadm;
