//! SQLite backend of the queue workspace.
//!
//! [`SqliteBackend`] keeps jobs in an SQLite file: one of its own, or the application's beside the
//! application's tables. Programs use it through the facade `queue`; [`SqliteConfig`] has what may be
//! set.
//!
//! # How it works
//! One thread writes. Whatever waits for it shares a transaction and is answered after the commit; so
//! 64 tasks that each enqueue one job share a few commits. If one of them fails midway, all are done
//! again, each in a savepoint, and only that one fails. Other processes that write take turns by
//! SQLite's own lock.
//!
//! A job is a row of `queue_jobs`, written once, and one of `queue_live` while it is unfinished or of
//! `queue_outcomes` afterwards. The index of ready jobs has the kind before the order of claims, and a
//! claim merges one stream per kind, so that neither future, nor finished, nor unhandled jobs stand in
//! its way.
//! `SELECT * FROM queue_overview` shows all jobs to people.
//!
//! # What else is in the file
//! The tables `queue_names`, `queue_paused`, `queue_attempt_errors`, `queue_workers`, and `queue_migrations`, the
//! ledger. The application's tables, `user_version` and `application_id` are left alone.

mod audit;
mod backend;
mod backup;
mod cancel;
mod claim;
mod config;
mod connection;
mod damaged;
mod ending;
mod error;
mod file_connection;
mod identity;
mod insert;
mod inspect;
mod lists;
mod maintain;
mod migrate;
mod names;
mod pause;
mod places;
#[cfg(test)]
mod plans;
mod promote;
mod prune;
mod reader;
mod ready_queues;
mod rescue;
mod row;
mod settle;
mod state;
mod transaction;
mod unwritable;
mod url;
mod wake;
mod worker;
mod writer;

pub use backend::SqliteBackend;
pub use config::{
    DEFAULT_BUSY_WAIT, DEFAULT_CACHE_BYTES, DEFAULT_CHECKPOINT_PAGES, DEFAULT_LOG_BYTES, DEFAULT_PAGE_BYTES,
    DEFAULT_POLL_INTERVAL, DEFAULT_READERS, SqliteConfig, Synchronous,
};

/// The driver, in the version that this crate speaks.
pub use rusqlite;
