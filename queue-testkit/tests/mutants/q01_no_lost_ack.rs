//! Q1: an acknowledged job vanishes.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    CancelRequest, InsertRequest, MaintainReply, MaintainRequest, Prune, SettleRequest, Settled, Verdict,
};
use queue_core::{Backend as _, Insertion, JobId, MemoryBackend, Result, State, Submitted, Timestamp};

use crate::caught::mutants;
use crate::mutation::{Fates, Mutation, Sound};

mutants! {
    Q1 loses_the_tail_of_a_batch => LosesTheTail,
    Q1 forgets_its_jobs_when_it_is_opened_again => ForgetsWhenOpened,
    Q1 loses_a_job_with_its_worker => LosesWithTheWorker,
    Q1 loses_a_job_that_fails => LosesWhatFails,
}

/// The last job of a batch is acknowledged and not stored.
struct LosesTheTail;

#[async_trait]
impl Mutation for LosesTheTail {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Fates {
        let cut = |batch: &mut Vec<_>| if batch.len() > 1 { batch.pop() } else { None };
        let tails: Vec<_> = request.batches.iter_mut().map(cut).collect();
        let mut fates = sound.backend.insert(request).await?;
        for (fate, tail) in fates.iter_mut().zip(tails) {
            if let (Ok(answers), Some(tail)) = (fate, tail) {
                sound.reached();
                answers.push(Submitted::new(tail.id, Insertion::New));
            }
        }
        Ok(fates)
    }
}

struct ForgetsWhenOpened;

impl Mutation for ForgetsWhenOpened {
    fn open(&self, sound: Sound) -> Sound {
        if sound.handle == 0 {
            return sound;
        }
        sound.reached();
        Sound { backend: MemoryBackend::new(), ..sound }
    }
}

/// Removes all that is known of a job.
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

/// What it ran is not rescued, but gone.
struct LosesWithTheWorker;

#[async_trait]
impl Mutation for LosesWithTheWorker {
    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let before = sound.stored().await.live;
        let reply = sound.backend.maintain(request).await?;
        for row in before.iter().filter(|row| row.state == State::Running) {
            if sound.live(row.id).await.is_some_and(|row| row.state == State::Ready) {
                erase(sound, row.id).await?;
            }
        }
        Ok(reply)
    }
}

struct LosesWhatFails;

#[async_trait]
impl Mutation for LosesWhatFails {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let settlements = request.settlements.clone();
        let answers = sound.backend.settle(request).await?;
        for settlement in settlements {
            let is_retry = matches!(settlement.verdict, Verdict::Retry { .. });
            let job = settlement.token.job;
            if is_retry && sound.live(job).await.is_some_and(|row| row.state == State::Retrying) {
                erase(sound, job).await?;
            }
        }
        Ok(answers)
    }
}
