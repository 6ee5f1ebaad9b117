//! Q11: the job of a dead worker is rescued too early, too late, or never.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, DEADLINE_PASSED_ERROR, HeartbeatReply, HeartbeatRequest, Inspect as _,
    JobRecord, MaintainReply, MaintainRequest, RetireRequest, SettleRequest, Settlement, Verdict,
    WORKER_LOST_ERROR,
};
use queue_core::{Backend as _, JobId, Result, Token};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound, wait_for_another};

const TICK: Duration = Duration::from_micros(1);

mutants! {
    Q11 rescues_a_tick_too_early => ChangedRescue(|request| {
        request.now = request.now.map(|now| now.saturating_add(TICK));
    }),
    Q11 rescues_a_tick_too_late => ChangedRescue(|request| {
        request.now = request.now.map(|now| now.saturating_sub(TICK));
    }),
    Q11 never_rescues => ChangedRescue(|request| request.rescue = 0),
    Q11 rescues_beyond_its_limit => ChangedRescue(|request| request.rescue = u32::MAX),
    Q11 has_no_deadlines => NoDeadlines,
    Q11 takes_the_leases_of_a_worker_that_retires => ReleasesOnRetire,
    Q11 forgets_the_worker_of_a_loss => ForgetsTheWorker,
    Q11 judges_by_an_older_look => RescuesFromStaleRead::default(),
}

struct ChangedRescue(fn(&mut MaintainRequest));

#[async_trait]
impl Mutation for ChangedRescue {
    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        if request.rescue > 0 {
            sound.reached();
            self.0(&mut request);
        }
        sound.backend.maintain(request).await
    }
}

/// Lets a worker with heartbeats keep a job forever.
struct NoDeadlines;

#[async_trait]
impl Mutation for NoDeadlines {
    async fn claim(&self, sound: &Sound, mut request: ClaimRequest) -> Result<ClaimReply> {
        sound.reached();
        request.grace = Duration::MAX;
        sound.backend.claim(request).await
    }
}

/// Releases the leases of a retiring worker, although its handlers may still run.
struct ReleasesOnRetire;

#[async_trait]
impl Mutation for ReleasesOnRetire {
    async fn retire(&self, sound: &Sound, request: RetireRequest) -> Result<()> {
        let rows = sound.stored().await.live;
        let held = rows.iter().filter(|row| row.worker == Some(request.worker));
        let token = |row: &queue_core::backend::LiveRow| Some(Token { job: row.id, claim: row.claim? });
        let ends: Vec<_> =
            held.filter_map(token).map(|token| Settlement::new(token, Verdict::Release)).collect();
        if !ends.is_empty() {
            sound.reached();
            drop(sound.backend.settle(SettleRequest::new(request.worker, ends)).await?);
        }
        sound.backend.retire(request).await
    }
}

/// Records a lost lease after its worker has been removed from the row.
struct ForgetsTheWorker;

#[async_trait]
impl Mutation for ForgetsTheWorker {
    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = sound.backend.jobs(ids).await?;
        let errors = records.iter_mut().flatten().flat_map(|record| &mut record.errors);
        for error in
            errors.filter(|error| [WORKER_LOST_ERROR, DEADLINE_PASSED_ERROR].contains(&&*error.error))
        {
            sound.reached();
            error.worker = None;
        }
        Ok(records)
    }
}

/// Ignores a heartbeat that arrives between its read and the rescue.
#[derive(Default)]
struct RescuesFromStaleRead(AtomicU64);

#[async_trait]
impl Mutation for RescuesFromStaleRead {
    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let reply = sound.backend.heartbeat(request).await;
        self.0.fetch_add(1, Ordering::SeqCst);
        reply
    }

    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        let before = self.0.load(Ordering::SeqCst);
        wait_for_another(&self.0).await;
        if request.rescue > 0 && self.0.load(Ordering::SeqCst) != before {
            sound.reached();
            request.now = request.now.map(|now| now.saturating_add(Duration::from_secs(3600)));
        }
        sound.backend.maintain(request).await
    }
}
