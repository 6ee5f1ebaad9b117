//! The tables of the file: what stands in each, and in which order.
//!
//! A table is a sorted map, and a key that is a tuple sorts by its parts from left to right. So the
//! order in which a table can be walked is decided here, by the order of the parts of its key.

use redb::TableDefinition;

/// The bytes of a job id, a worker id or a claim id as a number: they sort alike.
pub(crate) type Id = u128;
/// A point in time, in microseconds.
pub(crate) type Micros = i64;
/// Seconds and nanoseconds: no duration is rounded.
pub(crate) type Length = (u64, u32);
/// A state by its word, the same in every database.
pub(crate) type Word = &'static str;
/// The table is an index: all that it says is in the key.
pub(crate) type Nothing = ();

/// Kind, queue, payload, when it was submitted, when it was first to run, retries, priority, timeout, base, cap
/// and jitter of its backoff, and attributes.
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
/// Queue, kind, priority, state, time, attempt, retries, whether a cancel is wanted, lease.
pub(crate) type LiveValue =
    (&'static str, &'static str, i16, Word, Micros, u32, u16, bool, Option<LeaseValue>);
/// Claim, worker, deadline, progress.
pub(crate) type LeaseValue = (Id, Id, Micros, Option<(u64, u64)>);
/// State, when it ended, attempt, retries, the claim that ended it, result, error.
pub(crate) type OutcomeValue =
    (Word, Micros, u32, u16, Option<Id>, Option<&'static [u8]>, Option<&'static str>);
/// When the attempt ended, and why.
pub(crate) type ErrorValue = (Micros, &'static str);
/// Name, when it expires, how long after a heartbeat that is, whether it was given up.
pub(crate) type WorkerValue = (&'static str, Micros, Length, bool);

/// Queue, kind, priority upside down, time, job: a claim reads the jobs of a kind in this order.
pub(crate) type ReadyKey = (&'static str, &'static str, i16, Micros, Id);
/// Queue, time, job: what is due stands first.
pub(crate) type WaitingKey = (&'static str, Micros, Id);
/// Worker, claim, job: a worker's leases stand together, and so do those of a claim.
pub(crate) type LeaseKey = (Id, Id, Id);
/// Time, job: what is past its deadline stands first.
pub(crate) type DeadlineKey = (Micros, Id);
/// State, when it ended, job: the oldest of a state stands first.
pub(crate) type FinishedKey = (Word, Micros, Id);
/// Job, attempt.
pub(crate) type ErrorKey = (Id, u32);

/// Every job, written once.
pub(crate) const JOBS: TableDefinition<'_, Id, JobValue> = TableDefinition::new("jobs");
/// Every unfinished job.
pub(crate) const LIVE: TableDefinition<'_, Id, LiveValue> = TableDefinition::new("live");
/// Index of the live rows that can be claimed.
pub(crate) const READY: TableDefinition<'_, ReadyKey, Nothing> = TableDefinition::new("ready");
/// Index of the live rows that are scheduled or retrying.
pub(crate) const WAITING: TableDefinition<'_, WaitingKey, Nothing> = TableDefinition::new("waiting");
/// Index of the live rows that run, by who holds them.
pub(crate) const LEASES: TableDefinition<'_, LeaseKey, Nothing> = TableDefinition::new("leases");
/// Index of the live rows that run, by their deadline.
pub(crate) const DEADLINES: TableDefinition<'_, DeadlineKey, Nothing> = TableDefinition::new("deadlines");
/// Every finished job.
pub(crate) const OUTCOMES: TableDefinition<'_, Id, OutcomeValue> = TableDefinition::new("outcomes");
/// Index of the outcomes, by their age.
pub(crate) const FINISHED: TableDefinition<'_, FinishedKey, Nothing> = TableDefinition::new("finished");
/// What went wrong in each attempt that failed.
pub(crate) const ERRORS: TableDefinition<'_, ErrorKey, ErrorValue> = TableDefinition::new("errors");
/// The workers that are registered, and those given up that still have leases: a row a process.
pub(crate) const WORKERS: TableDefinition<'_, Id, WorkerValue> = TableDefinition::new("workers");
/// The workers that were given up and have no leases any more: their ids are not to be used again.
pub(crate) const LOST: TableDefinition<'_, Id, Nothing> = TableDefinition::new("lost");
/// The queues that are paused.
pub(crate) const PAUSED: TableDefinition<'_, &str, Nothing> = TableDefinition::new("paused");
