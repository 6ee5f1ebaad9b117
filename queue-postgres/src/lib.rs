//! PostgreSQL backend of the queue workspace.
//!
//! [`PostgresBackend`] keeps jobs in a schema of a PostgreSQL database, version 14 or newer, that any number of
//! processes on any number of machines share. Programs use it through the facade `queue`; [`PostgresConfig`] has
//! what may be set. [`Rights`] tells of roles that may do one thing only, and [`enqueue_from_sql`] how triggers and
//! programs in other languages enqueue.

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
mod home;
mod insert;
mod insert_and_claim;
mod inspect;
mod lane;
mod maintain;
mod migrate;
mod parts;
mod passfile;
mod pause;
mod positions;
mod prune;
mod ready_queues;
mod rights;
mod row;
mod server;
mod settle;
mod statements;
mod tls;
mod types;
mod url;
mod wake;
mod worker;

#[doc = include_str!("../../docs/postgres-enqueue.md")]
pub mod enqueue_from_sql {}

#[doc = include_str!("../../docs/database-urls.md")]
pub mod database_urls {}

pub use backend::PostgresBackend;
pub use config::{
    DEFAULT_CONNECT_TIMEOUT, DEFAULT_CONNECTIONS, DEFAULT_HEAD_INTERVAL, DEFAULT_HEAD_SHARE,
    DEFAULT_HEARTBEAT_TIMEOUT, DEFAULT_NOTIFY_INTERVAL, DEFAULT_PARKED_LOCK_TIMEOUT, DEFAULT_PING_INTERVAL,
    DEFAULT_POLL_INTERVAL, DEFAULT_POOL_TIMEOUT, DEFAULT_REQUEST_TIMEOUT, DEFAULT_SCHEMA, Migrate, Pooler,
    PostgresConfig,
};
pub use migrate::migrations_sql;
pub use rights::{Rights, rights_sql};

/// The driver, in the version that this crate speaks.
pub use tokio_postgres;
