//! The file, which is closed and opened again after an error of the disk.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use queue_core::{Error, ErrorKind, Result};
use redb::{Database, DatabaseError};

use crate::error::Doing as _;
use crate::tables::Tables;

type Open = dyn Fn() -> std::result::Result<Database, DatabaseError> + Send + Sync;

/// The database and how to open it.
pub(crate) struct Store {
    open: Box<Open>,
    database: RwLock<Option<Database>>,
    /// After an I/O error redb refuses everything until the file is opened anew.
    is_in_doubt: AtomicBool,
}

impl Store {
    /// Opens it and makes the tables that are missing, so that readers find them.
    pub(crate) fn open(
        open: impl Fn() -> std::result::Result<Database, DatabaseError> + Send + Sync + 'static,
    ) -> Result<Self> {
        let database = open().doing("open the file")?;
        let transaction = database.begin_write().doing("make the tables")?;
        drop(Tables::open(&transaction)?);
        transaction.commit().doing("make the tables")?;
        let database = RwLock::new(Some(database));
        Ok(Self { open: Box::new(open), database, is_in_doubt: AtomicBool::new(false) })
    }

    /// Works on the database. An error of the disk is told as it is; the next call begins with a file
    /// that was opened anew, and so finds what was committed and nothing else.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        if self.is_in_doubt.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let closed = || Error::new(ErrorKind::Unavailable, "use the file", "it could not be opened again");
        let answer = work(database.as_ref().ok_or_else(closed)?);
        if let Err(error) = &answer
            && matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::UnknownOutcome)
        {
            self.is_in_doubt.store(true, Ordering::Release);
        }
        answer
    }

    fn reopen(&self) -> Result<()> {
        // Waits for those who read.
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if self.is_in_doubt.load(Ordering::Acquire) {
            // Closed first: a file that is open is locked.
            *database = None;
            *database = Some((self.open)().doing("open the file again")?);
            self.is_in_doubt.store(false, Ordering::Release);
        }
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
