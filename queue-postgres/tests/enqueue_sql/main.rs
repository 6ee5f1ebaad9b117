//! Enqueueing from SQL keeps the promises of the library, and its limits.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod ids;
mod limits;
#[path = "../place/mod.rs"]
mod place;
mod transactions;
mod wake_ups;
