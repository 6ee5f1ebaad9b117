//! What can be wrong with a backend.

/// A fault in the protocol. The check of each must find the promise broken: else it would prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A claim does not lock the jobs that it picks (`FOR UPDATE SKIP LOCKED` left out).
    ClaimWithoutJobLock,
    /// A claim looks whether its worker is lost, and does not lock its row (`FOR KEY SHARE` left out).
    ClaimWithoutWorkerLock,
    /// A settle asks only whether the job is running.
    SettleWithoutToken,
    /// A worker's token is the same for every claim of it.
    TokenReused,
    /// The result is stored before the token is checked.
    ResultBeforeFence,
    /// The outcome does not keep the token that ended the job.
    OutcomeWithoutToken,
    /// A failure of the last attempt makes the job ready again.
    RetryWithoutBound,
    /// A rescue gives the attempt back, so that a job can kill workers for ever.
    RescueRefunds,
    /// A rescue looks for expired workers, and does not lock their rows (a join in the DELETE).
    RescueWithoutWorkerLock,
    /// A rescue moves the jobs that it saw when it began, whatever they are now.
    RescueWithoutReread,
    /// A rescue looks for expired workers only: what was beyond its limit stays where it is.
    RescueForgetsTheRest,
    /// A cancel acts on what it read first, not on what it finds when it has the lock.
    CancelWithoutReread,
}
