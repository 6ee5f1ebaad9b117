//! Tests of this backend alone; the conformance suite tests the contract.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod common;
mod damaged;
mod dropped;
mod errors;
mod foreign;
#[cfg(unix)]
mod forked;
mod log;
mod migration;
#[cfg(unix)]
mod moved;
mod processes;
mod restored;
#[cfg(unix)]
mod rights;
mod sql_contract;
mod unwritable;
mod upkeep;
mod writer;
