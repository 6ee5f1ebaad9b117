//! Backends that are correct, but unusual: slow, coarse, late, alone, or with few features. No case
//! may fail on them, and each race must show what it is about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, HeartbeatReply, HeartbeatRequest,
    Hint, InsertReply, InsertRequest, MaintainReply, MaintainRequest, ReadyQueuesReply, ReadyQueuesRequest,
    RegisterRequest, SettleRequest, Settled, WakeHints, WakeHub, WakeReceiver, Wakes,
};
use queue_core::{Backend as _, Insertion, QueueName, Result, Timestamp};
use queue_testkit::conformance::{CaseInfo, Pass, Suite, Tier};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::sleep;

use crate::backend::{Make, Mutant};
use crate::caught::WAIT;
use crate::mutation::{Mutation, Sound};

/// About the finest resolution of timers, and far longer than an operation in memory.
const A_WHILE: Duration = Duration::from_millis(1);

/// The least number of random sequences per random case, which are run often enough elsewhere.
const SEQUENCES: u32 = 12;

/// In the names of cases of long lists, which the habits of a backend do not change.
const LONG_LISTS: &str = "ten_thousand";
/// The cases mostly wait.
const THREADS: usize = 4;

macro_rules! odd {
    ($($name:ident => $mutation:expr),+ $(,)?) => {$(
        #[test]
        fn $name() {
            passes_each_case(|| Arc::new($mutation));
        }
    )+};
}

odd! {
    slow_inserts => Slow(&["insert"]),
    slow_claims => Slow(&["claim", "leases", "ready_queues"]),
    slow_settles => Slow(&["settle"]),
    slow_cancels => Slow(&["cancel", "retry"]),
    slow_heartbeats => Slow(&["heartbeat", "register", "retire"]),
    slow_upkeep => Slow(&["maintain"]),
    slow_reads => Slow(&["jobs", "list", "next_ready", "watch"]),
    slow_commands => Slow(&["pause", "resume", "paused"]),
    slow_commits_and_quick_refusals => SlowCommits,
    one_connection => OneConnection::default(),
    replies_out_of_order => Shuffled::default(),
    a_coarse_clock => CoarseClock,
    no_batches => NoBatches,
    a_wake_up_for_everything => WakesForAll::default(),
    a_wake_up_for_each_receiver => WakesAtFirst,
    late_wake_ups => LateWakes,
    one_process => Restricted(|mut capabilities| {
        capabilities.multi_process = false;
        capabilities
    }),
    few_features => Restricted(|_| Capabilities::default()),
    unknown_due_times => KnowsNoTimes,
}

fn passes_each_case(make: Make) {
    let suite = Suite::new(Mutant { make, reached: Arc::default() }).unwrap();
    let suite = suite.with_sequences(SEQUENCES).with_wait(WAIT);
    let is_usual = |case: &CaseInfo| case.tier() <= Tier::Race && !case.name().contains(LONG_LISTS);
    let cases: Vec<CaseInfo> = suite.applicable().into_iter().filter(is_usual).collect();
    let (next, faults) = (AtomicUsize::new(0), std::sync::Mutex::new(Vec::new()));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
            let mut outcome = suite.run(case.name());
            if let Ok(Pass::NotShown(_)) = outcome {
                // Once more, because all mutants run beside it.
                outcome = suite.run(case.name());
            }
            match outcome {
                Ok(Pass::Shown) => {}
                Ok(other) => faults.lock().unwrap().push(format!("{}: {other:?}", case.name())),
                Err(failure) => faults.lock().unwrap().push(format!("{}: {failure}", case.name())),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// These operations take a while before they begin.
struct Slow(&'static [&'static str]);

#[async_trait]
impl Mutation for Slow {
    async fn before(&self, operation: &'static str) -> Option<OwnedMutexGuard<()>> {
        if self.0.contains(&operation) {
            sleep(A_WHILE).await;
        }
        None
    }
}

/// What changes something is answered after a while, and what changes nothing at once.
struct SlowCommits;

#[async_trait]
impl Mutation for SlowCommits {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let reply = sound.backend.insert(request).await?;
        let mut jobs = reply.batches.iter().flatten().flatten();
        if jobs.any(|job| job.insertion == Insertion::New) {
            sleep(A_WHILE).await;
        }
        Ok(reply)
    }

    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let reply = sound.backend.claim(request).await?;
        if !reply.jobs.is_empty() {
            sleep(A_WHILE).await;
        }
        Ok(reply)
    }

    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let replies = sound.backend.settle(request).await?;
        if replies.iter().flatten().any(|settled| *settled == Settled::Done) {
            sleep(A_WHILE).await;
        }
        Ok(replies)
    }

    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let replies = sound.backend.cancel(request).await?;
        if replies.contains(&CancelReply::Cancelled) {
            sleep(A_WHILE).await;
        }
        Ok(replies)
    }
}

/// One request at a time, each with a commit of its own, for reads too.
#[derive(Default)]
struct OneConnection(Arc<Mutex<()>>);

#[async_trait]
impl Mutation for OneConnection {
    async fn before(&self, _operation: &'static str) -> Option<OwnedMutexGuard<()>> {
        let turn = Arc::clone(&self.0).lock_owned().await;
        tokio::task::yield_now().await;
        Some(turn)
    }
}

/// Replies arrive in another order than the requests were executed.
#[derive(Default)]
struct Shuffled(AtomicU64);

#[async_trait]
impl Mutation for Shuffled {
    async fn after(&self, _operation: &'static str) {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        match number.wrapping_mul(7) % 11 {
            turns @ 0..8 => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            _ => sleep(A_WHILE).await,
        }
    }
}

/// The clock of the backend moves every 16 ms, as on Windows.
struct CoarseClock;

fn coarse(now: Option<Timestamp>) -> Timestamp {
    const TICK: i64 = 16_000;
    now.unwrap_or_else(|| {
        let micros = Timestamp::now().as_micros();
        Timestamp::from_micros(micros - micros % TICK).unwrap()
    })
}

#[async_trait]
impl Mutation for CoarseClock {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let now = coarse(request.now);
        sound.backend.insert(request.at(now)).await
    }

    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let now = coarse(request.now);
        sound.backend.claim(request.at(now)).await
    }

    async fn ready_queues(&self, sound: &Sound, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        let now = coarse(request.now);
        sound.backend.ready_queues(request.at(now)).await
    }

    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let now = coarse(request.now);
        sound.backend.settle(request.at(now)).await
    }

    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let now = coarse(request.now);
        sound.backend.cancel(request.at(now)).await
    }

    async fn register(&self, sound: &Sound, request: RegisterRequest) -> Result<()> {
        let now = coarse(request.now);
        sound.backend.register(request.at(now)).await
    }

    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let now = coarse(request.now);
        sound.backend.heartbeat(request.at(now)).await
    }

    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let now = coarse(request.now);
        sound.backend.maintain(request.at(now)).await
    }
}

/// Each batch and each settlement has a transaction of its own.
struct NoBatches;

#[async_trait]
impl Mutation for NoBatches {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let mut results = Vec::new();
        for batch in request.batches {
            let mut one = InsertRequest::new(vec![batch]);
            one.now = request.now;
            results.extend(sound.backend.insert(one).await?.batches);
        }
        Ok(InsertReply::new(results))
    }

    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let mut replies = Vec::new();
        for settlement in request.settlements {
            let mut one = SettleRequest::new(request.worker, vec![settlement]);
            one.now = request.now;
            replies.extend(sound.backend.settle(one).await?);
        }
        Ok(replies)
    }
}

/// Says after each change that anything may have changed, as a backend that only notices commits.
#[derive(Default)]
struct WakesForAll(WakeHub);

#[async_trait]
impl Mutation for WakesForAll {
    async fn after(&self, operation: &'static str) {
        if matches!(
            operation,
            "insert" | "settle" | "cancel" | "change" | "register" | "retire" | "retry" | "resume"
        ) {
            self.0.announce_unknown();
        }
    }

    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let before = sound.stored().await.live;
        let reply = sound.backend.claim(request).await?;
        // It may have promoted jobs that it did not take.
        if sound.stored().await.live != before {
            self.0.announce_unknown();
        }
        Ok(reply)
    }

    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let reply = sound.backend.maintain(request).await?;
        if reply.promoted + reply.rescued + reply.died + reply.pruned > 0 {
            self.0.announce_unknown();
        }
        Ok(reply)
    }

    fn subscribe(&self, _sound: &Sound) -> WakeReceiver {
        self.0.subscribe()
    }
}

/// A wake-up arrives some time after the reply of its cause.
struct LateWakes;

#[async_trait]
impl Mutation for LateWakes {
    fn subscribe(&self, sound: &Sound) -> WakeReceiver {
        passed_on(sound, A_WHILE * 20).1
    }
}

/// Each receiver gets a wake-up at once, as if the backend had only now begun to listen.
struct WakesAtFirst;

#[async_trait]
impl Mutation for WakesAtFirst {
    fn subscribe(&self, sound: &Sound) -> WakeReceiver {
        let (hub, receiver) = passed_on(sound, Duration::ZERO);
        hub.announce_unknown();
        receiver
    }
}

/// A receiver that gets each wake-up after this delay, and the hub of it.
fn passed_on(sound: &Sound, delay: Duration) -> (WakeHub, WakeReceiver) {
    let (mut wakes, hub) = (sound.backend.subscribe(), WakeHub::new());
    let (receiver, announcing) = (hub.subscribe(), hub.clone());
    tokio::spawn(async move {
        while announcing.has_receivers() {
            if let Ok(wakes) = tokio::time::timeout(Duration::from_secs(1), wakes.recv()).await {
                sleep(delay).await;
                announcing.announce_all(&again(wakes));
            }
        }
    });
    (hub, receiver)
}

/// The announcements of these wake-ups.
fn again(wakes: Wakes) -> WakeHints {
    let mut hints = WakeHints::new();
    wakes.ready.into_iter().for_each(|hint| hints.add(hint));
    if let Some(due_in) = wakes.due_in {
        hints.add(Hint::new(QueueName::default(), 0, Timestamp::MAX).due_in(due_in));
    }
    wakes.cancels.into_iter().for_each(|job| hints.add_cancel(job));
    wakes.finished.into_iter().for_each(|job| hints.add_finished(job));
    if wakes.more_finished {
        hints.add_more_finished();
    }
    if wakes.unknown {
        hints.add_unknown();
    }
    hints
}

/// Declares less.
struct Restricted(fn(Capabilities) -> Capabilities);

#[async_trait]
impl Mutation for Restricted {
    fn restrict(&self, capabilities: Capabilities) -> Capabilities {
        self.0(capabilities)
    }
}

/// Never says when the next job is due, nor which queues have jobs.
struct KnowsNoTimes;

#[async_trait]
impl Mutation for KnowsNoTimes {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        Ok(ClaimReply::new(sound.backend.claim(request).await?.jobs, None))
    }

    async fn ready_queues(&self, _sound: &Sound, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        Ok(ReadyQueuesReply::new(request.queues, None))
    }

    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let mut reply = sound.backend.heartbeat(request).await?;
        reply.next_due = None;
        Ok(reply)
    }

    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let mut reply = sound.backend.maintain(request).await?;
        reply.next_due = None;
        Ok(reply)
    }
}
