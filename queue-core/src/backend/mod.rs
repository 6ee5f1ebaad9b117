//! The contract between the queue and a storage: the duties of a backend.
//!
//! The core is small: ten operations, each with one request. New features add fields to requests,
//! or [extensions](Extensions) that a backend may implement. Therefore they do not break existing
//! backends. [`MemoryBackend`](crate::MemoryBackend) is the readable reference. `queue-testkit`
//! tests each promise of a backend. The guide *Writing a backend* (`docs/writing-a-backend.md` in
//! the repository) goes from a skeleton (`examples/backend_skeleton`) to that proof, with
//! `examples/custom_backend` to copy from.
//!
//! This module has the parts that every backend needs:
//!
//! - [`WakeHub`] and [`WakeHints`] for wake-ups
//! - [`compare_batch`] for a repeated insert
//! - [`missing_migrations`] for a versioned schema
//! - [`WORKER_LOST_ERROR`] and [`DEADLINE_PASSED_ERROR`] for a rescue
//! - [`OwnProcess`] for threads and forks
//! - [`DroppedRequests`] for reads beside a writing thread
//! - [`Wrapper`] for a backend that wraps another backend
//!
//! # Time
//! Every request that depends on time carries `now`. `None` means the backend's own clock. That is
//! the clock of the database server, if there is one, because all machines share it. Tests pass
//! `Some` and never sleep. Replies contain *durations* until an event, so that no local clock is
//! compared with the backend's. A backend must accept a `now` that is earlier than the one before,
//! because clocks jump.
//!
//! # Transactions
//! Each method is one transaction unless it says otherwise. After `Ok`, all of its effects are
//! stored. After an error, none are, except after
//! [`UnknownOutcome`](crate::ErrorKind::UnknownOutcome). The backend must retry transient failures
//! of the storage itself (deadlock, serialisation, a lock held briefly).
//!
//! An empty request (no batches, no settlements, no kinds, a limit of zero) returns `Ok` with an
//! empty reply. One exception: a claim fails if its worker is lost or not registered, even if the
//! claim is empty.
//!
//! # Errors
//! A worker holds results that exist nowhere else. It drops a result only for an error that is
//! [final](crate::ErrorKind::is_final). A backend may return such an error only for a row or a
//! request that it will never accept. Examples are a value that it cannot store and an unknown
//! verdict. A missing right, a missing table, a refused password and a damaged file are outages. An
//! operator can repair them while the results wait.
//!
//! # Cancellation
//! A request whose future is dropped must take effect completely or not at all. Later requests on
//! the same handle must see that effect. For example, a dropped claim must take no effect after
//! [`leases`](Backend::leases) has returned. A backend that executes requests through one queue, in
//! their order, meets this without extra work. A backend that starts a task or a thread per request
//! must ensure it.
//!
//! # Closing
//! Dropping the last handle closes the storage. It can be reopened at once, with all acknowledged
//! writes. If a backend has its own threads, the drop or the next `open` must wait for them.
//!
//! # Forward compatibility
//! Enums and requests of this module grow. For an unknown [`Verdict`], a backend must return
//! [`Unsupported`](crate::ErrorKind::Unsupported) for that settlement alone, and change nothing.

mod audit;
mod cancel;
mod claim;
mod compare_batch;
mod dropped_requests;
mod extensions;
mod hint;
mod insert;
mod inspect;
mod maintain;
mod manage;
mod migration;
mod process;
mod ready_queues;
mod record_json;
mod rescue;
mod schedules;
mod settle;
mod sql_contract;
mod wake;
mod watch;
mod worker;
mod wrapper;

use std::fmt;

use async_trait::async_trait;

use crate::Result;

pub use audit::{Audit, KeyRow, LiveRow, OutcomeRow, Stored};
pub use cancel::{CancelReply, CancelRequest, IfRunning};
pub use claim::{ClaimReply, ClaimRequest, ClaimedJob, LeasesRequest};
pub use compare_batch::compare_batch;
pub use dropped_requests::DroppedRequests;
pub use extensions::Extensions;
#[cfg(feature = "schedules")]
pub(crate) use extensions::schedules;
pub(crate) use extensions::{inspect, manage, sql_contract};
pub use hint::{Hint, WakeHints};
pub use insert::{InsertReply, InsertRequest};
pub use inspect::{AttemptError, Inspect, JobRecord, ListRequest, NextReady};
pub use maintain::{MaintainReply, MaintainRequest, Prune};
pub use manage::{Manage, RetryReply, RetryRequest, retries_from};
pub use migration::{Migration, SchemaVersion, missing_migrations};
pub use process::OwnProcess;
pub use ready_queues::{ReadyQueuesReply, ReadyQueuesRequest};
pub use rescue::{DEADLINE_PASSED_ERROR, WORKER_LOST_ERROR};
pub use schedules::{
    ChangeSchedulesRequest, DueSchedulesReply, DueSchedulesRequest, ScheduleChange, ScheduleChanged,
    ScheduleStore, ScheduleVersion, ScheduleWrite, StoredSchedule,
};
pub use settle::{Completion, SettleRequest, Settled, Settlement, Verdict};
pub use sql_contract::{SqlContract, SqlDialect, SqlTarget};
pub use wake::{WakeHub, WakeReceiver, Wakes};
pub use watch::{JobEnd, Watch};
pub use worker::{Beat, HeartbeatReply, HeartbeatRequest, ProgressReport, RegisterRequest, RetireRequest};
pub use wrapper::Wrapper;

#[doc(hidden)]
pub use crate::error_chain::error_chain;
#[doc(hidden)]
pub use crate::poison::ignore_poison;

/// The properties of a backend that no [extension](Extensions) declares by its presence. The queue
/// uses only declared properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capabilities {
    /// Jobs outlive the process, so the conformance kit also closes and reopens the storage.
    pub durable: bool,
    /// Several processes may use the same storage at once.
    pub multi_process: bool,
    /// The schema is versioned and migrates (Q21).
    pub migrations: bool,
    /// An insert can make a claim in its transaction ([`InsertRequest::claim`]), so that an idle
    /// worker starts a job after one commit instead of two.
    pub insert_and_claim: bool,
    /// A job can hold a unique key ([`JobSpec::unique`](crate::JobSpec::unique), Q15).
    pub unique_keys: bool,
    /// A settlement that completes a job can insert its follow-ups ([`Completion::follow_ups`],
    /// Q6).
    pub follow_ups: bool,
}

impl Capabilities {
    /// Declares that jobs outlive the process.
    #[must_use]
    pub const fn with_durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Declares that several processes may use the same storage at once.
    #[must_use]
    pub const fn with_multi_process(mut self) -> Self {
        self.multi_process = true;
        self
    }

    /// Declares that an insert can make a claim in its transaction.
    #[must_use]
    pub const fn with_insert_and_claim(mut self) -> Self {
        self.insert_and_claim = true;
        self
    }

    /// Declares that jobs can hold unique keys.
    #[must_use]
    pub const fn with_unique_keys(mut self) -> Self {
        self.unique_keys = true;
        self
    }

    /// Declares that a settlement can insert follow-ups.
    #[must_use]
    pub const fn with_follow_ups(mut self) -> Self {
        self.follow_ups = true;
        self
    }

    /// Declares that the schema is versioned and migrates.
    #[must_use]
    pub const fn with_migrations(mut self) -> Self {
        self.migrations = true;
        self
    }
}

/// A storage for jobs.
///
/// An unfinished job has a *live* row. A finished job has an *outcome* row instead. Both also have
/// a row with the job itself, which never changes. [`Audit`] shows these rows to the conformance
/// kit.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// A short name for messages, e.g. `sqlite`.
    fn name(&self) -> &str;

    /// The optional properties of this backend.
    fn capabilities(&self) -> Capabilities;

    /// Stores several batches. Each batch succeeds or fails on its own; results are in request
    /// order.
    ///
    /// Concurrent calls should share a commit.
    ///
    /// # To be correct
    /// - A batch is atomic: all of its jobs are stored, or none.
    /// - A job becomes `ready` if its time is not after `now`, else `scheduled`. Its attempt is 0.
    /// - If *every* job of a batch is stored already with the same content
    ///   ([`JobSpec::is_same_as`](crate::JobSpec::is_same_as)), in any state, the result is
    ///   [`Known`](crate::Insertion::Known) and nothing changes.
    /// - If only a part of a batch is stored, or an id has other content, the result is a
    ///   [`Conflict`](crate::ErrorKind::Conflict) that names the id. Jobs with a unique key are no
    ///   such part: each of them is new, known or a duplicate on its own ([`compare_batch`]).
    /// - If another job holds the [unique key](crate::JobSpec::unique) of a new job, the new job is
    ///   not stored. Its result is [`Duplicate`](crate::Insertion::Duplicate) with the id of the
    ///   holder; the other jobs of the batch are stored. Of the jobs of a request with one key, the
    ///   first holds it. This must hold under concurrent inserts, so a check before the insert is
    ///   not enough.
    /// - A job holds its key from its insert until it is finished. The transaction that makes it
    ///   dead or cancelled releases the key. One that completes it does so too, or lets the key be
    ///   held for [`keep`](crate::UniqueKey::keep) longer, even if the job is pruned earlier. At
    ///   its end, when `now` is not earlier, the key is free.
    /// - `Ok` is returned only after the batch is as durable as the backend promises.
    /// - Subscribers are woken after the commit. They are never woken for a failed or known batch,
    ///   nor for jobs that the request's own claim took.
    /// - The request's claim is made as if [`claim`](Self::claim) had been called after the batches
    ///   were stored. Jobs that were stored earlier may therefore come first.
    /// - A request with a claim must not wait long for other transactions, because its worker
    ///   waits. Return [`declined`](InsertReply::declined) instead. The batches never fail because
    ///   of the claim.
    ///
    /// # Errors
    /// The outer error concerns the whole request, and means that no batch was stored. A
    /// [`Conflict`](crate::ErrorKind::Conflict) names its job by
    /// [`Error::with_jobs`](crate::Error::with_jobs). The queue itself adds the ids to an
    /// [`UnknownOutcome`](crate::ErrorKind::UnknownOutcome).
    async fn insert(&self, request: InsertRequest) -> Result<InsertReply>;

    /// Claims up to `limit` ready jobs of one queue: each gets a lease.
    ///
    /// # To be correct
    /// - Due jobs of the queue are promoted first, at least 1000 of them, in an earlier statement
    ///   of the transaction. While more are due, the reply's `next_due` is zero. If another
    ///   transaction has locked the due jobs, it may be a short pause instead, so that an idle
    ///   worker does not claim without a pause.
    /// - A job whose `run_at` is after `now` is never claimed, even if its state is `ready`,
    ///   because clocks can jump back.
    /// - The claimed jobs are the first of the queue by (priority descending, `run_at`, id) among
    ///   the requested kinds. They are returned in that order.
    /// - A claim does not wait for a job that another transaction has locked: it skips the job.
    /// - Jobs that another handle made ready may be skipped for a limited time, which the backend
    ///   documents, and which must be shorter than 30 s. Jobs that this handle made ready by a
    ///   successful request are always seen, unless another claim had locked them.
    /// - A job is never in two live leases, regardless of the number of concurrent claims.
    /// - Each job becomes `running` and is charged an attempt. It records the request's claim id,
    ///   the worker, and the deadline `now + timeout + grace`.
    /// - At most `last_attempts` of the jobs are on their last permitted attempt. The reply ends
    ///   before the job that would exceed this.
    /// - If the worker is lost or not registered, the claim fails with
    ///   [`WorkerLost`](crate::ErrorKind::WorkerLost) and takes nothing. This is checked under a
    ///   lock that excludes a concurrent rescue of the worker.
    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply>;

    /// Returns which of these queues have jobs for a worker, so that a worker of many queues need
    /// not claim from each of them.
    ///
    /// A backend that cannot find this cheaply returns all of them, as this default does. Then the
    /// worker claims from each.
    ///
    /// # To be correct
    /// - A queue that is not paused is returned if it has a ready job of one of the kinds.
    /// - It is also returned if it has a waiting job, of any kind, whose time is not after `now`.
    /// - The other queues may be returned too.
    /// - Nothing is changed.
    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        Ok(ReadyQueuesReply::new(request.queues, None))
    }

    /// Returns the live leases of a claim, in the order of a claim. A worker asks for them if the
    /// reply to the claim was lost.
    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>>;

    /// Settles leases. Each settlement has its own result; results are in request order.
    ///
    /// # To be correct
    /// - If the token is not the live one of its job, the settlement changes nothing. Its result is
    ///   [`LeaseLost`](Settled::LeaseLost), even if the same worker holds the job by a later claim.
    /// - Exception: if the token already ended the job with the same verdict, the result is
    ///   [`Done`](Settled::Done) again. A worker can therefore repeat a settle of unknown outcome.
    /// - [`Verdict`] defines the next state of the job. A result is stored in the transaction that
    ///   completes the job.
    /// - The [follow-ups](Completion::follow_ups) of a completed job are one batch, which is stored
    ///   as by [`insert`](Self::insert), after the job has released its unique key. If the batch is
    ///   refused, the settlement gets that error, and the job is not completed. If the settlement
    ///   is repeated, no job is stored again.
    /// - The error of a failed attempt is recorded with the number of the attempt, the time, how
    ///   long the handler [`ran_for`](Settlement::ran_for), and the worker of the lease, which may
    ///   be another than the worker of the request.
    /// - A settlement that will always fail gets a [final](crate::ErrorKind::is_final) error of its
    ///   own. The other settlements of the request are not affected.
    ///
    /// # Errors
    /// The outer error concerns the whole request, and means that nothing was settled. After an
    /// unknown outcome, all settlements may be repeated. A worker repeats the request until it
    /// succeeds or the error is final.
    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>>;

    /// Cancels jobs. Each job has its own reply; replies are in request order.
    ///
    /// # To be correct
    /// - A job that has not started becomes `cancelled` and never starts. Of a running job, only
    ///   the cancel flag changes. There is no state between.
    /// - The flag stays until the job is finished. If this lease ends and the job runs again, its
    ///   next worker is notified.
    /// - `NotFound` is returned only for a job that does not exist, after a fresh read.
    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>>;

    /// Registers a worker. Fails with [`Conflict`](crate::ErrorKind::Conflict) if the id was ever
    /// registered, even if that worker is now lost.
    ///
    /// Keep the id of a lost worker for at least one day after its expiry. The rest of its row may
    /// be deleted. The id of a retired worker may be deleted at once.
    async fn register(&self, request: RegisterRequest) -> Result<()>;

    /// Extends the expiry of a worker, and returns the cancels and counts that concern it.
    ///
    /// # To be correct
    /// - The expiry becomes `now + expiry`, but never an earlier time than before.
    /// - If the worker is lost or unknown, the heartbeat fails with
    ///   [`WorkerLost`](crate::ErrorKind::WorkerLost), which is final.
    /// - A worker that is not marked lost stays registered, regardless of how late the heartbeat
    ///   is.
    /// - Progress is stored only under a live token.
    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply>;

    /// Removes a worker that has no leases. A worker with leases stays until it expires, because
    /// its handlers may still run. Retiring a lost or unknown worker does nothing.
    async fn retire(&self, request: RetireRequest) -> Result<()>;

    /// Does a bounded amount of upkeep: promotes due jobs, rescues the jobs of dead workers and
    /// jobs past their deadline, and prunes old jobs.
    ///
    /// # To be correct
    /// - Due jobs of all queues are promoted, paused ones included, because while a due job waits
    ///   `next_due` is zero and workers ask again at once.
    /// - A rescue that names its worker takes nothing if that worker's own row is expired or
    ///   missing, as seen in the rescue's transaction. Such a worker must send a heartbeat first.
    /// - A worker is dead when its expiry is not after `now`. Its row is locked, and its expiry is
    ///   checked under that lock. A heartbeat that commits first therefore saves the worker.
    /// - The worker is marked lost, permanently, before its leases are moved, in the same
    ///   transaction.
    /// - A worker whose claim or heartbeat is in progress may be skipped until the next call.
    /// - A lease is past its deadline when the deadline is not after `now`.
    /// - Leases of a lost worker that exceed the limit stay unchanged. The next call rescues them.
    /// - A rescued job becomes `ready` again. Its `run_at` is unchanged and its attempt stays
    ///   charged. A job that has used all attempts becomes `dead`.
    /// - [`WORKER_LOST_ERROR`] or [`DEADLINE_PASSED_ERROR`] is recorded as the error of the
    ///   attempt, with the worker that had the lease and without a duration.
    /// - Pruning removes finished jobs only, with all of their rows. It also removes unique keys
    ///   whose time has passed.
    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply>;

    /// Returns a receiver of the wake-ups from now on.
    ///
    /// [`WakeHub`] keeps the receivers. [`WakeHints`] collects the announcements of a transaction.
    ///
    /// # To be correct
    /// - After the commit, every job that became ready is announced, except jobs that the claim of
    ///   their own insert took. So are follow-ups. The `run_at` of its [`Hint`] is not later than
    ///   that of the job.
    /// - An inserted job that waits for its time is announced with the time until it is due.
    /// - A running job is announced if its cancel was requested with
    ///   [`Signal`](IfRunning::Signal), and only then.
    /// - A job that ends is announced if it is [watched](Watch::watch), and only then.
    /// - [`Wakes::unknown`] may replace any number of announcements.
    fn subscribe(&self) -> WakeReceiver;

    /// Returns the extensions that this backend implements. A wrapper returns those of the wrapped
    /// backend, or wraps them too.
    fn extensions(&self) -> Extensions<'_>;
}
