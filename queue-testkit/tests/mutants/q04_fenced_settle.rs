//! Q4: a stale token does something, or the answer about it is wrong.

use async_trait::async_trait;
use queue_core::backend::{HeartbeatReply, HeartbeatRequest, SettleRequest, Settled};
use queue_core::{Backend as _, Result, State, Token, WorkerId};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q4 settles_without_the_fence => SettlesWithoutTheFence,
    Q4 takes_the_worker_for_the_token => TakesTheWorkerForTheToken,
    Q4 answers_done_to_a_lost_lease => AnswersDone,
    Q4 forgets_how_a_job_was_ended => ForgetsTheEnd,
    Q4 lets_a_stale_settlement_fail_its_neighbours => FailsTheNeighbours,
    Q4 stores_progress_without_the_fence => ProgressWithoutTheFence,
}

/// The token that opens the lease of the job, whoever holds it; `None` if it is not running.
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

/// Whichever claim of this worker holds the job: the second is taken for the first.
struct TakesTheWorkerForTheToken;

#[async_trait]
impl Mutation for TakesTheWorkerForTheToken {
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

/// Nothing is changed, but nobody hears that.
struct AnswersDone;

#[async_trait]
impl Mutation for AnswersDone {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let mut answers = sound.backend.settle(request).await?;
        for answer in answers.iter_mut().filter(|answer| matches!(answer, Ok(Settled::LeaseLost))) {
            sound.reached();
            *answer = Ok(Settled::Done);
        }
        Ok(answers)
    }
}

/// A settle of unknown outcome cannot be repeated.
struct ForgetsTheEnd;

#[async_trait]
impl Mutation for ForgetsTheEnd {
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

struct FailsTheNeighbours;

#[async_trait]
impl Mutation for FailsTheNeighbours {
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
                sound.live(report.token.job).await.is_some_and(|row| row.state == State::Running);
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
