//! Every effect: tasks, sockets, files, clocks. It decides nothing about the table.

pub mod probe;
