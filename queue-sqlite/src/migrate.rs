//! Bringing the tables to this program's version, with a ledger of its own.

use std::time::Instant;

use queue_core::backend::{Migration, SchemaVersion, missing_migrations};
use queue_core::{Error, ErrorKind, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Fault, Outcome};
use crate::transaction::{self, Patience};

/// All steps, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration::new(1, "tables", TABLES)];

const TABLES: &str = concat!(
    include_str!("../migrations/0001_tables.sql"),
    include_str!("../migrations/0001_enqueue.sql"),
    include_str!("../migrations/0001_complete.sql")
);

/// The tables and views that the steps create, and the ledger.
const OURS: &[&str] = &[
    LEDGER,
    "queue_names",
    "queue_jobs",
    "queue_live",
    "queue_outcomes",
    "queue_attempt_errors",
    "queue_workers",
    "queue_overview",
    "queue_paused",
    "queue_unique_keys",
    "queue_schedules",
    "queue_storage",
    "queue_complete",
    "queue_enqueue",
    "queue_enqueued",
    "queue_enqueued_ids",
];

const LEDGER: &str = "queue_migrations";

const LEDGER_EXISTS: &str = include_str!("sql/ledger_exists.sql");
const IS_LEDGER: &str = include_str!("sql/is_ledger.sql");
const FOREIGN: &str = include_str!("sql/foreign_tables.sql");
const LEDGER_CREATE: &str = include_str!("sql/ledger_create.sql");
const LEDGER_READ: &str = include_str!("sql/ledger_read.sql");
const LEDGER_WRITE: &str = include_str!("sql/ledger_write.sql");

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Migrated {
    /// It only read.
    NothingToDo,
    /// It took the lock that a writer needs, and committed.
    InATransaction,
}

/// Applies what is missing of `migrations`, all of it in one transaction: killed midway, the schema
/// is the old one. Many programs may do this at once.
pub(crate) fn migrate(
    connection: &Connection,
    migrations: &[Migration],
    patience: &Patience,
) -> Outcome<Migrated> {
    // A read first: a program that finds nothing to do must not wait for a writer.
    if missing(migrations, version(connection)?)?.is_empty() {
        return Ok(Migrated::NothingToDo);
    }
    transaction::begin(connection, patience, Instant::now())?;
    let applied = apply(connection, migrations);
    match applied {
        Ok(()) => {
            transaction::commit(connection)?;
            Ok(Migrated::InATransaction)
        }
        Err(fault) => {
            transaction::rollback(connection)?;
            Err(fault)
        }
    }
}

fn apply(connection: &Connection, migrations: &[Migration]) -> Outcome<()> {
    let found = version(connection)?;
    let missing = missing(migrations, found)?;
    if missing.is_empty() {
        return Ok(());
    }
    if found.is_none() {
        refuse_foreign_tables(connection)?;
    }
    connection.execute_batch(LEDGER_CREATE)?;
    for migration in missing {
        connection.execute_batch(migration.sql)?;
        let now = Timestamp::now().as_micros();
        connection.execute(
            LEDGER_WRITE,
            params![migration.version, migration.name, now, migration.oldest_compatible],
        )?;
    }
    Ok(())
}

fn missing(migrations: &[Migration], found: Option<SchemaVersion>) -> Outcome<&[Migration]> {
    Ok(missing_migrations(migrations, found, "the schema of the queue's tables")?)
}

/// Fails if a table has one of our names though no step was applied.
fn refuse_foreign_tables(connection: &Connection) -> Outcome<()> {
    let mut statement = connection.prepare(FOREIGN)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let table: String = row.get(0)?;
        // An empty ledger of ours is filled; without a step applied, nothing else is ours.
        if table != LEDGER && OURS.iter().any(|name| name.eq_ignore_ascii_case(&table)) {
            return Err(belongs_to_another(&table));
        }
    }
    Ok(())
}

fn belongs_to_another(table: &str) -> Fault {
    let message = format!(
        "the database has a table `{table}` that belongs to another program; the queue needs this name, so give it \
         a file of its own or rename that table"
    );
    Error::new(ErrorKind::Conflict, "open the database", message).into()
}

fn version(connection: &Connection) -> Outcome<Option<SchemaVersion>> {
    let exists: bool = connection.query_row(LEDGER_EXISTS, [], |row| row.get(0))?;
    if !exists {
        return Ok(None);
    }
    if !connection.query_row(IS_LEDGER, [], |row| row.get::<_, bool>(0))? {
        return Err(belongs_to_another(LEDGER));
    }
    let read = |row: &rusqlite::Row<'_>| Ok(SchemaVersion::new(row.get(0)?, row.get(1)?));
    Ok(connection.query_row(LEDGER_READ, [], read).optional()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_new_step_is_applied_to_a_schema_with_jobs() {
        let connection = Connection::open_in_memory().unwrap();
        let none = Patience(Duration::ZERO);
        migrate(&connection, MIGRATIONS, &none).unwrap();
        connection.execute("INSERT INTO queue_names (name) VALUES ('mail')", []).unwrap();
        let sql = "ALTER TABLE queue_names ADD COLUMN tag TEXT DEFAULT 'none'";
        let [first] = MIGRATIONS else { panic!("the test is about the second step") };
        let both = [*first, Migration::new(2, "tags", sql).oldest_compatible(1)];
        assert_eq!(migrate(&connection, &both, &none).unwrap(), Migrated::InATransaction);
        let tag: String = connection.query_row("SELECT tag FROM queue_names", [], |row| row.get(0)).unwrap();
        assert_eq!(tag, "none");
        assert_eq!(migrate(&connection, &both, &none).unwrap(), Migrated::NothingToDo);
        // A program of version 1 continues, unless the step rules it out.
        assert_eq!(migrate(&connection, MIGRATIONS, &none).unwrap(), Migrated::NothingToDo);
        connection
            .execute("UPDATE queue_migrations SET oldest_compatible = 2 WHERE version = 2", [])
            .unwrap();
        assert!(migrate(&connection, MIGRATIONS, &none).is_err());
    }

    #[test]
    fn all_names_that_the_steps_create_are_listed() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, MIGRATIONS, &Patience(Duration::ZERO)).unwrap();
        let mut statement = connection.prepare(FOREIGN).unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        let mut created: Vec<String> = names.map(Result::unwrap).collect();
        created.sort();
        let mut listed: Vec<String> = OURS.iter().map(ToString::to_string).collect();
        listed.sort();
        assert_eq!(created, listed);
    }
}
