//! PostgreSQL servers for tests and benches, without any set-up: they are found, or on Debian installed for
//! root, started on a free port of 127.0.0.1, and gone when the process that asked for them is.
//!
//! | to get | use |
//! |---|---|
//! | a server to make schemas and roles on, shared by the whole process | [`url`] |
//! | a server to stop, restart or configure | [`Server`] |
//! | a PgBouncer in front of a server | [`PgBouncer`] |
//! | the programs of PostgreSQL, such as `psql` | [`Programs`] |
//!
//! For Unix: it relies on its processes, pipes and accounts. Nothing here is asynchronous, and starting a
//! server takes about a second.

mod account;
mod configuration;
mod folder;
mod install;
mod keeper;
mod options;
mod pgbouncer;
mod port;
mod programs;
mod search;
mod server;
mod shared;
mod upstream;

pub use options::Options;
pub use pgbouncer::PgBouncer;
pub use programs::Programs;
pub use server::{Server, Shutdown};
pub use shared::{URL_VARIABLE, given_url, url};
