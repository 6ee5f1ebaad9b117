//! Effects of operation on a queue: rights, passwords, names, connections, rows, and servers that
//! stop or are replaced.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod connections;
mod database;
mod refusals;
mod rows;
mod rules;
mod schemas;
mod servers;
mod storm;
mod taken_names;
