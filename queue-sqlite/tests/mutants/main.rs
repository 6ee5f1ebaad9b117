//! Checks that a case of a promise finds SQL that breaks the promise on this database.
//!
//! The statements of the backend are compiled in. So a mutant makes the file do what a mutated
//! statement would do: by a trigger, or by a statement on a connection of its own that runs before
//! the backend's.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says which case found its mutant"
)]

mod caught;
mod excused;
mod mutated;
mod statements;
mod subject;
#[path = "../transaction/mod.rs"]
mod transaction;
mod triggers;
