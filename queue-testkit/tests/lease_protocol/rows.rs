//! The stored rows and the knowledge of the two worker processes: one state of the model.

/// The number of jobs.
pub(crate) const JOBS: usize = 2;
/// The number of worker processes.
pub(crate) const PROCESSES: usize = 2;
/// How often a process can register: once, and again after it was lost or has crashed.
pub(crate) const REGISTRATIONS_PER_PROCESS: usize = 2;
/// How often all processes together can register.
pub(crate) const REGISTRATIONS: usize = 3;
/// The number of attempts that a job may be charged.
pub(crate) const ATTEMPTS: u8 = 2;
/// How often attempts can be refunded, so that the model is finite.
pub(crate) const REFUNDS: u8 = 1;

/// The most mishaps of one run: crashes, expiries, exceeded deadlines, lost replies, cancels and
/// releases. Three of them interact in all combinations. With four there are too many states for
/// each run of the tests.
pub(crate) const MISHAPS: u8 = 3;

/// A worker: one registration of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId {
    pub(crate) process: usize,
    pub(crate) life: usize,
}

/// The leases of a job are numbered 1, 2, … This number identifies the lease, whatever its token
/// is.
pub(crate) type Grant = u8;

/// The token that a settle presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token {
    pub(crate) worker: WorkerId,
    pub(crate) grant: Grant,
}

/// A job with its row in `live` or in `outcomes`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Job {
    pub(crate) stage: Stage,
    pub(crate) attempt: u8,
    pub(crate) cancel_wanted: bool,
    /// The lease that stored the result.
    pub(crate) result: Option<Grant>,
    /// The process whose claim has locked the row.
    pub(crate) locked_by: Option<usize>,
    pub(crate) past: Past,
}

/// Facts about a job that no row stores. Only the properties use them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Past {
    pub(crate) grants: Grant,
    pub(crate) refunds: u8,
    pub(crate) first_end: Option<Outcome>,
    /// The number of leases at the time when a cancel returned `Cancelled`.
    pub(crate) cancelled_after: Option<Grant>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum Stage {
    /// Scheduled and retrying jobs count as ready, because the model has no clock.
    #[default]
    Ready,
    Running(Lease),
    Ended(Outcome),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lease {
    pub(crate) grant: Grant,
    pub(crate) worker: WorkerId,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Outcome {
    pub(crate) state: Final,
    /// The stored token that ended the job.
    pub(crate) token: Option<Token>,
    /// The lease that ended the job.
    pub(crate) winner: Option<Grant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Final {
    Completed,
    Dead,
    Cancelled,
}

/// The row of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum WorkerState {
    #[default]
    Unknown,
    Registered,
    Lost,
}

/// The memory of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Process {
    /// The worker that the process believes it is registered as.
    pub(crate) identity: Option<WorkerId>,
    pub(crate) lives: usize,
    pub(crate) claim: Claim,
    /// The leases per job that the process has received and not settled. They may be lost.
    pub(crate) held: [Vec<Held>; JOBS],
}

/// The progress of a process's only claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum Claim {
    #[default]
    None,
    /// The claim has locked these jobs.
    Picked([bool; JOBS]),
    /// The claim has also checked that its worker is not lost.
    Checked([bool; JOBS]),
    /// The claim has committed and its reply was lost. The process must query these leases.
    Unknown([Option<Grant>; JOBS]),
}

/// A lease that a process believes it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) grant: Grant,
    /// The verdict of a settle whose reply was lost. The process repeats it unchanged.
    pub(crate) unknown: Option<Verdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verdict {
    Complete,
    Retry,
    Cancel,
    /// Release or snooze: the attempt is refunded.
    Release,
}

/// A rescue of a worker's leases that has not committed. The worker was expired at its start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rescue {
    pub(crate) worker: WorkerId,
    /// The leases that the rescue saw at its start.
    pub(crate) seen: [bool; JOBS],
    /// A heartbeat has arrived since, so the worker is alive.
    pub(crate) has_beaten: bool,
}

/// A cancel that has read the job and not written it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cancel {
    pub(crate) job: usize,
    pub(crate) seen: Seen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Seen {
    Waiting,
    Running,
    Ended,
}

/// Events that must never occur.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Violations {
    pub(crate) second_lease: bool,
    pub(crate) lease_for_lost_worker: bool,
    pub(crate) stale_settle: bool,
    pub(crate) refused_repeated_settle: bool,
    pub(crate) cancelled_while_running: bool,
    pub(crate) taken_from_live_worker: bool,
}

/// The whole state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct State {
    pub(crate) jobs: [Job; JOBS],
    pub(crate) workers: [[WorkerState; REGISTRATIONS_PER_PROCESS]; PROCESSES],
    pub(crate) processes: [Process; PROCESSES],
    pub(crate) rescue: Option<Rescue>,
    pub(crate) cancel: Option<Cancel>,
    pub(crate) violations: Violations,
    pub(crate) mishaps: u8,
}

impl State {
    pub(crate) fn worker_state(&self, id: WorkerId) -> WorkerState {
        self.workers[id.process][id.life]
    }

    pub(crate) fn set_worker_state(&mut self, id: WorkerId, worker_state: WorkerState) {
        self.workers[id.process][id.life] = worker_state;
    }

    pub(crate) fn is_being_rescued(&self, id: WorkerId) -> bool {
        self.rescue.as_ref().is_some_and(|rescue| rescue.worker == id)
    }

    pub(crate) fn registrations(&self) -> usize {
        self.processes.iter().map(|process| process.lives).sum()
    }

    pub(crate) fn refunds(&self) -> u8 {
        self.jobs.iter().map(|job| job.past.refunds).sum()
    }

    pub(crate) fn leases_of(&self, id: WorkerId) -> [bool; JOBS] {
        std::array::from_fn(|job| self.jobs[job].lease().is_some_and(|lease| lease.worker == id))
    }
}

impl Stage {
    pub(crate) fn outcome_mut(&mut self) -> Option<&mut Outcome> {
        match self {
            Self::Ended(outcome) => Some(outcome),
            Self::Ready | Self::Running(_) => None,
        }
    }
}

impl Job {
    pub(crate) fn lease(&self) -> Option<&Lease> {
        match &self.stage {
            Stage::Running(lease) => Some(lease),
            Stage::Ready | Stage::Ended(_) => None,
        }
    }

    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        match &self.stage {
            Stage::Ended(outcome) => Some(outcome),
            Stage::Ready | Stage::Running(_) => None,
        }
    }

    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.past.first_end.get_or_insert_with(|| outcome.clone());
        self.stage = Stage::Ended(outcome);
    }
}
