//! What concerns this backend alone; the contract is proved by the conformance suite.

mod common;
mod errors;
mod migration;
mod processes;
mod writer;
