//! PostgreSQL backend of the queue workspace.
//!
//! [`PostgresBackend`] stores jobs in a schema of a PostgreSQL database, version 14 or newer. Any
//! number of processes on any number of machines may share it. Applications use it through the
//! facade `queue`; [`PostgresConfig`] has its settings. [`Rights`] describes roles with limited
//! rights. [`enqueue_from_sql`] describes how triggers and programs in other languages enqueue.

mod audit;
mod backend;
mod cancel;
mod catalog;
mod claim;
mod columns;
mod config;
mod connect;
mod connections;
mod core;
mod damaged;
mod error;
mod follow_ups;
mod insert;
mod insert_and_claim;
mod insert_batcher;
mod inspect;
mod io_thread;
mod maintain;
mod migrate;
mod parts;
mod passfile;
mod pause;
mod positions;
mod prune;
mod ready_queues;
mod retry;
mod rights;
mod row;
mod schedules;
mod schema_name;
mod server;
mod sessions;
mod settle;
mod statements;
mod tls;
mod tx;
mod types;
mod url;
mod wake;
mod watch;
mod worker;

#[doc = include_str!("../docs/postgres-enqueue.md")]
pub mod enqueue_from_sql {}

#[doc = include_str!("../docs/database-urls.md")]
pub mod database_urls {}

pub use backend::PostgresBackend;
pub use config::{
    DEFAULT_CONNECT_TIMEOUT, DEFAULT_CONNECTIONS, DEFAULT_HEAD_INTERVAL, DEFAULT_HEAD_SHARE,
    DEFAULT_HEARTBEAT_TIMEOUT, DEFAULT_NOTIFY_INTERVAL, DEFAULT_PARKED_LOCK_TIMEOUT, DEFAULT_PING_INTERVAL,
    DEFAULT_POLL_INTERVAL, DEFAULT_POOL_TIMEOUT, DEFAULT_REQUEST_TIMEOUT, DEFAULT_UNIQUE_LOCK_TIMEOUT,
    Migrate, Pooler, PostgresConfig,
};
pub use migrate::migrations_sql;
pub use rights::{Rights, rights_sql};
pub use schema_name::DEFAULT_SCHEMA;
pub use tx::Tx;

/// The driver and its pool in the versions that this crate uses.
pub use deadpool_postgres;
pub use tokio_postgres;
