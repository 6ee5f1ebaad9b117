//! Random operations.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use queue_core::JobState;

/// One operation. Its target is chosen from the state at its execution.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// Several batches. The claim is skipped if the backend does not declare `insert_and_claim`.
    Insert {
        batches: Vec<Vec<Row>>,
        claim: Option<Claiming>,
    },
    Claim(Claiming),
    /// By one of the workers, or by one that never registered.
    Settle {
        settlements: Vec<(TokenChoice, Ending)>,
        worker: Index,
    },
    Cancel {
        jobs: Vec<JobChoice>,
        signal: Signal,
    },
    /// Skipped if the backend does not offer `Manage`.
    RetryByHand(Vec<JobChoice>),
    Heartbeat {
        worker: WorkerChoice,
        progress: Option<(TokenChoice, u64)>,
    },
    Register,
    Retire(WorkerChoice),
    Advance {
        seconds: u64,
    },
    Rescue,
    Promote {
        limit: u32,
    },
    Prune {
        seconds: u64,
    },
    /// Registers the id of a worker that exists.
    RegisterAgain(WorkerChoice),
    /// Skipped if the backend is not durable.
    Reopen,
    List(Listing),
    ReadyQueues(Vec<&'static str>),
    /// Skipped if the backend does not offer `Watch`.
    Watch(Vec<JobChoice>),
    Leases(Index),
    /// Skipped if the backend does not offer `Manage`.
    Pause(&'static str),
    Resume(&'static str),
}

/// A claim.
#[derive(Debug, Clone)]
pub(super) struct Claiming {
    pub(super) worker: WorkerChoice,
    pub(super) queue: &'static str,
    pub(super) kinds: Vec<&'static str>,
    pub(super) limit: u32,
    pub(super) last_attempts: u32,
    /// In seconds.
    pub(super) grace: u64,
}

/// A list of jobs, with its filters.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) state: Option<JobState>,
    pub(super) queue: Option<&'static str>,
    pub(super) kind: Option<&'static str>,
    pub(super) after: Option<Index>,
    pub(super) limit: u32,
}

/// A job of a batch.
#[derive(Debug, Clone)]
pub(super) enum Row {
    New {
        kind: &'static str,
        queue: &'static str,
        priority: i16,
        retries: u16,
        delay: Option<u64>,
        timeout: u64,
    },
    /// A job that was inserted before, unchanged.
    Again(Index),
    /// A job that was inserted before, with another payload.
    Clash(Index),
}

/// Chooses a job.
#[derive(Debug, Clone)]
pub(super) enum JobChoice {
    /// A running job.
    Running(Index),
    /// A finished job.
    Finished(Index),
    /// Any job that was ever inserted, or an unknown id.
    Any(Index),
}

/// Chooses a worker.
#[derive(Debug, Clone)]
pub(super) enum WorkerChoice {
    /// One of the last registered workers.
    Recent(Index),
    /// A registered worker.
    Registered(Index),
    /// A worker with a lease.
    Holder(Index),
    /// A worker with a lease that a cancel has signalled.
    Signalled(Index),
}

/// Chooses a token.
#[derive(Debug, Clone)]
pub(super) enum TokenChoice {
    /// The token of a live lease.
    Live(Index),
    /// The token of any earlier lease.
    Any(Index),
    /// A token of a claim that was never made.
    Forged(Index),
}

#[derive(Debug, Clone)]
pub(super) enum Ending {
    Complete(Option<u8>),
    Retry { seconds: u64 },
    Bury,
    Snooze { seconds: u64 },
    Cancel,
    Release,
}

/// Whether a cancel signals a running job.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    Yes,
    No,
}

/// The frequencies of operations.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mixture {
    /// All operations.
    Balanced,
    /// More lost workers and failed jobs.
    Failing,
    /// Many jobs in several queues, claimed in small parts.
    Ordering,
}

impl Mixture {
    pub(super) fn sequences(self) -> BoxedStrategy<Vec<Operation>> {
        // In this order: insert, claim, settle, cancel, worker, time, upkeep.
        let weights = match self {
            Self::Balanced => [4, 8, 6, 3, 6, 5, 6],
            Self::Failing => [3, 8, 5, 1, 3, 6, 6],
            Self::Ordering => [8, 12, 5, 1, 1, 4, 2],
        };
        vec(operation(weights), 10..70).boxed()
    }
}

fn operation(
    [inserts, claims, settles, cancels, workers, time, upkeep]: [u32; 7],
) -> impl Strategy<Value = Operation> {
    prop_oneof![
        inserts => insert(),
        claims => claim().prop_map(Operation::Claim),
        settles => (vec((lease(), ending()), 1..4), any::<Index>())
            .prop_map(|(settlements, worker)| Operation::Settle { settlements, worker }),
        cancels => prop_oneof![
            2 => (vec(job_choice(), 1..3), select(vec![Signal::Yes, Signal::No]))
                .prop_map(|(jobs, signal)| Operation::Cancel { jobs, signal }),
            1 => vec(retried(), 1..4).prop_map(Operation::RetryByHand),
        ],
        workers => worker(),
        time => select(vec![0, 1, 2, 3, 5, 14, 15, 16, 60]).prop_map(|seconds| Operation::Advance { seconds }),
        upkeep => prop_oneof![
            12 => Just(Operation::Rescue),
            6 => (0..4_u32).prop_map(|limit| Operation::Promote { limit }),
            6 => (0..90_u64).prop_map(|seconds| Operation::Prune { seconds }),
            3 => queue().prop_map(Operation::Pause),
            6 => queue().prop_map(Operation::Resume),
            // Rarely, because it takes as long as many other operations.
            1 => Just(Operation::Reopen),
            6 => read(),
        ],
    ]
}

fn insert() -> impl Strategy<Value = Operation> {
    let batches = prop_oneof![
        3 => vec(row(), 1..5).prop_map(|batch| vec![batch]),
        1 => vec(vec(row(), 1..3), 2..4),
    ];
    (batches, option::weighted(0.2, claim()))
        .prop_map(|(batches, claim)| Operation::Insert { batches, claim })
}

fn read() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => listing().prop_map(Operation::List),
        1 => select(vec![vec!["a", "b", "c"], vec!["b"], vec!["c", "a"]]).prop_map(Operation::ReadyQueues),
        1 => vec(job_choice(), 1..4).prop_map(Operation::Watch),
    ]
}

fn listing() -> impl Strategy<Value = Listing> {
    let states = select(JobState::ALL.to_vec());
    let kinds = select(vec!["a", "b", "c"]);
    let after = option::of(any::<Index>());
    let limit = prop_oneof![1 => 0..4_u32, 1 => Just(u32::MAX)];
    (option::of(states), option::of(queue()), option::of(kinds), after, limit)
        .prop_map(|(state, queue, kind, after, limit)| Listing { state, queue, kind, after, limit })
}

fn queue() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("default"), 1 => Just("other")]
}

fn priority() -> impl Strategy<Value = i16> {
    prop_oneof![6 => -1..=1_i16, 1 => select(vec![i16::MIN, i16::MAX])]
}

fn row() -> impl Strategy<Value = Row> {
    let new = (
        select(vec!["a", "b", "c"]),
        queue(),
        priority(),
        0..3_u16,
        option::weighted(0.4, 0..20_u64),
        select(vec![1, 10, 60]),
    );
    prop_oneof![
        12 => new.prop_map(|(kind, queue, priority, retries, delay, timeout)| {
            Row::New { kind, queue, priority, retries, delay, timeout }
        }),
        2 => any::<Index>().prop_map(Row::Again),
        1 => any::<Index>().prop_map(Row::Clash),
    ]
}

fn claim() -> impl Strategy<Value = Claiming> {
    let kinds = prop_oneof![
        3 => Just(vec!["a", "b", "c"]),
        1 => Just(vec!["b"]),
        1 => Just(vec!["c", "a"]),
    ];
    let last_attempts = prop_oneof![3 => Just(9_u32), 2 => 0..3_u32];
    let grace = prop_oneof![3 => Just(30_u64), 1 => 0..3_u64];
    (claimer(), queue(), kinds, 0..6_u32, last_attempts, grace).prop_map(
        |(worker, queue, kinds, limit, last_attempts, grace)| Claiming {
            worker,
            queue,
            kinds,
            limit,
            last_attempts,
            grace,
        },
    )
}

fn job_choice() -> impl Strategy<Value = JobChoice> {
    prop_oneof![
        1 => any::<Index>().prop_map(JobChoice::Running),
        1 => any::<Index>().prop_map(JobChoice::Any),
    ]
}

fn retried() -> impl Strategy<Value = JobChoice> {
    prop_oneof![
        3 => any::<Index>().prop_map(JobChoice::Finished),
        1 => any::<Index>().prop_map(JobChoice::Any),
    ]
}

fn worker_choice() -> impl Strategy<Value = WorkerChoice> {
    prop_oneof![
        2 => any::<Index>().prop_map(WorkerChoice::Recent),
        1 => any::<Index>().prop_map(WorkerChoice::Registered),
        1 => any::<Index>().prop_map(WorkerChoice::Holder),
        4 => any::<Index>().prop_map(WorkerChoice::Signalled),
    ]
}

fn claimer() -> impl Strategy<Value = WorkerChoice> {
    prop_oneof![
        1 => any::<Index>().prop_map(WorkerChoice::Recent),
        5 => any::<Index>().prop_map(WorkerChoice::Registered),
    ]
}

fn lease() -> impl Strategy<Value = TokenChoice> {
    prop_oneof![
        6 => any::<Index>().prop_map(TokenChoice::Live),
        3 => any::<Index>().prop_map(TokenChoice::Any),
        1 => any::<Index>().prop_map(TokenChoice::Forged),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        3 => any::<Option<u8>>().prop_map(Ending::Complete),
        4 => (0..12_u64).prop_map(|seconds| Ending::Retry { seconds }),
        1 => Just(Ending::Bury),
        2 => (0..6_u64).prop_map(|seconds| Ending::Snooze { seconds }),
        1 => Just(Ending::Cancel),
        2 => Just(Ending::Release),
    ]
}

fn worker() -> impl Strategy<Value = Operation> {
    let progress = option::of((lease(), 0..100_u64));
    prop_oneof![
        4 => (worker_choice(), progress)
            .prop_map(|(worker, progress)| Operation::Heartbeat { worker, progress }),
        2 => Just(Operation::Register),
        1 => worker_choice().prop_map(Operation::RegisterAgain),
        1 => worker_choice().prop_map(Operation::Retire),
        3 => any::<Index>().prop_map(Operation::Leases),
    ]
}
