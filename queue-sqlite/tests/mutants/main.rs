//! SQL that breaks a promise on this very database is found by a case of that promise.
//!
//! The statements of the backend are compiled into it, so a mutant has the file itself do what a mutated statement would:
//! by a trigger, or by a statement on a connection of its own that comes before the backend's.

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
mod triggers;
