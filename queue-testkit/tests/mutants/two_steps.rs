//! Operations that look, and write later without another look.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    CancelRequest, ClaimReply, ClaimRequest, HeartbeatReply, HeartbeatRequest, Inspect as _, JobEnd,
    JobRecord, MaintainReply, MaintainRequest, Manage as _, OutcomeRow, Prune, RegisterRequest,
    SettleRequest, Settled, Settlement, Stored, Verdict, Watch as _,
};
use queue_core::{Backend as _, ErrorKind, JobId, JobState, QueueName, Result, Timestamp, Token, WorkerId};
use tokio::time::sleep;

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q3 claims_for_a_worker_that_was_lost_meanwhile => Claims,
    Q3 makes_jobs_ready_that_were_claimed_meanwhile => Promotes,
    Q4 settles_the_lease_that_came_meanwhile => Settles,
    Q4 stores_progress_on_the_lease_that_came_meanwhile => Reports,
    Q8 prunes_jobs_that_were_retried_meanwhile => Prunes,
    Q8 misses_a_job_that_is_retried_meanwhile => Reads,
    Q10 takes_an_end_during_a_watch_for_a_pruned_job => Watches,
    Q12 registers_an_id_that_was_registered_meanwhile => Registers,
    Q17 forgets_a_pause_that_came_meanwhile => Pauses,
}

/// The time between a look and the write, so that the other operation falls into it on a busy
/// machine too.
const GAP: Duration = Duration::from_millis(8);

/// The token of the lease that a job has now.
fn token_of(stored: &Stored, job: JobId) -> Option<Token> {
    let row = stored.live.iter().find(|row| row.id == job)?;
    Some(Token { job, claim: row.claim? })
}

fn is_held(stored: &Stored, token: Token) -> bool {
    token_of(stored, token.job) == Some(token)
}

/// Checks the worker, and later claims even if it was lost since.
struct Claims;

#[async_trait]
impl Mutation for Claims {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let was_registered = sound.stored().await.workers.contains(&request.worker);
        sleep(GAP).await;
        match sound.backend.claim(request.clone()).await {
            Err(error) if error.kind() == ErrorKind::WorkerLost && was_registered => {
                sound.reached();
                // The leases are those of another worker, because memory refuses the lost one.
                let mut again = request;
                again.worker = WorkerId::generate();
                let mut other = RegisterRequest::new(again.worker, "other", Duration::MAX);
                other.now = again.now;
                sound.backend.register(other).await?;
                sound.backend.claim(again).await
            }
            reply => reply,
        }
    }
}

/// Chooses the jobs that ended, and later removes them even if they were retried since.
struct Prunes;

#[async_trait]
impl Mutation for Prunes {
    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let Some(prune) = request.prune.clone() else { return sound.backend.maintain(request).await };
        let now = request.now.unwrap_or_else(Timestamp::now);
        let youngest = JobId::least_at(now.saturating_sub(prune.idempotency_window));
        let is_old = |row: &OutcomeRow| {
            let retention = prune.retention(row.state).unwrap_or(Duration::MAX);
            row.finished_at < now.saturating_sub(retention) && row.id < youngest
        };
        let mut ended = sound.stored().await.outcomes;
        ended.retain(is_old);
        ended.sort_by_key(|row| row.finished_at);
        let chosen: Vec<JobId> = ended.iter().take(prune.limit as usize).map(|row| row.id).collect();
        sleep(GAP).await;
        let reply = sound.backend.maintain(request).await?;
        let jobs = sound.stored().await.jobs;
        for job in jobs.into_iter().filter(|job| chosen.contains(job)) {
            sound.reached();
            // It may have ended anew, at this time.
            let later = now.saturating_add(GAP);
            sound.backend.cancel(CancelRequest::new(vec![job]).at(now)).await?;
            let zero = Duration::ZERO;
            let all = Prune::default().completed(zero).cancelled(zero).dead(zero).idempotency_window(zero);
            sound.backend.maintain(MaintainRequest::prune(all.limit(1)).at(later)).await?;
        }
        Ok(reply)
    }
}

/// Chooses the jobs that wait, and later makes each of them ready.
struct Promotes;

#[async_trait]
impl Mutation for Promotes {
    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        if request.promote == 0 {
            return sound.backend.maintain(request).await;
        }
        let is_waiting = |state| matches!(state, JobState::Scheduled | JobState::Retrying);
        let rows = sound.stored().await.live;
        let chosen: Vec<JobId> = rows.iter().filter(|row| is_waiting(row.state)).map(|row| row.id).collect();
        sleep(GAP).await;
        let now = request.now;
        let reply = sound.backend.maintain(request).await?;
        let stored = sound.stored().await;
        for token in chosen.iter().filter_map(|job| token_of(&stored, *job)) {
            sound.reached();
            let worker = stored.workers.first().copied().unwrap_or_else(WorkerId::generate);
            let mut release = SettleRequest::new(worker, vec![Settlement::new(token, Verdict::Release)]);
            release.now = now;
            sound.backend.settle(release).await?;
        }
        Ok(reply)
    }
}

/// Checks the fence, and later ends whatever lease the job has then.
struct Settles;

#[async_trait]
impl Mutation for Settles {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let before = sound.stored().await;
        sleep(GAP).await;
        let after = sound.stored().await;
        for settlement in &mut request.settlements {
            let token = settlement.token;
            if let Some(other) = token_of(&after, token.job).filter(|other| *other != token)
                && is_held(&before, token)
            {
                sound.reached();
                settlement.token = other;
            }
        }
        sound.backend.settle(request).await
    }
}

struct Reports;

#[async_trait]
impl Mutation for Reports {
    async fn heartbeat(&self, sound: &Sound, mut request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let before = sound.stored().await;
        sleep(GAP).await;
        let after = sound.stored().await;
        for report in &mut request.progress {
            if let Some(other) = token_of(&after, report.token.job).filter(|other| *other != report.token)
                && is_held(&before, report.token)
            {
                sound.reached();
                report.token = other;
            }
        }
        sound.backend.heartbeat(request).await
    }
}

/// Reads the unfinished jobs first, and the finished ones later.
struct Reads;

#[async_trait]
impl Mutation for Reads {
    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let before = sound.backend.jobs(ids).await?;
        sleep(GAP).await;
        let mut after = sound.backend.jobs(ids).await?;
        for (before, after) in before.iter().zip(&mut after) {
            let is_finished =
                |record: &Option<JobRecord>| record.as_ref().is_some_and(|record| record.state.is_finished());
            if is_finished(before) && !is_finished(after) {
                sound.reached();
                *after = None;
            }
        }
        Ok(after)
    }
}

/// Looks for unfinished jobs first, and takes the others for pruned ones.
struct Watches;

#[async_trait]
impl Mutation for Watches {
    async fn watch(&self, sound: &Sound, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        let before = sound.stored().await;
        sleep(GAP).await;
        let mut ends = sound.backend.watch(jobs).await?;
        for (job, end) in jobs.iter().zip(&mut ends) {
            if end.is_some() && before.live.iter().any(|row| row.id == *job) {
                sound.reached();
                *end = Some(JobEnd::Gone);
            }
        }
        Ok(ends)
    }
}

/// Looks for the id first, and takes a conflict for its own earlier attempt.
struct Registers;

#[async_trait]
impl Mutation for Registers {
    async fn register(&self, sound: &Sound, request: RegisterRequest) -> Result<()> {
        let is_known = sound.stored().await.workers.contains(&request.worker);
        sleep(GAP).await;
        match sound.backend.register(request).await {
            Err(error) if error.kind() == ErrorKind::Conflict && !is_known => {
                sound.reached();
                Ok(())
            }
            reply => reply,
        }
    }
}

/// Reads the list of paused queues, and later writes the whole list.
struct Pauses;

#[async_trait]
impl Mutation for Pauses {
    async fn pause(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        let before = sound.backend.paused().await?;
        sleep(GAP).await;
        for other in sound.backend.paused().await? {
            if !before.contains(&other) {
                sound.reached();
                sound.backend.resume(&other).await?;
            }
        }
        sound.backend.pause(queue).await
    }
}
