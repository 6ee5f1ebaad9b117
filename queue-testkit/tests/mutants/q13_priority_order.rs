//! Q13: jobs come in another order, or a cursor hides some for good.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, Cursor, Hint, InsertRequest, LiveRow, MaintainReply, MaintainRequest,
    SettleRequest, Settled, Verdict, WakeHub, WakeReceiver,
};
use queue_core::{Backend as _, JobId, JobSpec, QueueName, Result, Timestamp, WorkerId};

use crate::caught::mutants;
use crate::mutation::{Fates, Mutation, Sound};

mutants! {
    Q13 ignores_priorities => IgnoresPriorities,
    Q13 returns_a_claim_in_reverse => Reverses,
    Q13 claims_beyond_its_limit => BeyondTheLimit,
    Q13 skips_jobs_behind_the_cursor => SkipsBehindTheCursor,
    Q13 begins_at_the_last_cursor_when_asked_for_the_head => NoHead::default(),
    Q13 moves_a_released_job_to_the_end => MovesTheReleased,
    Q13 wakes_with_a_later_time_for_what_is_given_back => WakesLater::default(),
}

struct IgnoresPriorities;

#[async_trait]
impl Mutation for IgnoresPriorities {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Fates {
        for spec in request.batches.iter_mut().flatten().filter(|spec| spec.priority != 0) {
            sound.reached();
            spec.priority = 0;
        }
        sound.backend.insert(request).await
    }
}

/// The right jobs, as rows come back that nobody sorted.
struct Reverses;

#[async_trait]
impl Mutation for Reverses {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let mut reply = sound.backend.claim(request).await?;
        if reply.jobs.len() > 1 {
            sound.reached();
            reply.jobs.reverse();
        }
        Ok(reply)
    }
}

struct BeyondTheLimit;

#[async_trait]
impl Mutation for BeyondTheLimit {
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

/// The cursor names the time of the last job, and not its id.
struct SkipsBehindTheCursor;

#[async_trait]
impl Mutation for SkipsBehindTheCursor {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let mut reply = sound.backend.claim(request).await?;
        let exact = reply.cursor.take().unwrap_or_default();
        let mut coarse = Cursor::new();
        for (priority, (run_at, _)) in exact.levels() {
            sound.reached();
            coarse.advance(priority, (run_at, JobId::from_bytes([0xff; 16])));
        }
        reply.cursor = Some(coarse);
        Ok(reply)
    }
}

/// What comes to stand before the cursor is never seen.
#[derive(Default)]
struct NoHead(Mutex<BTreeMap<(WorkerId, QueueName), Cursor>>);

#[async_trait]
impl Mutation for NoHead {
    async fn claim(&self, sound: &Sound, mut request: ClaimRequest) -> Result<ClaimReply> {
        let place = (request.worker, request.queue.clone());
        let last = self.0.lock().unwrap().get(&place).cloned();
        if request.cursor.is_none() && last.is_some() {
            sound.reached();
            request.cursor = last;
        }
        let reply = sound.backend.claim(request).await?;
        self.0.lock().unwrap().insert(place, reply.cursor.clone().unwrap_or_default());
        Ok(reply)
    }
}

/// It loses its place by being given back.
struct MovesTheReleased;

#[async_trait]
impl Mutation for MovesTheReleased {
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

/// A cursor that is rewound by it stays behind the job that was given back.
#[derive(Default)]
struct WakesLater(WakeHub);

#[async_trait]
impl Mutation for WakesLater {
    fn subscribe(&self, _sound: &Sound) -> WakeReceiver {
        self.0.subscribe()
    }

    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        let now = request.now.unwrap_or_else(Timestamp::now);
        let hint = |spec: &JobSpec| {
            Hint::new(spec.queue.clone(), spec.priority, spec.run_at.unwrap_or(now))
                .due_in(now.until(spec.run_at.unwrap_or(now)))
        };
        let hints: Vec<Hint> = request.batches.iter().flatten().map(hint).collect();
        let fates = sound.backend.insert(request).await?;
        self.0.announce(&hints);
        Ok(fates)
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

    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let reply = sound.backend.maintain(request).await;
        self.0.announce_unknown();
        reply
    }
}
