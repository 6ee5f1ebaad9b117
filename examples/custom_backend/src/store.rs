//! The file, which is closed and reopened after a disk error.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use queue_core::{Error, ErrorKind, Result};
use redb::{Database, DatabaseError};

use crate::error::Doing as _;
use crate::tables::Tables;

/// The number of times that a read is tried while writes fail.
const READ_ATTEMPTS: usize = 3;

type Open = dyn Fn() -> std::result::Result<Database, DatabaseError> + Send + Sync;

/// The database, and the function that opens it.
pub(crate) struct Store {
    open: Box<Open>,
    database: RwLock<Option<Database>>,
    /// After an I/O error, redb refuses every request until the file is reopened.
    needs_reopen: AtomicBool,
}

impl Store {
    /// Opens the file and creates missing tables, so that readers find them.
    pub(crate) fn open(
        open: impl Fn() -> std::result::Result<Database, DatabaseError> + Send + Sync + 'static,
    ) -> Result<Self> {
        let database = open().doing("open the file")?;
        let transaction = database.begin_write().doing("make the tables")?;
        drop(Tables::open(&transaction)?);
        transaction.commit().doing("make the tables")?;
        let database = RwLock::new(Some(database));
        Ok(Self { open: Box::new(open), database, needs_reopen: AtomicBool::new(false) })
    }

    /// Runs `work` on the database. After a disk error, the next call reopens the file first, so
    /// that it sees exactly the committed rows.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        if self.needs_reopen.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let closed = || Error::new(ErrorKind::Unavailable, "use the file", "it could not be reopened");
        let answer = work(database.as_ref().ok_or_else(closed)?);
        if let Err(error) = &answer
            && matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::UnknownOutcome)
        {
            self.needs_reopen.store(true, Ordering::Release);
        }
        answer
    }

    /// Runs `look` on the database. Tries again if the disk fails, because redb refuses reads too
    /// after a write has failed, although a full disk can be read.
    pub(crate) fn read<T>(&self, look: impl Fn(&Database) -> Result<T>) -> Result<T> {
        for _ in 1..READ_ATTEMPTS {
            match self.with(&look) {
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                answer => return answer,
            }
        }
        self.with(look)
    }

    fn reopen(&self) -> Result<()> {
        // This waits for running reads.
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if self.needs_reopen.load(Ordering::Acquire) {
            // Closed first, because an open file is locked.
            *database = None;
            *database = Some((self.open)().doing("reopen the file")?);
            self.needs_reopen.store(false, Ordering::Release);
        }
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
