#![doc = include_str!("../README.md")]

#[cfg(all(doctest, feature = "derive", feature = "schedules", feature = "testing"))]
#[doc = include_str!("../../docs/schedules.md")]
struct SchedulesPage;

#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../../docs/observability.md")]
struct ObservabilityPage;

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
