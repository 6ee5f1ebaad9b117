//! The open tables of a transaction.

use std::borrow::Borrow;
use std::cell::Cell;
use std::ops::{Deref, RangeBounds};
use std::rc::Rc;

use queue_core::Result;
use queue_core::backend::WakeHints;
use redb::{
    Database, Key, ReadOnlyTable, ReadTransaction, ReadableDatabase as _, ReadableTable as _, Table,
    TableDefinition, Value, WriteTransaction,
};

use crate::error::Doing as _;
use crate::layout::{
    DEADLINES, DeadlineKey, ERRORS, ErrorKey, ErrorValue, FINISHED, FinishedKey, Id, JOBS, JobValue,
    LAST_COMMIT, LEASES, LIVE, LOST, LeaseKey, LiveValue, Nothing, OUTCOMES, OutcomeValue, PAUSED, READY,
    ReadyKey, WAITING, WORKERS, WaitingKey, WorkerValue,
};

/// One table that counts its changes.
pub(crate) struct Rows<'a, K: Key + 'static, V: Value + 'static> {
    table: Table<'a, K, V>,
    changes: Rc<Cell<u64>>,
}

impl<K: Key + 'static, V: Value + 'static> Rows<'_, K, V> {
    pub(crate) fn put<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<()> {
        self.changes.set(self.changes.get() + 1);
        self.table.insert(key, value).doing("write a row").map(drop)
    }

    pub(crate) fn remove<'k>(&mut self, key: impl Borrow<K::SelfType<'k>>) -> Result<()> {
        self.changes.set(self.changes.get() + 1);
        self.table.remove(key).doing("remove a row").map(drop)
    }

    /// Returns `part` of each key in the range, in order. Rows are read only when the iterator
    /// advances.
    pub(crate) fn keys<'t, 'k, R, T>(
        &'t self,
        range: impl RangeBounds<R> + 'k,
        part: impl Fn(K::SelfType<'_>) -> T + 't,
    ) -> Result<impl Iterator<Item = Result<T>> + 't>
    where
        R: Borrow<K::SelfType<'k>> + 'k,
        T: 't,
    {
        let rows = self.table.range(range).doing("walk over an index")?;
        Ok(rows.map(move |row| row.doing("walk over an index").map(|(key, _)| part(key.value()))))
    }
}

/// For reads only. There is no `DerefMut`, so that every write is counted.
impl<'a, K: Key + 'static, V: Value + 'static> Deref for Rows<'a, K, V> {
    type Target = Table<'a, K, V>;

    fn deref(&self) -> &Self::Target {
        &self.table
    }
}

/// All tables in the write transaction.
pub(crate) struct Tables<'a> {
    pub(crate) jobs: Rows<'a, Id, JobValue>,
    pub(crate) live: Rows<'a, Id, LiveValue>,
    pub(crate) ready: Rows<'a, ReadyKey, Nothing>,
    pub(crate) waiting: Rows<'a, WaitingKey, Nothing>,
    pub(crate) leases: Rows<'a, LeaseKey, Nothing>,
    pub(crate) deadlines: Rows<'a, DeadlineKey, Nothing>,
    pub(crate) outcomes: Rows<'a, Id, OutcomeValue>,
    pub(crate) finished: Rows<'a, FinishedKey, Nothing>,
    pub(crate) errors: Rows<'a, ErrorKey, ErrorValue>,
    pub(crate) workers: Rows<'a, Id, WorkerValue>,
    pub(crate) lost: Rows<'a, Id, Nothing>,
    pub(crate) paused: Rows<'a, &'static str, Nothing>,
    last_commit: Table<'a, Nothing, u64>,
    /// The wake-ups of the request, which are announced after its commit.
    pub(crate) hints: WakeHints,
    changes: Rc<Cell<u64>>,
}

impl<'a> Tables<'a> {
    /// Opens all tables, and creates the missing ones.
    pub(crate) fn open(transaction: &'a WriteTransaction) -> Result<Self> {
        let changes = Rc::new(Cell::new(0));
        Ok(Self {
            jobs: rows(transaction, JOBS, &changes)?,
            live: rows(transaction, LIVE, &changes)?,
            ready: rows(transaction, READY, &changes)?,
            waiting: rows(transaction, WAITING, &changes)?,
            leases: rows(transaction, LEASES, &changes)?,
            deadlines: rows(transaction, DEADLINES, &changes)?,
            outcomes: rows(transaction, OUTCOMES, &changes)?,
            finished: rows(transaction, FINISHED, &changes)?,
            errors: rows(transaction, ERRORS, &changes)?,
            workers: rows(transaction, WORKERS, &changes)?,
            lost: rows(transaction, LOST, &changes)?,
            paused: rows(transaction, PAUSED, &changes)?,
            last_commit: transaction.open_table(LAST_COMMIT).doing("open a table")?,
            hints: WakeHints::new(),
            changes,
        })
    }

    /// Returns the number of changes so far. A transaction without changes needs no commit.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// Numbers the commit, and returns its number.
    pub(crate) fn number_commit(&mut self) -> Result<u64> {
        let last = self.last_commit.get(()).doing("read the last commit")?.map_or(0, |row| row.value());
        self.last_commit.insert((), last + 1).doing("number the commit")?;
        Ok(last + 1)
    }

    /// Runs a part of a request that may fail on its own. If it fails before its first change, the
    /// error is the result of the part. If it fails later, the request fails, and the transaction
    /// with it.
    pub(crate) fn try_part<T>(&mut self, part: impl FnOnce(&mut Self) -> Result<T>) -> Result<Result<T>> {
        let before = self.changes();
        match part(self) {
            Err(error) if self.changes() != before => Err(error),
            answer => Ok(answer),
        }
    }
}

fn rows<'a, K: Key + 'static, V: Value + 'static>(
    transaction: &'a WriteTransaction,
    definition: TableDefinition<'_, K, V>,
    changes: &Rc<Cell<u64>>,
) -> Result<Rows<'a, K, V>> {
    let table = transaction.open_table(definition).doing("open a table")?;
    Ok(Rows { table, changes: Rc::clone(changes) })
}

/// A snapshot of the last commit. Later writes do not change it.
pub(crate) struct Snapshot {
    pub(crate) jobs: ReadOnlyTable<Id, JobValue>,
    pub(crate) live: ReadOnlyTable<Id, LiveValue>,
    pub(crate) outcomes: ReadOnlyTable<Id, OutcomeValue>,
    pub(crate) errors: ReadOnlyTable<ErrorKey, ErrorValue>,
    pub(crate) workers: ReadOnlyTable<Id, WorkerValue>,
    pub(crate) ready: ReadOnlyTable<ReadyKey, Nothing>,
    pub(crate) paused: ReadOnlyTable<&'static str, Nothing>,
}

impl Snapshot {
    pub(crate) fn take(database: &Database) -> Result<Self> {
        let transaction = database.begin_read().doing("begin to read")?;
        Ok(Self {
            jobs: read_only(&transaction, JOBS)?,
            live: read_only(&transaction, LIVE)?,
            outcomes: read_only(&transaction, OUTCOMES)?,
            errors: read_only(&transaction, ERRORS)?,
            workers: read_only(&transaction, WORKERS)?,
            ready: read_only(&transaction, READY)?,
            paused: read_only(&transaction, PAUSED)?,
        })
    }
}

/// Returns the number of the last commit.
pub(crate) fn last_commit(database: &Database) -> Result<u64> {
    let transaction = database.begin_read().doing("begin to read")?;
    let last = read_only(&transaction, LAST_COMMIT)?.get(()).doing("read the last commit")?;
    Ok(last.map_or(0, |row| row.value()))
}

fn read_only<K: Key + 'static, V: Value + 'static>(
    transaction: &ReadTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<ReadOnlyTable<K, V>> {
    transaction.open_table(definition).doing("open a table")
}
