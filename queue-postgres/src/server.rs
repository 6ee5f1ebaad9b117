//! Checks that the server can be used.

use queue_core::{Error, ErrorKind, Result};

use crate::connections::{Connections, Statement};
use crate::error::{Effect, Fault};
use crate::row;

/// The oldest supported server version.
const OLDEST: i32 = 140_000;

/// Fails unless the server is new enough, stores every text, and accepts writes.
pub(crate) async fn check(connections: &Connections) -> Result<()> {
    let statement = Statement::reads(include_str!("sql/server.sql").to_owned(), &[]);
    let read = async {
        let rows = connections.query(&statement, &[]).await?;
        let row = row::only(&rows)?;
        let (is_read_only, is_replica) = (row::get::<bool>(row, 3)?, row::get::<bool>(row, 4)?);
        let read_only = is_read_only.then_some(if is_replica {
            "the server is a replica, which is read-only"
        } else {
            "transactions of this role are read-only (`default_transaction_read_only`)"
        });
        Ok((row::get::<i32>(row, 0)?, row::get::<String>(row, 1)?, row::get::<String>(row, 2)?, read_only))
    };
    let (version, encoding, isolation, read_only) =
        read.await.map_err(|fault: Fault| fault.into_error("open the database", Effect::Reads))?;
    let unsupported = |message| Err(Error::new(ErrorKind::Unsupported, "open the database", message));
    if version < OLDEST {
        return unsupported(format!("the server is PostgreSQL {}, it must be 14 or newer", version / 10_000));
    }
    if encoding != "UTF8" {
        return unsupported(format!("the database's encoding is {encoding}, it must be UTF8"));
    }
    // The functions need a new snapshot for each statement, so that a statement sees earlier
    // commits.
    if isolation != "read committed" {
        return unsupported(format!(
            "the default isolation of transactions is {isolation}, it must be read committed for this role"
        ));
    }
    match read_only {
        Some(fault) => Err(Error::new(ErrorKind::Unavailable, "open the database", fault)),
        None => Ok(()),
    }
}
