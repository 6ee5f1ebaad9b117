//! The floor in one SQLite file with one connection.
//!
//! The fastest layout measured with one live row per job from its insert to its outcome. The three
//! tables share one integer key and names are integers. Each step is a few statements on many rows
//! instead of one statement per row. The only indexes are those that the protocol needs: job ids
//! and the claim order.

mod claim;
mod insert;
mod settle;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use rusqlite::{Connection, Transaction, TransactionBehavior, vtab};
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::store::{Claim, NewJob, Store};

/// More than the number of statements.
const CACHED_STATEMENTS: usize = 32;

/// The database file.
#[derive(Debug)]
pub(super) struct SqliteStore {
    connection: Connection,
    /// Dropped after the connection.
    _scratch: TempDir,
}

impl SqliteStore {
    /// Creates an empty database in the folder.
    pub(super) fn create(scratch: TempDir) -> Result<Self> {
        let connection = Connection::open(scratch.path().join("floor.db"))?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        vtab::array::load_module(&connection)?;
        connection.execute_batch(include_str!("pragmas.sql"))?;
        connection.execute_batch(include_str!("schema.sql"))?;
        assert_durable(&connection)?;
        Ok(Self { connection, _scratch: scratch })
    }

    fn begin(&mut self) -> Result<Transaction<'_>> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

impl Store for SqliteStore {
    /// The integer key of all tables.
    type Key = i64;

    fn insert(&mut self, jobs: &[NewJob]) -> Result<()> {
        let transaction = self.begin()?;
        insert::insert(&transaction, jobs, now()?)?;
        Ok(transaction.commit()?)
    }

    fn turn(&mut self, done: &Claim<i64>, limit: usize) -> Result<Claim<i64>> {
        let transaction = self.begin()?;
        let now = now()?;
        settle::settle(&transaction, done, now)?;
        let claim = claim::claim(&transaction, limit, now)?;
        transaction.commit()?;
        Ok(claim)
    }

    fn outcomes(&self) -> Result<usize> {
        let count: i64 = self.connection.query_row("SELECT count(*) FROM outcomes", [], |row| row.get(0))?;
        Ok(usize::try_from(count)?)
    }

    fn settings(&self) -> Map<String, Value> {
        Map::from_iter([
            ("durability".to_owned(), Value::from("wal, synchronous=full")),
            ("sqlite_version".to_owned(), Value::from(rusqlite::version())),
        ])
    }
}

/// Reads the settings back, because a misspelt pragma is no error.
fn assert_durable(connection: &Connection) -> Result<()> {
    let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    ensure!(journal == "wal", "the floor's journal mode is `{journal}`, not `wal`");
    let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    ensure!(synchronous == 2, "the floor's synchronous level is {synchronous}, not 2 (full)");
    Ok(())
}

/// Microseconds since 1970.
fn now() -> Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(i64::try_from(since.as_micros())?)
}
