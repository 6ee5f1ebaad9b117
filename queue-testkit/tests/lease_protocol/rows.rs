//! What is stored, and what the two worker processes know: one state of the model.

/// The jobs.
pub(crate) const JOBS: usize = 2;
/// The worker processes.
pub(crate) const PROCESSES: usize = 2;
/// How often a process can register: once, and again after it was given up or has crashed.
pub(crate) const LIVES: usize = 2;
/// How often all processes together can.
pub(crate) const REGISTRATIONS: usize = 3;
/// The attempts that a job may be charged.
pub(crate) const ATTEMPTS: u8 = 2;
/// How often an attempt can be given back, so that there is an end.
pub(crate) const REFUNDS: u8 = 1;

/// How many mishaps one run may see: crashes, expiries, deadlines passed, lost replies, cancels, releases. Three of them
/// cut across each other in every way; with four there are too many states for each run of the tests.
pub(crate) const MISHAPS: u8 = 3;

/// A worker: a process, in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId {
    pub(crate) process: usize,
    pub(crate) life: usize,
}

/// The leases of a job are numbered 1, 2, …: which one it truly is, whatever its token says.
pub(crate) type Grant = u8;

/// What a settle shows of its lease.
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
    /// The bytes of a result: which lease they are from.
    pub(crate) result: Option<Grant>,
    /// The process whose claim holds the lock of the row.
    pub(crate) locked_by: Option<usize>,
    pub(crate) past: Past,
}

/// What is true of a job though it is stored nowhere: for the properties only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Past {
    pub(crate) grants: Grant,
    pub(crate) refunds: u8,
    pub(crate) first_end: Option<Outcome>,
    /// How many leases there had been when a cancel was answered "cancelled".
    pub(crate) cancelled_after: Option<Grant>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum Stage {
    /// Scheduled and retrying jobs count as ready: time is whatever it has to be.
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
    /// The token that ended it, as it is stored.
    pub(crate) token: Option<Token>,
    /// The lease that ended it, as it was.
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
pub(crate) enum Standing {
    #[default]
    Unknown,
    Registered,
    Lost,
}

/// What a process knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Process {
    /// The life in which it is registered, as far as it knows.
    pub(crate) identity: Option<WorkerId>,
    pub(crate) lives: usize,
    pub(crate) claim: Claim,
    /// For each job the leases that it got and whose end it does not know; they may be lost long since.
    pub(crate) held: [Vec<Held>; JOBS],
}

/// How far the claim of a process has come. It makes one at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum Claim {
    #[default]
    None,
    /// It holds the locks of these jobs.
    Picked([bool; JOBS]),
    /// And has found that its worker is not lost.
    Checked([bool; JOBS]),
    /// It has committed, and the reply was lost. Here is what it took, which the process has to ask for.
    Unknown([Option<Grant>; JOBS]),
}

/// A lease that a process believes in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) grant: Grant,
    /// The verdict of a settle whose reply was lost: it is repeated, unchanged.
    pub(crate) unknown: Option<Verdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verdict {
    Complete,
    Retry,
    Cancel,
    /// Release, and snooze as well: the attempt is given back.
    Release,
}

/// A rescue of a worker's leases that has not committed. The worker had expired when it began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rescue {
    pub(crate) worker: WorkerId,
    /// The leases that it saw then.
    pub(crate) seen: [bool; JOBS],
    /// A heartbeat has come since: the worker lives.
    pub(crate) has_beaten: bool,
}

/// A cancel that has read, and has not written.
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

/// What must never have happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Wrongs {
    pub(crate) second_lease: bool,
    pub(crate) lease_for_the_lost: bool,
    pub(crate) stale_settle: bool,
    pub(crate) denied_its_own: bool,
    pub(crate) cancelled_while_running: bool,
    pub(crate) taken_from_the_living: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct State {
    pub(crate) jobs: [Job; JOBS],
    pub(crate) workers: [[Standing; LIVES]; PROCESSES],
    pub(crate) processes: [Process; PROCESSES],
    pub(crate) rescue: Option<Rescue>,
    pub(crate) cancel: Option<Cancel>,
    pub(crate) wrongs: Wrongs,
    pub(crate) mishaps: u8,
}

impl State {
    pub(crate) fn standing(&self, id: WorkerId) -> Standing {
        self.workers[id.process][id.life]
    }

    pub(crate) fn set_standing(&mut self, id: WorkerId, standing: Standing) {
        self.workers[id.process][id.life] = standing;
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
