//! SQLite backend of the queue workspace.
//!
//! [`SqliteBackend`] stores jobs in an SQLite file: one of its own, or the application's database.
//! Applications use it through the facade `queue`. [`SqliteConfig`] has the settings.
//!
//! # How it works
//! One thread writes. Requests that wait for it share a transaction, and each caller is answered
//! after the commit. So 64 tasks that each enqueue one job share a few commits. If one request
//! fails midway, the writer repeats all of them, each in a savepoint, and only that one fails.
//! Other processes that write take turns through SQLite's lock.
//!
//! A job is one row of `queue_jobs`, written once. It also has one row of `queue_live` while it is
//! unfinished, and one row of `queue_outcomes` afterwards. The index of ready jobs has the kind
//! before the claim order, and a claim merges one stream per kind. So it never reads future jobs,
//! finished jobs, or jobs of kinds that the worker does not handle. Operators can see all jobs with
//! `SELECT * FROM queue_overview`.
//!
//! # What else is in the file
//! The tables `queue_names`, `queue_paused`, `queue_attempt_errors` and `queue_workers`, and the
//! migration ledger `queue_migrations`. The application's tables, `user_version` and
//! `application_id` are never changed.

mod audit;
mod backend;
mod backup;
mod cancel;
mod claim;
mod config;
mod connection;
mod damaged;
mod error;
mod file_connection;
mod finish;
mod identity;
mod insert;
mod inspect;
mod lists;
mod maintain;
mod manage;
mod migrate;
mod names;
#[cfg(test)]
mod plans;
mod promote;
mod prune;
mod reader;
mod ready_queues;
mod rescue;
mod retry;
mod row;
mod row_cache;
mod schedules;
mod settle;
mod state;
mod transaction;
mod tx;
mod unique_keys;
mod unwritable;
mod url;
mod wake;
mod watch;
mod watched_jobs;
mod worker;
mod writer;

pub use backend::SqliteBackend;
pub use config::{
    DEFAULT_BUSY_WAIT, DEFAULT_CACHE_BYTES, DEFAULT_CHECKPOINT_PAGES, DEFAULT_LOG_BYTES, DEFAULT_PAGE_BYTES,
    DEFAULT_POLL_INTERVAL, DEFAULT_READERS, SqliteConfig, Synchronous,
};
pub use tx::Tx;

/// The driver, in the version that this crate uses.
pub use rusqlite;
