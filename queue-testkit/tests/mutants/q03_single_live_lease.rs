//! Q3: two workers hold one job, or a rescue takes a job from a live worker.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, ClaimedJob, LeasesRequest, MaintainReply, MaintainRequest,
};
use queue_core::{Backend as _, JobId, JobState, Result};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound, wait_for_another};

mutants! {
    Q3 leases_a_running_job_again => LeasesRunningJobs::default(),
    Q3 looks_for_jobs_and_takes_them_in_two_steps => ReadsThenLeases::default(),
    Q3 rescues_the_jobs_of_a_live_worker => RescuesFromLiveWorker,
    Q3 shows_a_worker_the_leases_of_another => ListsLeasesOfOtherWorker,
}

/// Returns jobs from an earlier claim again while they run.
#[derive(Default)]
struct LeasesRunningJobs(Mutex<Vec<ClaimedJob>>);

#[async_trait]
impl Mutation for LeasesRunningJobs {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let (queue, limit, claim) = (request.queue.clone(), request.limit, request.claim);
        let kinds = request.kinds.clone();
        let mut reply = sound.backend.claim(request).await?;
        let running: Vec<JobId> = sound
            .stored()
            .await
            .live
            .iter()
            .filter(|row| row.state == JobState::Running)
            .map(|row| row.id)
            .collect();
        let mut brought = self.0.lock().unwrap();
        for job in brought.iter().filter(|job| job.queue == queue && kinds.contains(&job.kind)) {
            let has_room = u32::try_from(reply.jobs.len()).is_ok_and(|many| many < limit);
            let is_new = reply.jobs.iter().all(|other| other.token.job != job.token.job);
            if has_room && is_new && running.contains(&job.token.job) {
                sound.reached();
                let mut again = job.clone();
                again.token.claim = claim;
                reply.jobs.push(again);
            }
        }
        brought.extend(reply.jobs.iter().cloned());
        Ok(reply)
    }
}

/// Reads jobs and leases them in two steps, so that two concurrent claims return the same jobs.
#[derive(Default)]
struct ReadsThenLeases {
    looked: AtomicU64,
    seen: Mutex<Vec<ClaimedJob>>,
}

#[async_trait]
impl Mutation for ReadsThenLeases {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let claim = request.claim;
        let seen: Vec<ClaimedJob> = std::mem::take(&mut *self.seen.lock().unwrap());
        self.looked.fetch_add(1, Ordering::SeqCst);
        if !seen.is_empty() {
            sound.reached();
            let taken = seen.into_iter().map(|mut job| {
                job.token.claim = claim;
                job
            });
            return Ok(ClaimReply::new(taken.collect(), None));
        }
        let reply = sound.backend.claim(request).await?;
        self.seen.lock().unwrap().clone_from(&reply.jobs);
        wait_for_another(&self.looked).await;
        self.seen.lock().unwrap().clear();
        Ok(reply)
    }
}

/// Rescues with a clock that is an hour ahead.
struct RescuesFromLiveWorker;

#[async_trait]
impl Mutation for RescuesFromLiveWorker {
    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        if request.rescue > 0 {
            sound.reached();
            request.worker = None;
            request.now = request.now.map(|now| now.saturating_add(Duration::from_secs(3600)));
        }
        sound.backend.maintain(request).await
    }
}

/// Looks up leases by claim id only, without the worker.
struct ListsLeasesOfOtherWorker;

#[async_trait]
impl Mutation for ListsLeasesOfOtherWorker {
    async fn leases(&self, sound: &Sound, mut request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        let rows = sound.stored().await.live;
        let holder = rows.iter().find(|row| row.claim == Some(request.claim)).and_then(|row| row.worker);
        if let Some(holder) = holder.filter(|holder| *holder != request.worker) {
            sound.reached();
            request.worker = holder;
        }
        sound.backend.leases(request).await
    }
}
