//! Q1: the backend loses an acknowledged job.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    CancelRequest, InsertReply, InsertRequest, MaintainReply, MaintainRequest, Prune, SettleRequest, Settled,
    Verdict,
};
use queue_core::{Backend as _, Insertion, JobId, JobState, MemoryBackend, Result, Submitted, Timestamp};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q1 loses_the_tail_of_a_batch => LosesLastOfBatch,
    Q1 forgets_its_jobs_when_it_is_opened_again => EmptyAfterReopen,
    Q1 loses_a_job_with_its_worker => LosesJobsOfLostWorker,
    Q1 loses_a_job_that_fails => LosesFailedJobs,
}

/// Acknowledges the last job of a batch without storing it.
struct LosesLastOfBatch;

#[async_trait]
impl Mutation for LosesLastOfBatch {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        let cut = |batch: &mut Vec<_>| if batch.len() > 1 { batch.pop() } else { None };
        let tails: Vec<_> = request.batches.iter_mut().map(cut).collect();
        let mut reply = sound.backend.insert(request).await?;
        for (result, tail) in reply.batches.iter_mut().zip(tails) {
            if let (Ok(answers), Some(tail)) = (result, tail) {
                sound.reached();
                answers.push(Submitted::new(tail.id, Insertion::New));
            }
        }
        Ok(reply)
    }
}

struct EmptyAfterReopen;

impl Mutation for EmptyAfterReopen {
    fn open(&self, sound: Sound) -> Sound {
        if sound.handle == 0 {
            return sound;
        }
        sound.reached();
        Sound { backend: MemoryBackend::new(), ..sound }
    }
}

/// Removes a job and all its rows.
async fn erase(sound: &Sound, job: JobId) -> Result<()> {
    sound.reached();
    let none = Duration::ZERO;
    sound.backend.cancel(CancelRequest::new(vec![job]).at(Timestamp::UNIX_EPOCH)).await?;
    let prune = Prune::default()
        .completed(Duration::MAX)
        .cancelled(none)
        .dead(Duration::MAX)
        .idempotency_window(none)
        .limit(1);
    sound.backend.maintain(MaintainRequest::prune(prune).at(Timestamp::MAX)).await?;
    Ok(())
}

/// Removes a job instead of rescuing it.
struct LosesJobsOfLostWorker;

#[async_trait]
impl Mutation for LosesJobsOfLostWorker {
    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let before = sound.stored().await.live;
        let reply = sound.backend.maintain(request).await?;
        for row in before.iter().filter(|row| row.state == JobState::Running) {
            if sound.live(row.id).await.is_some_and(|row| row.state == JobState::Ready) {
                erase(sound, row.id).await?;
            }
        }
        Ok(reply)
    }
}

struct LosesFailedJobs;

#[async_trait]
impl Mutation for LosesFailedJobs {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let settlements = request.settlements.clone();
        let answers = sound.backend.settle(request).await?;
        for settlement in settlements {
            let is_retry = matches!(settlement.verdict, Verdict::Retry { .. });
            let job = settlement.token.job;
            if is_retry && sound.live(job).await.is_some_and(|row| row.state == JobState::Retrying) {
                erase(sound, job).await?;
            }
        }
        Ok(answers)
    }
}
