//! The mutants: one file per case, with one mutation.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::Backend;
use queue_sqlite::{SqliteBackend, SqliteConfig};
use queue_testkit::conformance::{ApplicationTransaction, SetupResult, Storage, Subject};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::mutated::{Before, Beside, Mutated};
use crate::transaction::Transaction;

/// The fault of the database.
pub(crate) enum Mutation {
    /// No fault.
    None,
    /// Triggers, created after the tables. Each counts its runs in `mutant_reached`.
    Trigger(&'static str),
    /// A trigger of the schema in which the first text is replaced by the second.
    Rewritten(&'static str, &'static str, &'static str),
    /// A statement before each `open` except the first.
    Opening(&'static str),
    /// Statements before the requests of a handle.
    Before(fn() -> Arc<dyn Before>),
}

/// A mutant as a subject of the suite.
pub(crate) struct Mutant {
    pub(crate) mutation: Mutation,
    /// How often the mutation happened, on the files of all finished cases.
    pub(crate) reached: Arc<AtomicU64>,
}

#[async_trait]
impl Subject for Mutant {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        let folder = TempDir::new()?;
        let (triggers, opening, before) = match &self.mutation {
            Mutation::None => (String::new(), "", None),
            Mutation::Trigger(sql) => ((*sql).to_owned(), "", None),
            Mutation::Rewritten(trigger, from, to) => (rewritten(trigger, from, to)?, "", None),
            Mutation::Opening(sql) => (String::new(), *sql, None),
            Mutation::Before(make) => (String::new(), "", Some(make())),
        };
        let path = folder.path().join("jobs.db");
        let reached = Arc::clone(&self.reached);
        Ok(Arc::new(File { path, _folder: folder, triggers, opening, before, reached }))
    }

    async fn begin(&self, address: &str) -> SetupResult<Option<Box<dyn ApplicationTransaction>>> {
        Ok(Some(Box::new(Transaction::begin(address.into()).await?)))
    }
}

const MIGRATION: &str = concat!(
    include_str!("../../migrations/0001_enqueue.sql"),
    include_str!("../../migrations/0001_complete.sql")
);

/// Statements that replace a trigger of the schema, also if it was replaced before.
fn rewritten(trigger: &str, from: &str, to: &str) -> SetupResult<String> {
    let start = MIGRATION.find(&format!("CREATE TRIGGER {trigger} ")).ok_or("no such trigger")?;
    let end = MIGRATION[start..].find("\nEND;").ok_or("the trigger has no end")?;
    let sound = &MIGRATION[start..start + end];
    if sound.matches(from).count() != 1 {
        return Err(format!("the trigger {trigger} does not have this text once: {from}").into());
    }
    let counts = "UPDATE mutant_reached SET times = times + 1;";
    Ok(format!("DROP TRIGGER {trigger}; {}\n{counts}\nEND;", sound.replace(from, to)))
}

/// The file of a case.
pub(crate) struct File {
    path: PathBuf,
    triggers: String,
    opening: &'static str,
    before: Option<Arc<dyn Before>>,
    reached: Arc<AtomicU64>,
    _folder: TempDir,
}

/// A separate connection to the file.
pub(crate) fn connect(path: &PathBuf) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(20))?;
    Ok(connection)
}

#[async_trait]
impl Storage for File {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        if !self.opening.is_empty() && self.path.exists() {
            let changed = connect(&self.path)?.execute(self.opening, [])?;
            self.reached.fetch_add(u64::try_from(changed)?, Ordering::SeqCst);
        }
        let backend = SqliteBackend::open(SqliteConfig::new(&self.path)).await?;
        let counter = "CREATE TABLE IF NOT EXISTS mutant_reached (times INTEGER NOT NULL);
            INSERT INTO mutant_reached SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM mutant_reached);";
        if !self.triggers.is_empty() {
            connect(&self.path)?
                .execute_batch(&format!("BEGIN IMMEDIATE; {counter} {}; COMMIT", self.triggers))?;
        }
        let Some(before) = &self.before else { return Ok(Arc::new(backend)) };
        let beside = Beside { path: self.path.clone(), reached: Arc::clone(&self.reached) };
        Ok(Arc::new(Mutated { sound: backend, before: Arc::clone(before), beside }))
    }

    fn address(&self) -> Option<String> {
        self.path.to_str().map(str::to_owned)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if self.triggers.is_empty() {
            return;
        }
        let read = |connection: Connection| {
            connection.query_row("SELECT times FROM mutant_reached", [], |row| row.get::<_, u32>(0))
        };
        // A file that was never opened has no counter.
        if let Ok(times) = connect(&self.path).and_then(read) {
            self.reached.fetch_add(times.into(), Ordering::SeqCst);
        }
    }
}
