//! PostgreSQL servers for tests and benches, without setup. The programs are found, or installed
//! for root on Debian. A server listens on a free port of 127.0.0.1 and ends with the process that
//! started it.
//!
//! | to get | use |
//! |---|---|
//! | a server to create schemas and roles on, shared by the whole process | [`url`] |
//! | a server to stop, restart or configure | [`Server`] |
//! | a PgBouncer in front of a server | [`PgBouncer`] |
//! | the programs of PostgreSQL, such as `psql` | [`Programs`] |
//!
//! Only for Unix, because it uses processes, pipes and accounts of Unix. No function is async, and
//! starting a server takes about a second.

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

pub use install::INSTALL_VARIABLE;
pub use options::Options;
pub use pgbouncer::PgBouncer;
pub use programs::Programs;
pub use server::{Server, Shutdown};
pub use shared::{URL_VARIABLE, given_url, url};
