//! Requests in a transaction of the application: the part that all adapters of drivers share.

mod failure;
mod text;

use std::fmt;

use crate::backend::{self, SqlDialect, SqlTarget, WakeHints};
use crate::{
    Enqueue, Error, ErrorKind, Insertion, IntoJob, JobHandle, JobId, JobQueue, JobSpec, NewJob, Result,
    Submitted, Timestamp, Token,
};

pub use failure::SqlFailure;

const ENQUEUE: &str = "enqueue in a transaction";
const COMPLETE: &str = "complete a job in a transaction";

/// A request that an adapter of a driver can send in a transaction: an [`Enqueue`], or a
/// [`Complete`](crate::Complete).
pub trait SqlRequest: sealed::Sealed + Send + Sized {
    /// The handle of the job, the handles of a batch, or nothing for a completed job.
    type Handles: Send;

    /// Checks the request, and writes the text of the statement.
    ///
    /// # Errors
    /// - [`Invalid`](ErrorKind::Invalid): the request is refused, or the jobs of the queue are not
    ///   in a database of this dialect.
    /// - [`Unsupported`](ErrorKind::Unsupported): the backend has no SQL contract.
    fn into_sql(self, dialect: SqlDialect, wake: SqlWake) -> Result<SqlStatement<Self::Handles>>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
    impl<J> Sealed for crate::Enqueue<J> {}
}

impl<J: IntoJob + 'static> SqlRequest for Enqueue<J> {
    type Handles = JobHandle<J::Output>;

    fn into_sql(self, dialect: SqlDialect, wake: SqlWake) -> Result<SqlStatement<Self::Handles>> {
        let (jobs, batch) = self.into_parts()?;
        SqlStatement::enqueueing(jobs, batch, dialect, wake, |jobs, mut submitted| match submitted.pop() {
            Some(one) => Ok(JobHandle::new(jobs.clone(), one)),
            None => Err(wrong_answer(ENQUEUE, "no row")),
        })
    }
}

impl<J: IntoJob + 'static> SqlRequest for Enqueue<Vec<J>> {
    type Handles = Vec<JobHandle<J::Output>>;

    fn into_sql(self, dialect: SqlDialect, wake: SqlWake) -> Result<SqlStatement<Self::Handles>> {
        let (jobs, batch) = self.into_parts()?;
        SqlStatement::enqueueing(jobs, batch, dialect, wake, |jobs, submitted| {
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

/// A request as an adapter of a driver sends it: a statement and its text.
///
/// An adapter executes [`statement`](Self::statement) with the [`text`](Self::text) as its only
/// parameter, reads the rows (on SQLite by [`read_statement`](Self::read_statement)), and returns
/// what [`finish`](Self::finish) makes of them. It opens, commits and rolls back nothing.
#[must_use]
pub struct SqlStatement<H> {
    operation: &'static str,
    /// The job that it completes, if it is not one that enqueues.
    completed: Option<JobId>,
    jobs: JobQueue,
    target: SqlTarget,
    text: String,
    specs: Vec<JobSpec>,
    handles: fn(&JobQueue, Vec<Submitted>) -> Result<H>,
}

/// The end of a job that a statement completes.
pub(crate) struct SqlCompletion {
    pub(crate) token: Token,
    /// The result as JSON.
    pub(crate) result: Option<String>,
}

impl<H> SqlStatement<H> {
    fn enqueueing(
        jobs: JobQueue,
        batch: Vec<NewJob>,
        dialect: SqlDialect,
        wake: SqlWake,
        handles: fn(&JobQueue, Vec<Submitted>) -> Result<H>,
    ) -> Result<Self> {
        let target = target(&jobs, dialect, ENQUEUE)?;
        let specs = jobs.prepare(batch)?.into_jobs();
        let text = text::write(&specs, None, target.storage.as_deref(), wake);
        Ok(Self { operation: ENQUEUE, completed: None, jobs, target, text, specs, handles })
    }

    /// Returns the statement that enqueues or completes. On PostgreSQL it returns `id` (16 bytes,
    /// as `uuid`) and `insertion` (text) of each job that it enqueues.
    #[must_use]
    pub fn statement(&self) -> &str {
        if self.completed.is_some() { &self.target.complete } else { &self.target.enqueue }
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
        let mut hints = WakeHints::of_inserted(new, Timestamp::now());
        self.completed.iter().for_each(|job| hints.add_finished(*job));
        let handles = (self.handles)(&self.jobs, submitted)?;
        Ok(Deferred { jobs: self.jobs, hints, handles })
    }

    /// Returns the error for a connection without an open transaction, which the adapter must
    /// refuse, because the statement would take effect at once.
    #[must_use]
    pub fn without_transaction(&self) -> Error {
        Error::invalid(self.operation, "the connection has no open transaction")
    }

    /// Returns the error for a statement that failed.
    #[must_use]
    pub fn failed(&self, failure: SqlFailure<'_>) -> Error {
        failure.into_error(self.operation, &self.target)
    }

    fn submitted(&self, rows: Vec<([u8; 16], String)>) -> Result<Vec<Submitted>> {
        if rows.len() != self.specs.len() {
            let fault = format!("{} rows for {} jobs", rows.len(), self.specs.len());
            return Err(wrong_answer(self.operation, &fault));
        }
        let read = |(id, insertion): ([u8; 16], String)| {
            let insertion = match insertion.as_str() {
                "new" => Insertion::New,
                "known" => Insertion::Known,
                "duplicate" => Insertion::Duplicate,
                other => {
                    let fault = format!("the unknown insertion `{other}`");
                    return Err(wrong_answer(self.operation, &fault));
                }
            };
            Ok(Submitted::new(JobId::from_bytes(id), insertion))
        };
        rows.into_iter().map(read).collect()
    }
}

impl SqlStatement<()> {
    /// Completes a job and inserts its follow-ups.
    pub(crate) fn completing(
        jobs: JobQueue,
        completion: &SqlCompletion,
        follow_ups: Vec<JobSpec>,
        dialect: SqlDialect,
        wake: SqlWake,
    ) -> Result<Self> {
        let target = target(&jobs, dialect, COMPLETE)?;
        let text = text::write(&follow_ups, Some(completion), target.storage.as_deref(), wake);
        Ok(Self {
            operation: COMPLETE,
            completed: Some(completion.token.job),
            jobs,
            target,
            text,
            specs: follow_ups,
            handles: |_, _| Ok(()),
        })
    }
}

/// The statements of the queue, whose database must have this dialect.
fn target(jobs: &JobQueue, dialect: SqlDialect, operation: &'static str) -> Result<SqlTarget> {
    let target = backend::sql_contract(&**jobs.backend(), operation)?.target();
    if target.dialect == dialect {
        return Ok(target);
    }
    let (tx, queue) = (dialect.name(), target.dialect.name());
    let message = format!("the transaction is of {tx}, but the jobs of this queue are in {queue}");
    Err(Error::invalid(operation, message))
}

fn wrong_answer(operation: &'static str, fault: &str) -> Error {
    Error::new(ErrorKind::Corrupt, operation, format!("the database answered with {fault}"))
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
        if let Ok(sql) = backend::sql_contract(&**self.jobs.backend(), ENQUEUE) {
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
