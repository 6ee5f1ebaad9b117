//! Random operations.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};

/// One operation. Its target is chosen from the state at its execution.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Insert(Vec<Row>),
    Claim {
        worker: WorkerChoice,
        queue: &'static str,
        kinds: Vec<&'static str>,
        limit: u32,
        last_attempts: u32,
    },
    Settle(Vec<(TokenChoice, Ending)>),
    Cancel {
        job: JobChoice,
        signal: Signal,
    },
    /// Skipped if the backend does not offer `Manage`.
    RetryByHand(JobChoice),
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
    Leases(Index),
    /// Skipped if the backend does not offer `Manage`.
    Pause(&'static str),
    Resume(&'static str),
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
        inserts => vec(row(), 1..5).prop_map(Operation::Insert),
        claims => claim(),
        settles => vec((lease(), ending()), 1..4).prop_map(Operation::Settle),
        cancels => prop_oneof![
            2 => (job_choice(), select(vec![Signal::Yes, Signal::No]))
                .prop_map(|(job, signal)| Operation::Cancel { job, signal }),
            1 => retried().prop_map(Operation::RetryByHand),
        ],
        workers => worker(),
        time => select(vec![0, 1, 2, 3, 5, 14, 15, 16, 60]).prop_map(|seconds| Operation::Advance { seconds }),
        upkeep => prop_oneof![
            4 => Just(Operation::Rescue),
            2 => (0..4_u32).prop_map(|limit| Operation::Promote { limit }),
            2 => (0..90_u64).prop_map(|seconds| Operation::Prune { seconds }),
            1 => queue().prop_map(Operation::Pause),
            2 => queue().prop_map(Operation::Resume),
        ],
    ]
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

fn claim() -> impl Strategy<Value = Operation> {
    let kinds = prop_oneof![
        3 => Just(vec!["a", "b", "c"]),
        1 => Just(vec!["b"]),
        1 => Just(vec!["c", "a"]),
    ];
    let last_attempts = prop_oneof![3 => Just(9_u32), 2 => 0..3_u32];
    (claimer(), queue(), kinds, 0..6_u32, last_attempts).prop_map(
        |(worker, queue, kinds, limit, last_attempts)| Operation::Claim {
            worker,
            queue,
            kinds,
            limit,
            last_attempts,
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
        1 => worker_choice().prop_map(Operation::Retire),
        3 => any::<Index>().prop_map(Operation::Leases),
    ]
}
