//! A durable background job queue.
//!
//! This crate re-exports `queue-core` and what its features enable:
//!
//! | feature | adds |
//! |---|---|
//! | `sqlite` (default) | `sqlite`: one file, in the process, nothing to install |
//! | `postgres` | `postgres`: a schema in a PostgreSQL database, for any number of machines |
//! | `postgres-tls` | the same, with connections by TLS |
//! | `testing` | `testing`: helpers for your tests, such as a queue that records jobs and runs none |

mod connect;

pub use connect::{DATABASE_URL_VARIABLE, FALLBACK_URL_VARIABLE, connect, connect_from_env};
pub use queue_core::*;

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
