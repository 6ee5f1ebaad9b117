//! What concerns this backend alone; the contract is proved by the conformance suite.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod drain;
mod migration;
mod outages;
mod pool;
mod unknown_outcome;
mod wake;
mod watched;
