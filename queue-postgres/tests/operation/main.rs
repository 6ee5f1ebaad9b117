//! What real operation does to a queue: rights, passwords, names, connections, rows, servers that are taken away or replaced.

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
