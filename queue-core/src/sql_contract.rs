//! Enqueueing in a transaction of the application: the part that all adapters of drivers share.

mod failure;
mod text;

use std::fmt;

use crate::backend::{self, SqlDialect, SqlTarget, WakeHints};
use crate::{
    Enqueue, Error, ErrorKind, Insertion, IntoJob, JobHandle, JobId, JobQueue, JobSpec, NewJob, Result,
    Submitted, Timestamp,
};

pub use failure::SqlFailure;

const OPERATION: &str = "enqueue in a transaction";

/// A request that an adapter of a driver can send in a transaction: an [`Enqueue`].
pub trait SqlRequest: sealed::Sealed + Send + Sized {
    /// The handle of the job, or the handles of a batch.
    type Handles: Send;

    /// Checks the request, and writes the text of the statement.
    ///
    /// # Errors
    /// - [`Invalid`](ErrorKind::Invalid): the request is refused, or the jobs of the queue are not
    ///   in a database of this dialect.
    /// - [`Unsupported`](ErrorKind::Unsupported): the backend has no SQL contract.
    fn into_sql(self, dialect: SqlDialect, wake: SqlWake) -> Result<SqlStatement<Self::Handles>>;
}

mod sealed {
    pub trait Sealed {}
    impl<J> Sealed for crate::Enqueue<J> {}
}

impl<J: IntoJob + 'static> SqlRequest for Enqueue<J> {
    type Handles = JobHandle<J::Output>;

    fn into_sql(self, dialect: SqlDialect, wake: SqlWake) -> Result<SqlStatement<Self::Handles>> {
        let (jobs, batch) = self.into_parts()?;
        SqlStatement::new(jobs, batch, dialect, wake, |jobs, mut submitted| match submitted.pop() {
            Some(one) => Ok(JobHandle::new(jobs.clone(), one)),
            None => Err(wrong_answer("it returned no row")),
        })
    }
}

impl<J: IntoJob + 'static> SqlRequest for Enqueue<Vec<J>> {
    type Handles = Vec<JobHandle<J::Output>>;

    fn into_sql(self, dialect: SqlDialect, wake: SqlWake) -> Result<SqlStatement<Self::Handles>> {
        let (jobs, batch) = self.into_parts()?;
        SqlStatement::new(jobs, batch, dialect, wake, |jobs, submitted| {
            Ok(submitted.into_iter().map(|one| JobHandle::new(jobs.clone(), one)).collect())
        })
    }
}

/// When workers are woken for jobs that a transaction of the application enqueues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlWake {
    /// At the commit. On PostgreSQL the transaction then has a NOTIFY, and such commits happen one
    /// after the other in the whole database.
    AtCommit,
    /// By [`Deferred::wake`] after the commit, or else when a worker looks by itself.
    Deferred,
}

/// A batch as an adapter of a driver sends it: a statement and its text.
///
/// An adapter executes [`statement`](Self::statement) with the [`text`](Self::text) as its only
/// parameter, reads the rows (on SQLite by [`read_statement`](Self::read_statement)), and returns
/// what [`finish`](Self::finish) makes of them. It opens, commits and rolls back nothing.
#[must_use]
pub struct SqlStatement<H> {
    jobs: JobQueue,
    target: SqlTarget,
    text: String,
    specs: Vec<JobSpec>,
    handles: fn(&JobQueue, Vec<Submitted>) -> Result<H>,
}

impl<H> SqlStatement<H> {
    fn new(
        jobs: JobQueue,
        batch: Vec<NewJob>,
        dialect: SqlDialect,
        wake: SqlWake,
        handles: fn(&JobQueue, Vec<Submitted>) -> Result<H>,
    ) -> Result<Self> {
        let target = backend::sql_contract(&**jobs.backend())?.target();
        if target.dialect != dialect {
            let (tx, queue) = (dialect.name(), target.dialect.name());
            let message = format!("the transaction is of {tx}, but the jobs of this queue are in {queue}");
            return Err(Error::invalid(OPERATION, message));
        }
        let specs = jobs.prepare(batch)?.into_jobs();
        let text = text::write(&specs, target.storage.as_deref(), wake);
        Ok(Self { jobs, target, text, specs, handles })
    }

    /// Returns the statement that enqueues. On PostgreSQL it returns `id` (16 bytes, as `uuid`) and
    /// `insertion` (text) of each job.
    #[must_use]
    pub fn statement(&self) -> &str {
        &self.target.enqueue
    }

    /// Returns the statement that returns `id` (16 bytes) and `insertion` on SQLite.
    #[must_use]
    pub fn read_statement(&self) -> &str {
        &self.target.read
    }

    /// Returns the parameter of the statement.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the handles for the rows of the answer.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if the rows are not those of the batch.
    pub fn finish(self, rows: Vec<([u8; 16], String)>) -> Result<H> {
        (self.handles)(&self.jobs, self.submitted(rows)?)
    }

    /// As [`finish`](Self::finish), for [`SqlWake::Deferred`].
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_deferred(self, rows: Vec<([u8; 16], String)>) -> Result<Deferred<H>> {
        let submitted = self.submitted(rows)?;
        let is_new = |(_, answer): &(&JobSpec, &Submitted)| answer.is_new();
        let new = self.specs.iter().zip(&submitted).filter(is_new).map(|(spec, _)| spec);
        let hints = WakeHints::of_inserted(new, Timestamp::now());
        let handles = (self.handles)(&self.jobs, submitted)?;
        Ok(Deferred { jobs: self.jobs, hints, handles })
    }

    /// Returns the error for a statement that failed.
    #[must_use]
    pub fn failed(&self, failure: SqlFailure<'_>) -> Error {
        failure.into_error(&self.target)
    }

    fn submitted(&self, rows: Vec<([u8; 16], String)>) -> Result<Vec<Submitted>> {
        if rows.len() != self.specs.len() {
            return Err(wrong_answer(&format!("{} rows for {} jobs", rows.len(), self.specs.len())));
        }
        let read = |(id, insertion): ([u8; 16], String)| {
            let insertion = match insertion.as_str() {
                "new" => Insertion::New,
                "known" => Insertion::Known,
                "duplicate" => Insertion::Duplicate,
                other => return Err(wrong_answer(&format!("the unknown insertion `{other}`"))),
            };
            Ok(Submitted::new(JobId::from_bytes(id), insertion))
        };
        rows.into_iter().map(read).collect()
    }
}

fn wrong_answer(fault: &str) -> Error {
    Error::new(ErrorKind::Corrupt, OPERATION, format!("the database answered with {fault}"))
}

impl<H> fmt::Debug for SqlStatement<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStatement").field("target", &self.target).field("jobs", &self.specs.len()).finish()
    }
}

/// Jobs of a transaction that notifies no worker. Call [`wake`](Self::wake) after the commit. If it
/// is dropped instead, workers find the jobs within their poll interval (default: 5 s).
#[must_use = "workers are woken by `wake`, after the commit"]
pub struct Deferred<H> {
    jobs: JobQueue,
    hints: WakeHints,
    handles: H,
}

impl<H> Deferred<H> {
    /// Wakes workers of all processes, and returns the handles. Call it after the commit: workers
    /// that are woken earlier find nothing.
    pub fn wake(self) -> H {
        if let Ok(sql) = backend::sql_contract(&**self.jobs.backend()) {
            sql.wake(&self.hints);
        }
        self.handles
    }

    /// Returns the handles without waking a worker.
    pub const fn handles(&self) -> &H {
        &self.handles
    }
}

impl<H: fmt::Debug> fmt::Debug for Deferred<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").field("handles", &self.handles).finish_non_exhaustive()
    }
}
