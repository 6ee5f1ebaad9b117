//! Bringing the tables to this program's version, with a ledger of its own.

use std::time::Instant;

use queue_core::{Error, ErrorKind, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::connection::{self, Patience};
use crate::error::{Fault, Outcome};

/// One step of the schema.
#[derive(Debug)]
pub(crate) struct Migration {
    version: i64,
    name: &'static str,
    /// The least version of a program that can serve the schema after this step: a step that only
    /// adds what older programs may leave alone keeps it low, so that deployments can roll.
    oldest_compatible: i64,
    sql: &'static str,
}

/// All steps, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "tables",
        oldest_compatible: 1,
        sql: include_str!("../migrations/0001_tables.sql"),
    },
    Migration {
        version: 2,
        name: "paused queues",
        oldest_compatible: 2,
        sql: include_str!("../migrations/0002_paused.sql"),
    },
];

const LEDGER_EXISTS: &str = include_str!("sql/ledger_exists.sql");
const LEDGER_CREATE: &str = include_str!("sql/ledger_create.sql");
const LEDGER_READ: &str = include_str!("sql/ledger_read.sql");
const LEDGER_WRITE: &str = include_str!("sql/ledger_write.sql");

/// Applies what is missing of `migrations`, all of it in one transaction: killed midway, the schema
/// is the old one. Many programs may do this at once.
pub(crate) fn migrate(connection: &Connection, migrations: &[Migration], patience: &Patience) -> Outcome<()> {
    let known = migrations.last().map_or(0, |last| last.version);
    // A read first: a program that finds nothing to do must not wait for whoever writes.
    if serves(known, version(connection)?)? == Serves::AsItIs {
        return Ok(());
    }
    connection::begin(connection, patience, Instant::now())?;
    let applied = apply(connection, known, migrations);
    match applied {
        Ok(()) => Ok(connection::commit(connection)?),
        Err(fault) => {
            connection::rollback(connection)?;
            Err(fault)
        }
    }
}

fn apply(connection: &Connection, known: i64, migrations: &[Migration]) -> Outcome<()> {
    let found = version(connection)?;
    if serves(known, found)? == Serves::AsItIs {
        return Ok(());
    }
    let found = found.map_or(0, |found| found.version);
    connection.execute_batch(LEDGER_CREATE)?;
    for migration in migrations.iter().filter(|migration| migration.version > found) {
        connection.execute_batch(migration.sql)?;
        let now = Timestamp::now().as_micros();
        connection.execute(
            LEDGER_WRITE,
            params![migration.version, migration.name, now, migration.oldest_compatible],
        )?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Found {
    version: i64,
    oldest_compatible: i64,
}

#[derive(PartialEq)]
enum Serves {
    AsItIs,
    OnceMigrated,
}

fn serves(known: i64, found: Option<Found>) -> Outcome<Serves> {
    match found {
        Some(found) if found.oldest_compatible > known => Err(Fault::Refused(Error::new(
            ErrorKind::Unsupported,
            "open the database",
            format!(
                "its queue tables are of schema version {}, which only programs that know version {} can serve; \
                 this one knows up to {known}",
                found.version, found.oldest_compatible
            ),
        ))),
        Some(found) if found.version >= known => Ok(Serves::AsItIs),
        Some(_) | None => Ok(Serves::OnceMigrated),
    }
}

fn version(connection: &Connection) -> Outcome<Option<Found>> {
    let exists: bool = connection.query_row(LEDGER_EXISTS, [], |row| row.get(0))?;
    if !exists {
        return Ok(None);
    }
    let read = |row: &rusqlite::Row<'_>| Ok(Found { version: row.get(0)?, oldest_compatible: row.get(1)? });
    Ok(connection.query_row(LEDGER_READ, [], read).optional()?)
}
