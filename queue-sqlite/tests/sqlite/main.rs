//! What concerns this backend alone; the contract is proved by the conformance suite.

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
mod unwritable;
mod upkeep;
mod writer;
