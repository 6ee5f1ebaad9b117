//! Q19: jobs are never claimed, or one bad settlement fails others.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, InsertReply, InsertRequest, Inspect as _, JobRecord, ListRequest,
    MaintainReply, MaintainRequest, Manage as _, NextReady, ReadyQueuesReply, ReadyQueuesRequest,
    SettleRequest, Settled, Settlement, Verdict,
};
use queue_core::{Backend as _, Error, ErrorKind, JobState, Kind, QueueName, Result, Timestamp};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q19 lets_unhandled_kinds_hide_the_others => LimitsBeforeKinds::default(),
    Q19 fails_a_whole_request_for_one_settlement => FailsWholeRequest,
    Q19 leaves_what_is_not_urgent_for_ever => SkipsLowPriorities,
    Q19 gives_up_a_rescue_at_its_limit => StopsAtRescueLimit::default(),
    Q19 looks_at_queues_for_the_first_kind_only => ReadsFirstKindOnly,
    Q19 names_no_queue_whose_jobs_are_only_due => OmitsDueQueues,
    Q19 names_any_ready_job_as_the_next_one => NamesTheOldest,
    Q19 names_jobs_of_paused_queues_as_next => NamesPausedJobs,
}

/// Names the oldest ready job of each kind, whatever its priority.
struct NamesTheOldest;

#[async_trait]
impl Mutation for NamesTheOldest {
    async fn next_ready(&self, sound: &Sound, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        let mut next = sound.backend.next_ready(queues).await?;
        for next in &mut next {
            let request = ListRequest::new(1).state(JobState::Ready);
            let request = request.queue(next.queue.clone()).kind(next.kind.clone());
            let oldest = sound.backend.list(request).await?;
            if oldest[0].job.id != next.job {
                sound.reached();
                next.job = oldest[0].job.id;
            }
        }
        Ok(next)
    }
}

/// Names jobs that no claim takes, because their queue is paused.
struct NamesPausedJobs;

#[async_trait]
impl Mutation for NamesPausedJobs {
    async fn next_ready(&self, sound: &Sound, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        let mut next = sound.backend.next_ready(queues).await?;
        for queue in sound.backend.paused().await?.into_iter().filter(|queue| queues.contains(queue)) {
            let request = ListRequest::new(1).state(JobState::Ready).queue(queue);
            for JobRecord { job, .. } in sound.backend.list(request).await? {
                sound.reached();
                next.push(NextReady::new(job.queue, job.kind, job.id));
            }
        }
        Ok(next)
    }
}

/// Omits queues that only have jobs of other kinds.
struct ReadsFirstKindOnly;

#[async_trait]
impl Mutation for ReadsFirstKindOnly {
    async fn ready_queues(&self, sound: &Sound, mut request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        if request.kinds.len() > 1 {
            sound.reached();
            request.kinds = request.kinds[..1].into();
        }
        sound.backend.ready_queues(request).await
    }
}

/// Omits a queue whose jobs are due and not promoted, so that a worker never claims from it.
struct OmitsDueQueues;

#[async_trait]
impl Mutation for OmitsDueQueues {
    async fn ready_queues(&self, sound: &Sound, mut request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        sound.reached();
        request.now = Some(Timestamp::UNIX_EPOCH);
        sound.backend.ready_queues(request).await
    }
}

/// Applies the limit before the filter by kind.
#[derive(Default)]
struct LimitsBeforeKinds(Mutex<BTreeSet<Kind>>);

#[async_trait]
impl Mutation for LimitsBeforeKinds {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        self.0.lock().unwrap().extend(request.batches.iter().flatten().map(|spec| spec.kind.clone()));
        sound.backend.insert(request).await
    }

    async fn claim(&self, sound: &Sound, mut request: ClaimRequest) -> Result<ClaimReply> {
        let asked = request.kinds.clone();
        let all: Vec<Kind> = self.0.lock().unwrap().iter().cloned().collect();
        request.kinds = all.into();
        let (worker, now) = (request.worker, request.now);
        let mut reply = sound.backend.claim(request).await?;
        let (kept, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut reply.jobs).into_iter().partition(|job| asked.contains(&job.kind));
        reply.jobs = kept;
        if !others.is_empty() {
            sound.reached();
            let ends = others.iter().map(|job| Settlement::new(job.token, Verdict::Release)).collect();
            let mut settle = SettleRequest::new(worker, ends);
            settle.now = now;
            drop(sound.backend.settle(settle).await?);
        }
        Ok(reply)
    }
}

struct FailsWholeRequest;

#[async_trait]
impl Mutation for FailsWholeRequest {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &request.settlements {
            if request.settlements.len() > 1 && sound.record(settlement.token.job).await.is_none() {
                sound.reached();
                let message = format!("there is no job {}", settlement.token.job);
                return Err(Error::new(ErrorKind::Invalid, "settle jobs", message));
            }
        }
        sound.backend.settle(request).await
    }
}

/// Never returns a job below the default priority.
struct SkipsLowPriorities;

#[async_trait]
impl Mutation for SkipsLowPriorities {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let (worker, now) = (request.worker, request.now);
        let mut reply = sound.backend.claim(request).await?;
        let low: Vec<_> = reply.jobs.extract_if(.., |job| job.priority < 0).collect();
        if !low.is_empty() {
            sound.reached();
            let ends = low.iter().map(|job| Settlement::new(job.token, Verdict::Release)).collect();
            let mut settle = SettleRequest::new(worker, ends);
            settle.now = now;
            drop(sound.backend.settle(settle).await?);
        }
        Ok(reply)
    }
}

/// Never rescues again after a rescue reached its limit.
#[derive(Default)]
struct StopsAtRescueLimit(Mutex<bool>);

#[async_trait]
impl Mutation for StopsAtRescueLimit {
    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        if request.rescue > 0 && *self.0.lock().unwrap() {
            sound.reached();
            request.rescue = 0;
        }
        let limit = u64::from(request.rescue);
        let reply = sound.backend.maintain(request).await?;
        if limit > 0 && reply.rescued >= limit {
            *self.0.lock().unwrap() = true;
        }
        Ok(reply)
    }
}
