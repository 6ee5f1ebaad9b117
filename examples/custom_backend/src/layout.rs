//! The tables of the file: their keys, their values and their order.
//!
//! A table is a sorted map. A tuple key sorts by its parts from left to right. Therefore the order
//! of the parts decides the order in which a table can be read.

use redb::TableDefinition;

/// The bytes of a job id, a worker id or a claim id as a number, which sorts like the id.
pub(crate) type Id = u128;
/// A point in time, in microseconds.
pub(crate) type Micros = i64;
/// Seconds and nanoseconds, so that no duration is rounded.
pub(crate) type Length = (u64, u32);
/// The name of a state, which is the same in every backend.
pub(crate) type Word = &'static str;
/// The value of an index, which has only keys.
pub(crate) type Nothing = ();

/// Kind, queue, payload, time of the insert, first `run_at`, retries, priority, timeout, backoff
/// (base, cap, jitter), attributes.
pub(crate) type JobValue = (
    &'static str,
    &'static str,
    &'static str,
    Micros,
    Micros,
    u16,
    i16,
    Length,
    Option<(Length, Length, u8)>,
    Option<&'static str>,
);
/// Queue, kind, priority, state, `run_at`, attempt, retries, whether a cancel was requested, lease.
pub(crate) type LiveValue =
    (&'static str, &'static str, i16, Word, Micros, u32, u16, bool, Option<LeaseValue>);
/// Claim, worker, deadline, progress.
pub(crate) type LeaseValue = (Id, Id, Micros, Option<(u64, u64)>);
/// State, end time, attempt, retries, the claim that ended the job, result, error.
pub(crate) type OutcomeValue =
    (Word, Micros, u32, u16, Option<Id>, Option<&'static [u8]>, Option<&'static str>);
/// End time, error, duration and worker of the attempt.
pub(crate) type ErrorValue = (Micros, &'static str, Option<Length>, Option<Id>);
/// Name, expiry time, expiry after a heartbeat, whether the worker is lost.
pub(crate) type WorkerValue = (&'static str, Micros, Length, bool);

/// Queue, kind, inverted priority, `run_at`, job: a claim reads the jobs of a kind in this order.
pub(crate) type ReadyKey = (&'static str, &'static str, i16, Micros, Id);
/// Queue, `run_at`, job: due jobs come first.
pub(crate) type WaitingKey = (&'static str, Micros, Id);
/// Worker, claim, job: the leases of a worker are adjacent, and so are those of a claim.
pub(crate) type LeaseKey = (Id, Id, Id);
/// Deadline, job: leases past their deadline come first.
pub(crate) type DeadlineKey = (Micros, Id);
/// State, end time, job: the oldest jobs of a state come first.
pub(crate) type FinishedKey = (Word, Micros, Id);
/// Job, attempt.
pub(crate) type ErrorKey = (Id, u32);

/// Every job. Its row never changes.
pub(crate) const JOBS: TableDefinition<'_, Id, JobValue> = TableDefinition::new("jobs");
/// Every unfinished job.
pub(crate) const LIVE: TableDefinition<'_, Id, LiveValue> = TableDefinition::new("live");
/// Index of the ready jobs.
pub(crate) const READY: TableDefinition<'_, ReadyKey, Nothing> = TableDefinition::new("ready");
/// Index of the scheduled and retrying jobs.
pub(crate) const WAITING: TableDefinition<'_, WaitingKey, Nothing> = TableDefinition::new("waiting");
/// Index of the running jobs by the worker that holds them.
pub(crate) const LEASES: TableDefinition<'_, LeaseKey, Nothing> = TableDefinition::new("leases");
/// Index of the running jobs by deadline.
pub(crate) const DEADLINES: TableDefinition<'_, DeadlineKey, Nothing> = TableDefinition::new("deadlines");
/// Every finished job.
pub(crate) const OUTCOMES: TableDefinition<'_, Id, OutcomeValue> = TableDefinition::new("outcomes");
/// Index of the outcomes by end time.
pub(crate) const FINISHED: TableDefinition<'_, FinishedKey, Nothing> = TableDefinition::new("finished");
/// The error of each failed attempt.
pub(crate) const ERRORS: TableDefinition<'_, ErrorKey, ErrorValue> = TableDefinition::new("errors");
/// The registered workers, and lost workers that still have leases. There is one row per worker.
pub(crate) const WORKERS: TableDefinition<'_, Id, WorkerValue> = TableDefinition::new("workers");
/// The lost workers without leases. They are kept so that their ids are not registered again.
pub(crate) const LOST: TableDefinition<'_, Id, Nothing> = TableDefinition::new("lost");
/// The queues that are paused.
pub(crate) const PAUSED: TableDefinition<'_, &str, Nothing> = TableDefinition::new("paused");
/// The number of the last commit, so that a commit that failed can be looked for.
pub(crate) const LAST_COMMIT: TableDefinition<'_, Nothing, u64> = TableDefinition::new("last_commit");
