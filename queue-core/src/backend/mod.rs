//! The contract between the queue and a storage: what a backend must do, and nothing more.
//!
//! The core is small: ten operations, each with one request. New features add fields to requests,
//! or [extensions](Extensions) that a backend may offer. Therefore they do not break existing
//! backends. [`MemoryBackend`](crate::MemoryBackend) is the readable reference; `queue-testkit`
//! proves a backend right, promise by promise. The guide *Writing a backend*
//! (`docs/writing-a-backend.md` in the repository) goes from an empty file to that proof, with
//! `examples/custom_backend` to copy from.
//!
//! What every backend needs is here once: [`WakeHub`] and [`WakeHints`] for wake-ups,
//! [`compare_batch`] for a repeated insert, [`missing_migrations`] for a versioned schema,
//! [`WORKER_LOST_ERROR`] and [`DEADLINE_PASSED_ERROR`] for a rescue, [`OwnProcess`] for threads and
//! forks, and [`Wrapper`] for a backend around another one.
//!
//! # Time
//! Every request that depends on time carries `now`. `None` is the backend's own clock (a database
//! server's, where there is one), the one truth across machines; tests pass `Some` and never sleep.
//! Replies give *durations* until something is due, so that no local clock is compared with the
//! backend's. An `now` earlier than one seen before is legal: clocks jump.
//!
//! # Transactions
//! Each method is one transaction unless it says otherwise: all of its effects are there when it
//! answers `Ok`, and none after an error, except for
//! [`UnknownOutcome`](crate::ErrorKind::UnknownOutcome). Transient failures of the storage
//! (deadlock, serialisation, a lock held briefly) are retried inside.
//!
//! An empty request (no batches, no settlements, no kinds, a limit of zero) is answered `Ok`, with
//! nothing; only a claim, however little it asks for, fails for a worker that was given up.
//!
//! # Errors
//! A worker holds results that exist nowhere else, and drops one only for an error that is
//! [final](crate::ErrorKind::is_final). A backend must give such an error only for a row or a
//! request that it refuses whatever happens: a value that it cannot store, a verdict that it does
//! not know. A missing right, a missing table, a refused password or a damaged file is an outage:
//! an operator can put it right while the results wait.
//!
//! # Cancellation
//! A future that is dropped leaves nothing half done: the request takes effect whole or not at all.
//! Requests of one handle that were made later see it: a dropped claim takes no effect after
//! [`leases`](Backend::leases) was answered. A backend whose requests go through one queue, in the
//! order in which they were made, has this for nothing; one that starts a task or a thread for each
//! has not.
//!
//! # Closing
//! When the last handle is dropped the storage is closed: it can be opened again at once, with all
//! that was acknowledged. A backend that works on threads of its own waits for them, or `open`
//! does.
//!
//! # What is newer than a backend
//! Enums and requests of this module grow. A [`Verdict`] that a backend does not know is answered
//! [`Unsupported`](crate::ErrorKind::Unsupported) for that settlement alone, and changes nothing.

mod audit;
mod cancel;
mod claim;
mod compare_batch;
mod extensions;
mod hint;
mod insert;
mod inspect;
mod maintain;
mod manage;
mod migration;
mod process;
mod ready_queues;
mod rescue;
mod settle;
mod wake;
mod worker;
mod wrapper;

use std::fmt;

use async_trait::async_trait;

use crate::Result;

pub use audit::{Audit, LiveRow, OutcomeRow, Stored};
pub use cancel::{CancelReply, CancelRequest, IfRunning};
pub use claim::{ClaimReply, ClaimRequest, ClaimedJob, LeasesRequest};
pub use compare_batch::compare_batch;
pub use extensions::Extensions;
pub(crate) use extensions::{inspect, manage};
pub use hint::{Hint, WakeHints};
pub use insert::{InsertReply, InsertRequest};
pub use inspect::{AttemptError, Inspect, JobRecord, ListRequest};
pub use maintain::{MaintainReply, MaintainRequest, Prune};
pub use manage::Manage;
pub use migration::{Migration, SchemaVersion, missing_migrations};
pub use process::OwnProcess;
pub use ready_queues::{ReadyQueuesReply, ReadyQueuesRequest};
pub use rescue::{DEADLINE_PASSED_ERROR, WORKER_LOST_ERROR};
pub use settle::{Completion, SettleRequest, Settled, Settlement, Verdict};
pub use wake::{WakeHub, WakeReceiver, Wakes};
pub use worker::{Beat, HeartbeatReply, HeartbeatRequest, ProgressReport, RegisterRequest, RetireRequest};
pub use wrapper::Wrapper;

#[doc(hidden)]
pub use crate::error_chain::error_chain;
#[doc(hidden)]
pub use crate::poison::ignore_poison;

/// The properties of a backend that no [extension](Extensions) declares by its presence.
/// Core never sends what is not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capabilities {
    /// Jobs outlive the process: the cases that close and open the storage again apply.
    pub durable: bool,
    /// Several processes can use the same storage at once.
    pub multi_process: bool,
    /// The schema is versioned and migrates (Q21).
    pub migrations: bool,
    /// An insert can make a claim in its transaction ([`InsertRequest::claim`]), so that an idle
    /// worker starts a job after one commit instead of two.
    pub insert_and_claim: bool,
}

impl Capabilities {
    /// Declares that jobs outlive the process.
    #[must_use]
    pub const fn with_durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Declares that several processes can use the same storage at once.
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

    /// Declares that the schema is versioned and migrates.
    #[must_use]
    pub const fn with_migrations(mut self) -> Self {
        self.migrations = true;
        self
    }
}

/// A storage for jobs.
///
/// A job that is unfinished has a *live* row; a finished one has an *outcome* instead; both have
/// the job itself, which never changes. See [`Audit`] for these rows as the kit checks them.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// A short name for messages, e.g. `sqlite`.
    fn name(&self) -> &str;

    /// What this backend offers beyond the core.
    fn capabilities(&self) -> Capabilities;

    /// Stores several batches, each with a fate of its own, in the order of the request.
    ///
    /// Calls that wait at the same time should share a commit.
    ///
    /// # To be correct
    /// - A batch is atomic: every job of it is stored, or none.
    /// - A job is `ready` if its time is not after `now`, else `scheduled`; its attempt is 0.
    /// - An id that is stored already with the same content
    ///   ([`JobSpec::is_same_as`](crate::JobSpec::is_same_as)), whatever its state, is answered
    ///   [`Known`](crate::Insertion::Known) and changes nothing, provided that *every* job of its
    ///   batch is known so. A batch known in part, or an id with other content, is a
    ///   [`Conflict`](crate::ErrorKind::Conflict) that names the id.
    /// - `Ok` is answered only once the batch is as durable as the backend promises.
    /// - Subscribers are woken after the commit, never for a batch that failed or was known, nor
    ///   for jobs that the request's own claim took.
    /// - The request's claim, if it has one, is made as if [`claim`](Self::claim) had been called
    ///   after the batches were stored, so that jobs stored earlier may come first. A request with
    ///   a claim must not wait long for other transactions, because its worker waits: return
    ///   [`declined`](InsertReply::declined) instead. The batches never fail because of the claim.
    ///
    /// # Errors
    /// The outer error concerns the request as a whole, and means that no batch was stored. A
    /// [`Conflict`](crate::ErrorKind::Conflict) names its job by
    /// [`Error::with_jobs`](crate::Error::with_jobs); to an
    /// [`UnknownOutcome`](crate::ErrorKind::UnknownOutcome) the queue itself adds the ids.
    async fn insert(&self, request: InsertRequest) -> Result<InsertReply>;

    /// Takes up to `limit` ready jobs of one queue and gives each a lease.
    ///
    /// # To be correct
    /// - Jobs of the queue that became due are promoted first, in an earlier statement of the
    ///   transaction: at least 1000 of them. While more are due the reply's `next_due` is zero.
    /// - No job is taken whose `run_at` is after `now`, whatever its state says: `now` may have
    ///   gone back.
    /// - The jobs are the first of the queue by (priority descending, `run_at`, id) among the kinds
    ///   asked for, and are returned in that order.
    /// - Jobs that another transaction has locked are passed over. So may be, for a limited time
    ///   that the backend states, jobs that another handle made ready. What was done by this handle
    ///   is always seen.
    /// - No job is in two live leases, however many claim at once.
    /// - Each job becomes `running`, is charged an attempt, and carries the request's claim id, the
    ///   worker, and the deadline `now + timeout + grace`.
    /// - The reply ends before the job that would be the `last_attempts + 1`-th on its last
    ///   permitted attempt.
    /// - The claim fails with [`WorkerLost`](crate::ErrorKind::WorkerLost), and takes nothing,
    ///   unless the worker is registered and not given up; that is checked under a lock that
    ///   excludes a rescue of this worker at the same time.
    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply>;

    /// Says which of these queues have something for a worker, so that one that serves many queues
    /// does not claim from each of them when it looks whether anything is there.
    ///
    /// A backend that cannot say so cheaply names all of them, as this default does: then the
    /// worker claims from each.
    ///
    /// # To be correct
    /// - Each queue that is not paused and has a ready job of one of the kinds is named, and so is
    ///   each that has a waiting job, of any kind, whose time is not after `now`. Others may be
    ///   named.
    /// - It changes nothing.
    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        Ok(ReadyQueuesReply::new(request.queues, None))
    }

    /// The live leases of a claim, in the order of a claim: for a claim whose reply was lost.
    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>>;

    /// Ends leases; each settlement is answered by itself, in the order of the request.
    ///
    /// # To be correct
    /// - A settlement whose token is not the live one of its job changes nothing and is answered
    ///   [`LeaseLost`](Settled::LeaseLost) — also if the same worker holds the job again by a later
    ///   claim — except that a token which ended the job with the same verdict is answered
    ///   [`Done`](Settled::Done) again, so that a settle of unknown outcome can be repeated.
    /// - See [`Verdict`] for what becomes of the job. A result is stored in the transaction that
    ///   completes the job.
    /// - A settlement that fails for good does not fail its neighbours: it alone is answered by a
    ///   [final](crate::ErrorKind::is_final) error.
    ///
    /// # Errors
    /// The outer error concerns the request as a whole, and means that nothing was settled (or, for
    /// an unknown outcome, that all may be repeated). A worker repeats it for as long as it is not
    /// final.
    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>>;

    /// Cancels jobs; each is answered by itself, in the order of the request.
    ///
    /// # To be correct
    /// - A job that has not started is `cancelled` and never starts, or it was running and nothing
    ///   but its flag is changed: there is no state between. The flag stays until the job is
    ///   finished: if this lease ends otherwise, the next holder is told.
    /// - "Not found" is said only of what does not exist, after reading afresh.
    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>>;

    /// Enters a worker. An id that was entered before is a
    /// [`Conflict`](crate::ErrorKind::Conflict), also if it was given up since: the id of a lost
    /// worker is kept for a day at the least after its expiry, though all else about it may be
    /// removed. That of a worker that retired may be forgotten at once.
    async fn register(&self, request: RegisterRequest) -> Result<()>;

    /// Says that a worker lives, and asks what it should know.
    ///
    /// # To be correct
    /// - Its expiry becomes `now + expiry`, but never moves back.
    /// - [`WorkerLost`](crate::ErrorKind::WorkerLost) if the worker is unknown or was given up:
    ///   that is final.
    /// - A worker that was not yet given up lives on, however late the heartbeat.
    /// - Progress is stored only under a live token.
    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply>;

    /// Removes a worker that has no leases. One that has some is left to expire, since what it left
    /// running may still run. Retiring an unknown worker, or one that was given up, does nothing.
    async fn retire(&self, request: RetireRequest) -> Result<()>;

    /// Does a bounded piece of upkeep: promotes what is due, rescues the jobs of dead workers and
    /// those past their deadline, prunes what is old.
    ///
    /// # To be correct
    /// - A rescue that names its worker takes nothing if that worker's own row is expired or gone,
    ///   as seen in the rescue's transaction: it must beat first.
    /// - A worker is dead when its expiry is not after `now`. The row of the worker is locked, with
    ///   its expiry checked under that lock, and it is marked lost for good before its leases are
    ///   moved, in the same transaction: a heartbeat that comes first saves it. A worker whose
    ///   claim or heartbeat is under way may be passed over until the next call.
    /// - A lease is past its deadline when that is not after `now`. The leases of a worker that was
    ///   given up and do not fit the limit stay as they are until the next call, which takes them.
    /// - A rescued job is `ready` again with its `run_at` unchanged and the attempt charged; one
    ///   that has used all attempts is `dead`. [`WORKER_LOST_ERROR`] or [`DEADLINE_PASSED_ERROR`] is
    ///   recorded as the error of the attempt.
    /// - Pruning removes finished jobs only, with all that belongs to them.
    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply>;

    /// Returns a receiver of wake-ups from now on. The backend must announce every job that becomes
    /// ready, except jobs that the claim of their own insert took. [`Wakes::unknown`] may replace
    /// any number of announcements. [`WakeHub`] keeps receivers.
    fn subscribe(&self) -> WakeReceiver;

    /// Returns the extensions that this backend implements. A wrapper returns those of the wrapped
    /// backend, or wraps them too.
    fn extensions(&self) -> Extensions<'_>;
}
