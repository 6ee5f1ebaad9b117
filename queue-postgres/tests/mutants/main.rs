//! SQL that breaks a promise on this database is found by a case of that promise.
//!
//! The operations are functions of the schema. A mutant is a schema in which a fragment of one of
//! them was replaced. The new text advances a sequence, which no rollback moves back.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says which case found its mutant"
)]

mod caught;
mod claiming;
mod enqueueing;
mod excused;
mod migrating;
mod mutation;
mod retrying;
mod settling;
mod subject;
#[path = "../subject/sweeper.rs"]
mod sweeper;
#[path = "../test_schema/mod.rs"]
mod test_schema;
#[path = "../subject/transaction.rs"]
mod transaction;
mod upkeep;
mod waiting;
