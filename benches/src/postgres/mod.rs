//! The PostgreSQL server of a measurement.

mod held_snapshot;
mod schema;
mod server;
mod session;
mod wal;

pub(crate) use self::held_snapshot::HeldSnapshot;
pub(crate) use self::schema::Schema;
pub(crate) use self::server::Server;
pub(crate) use self::session::Session;
pub(crate) use self::wal::{Wal, WalMeter};
