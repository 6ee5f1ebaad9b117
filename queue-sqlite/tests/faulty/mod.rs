//! Faults of an SQLite file: another process holds its lock, it is full, a table is renamed, a row
//! is refused.

mod locker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::Backend;
use queue_sqlite::{SqliteBackend, SqliteConfig};
use queue_testkit::conformance::{Fault, FaultyStorage, Injected, PATIENCE, SetupResult, Storage};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

pub(crate) use locker::serve_as_locker;
use locker::{LockMode, Locker};

/// The faults that apply to SQLite. There is no server and no reply on a network to lose.
pub(crate) const FAULTS: &[Fault] =
    &[Fault::Locked, Fault::Contended, Fault::Full, Fault::Misconfigured, Fault::RowRefused];

/// The size limit of the file that is to be full.
const MOST_PAGES: i64 = 2048;
const PAGE_BYTES: i64 = 4096;

/// Maximum wait of the test for the lock.
const LONG: Duration = Duration::from_secs(60);
/// Maximum wait of a handle for the lock. A stopped process may hold the lock until another process
/// has waited that long.
const PATIENT: Duration = Duration::from_secs(20);

/// A file with an injected fault.
pub(crate) struct FaultyFile {
    fault: Fault,
    path: PathBuf,
    _folder: TempDir,
}

impl FaultyFile {
    pub(crate) fn new(fault: Fault) -> SetupResult<Self> {
        let folder = TempDir::new()?;
        Ok(Self { fault, path: folder.path().join("jobs.db"), _folder: folder })
    }

    fn config(&self) -> SqliteConfig {
        let config = patient(&self.path);
        match self.fault {
            Fault::Full => config.max_file_bytes((MOST_PAGES * PAGE_BYTES).unsigned_abs()),
            _ => config,
        }
    }
}

#[async_trait]
impl Storage for FaultyFile {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(SqliteBackend::open(self.config()).await?))
    }
}

#[async_trait]
impl FaultyStorage for FaultyFile {
    async fn open_impatient(&self) -> SetupResult<Option<Arc<dyn Backend>>> {
        if self.fault != Fault::Locked {
            return Ok(None);
        }
        Ok(Some(Arc::new(SqliteBackend::open(self.config().busy_wait(PATIENCE)).await?)))
    }

    async fn inject(&self, target: &[u8]) -> SetupResult<Box<dyn Injected>> {
        let (fault, path, target) = (self.fault, self.path.clone(), target.to_vec());
        spawn_blocking(move || break_file(fault, &path, &target)).await?
    }
}

fn break_file(fault: Fault, path: &Path, target: &[u8]) -> SetupResult<Box<dyn Injected>> {
    Ok(match fault {
        Fault::Locked => Box::new(Locker::start(path, LockMode::Holds)?),
        Fault::Contended => Box::new(Locker::start(path, LockMode::Contends)?),
        Fault::Full => {
            fill(&connect(path)?)?;
            Box::new(Undo { path: path.to_owned(), sql: "DROP TABLE filler" })
        }
        Fault::Misconfigured => {
            connect(path)?.execute_batch("ALTER TABLE queue_live RENAME TO queue_live_away")?;
            let sql = "ALTER TABLE queue_live_away RENAME TO queue_live";
            Box::new(Undo { path: path.to_owned(), sql })
        }
        Fault::RowRefused => {
            connect(path)?.execute_batch(&refusal(target))?;
            Box::new(Undo {
                path: path.to_owned(),
                sql: "DROP TRIGGER refused_job; DROP TRIGGER refused_outcome",
            })
        }
        fault => return Err(format!("the fault `{fault}` is unknown").into()),
    })
}

/// The configuration of a handle that must not time out early.
pub(crate) fn patient(path: impl Into<PathBuf>) -> SqliteConfig {
    SqliteConfig::new(path).busy_wait(PATIENT)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(LONG)?;
    Ok(connection)
}

/// Fills every page up to the limit, including the free pages. The limit applies only to the
/// backend's connections.
fn fill(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE; CREATE TABLE filler (bytes BLOB)")?;
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let room = MOST_PAGES - number("page_count")? + number("freelist_count")?;
    let bytes = (room.max(0) + 1) * PAGE_BYTES;
    connection.execute("INSERT INTO filler VALUES (zeroblob(?1))", [bytes])?;
    connection.execute_batch("COMMIT")
}

fn refusal(job: &[u8]) -> String {
    let id: String = job.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "CREATE TRIGGER refused_job BEFORE INSERT ON queue_jobs WHEN NEW.id = x'{id}'
         BEGIN SELECT RAISE(ABORT, 'refused'); END;
         CREATE TRIGGER refused_outcome BEFORE INSERT ON queue_outcomes
         WHEN NEW.seq = (SELECT seq FROM queue_jobs WHERE id = x'{id}')
         BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
}

/// Repairs the file by a statement. If the case fails before, the whole file is removed.
struct Undo {
    path: PathBuf,
    sql: &'static str,
}

#[async_trait]
impl Injected for Undo {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        let mend = move || connect(&self.path)?.execute_batch(self.sql);
        Ok(spawn_blocking(mend).await??)
    }
}
