//! The conformance suite on SQLite files.

mod faulty;
#[path = "transaction/mod.rs"]
mod transaction;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::{Backend, JobId};
use queue_sqlite::SqliteBackend;
use queue_testkit::conformance::{
    self, ApplicationTransaction, Backup, Fault, FaultyStorage, SetupResult, Storage, Subject,
};
use rusqlite::{Connection, backup};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use faulty::{FAULTS, FaultyFile, patient, serve_as_locker};
use transaction::Transaction;

/// Maximum wait of a restore for the lock.
const LONG: Duration = Duration::from_secs(60);
/// More pages than any of these files has, because a restore is one transaction.
const PAGES: i32 = 100_000;
/// Pause between two attempts to copy.
const PAUSE: Duration = Duration::from_millis(5);

struct Sqlite;

#[async_trait]
impl Subject for Sqlite {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        let folder = TempDir::new()?;
        Ok(Arc::new(File { path: folder.path().join("jobs.db"), _folder: folder }))
    }

    async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(SqliteBackend::open(patient(address)).await?))
    }

    async fn begin(&self, address: &str) -> SetupResult<Option<Box<dyn ApplicationTransaction>>> {
        Ok(Some(Box::new(Transaction::begin(address.into()).await?)))
    }

    fn faults(&self) -> &'static [Fault] {
        FAULTS
    }

    async fn create_faulty(&self, fault: Fault) -> SetupResult<Arc<dyn FaultyStorage>> {
        Ok(Arc::new(FaultyFile::new(fault)?))
    }
}

struct File {
    path: PathBuf,
    _folder: TempDir,
}

#[async_trait]
impl Storage for File {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(SqliteBackend::open(patient(&self.path)).await?))
    }

    fn address(&self) -> Option<String> {
        self.path.to_str().map(str::to_owned)
    }

    async fn back_up(&self) -> SetupResult<Option<Box<dyn Backup>>> {
        let folder = TempDir::new()?;
        let copy = Copy { of: self.path.clone(), path: folder.path().join("copy.db"), _folder: folder };
        let (from, to) = (copy.of.clone(), copy.path.clone());
        spawn_blocking(move || copy_into(&from, &to)).await??;
        Ok(Some(Box::new(copy)))
    }

    /// Leaves a backoff without its other parts.
    async fn damage(&self, job: JobId) -> SetupResult<bool> {
        let path = self.path.clone();
        let damage = move || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(LONG)?;
            connection.execute("UPDATE queue_jobs SET backoff_base = 1 WHERE id = ?1", [job.to_bytes()])
        };
        spawn_blocking(damage).await??;
        Ok(true)
    }
}

/// A copy made by SQLite, restored into the file as the shell's `.restore` does.
struct Copy {
    of: PathBuf,
    path: PathBuf,
    _folder: TempDir,
}

#[async_trait]
impl Backup for Copy {
    async fn restore(&self) -> SetupResult<()> {
        let (from, to) = (self.path.clone(), self.of.clone());
        Ok(spawn_blocking(move || copy_into(&from, &to)).await??)
    }
}

fn copy_into(from: &Path, to: &Path) -> rusqlite::Result<()> {
    let (from, mut to) = (Connection::open(from)?, Connection::open(to)?);
    to.busy_timeout(LONG)?;
    backup::Backup::new(&from, &mut to)?.run_to_completion(PAGES, PAUSE, None)
}

fn main() -> ExitCode {
    serve_as_locker().unwrap_or_else(|| conformance::main(Sqlite))
}
