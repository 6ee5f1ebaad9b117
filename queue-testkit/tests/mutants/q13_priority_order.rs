//! Q13: jobs are returned in a wrong order, or jobs before the last claimed one stay hidden.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, Hint, InsertReply, InsertRequest, LiveRow, MaintainReply, MaintainRequest,
    Manage as _, RetryReply, RetryRequest, SettleRequest, Settled, Settlement, Verdict, WakeHub,
    WakeReceiver,
};
use queue_core::{Backend as _, JobId, JobSpec, JobState, QueueName, Result, Timestamp, Token, WorkerId};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q13 ignores_priorities => IgnoresPriorities,
    Q13 returns_a_claim_in_reverse => ReversesReply,
    Q13 claims_beyond_its_limit => ExceedsLimit,
    Q13 claims_only_jobs_of_a_later_time => HidesEarlierJobs::new(HIDES_THE_SAME_TIME),
    Q13 claims_only_jobs_behind_the_last_claimed => HidesEarlierJobs::new(None),
    Q13 moves_a_released_job_to_the_end => MovesReleasedToEnd,
    Q13 wakes_with_a_later_time_for_what_is_given_back => WakesLater::default(),
}

struct IgnoresPriorities;

#[async_trait]
impl Mutation for IgnoresPriorities {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        for spec in request.batches.iter_mut().flatten().filter(|spec| spec.priority != 0) {
            sound.reached();
            spec.priority = 0;
        }
        sound.backend.insert(request).await
    }
}

/// Returns the right jobs unsorted.
struct ReversesReply;

#[async_trait]
impl Mutation for ReversesReply {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let mut reply = sound.backend.claim(request).await?;
        if reply.jobs.len() > 1 {
            sound.reached();
            reply.jobs.reverse();
        }
        Ok(reply)
    }
}

struct ExceedsLimit;

#[async_trait]
impl Mutation for ExceedsLimit {
    async fn claim(&self, sound: &Sound, mut request: ClaimRequest) -> Result<ClaimReply> {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        request.limit = request.limit.saturating_add(1);
        let reply = sound.backend.claim(request).await?;
        if reply.jobs.len() > limit {
            sound.reached();
        }
        Ok(reply)
    }
}

/// This id is the greatest.
const HIDES_THE_SAME_TIME: Option<JobId> = Some(JobId::from_bytes([0xff; 16]));

/// The last claimed position per worker, queue and priority.
type Positions = BTreeMap<(WorkerId, QueueName, i16), (Timestamp, JobId)>;

/// Hides jobs before the last one that the worker claimed. If `id` is set, the position has this id
/// instead of the job's.
struct HidesEarlierJobs {
    id: Option<JobId>,
    positions: Mutex<Positions>,
}

impl HidesEarlierJobs {
    fn new(id: Option<JobId>) -> Self {
        Self { id, positions: Mutex::default() }
    }

    /// Removes the jobs before the position from the reply, and returns their tokens.
    fn hide(&self, worker: WorkerId, reply: &mut ClaimReply) -> Vec<Token> {
        let mut positions = self.positions.lock().unwrap();
        let before = positions.clone();
        let mut hidden = Vec::new();
        reply.jobs.retain(|job| {
            let key = (worker, job.queue.clone(), job.priority);
            let is_hidden = before.get(&key).is_some_and(|place| (job.run_at, job.token.job) <= *place);
            if is_hidden {
                hidden.push(job.token);
            } else {
                positions.insert(key, (job.run_at, self.id.unwrap_or(job.token.job)));
            }
            !is_hidden
        });
        hidden
    }
}

#[async_trait]
impl Mutation for HidesEarlierJobs {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let (worker, now) = (request.worker, request.now);
        let mut reply = sound.backend.claim(request).await?;
        let hidden = self.hide(worker, &mut reply);
        if !hidden.is_empty() {
            sound.reached();
            let release = |token| Settlement::new(token, Verdict::Release);
            let mut request = SettleRequest::new(worker, hidden.into_iter().map(release).collect());
            request.now = now;
            sound.backend.settle(request).await?;
        }
        Ok(reply)
    }
}

/// Gives a released job a new `run_at`.
struct MovesReleasedToEnd;

#[async_trait]
impl Mutation for MovesReleasedToEnd {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &mut request.settlements {
            if settlement.verdict == Verdict::Release {
                sound.reached();
                settlement.verdict = Verdict::Snooze { delay: Duration::ZERO };
            }
        }
        sound.backend.settle(request).await
    }
}

/// Announces a released job with a later `run_at`, so that a worker whose claims start behind its
/// last job misses it.
#[derive(Default)]
struct WakesLater(WakeHub);

#[async_trait]
impl Mutation for WakesLater {
    fn subscribe(&self, _sound: &Sound) -> WakeReceiver {
        self.0.subscribe()
    }

    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let now = request.now.unwrap_or_else(Timestamp::now);
        let hint = |spec: &JobSpec| {
            Hint::new(spec.queue.clone(), spec.priority, spec.run_at.unwrap_or(now))
                .due_in(now.until(spec.run_at.unwrap_or(now)))
        };
        let hints: Vec<Hint> = request.batches.iter().flatten().map(hint).collect();
        let results = sound.backend.insert(request).await?;
        self.0.announce(&hints);
        Ok(results)
    }

    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let now = request.now.unwrap_or_else(Timestamp::now);
        let is_due = |row: &LiveRow| row.state == JobState::Scheduled && row.run_at <= now;
        let promotes = sound.stored().await.live.iter().any(is_due);
        let reply = sound.backend.claim(request).await;
        if promotes {
            self.0.announce_unknown();
        }
        reply
    }

    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let jobs: Vec<JobId> = request.settlements.iter().map(|settlement| settlement.token.job).collect();
        let answers = sound.backend.settle(request).await?;
        for job in jobs {
            if let Some(LiveRow { queue, priority, run_at, .. }) = sound.live(job).await {
                sound.reached();
                let run_at = run_at.saturating_add(Duration::from_secs(1));
                self.0.announce(&[Hint::new(queue, priority, run_at)]);
            }
        }
        Ok(answers)
    }

    async fn retry(&self, sound: &Sound, request: RetryRequest) -> Result<Vec<RetryReply>> {
        let replies = sound.backend.retry(request).await;
        self.0.announce_unknown();
        replies
    }

    async fn resume(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        sound.backend.resume(queue).await?;
        self.0.announce_unknown();
        Ok(())
    }

    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let reply = sound.backend.maintain(request).await;
        self.0.announce_unknown();
        reply
    }
}
