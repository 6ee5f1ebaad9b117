//! Q4: a stale token has an effect, or its settle gets a wrong reply.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use queue_core::backend::{
    HeartbeatReply, HeartbeatRequest, Inspect as _, JobRecord, SettleRequest, Settled,
};
use queue_core::{Backend as _, JobId, JobState, Result, Token, WorkerId};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q4 settles_without_the_fence => SettlesWithoutTheFence,
    Q4 takes_the_worker_for_the_token => ChecksWorkerNotToken,
    Q4 answers_done_to_a_lost_lease => AlwaysReturnsDone,
    Q4 forgets_how_a_job_was_ended => RefusesRepeatedSettle,
    Q4 lets_a_stale_settlement_fail_its_neighbours => FailsWholeRequest,
    Q4 stores_progress_without_the_fence => ProgressWithoutTheFence,
    Q4 records_the_worker_of_the_request => RecordsTheRequestsWorker::default(),
}

/// The live token of the job, if `holder` is its worker or `None`. Returns `None` if the job is not
/// running.
async fn live_token(sound: &Sound, token: Token, holder: Option<WorkerId>) -> Option<Token> {
    let row = sound.live(token.job).await?;
    let claim = row.claim.filter(|_| holder.is_none() || row.worker == holder)?;
    Some(Token { claim, ..token })
}

struct SettlesWithoutTheFence;

#[async_trait]
impl Mutation for SettlesWithoutTheFence {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &mut request.settlements {
            if let Some(live) = live_token(sound, settlement.token, None).await
                && live != settlement.token
            {
                sound.reached();
                settlement.token = live;
            }
        }
        sound.backend.settle(request).await
    }
}

/// Accepts any token of the worker that holds the job.
struct ChecksWorkerNotToken;

#[async_trait]
impl Mutation for ChecksWorkerNotToken {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &mut request.settlements {
            if let Some(live) = live_token(sound, settlement.token, Some(request.worker)).await
                && live != settlement.token
            {
                sound.reached();
                settlement.token = live;
            }
        }
        sound.backend.settle(request).await
    }
}

/// Changes nothing, but returns `Done`.
struct AlwaysReturnsDone;

#[async_trait]
impl Mutation for AlwaysReturnsDone {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let mut answers = sound.backend.settle(request).await?;
        for answer in answers.iter_mut().filter(|answer| matches!(answer, Ok(Settled::LeaseLost))) {
            sound.reached();
            *answer = Ok(Settled::Done);
        }
        Ok(answers)
    }
}

/// Returns `LeaseLost` to a repeated settle.
struct RefusesRepeatedSettle;

#[async_trait]
impl Mutation for RefusesRepeatedSettle {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let mut was_ended = Vec::new();
        for settlement in &request.settlements {
            was_ended.push(sound.live(settlement.token.job).await.is_none());
        }
        let mut answers = sound.backend.settle(request).await?;
        for (answer, was_ended) in answers.iter_mut().zip(was_ended) {
            if was_ended && matches!(answer, Ok(Settled::Done)) {
                sound.reached();
                *answer = Ok(Settled::LeaseLost);
            }
        }
        Ok(answers)
    }
}

struct FailsWholeRequest;

#[async_trait]
impl Mutation for FailsWholeRequest {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &request.settlements {
            let row = sound.live(settlement.token.job).await;
            let is_stale = row.is_none_or(|row| row.claim != Some(settlement.token.claim));
            if is_stale && request.settlements.len() > 1 {
                sound.reached();
                return Ok(request.settlements.iter().map(|_| Ok(Settled::LeaseLost)).collect());
            }
        }
        sound.backend.settle(request).await
    }
}

struct ProgressWithoutTheFence;

#[async_trait]
impl Mutation for ProgressWithoutTheFence {
    async fn heartbeat(&self, sound: &Sound, mut request: HeartbeatRequest) -> Result<HeartbeatReply> {
        for report in &mut request.progress {
            let is_running =
                sound.live(report.token.job).await.is_some_and(|row| row.state == JobState::Running);
            if let Some(live) = live_token(sound, report.token, None).await
                && is_running
                && live != report.token
            {
                sound.reached();
                report.token = live;
            }
        }
        sound.backend.heartbeat(request).await
    }
}

/// Records a failed attempt with the worker that sent the settle.
#[derive(Default)]
struct RecordsTheRequestsWorker(Mutex<BTreeMap<(JobId, u32), WorkerId>>);

#[async_trait]
impl Mutation for RecordsTheRequestsWorker {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &request.settlements {
            let live = sound.live(settlement.token.job).await;
            if let Some(row) = live.filter(|row| row.claim == Some(settlement.token.claim)) {
                self.0.lock().unwrap().insert((row.id, row.attempt), request.worker);
            }
        }
        sound.backend.settle(request).await
    }

    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = sound.backend.jobs(ids).await?;
        let senders = self.0.lock().unwrap();
        for record in records.iter_mut().flatten() {
            for error in &mut record.errors {
                let sender = senders.get(&(record.job.id, error.attempt)).copied();
                if sender.is_some() && sender != error.worker {
                    sound.reached();
                    error.worker = sender;
                }
            }
        }
        Ok(records)
    }
}
