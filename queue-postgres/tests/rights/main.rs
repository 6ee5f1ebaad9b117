//! Roles with minimal rights can do their own work and nothing else.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod purposes;
mod refusals;
mod role;
#[path = "../test_schema/mod.rs"]
mod test_schema;
mod traps;
