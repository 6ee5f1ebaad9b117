//! Roles with the least rights can do their own work, and nothing else.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../place/mod.rs"]
mod place;
mod purposes;
mod refusals;
mod role;
mod traps;
