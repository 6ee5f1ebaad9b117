//! Enqueueing from SQL keeps the promises and the limits of the library.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod batches;
mod ids;
mod limits;
#[path = "../test_schema/mod.rs"]
mod test_schema;
mod transactions;
mod wake_ups;
