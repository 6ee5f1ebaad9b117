//! Q10: a job has a result without completing, none although it completed, or that of another lease
//! or job.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, Completion, InsertReply, InsertRequest, JobEnd, JobRecord, SettleRequest,
    Settled, Verdict, Watch as _,
};
use queue_core::{Backend as _, JobId, JobState, Result};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound, wait_for_another};

mutants! {
    Q10 keeps_the_result_that_came_last => KeepsLatestResult::default(),
    Q10 shows_a_result_of_a_retried_job => ResultWhileRetrying,
    Q10 swaps_the_results_of_a_request => SwapsResults,
    Q10 takes_an_empty_result_for_none => DropsEmptyResult,
    Q10 announces_no_end => WatchesNothing,
    Q10 announces_every_end => WatchesAll,
    Q10 takes_a_job_that_is_gone_for_unfinished => WaitsForGone,
    Q10 reads_the_ends_before_it_watches => ReadsBeforeWatching::default(),
}

/// Stores the latest result, even that of a lost lease.
#[derive(Default)]
struct KeepsLatestResult(Mutex<BTreeMap<JobId, Vec<u8>>>);

#[async_trait]
impl Mutation for KeepsLatestResult {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &request.settlements {
            if let Verdict::Complete(Completion { result: Some(result), .. }) = &settlement.verdict {
                self.0.lock().unwrap().insert(settlement.token.job, result.clone());
            }
        }
        sound.backend.settle(request).await
    }

    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = Vec::new();
        for id in ids {
            let mut record = sound.record(*id).await;
            let last = self.0.lock().unwrap().get(id).cloned();
            if let Some(record) = record.as_mut()
                && last.is_some()
                && record.result != last
            {
                sound.reached();
                record.result = last;
            }
            records.push(record);
        }
        Ok(records)
    }
}

struct ResultWhileRetrying;

#[async_trait]
impl Mutation for ResultWhileRetrying {
    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = Vec::new();
        for id in ids {
            let mut record = sound.record(*id).await;
            if let Some(record) = record.as_mut().filter(|record| record.state == JobState::Retrying) {
                sound.reached();
                record.result = Some(b"half of it".to_vec());
            }
            records.push(record);
        }
        Ok(records)
    }
}

/// Assigns the results of a request to the wrong jobs, as a join by position may.
struct SwapsResults;

#[async_trait]
impl Mutation for SwapsResults {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let results = request.settlements.iter_mut().filter_map(|settlement| match &mut settlement.verdict {
            Verdict::Complete(Completion { result, .. }) => Some(result),
            _ => None,
        });
        let mut results: Vec<_> = results.collect();
        if let [first, .., last] = results.as_mut_slice() {
            sound.reached();
            std::mem::swap(*first, *last);
        }
        sound.backend.settle(request).await
    }
}

struct DropsEmptyResult;

#[async_trait]
impl Mutation for DropsEmptyResult {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &mut request.settlements {
            if let Verdict::Complete(Completion { result, .. }) = &mut settlement.verdict
                && result.as_ref().is_some_and(Vec::is_empty)
            {
                sound.reached();
                *result = None;
            }
        }
        sound.backend.settle(request).await
    }
}

async fn ends(sound: &Sound, jobs: &[JobId]) -> Vec<Option<JobEnd>> {
    let mut ends = Vec::new();
    for job in jobs {
        ends.push(match sound.record(*job).await {
            Some(record) => JobEnd::of(record.state, record.result, record.error),
            None => Some(JobEnd::Gone),
        });
    }
    ends
}

/// Reads the ends, and marks no job.
struct WatchesNothing;

#[async_trait]
impl Mutation for WatchesNothing {
    async fn watch(&self, sound: &Sound, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        sound.reached();
        Ok(ends(sound, jobs).await)
    }
}

/// Watches each job from its insert.
struct WatchesAll;

#[async_trait]
impl Mutation for WatchesAll {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let ids: Vec<JobId> = request.batches.iter().flatten().map(|job| job.id).collect();
        let reply = sound.backend.insert(request).await?;
        sound.reached();
        sound.backend.watch(&ids).await?;
        Ok(reply)
    }
}

/// Leaves the callers of a job that does not exist waiting.
struct WaitsForGone;

#[async_trait]
impl Mutation for WaitsForGone {
    async fn watch(&self, sound: &Sound, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        let mut ends = sound.backend.watch(jobs).await?;
        for end in &mut ends {
            if end.take_if(|end| *end == JobEnd::Gone).is_some() {
                sound.reached();
            }
        }
        Ok(ends)
    }
}

/// Reads the ends first, and then marks the jobs.
#[derive(Default)]
struct ReadsBeforeWatching(AtomicU64);

#[async_trait]
impl Mutation for ReadsBeforeWatching {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let settled = sound.backend.settle(request).await;
        self.0.fetch_add(1, Ordering::SeqCst);
        settled
    }

    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let replies = sound.backend.cancel(request).await;
        self.0.fetch_add(1, Ordering::SeqCst);
        replies
    }

    async fn watch(&self, sound: &Sound, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        let before = ends(sound, jobs).await;
        wait_for_another(&self.0).await;
        if sound.backend.watch(jobs).await? != before {
            sound.reached();
        }
        Ok(before)
    }
}
