//! Tests of this backend alone; the conformance suite proves the contract.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod claim;
mod common;
mod completion;
mod damaged;
#[cfg(unix)]
mod forked;
mod insert_and_claim;
mod migration;
mod pool;
mod settle;
mod shared_pool;
#[cfg(feature = "tls")]
mod tls;
mod transaction;
mod unknown_outcome;
mod wake;
mod whole_answers;
