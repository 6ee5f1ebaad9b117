//! The row of a worker.

use std::time::Duration;

use queue_core::{Result, Timestamp, WorkerId};
use redb::ReadableTable;

use super::{AsId as _, duration, length, time};
use crate::error::Doing as _;
use crate::layout::{Id, WorkerValue};
use crate::tables::Tables;

/// A registered worker, or a lost worker that still has leases.
#[derive(Debug)]
pub(crate) struct WorkerRow {
    pub(crate) name: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) expiry: Duration,
    /// A rescue marked the worker lost, permanently.
    pub(crate) is_lost: bool,
}

impl WorkerRow {
    /// Reads a row.
    pub(crate) fn read<'v>(value: <WorkerValue as redb::Value>::SelfType<'v>) -> Result<Self> {
        let (name, expires_at, expiry, is_lost) = value;
        Ok(Self { name: name.to_owned(), expires_at: time(expires_at)?, expiry: duration(expiry), is_lost })
    }
}

/// Reads the row of a worker.
pub(crate) fn worker(rows: &impl ReadableTable<Id, WorkerValue>, id: WorkerId) -> Result<Option<WorkerRow>> {
    let row = rows.get(id.as_id()).doing("read a worker")?;
    row.map(|row| WorkerRow::read(row.value())).transpose()
}

impl Tables<'_> {
    pub(crate) fn put_worker(&mut self, id: WorkerId, new: &WorkerRow) -> Result<()> {
        let value = (new.name.as_str(), new.expires_at.as_micros(), length(new.expiry), new.is_lost);
        self.workers.put(id.as_id(), value)
    }
}
