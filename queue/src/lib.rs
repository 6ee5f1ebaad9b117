//! A durable background job queue.
//!
//! This crate re-exports `queue-core` and what its features enable:
//!
//! | feature | adds |
//! |---|---|
//! | `derive` (default) | `#[derive(Task)]` |
//! | `sqlite` (default) | `sqlite`: one file, in the process, nothing to install |
//! | `postgres` | `postgres`: a schema in a PostgreSQL database, for any number of machines |
//! | `postgres-tls` | the same, with connections by TLS |
//! | `testing` | `testing`: helpers for your tests, such as a queue that records jobs and runs none |

mod connect;
mod terminated;

pub use connect::{DATABASE_URL_VARIABLE, FALLBACK_URL_VARIABLE, connect, connect_from_env};
pub use terminated::terminated;

pub use queue_core::*;
/// Derives the trait [`Task`](trait@Task) for a payload type.
#[cfg(feature = "derive")]
pub use queue_macros::Task;

/// The SQLite backend.
#[cfg(feature = "sqlite")]
pub use queue_sqlite as sqlite;

/// The PostgreSQL backend.
#[cfg(feature = "postgres")]
pub use queue_postgres as postgres;

/// Compiles the README's program.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../../README.md")]
struct Readme;
