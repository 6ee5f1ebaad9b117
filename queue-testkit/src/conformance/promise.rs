//! The promises of the queue, in words.

use std::fmt;

macro_rules! promises {
    ($($variant:ident = $number:literal $name:literal: $words:literal;)+) => {
        /// A promise of the queue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        #[expect(clippy::doc_markdown, reason = "the words are those that a failure prints")]
        pub enum Promise {
            $(#[doc = $words] $variant,)+
        }

        impl Promise {
            /// All promises, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the number, which the names of its cases begin with.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// Returns the name, e.g. `no-lost-ack`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the text of the promise.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)+ }
            }
        }
    };
}

promises! {
    NoLostAck = 1 "no-lost-ack":
        "An acknowledged enqueue ends terminal and never vanishes.";
    NoPhantom = 2 "no-phantom":
        "Nothing runs that was not enqueued; a rolled-back enqueue never appears.";
    SingleLiveLease = 3 "single-live-lease":
        "At most one live lease per job; rescue never takes a job from a live worker.";
    FencedSettle = 4 "fenced-settle":
        "Settle or progress with a stale token changes nothing and returns `LeaseLost`, also when the same \
         worker claimed the job again.";
    BatchAtomic = 5 "batch-atomic":
        "A batch is all or nothing: bad row k of n, duplicate key, disk full, crash.";
    TxEnqueue = 6 "tx-enqueue":
        "A job that a transaction of the application enqueues, or that follows a job, is visible exactly \
         when that transaction or the completion commits; no wake-up before.";
    AttemptBound = 7 "attempt-bound":
        "Charged attempts ≤ 1 + max_retries, also when the job kills its process each time; snooze and \
         release cost none; nothing ends dead that never started.";
    TerminalFinal = 8 "terminal-final":
        "Completed, dead, cancelled change only by an explicit retry.";
    CancelLinearizable = 9 "cancel-linearizable":
        "Cancel returns the state that it met: a job not started never starts; a running job is signalled; a \
         finished job stays; \"not found\" only for a job that does not exist.";
    ResultIffComplete = 10 "result-iff-complete":
        "A result exists exactly when the job is completed (until it expires by its setting): the bytes \
         of the winning lease.";
    ExpiryRecovers = 11 "expiry-recovers":
        "A dead worker's job is claimable after its expiry, never before.";
    HeartbeatExtends = 12 "heartbeat-extends":
        "A beating worker keeps its jobs; expiry only moves forward.";
    PriorityOrder = 13 "priority-order":
        "A claim returns jobs by (priority descending, run_at, id), inside the batch too; a job that \
         another process makes ready is passed over no longer than the backend's stated delay.";
    NotBefore = 14 "not-before":
        "No job starts before its run_at.";
    UniqueOnce = 15 "unique-once":
        "Concurrent enqueues with one unique key make one job.";
    IdempotentEnqueue = 16 "idempotent-enqueue":
        "Enqueueing again with the same JobId after an unknown outcome gives one job, within the stated \
         window (nothing younger is pruned; older explicit ids are refused; same id with other content, \
         or a batch known in part, is a conflict).";
    QueueIsolation = 17 "queue-isolation":
        "Pausing, purging, limiting or counting one queue never touches another; no job of a paused \
         queue is claimed after pause has returned.";
    LimitHeld = 18 "limit-held":
        "Running ≤ the declared limit at all times, also across processes and after a crash.";
    NoStarvation = 19 "no-starvation":
        "With finite urgent input every ready job is claimed in the end; jobs of kinds that no worker \
         here handles do not hide other jobs.";
    PayloadFidelity = 20 "payload-fidelity":
        "Payload bytes, results and times are returned as they were stored (texts of errors with NUL \
         replaced and capped): NUL escapes, 4-byte UTF-8, lone surrogate escapes, 1e400, key order, \
         white space, 1 MiB, empty object.";
    MigrateSafe = 21 "migrate-safe":
        "N processes migrating at once end at one version; each old version with data upgrades; killed \
         midway it is old or new; a schema below whose `oldest_compatible` the program lies is refused \
         with a clear error, a newer compatible one is served.";
    HonestErrors = 22 "honest-errors":
        "Each error has a kind and says whether to try again; the same handle works after any error; no \
         panic, no hang past the timeout; a dropped future leaks nothing.";
    ScheduleOnce = 23 "schedule-once":
        "Each slot of a schedule fires exactly once, or as its catch-up and overlap say, however many \
         workers fire at once and whatever crashes; an edit, a pause or a removal holds for every process \
         as soon as it has returned.";
}

impl Promise {
    /// Returns the promise whose number the name of a case begins with: `q04_…`.
    pub(crate) fn of_case(name: &str) -> Option<Self> {
        let (number, _) = name.strip_prefix('q')?.split_once('_')?;
        let number: u8 = number.parse().ok()?;
        Self::ALL.iter().copied().find(|promise| promise.number() == number)
    }
}

/// `Q4 fenced-settle`.
impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Q{} {}", self.number(), self.name())
    }
}
