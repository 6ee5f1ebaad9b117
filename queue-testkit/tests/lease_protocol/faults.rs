//! The faults of a backend.

/// A fault in the protocol. Each check must find that the fault breaks its promise, because
/// otherwise the check would prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A claim does not lock the jobs that it picks (no `FOR UPDATE SKIP LOCKED`).
    ClaimWithoutJobLock,
    /// A claim checks whether its worker is lost without locking its row (no `FOR KEY SHARE`).
    ClaimWithoutWorkerLock,
    /// A settle checks only whether the job is running.
    SettleWithoutToken,
    /// A worker has the same token for all its claims.
    TokenReused,
    /// The result is stored before the token is checked.
    ResultBeforeFence,
    /// The outcome does not store the token that ended the job.
    OutcomeWithoutToken,
    /// A failure of the last attempt makes the job ready again.
    RetryWithoutBound,
    /// A rescue refunds the attempt, so that a job can kill workers forever.
    RescueRefunds,
    /// A rescue looks for expired workers without locking their rows (a join in the DELETE).
    RescueWithoutWorkerLock,
    /// A rescue moves the jobs that it saw at its start, whatever their state is now.
    RescueWithoutReread,
    /// A rescue looks for expired workers only, and never moves leases beyond its limit.
    RescueForgetsTheRest,
    /// A cancel acts on its first read instead of the state under the lock.
    CancelWithoutReread,
}
