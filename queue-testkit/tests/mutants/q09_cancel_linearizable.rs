//! Q9: a cancel returns a wrong reply, or does not do what its reply states.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, HeartbeatReply, HeartbeatRequest, IfRunning, SettleRequest, Settlement,
    Verdict,
};
use queue_core::{Backend as _, ClaimId, JobId, JobState, Result, Token};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound, wait_for_another};

mutants! {
    Q9 says_not_found_of_what_exists => ReturnsNotFound,
    Q9 cancels_without_stopping => CancelHasNoEffect,
    Q9 takes_a_running_job_from_its_worker => CancelsRunningJob,
    Q9 signals_nobody => NeverSignals,
    Q9 signals_every_worker => SignalsAllWorkers::default(),
    Q9 forgets_the_signal_with_the_lease => StoresSignalInLease::default(),
    Q9 answers_a_cancel_by_an_older_look => RepliesFromStaleRead::default(),
}

/// Looks for the job among the unfinished jobs only.
struct ReturnsNotFound;

#[async_trait]
impl Mutation for ReturnsNotFound {
    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let mut replies = sound.backend.cancel(request).await?;
        for reply in replies.iter_mut().filter(|reply| matches!(reply, CancelReply::Finished(_))) {
            sound.reached();
            *reply = CancelReply::NotFound;
        }
        Ok(replies)
    }
}

/// Returns `Cancelled` for a waiting job without cancelling it.
struct CancelHasNoEffect;

#[async_trait]
impl Mutation for CancelHasNoEffect {
    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let mut replies = Vec::new();
        for job in &request.jobs {
            let state = sound.record(*job).await.map(|record| record.state);
            if matches!(state, Some(JobState::Scheduled | JobState::Ready | JobState::Retrying)) {
                sound.reached();
                replies.push(CancelReply::Cancelled);
            } else {
                let mut alone = request.clone();
                alone.jobs = vec![*job];
                replies.extend(sound.backend.cancel(alone).await?);
            }
        }
        Ok(replies)
    }
}

/// Cancels a running job at once, without its worker.
struct CancelsRunningJob;

#[async_trait]
impl Mutation for CancelsRunningJob {
    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let mut replies = sound.backend.cancel(request.clone()).await?;
        for (reply, job) in replies.iter_mut().zip(request.jobs) {
            let row = sound.live(job).await;
            if let Some((worker, claim)) = row.and_then(|row| Some((row.worker?, row.claim?))) {
                sound.reached();
                let end = Verdict::Cancel { reason: "cancelled".to_owned() };
                let mut settle = SettleRequest::new(worker, vec![Settlement::new(Token { job, claim }, end)]);
                settle.now = request.now;
                drop(sound.backend.settle(settle).await?);
                *reply = CancelReply::Cancelled;
            }
        }
        Ok(replies)
    }
}

struct NeverSignals;

#[async_trait]
impl Mutation for NeverSignals {
    async fn cancel(&self, sound: &Sound, mut request: CancelRequest) -> Result<Vec<CancelReply>> {
        if request.if_running == IfRunning::Signal {
            sound.reached();
            request.if_running = IfRunning::Leave;
        }
        sound.backend.cancel(request).await
    }
}

#[derive(Default)]
struct SignalsAllWorkers(Mutex<Vec<JobId>>);

#[async_trait]
impl Mutation for SignalsAllWorkers {
    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        if request.if_running == IfRunning::Signal {
            self.0.lock().unwrap().extend(&request.jobs);
        }
        sound.backend.cancel(request).await
    }

    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let mut reply = sound.backend.heartbeat(request).await?;
        for job in self.0.lock().unwrap().iter() {
            if !reply.cancels.contains(job) {
                sound.reached();
                reply.cancels.push(*job);
            }
        }
        Ok(reply)
    }
}

/// Stores the signal with the lease instead of the job.
#[derive(Default)]
struct StoresSignalInLease(Mutex<BTreeMap<JobId, ClaimId>>);

#[async_trait]
impl Mutation for StoresSignalInLease {
    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        if request.if_running == IfRunning::Signal {
            for job in &request.jobs {
                if let Some(claim) = sound.live(*job).await.and_then(|row| row.claim) {
                    self.0.lock().unwrap().insert(*job, claim);
                }
            }
        }
        sound.backend.cancel(request).await
    }

    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let mut reply = sound.backend.heartbeat(request).await?;
        let rows = sound.stored().await.live;
        let signalled = self.0.lock().unwrap().clone();
        let is_of_this_lease = |job: &JobId| {
            let claim = rows.iter().find(|row| row.id == *job).and_then(|row| row.claim);
            let is_same = claim == signalled.get(job).copied();
            if !is_same {
                sound.reached();
            }
            is_same
        };
        reply.cancels.retain(is_of_this_lease);
        Ok(reply)
    }
}

/// Returns a reply from a state that it read before a concurrent cancel.
#[derive(Default)]
struct RepliesFromStaleRead(AtomicU64);

#[async_trait]
impl Mutation for RepliesFromStaleRead {
    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let mut looked = Vec::new();
        for job in &request.jobs {
            let record = sound.record(*job).await;
            looked.push(record.map_or(CancelReply::NotFound, |record| match record.state {
                JobState::Running => CancelReply::Running,
                state if state.is_finished() => CancelReply::Finished(state),
                _ => CancelReply::Cancelled,
            }));
        }
        wait_for_another(&self.0).await;
        let replies = sound.backend.cancel(request).await?;
        self.0.fetch_add(1, Ordering::SeqCst);
        if replies != looked {
            sound.reached();
        }
        Ok(looked)
    }
}
