//! Q19: some jobs are never claimed, or fail for what another is.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, InsertReply, InsertRequest, MaintainReply, MaintainRequest, ReadyQueuesReply,
    ReadyQueuesRequest, SettleRequest, Settled, Settlement, Verdict,
};
use queue_core::{Backend as _, Error, ErrorKind, Kind, Result, Timestamp};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q19 lets_unhandled_kinds_hide_the_others => HiddenBehindOthers::default(),
    Q19 fails_a_whole_request_for_one_settlement => FailsAll,
    Q19 leaves_what_is_not_urgent_for_ever => LeavesTheHumble,
    Q19 gives_up_a_rescue_at_its_limit => GivesUpAtTheLimit::default(),
    Q19 looks_at_queues_for_the_first_kind_only => LooksForTheFirstKind,
    Q19 names_no_queue_whose_jobs_are_only_due => NamesNoneThatIsDue,
}

/// What has jobs of the other kinds only is left out.
struct LooksForTheFirstKind;

#[async_trait]
impl Mutation for LooksForTheFirstKind {
    async fn ready_queues(&self, sound: &Sound, mut request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        if request.kinds.len() > 1 {
            sound.reached();
            request.kinds = request.kinds[..1].into();
        }
        sound.backend.ready_queues(request).await
    }
}

/// A job that nobody promoted yet is waited for, by a worker that never claims.
struct NamesNoneThatIsDue;

#[async_trait]
impl Mutation for NamesNoneThatIsDue {
    async fn ready_queues(&self, sound: &Sound, mut request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        sound.reached();
        request.now = Some(Timestamp::UNIX_EPOCH);
        sound.backend.ready_queues(request).await
    }
}

/// The limit is applied before the kinds are looked at.
#[derive(Default)]
struct HiddenBehindOthers(Mutex<BTreeSet<Kind>>);

#[async_trait]
impl Mutation for HiddenBehindOthers {
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

struct FailsAll;

#[async_trait]
impl Mutation for FailsAll {
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

/// Below the common priority nothing is looked for.
struct LeavesTheHumble;

#[async_trait]
impl Mutation for LeavesTheHumble {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let (worker, now) = (request.worker, request.now);
        let mut reply = sound.backend.claim(request).await?;
        let humble: Vec<_> = reply.jobs.extract_if(.., |job| job.priority < 0).collect();
        if !humble.is_empty() {
            sound.reached();
            let ends = humble.iter().map(|job| Settlement::new(job.token, Verdict::Release)).collect();
            let mut settle = SettleRequest::new(worker, ends);
            settle.now = now;
            drop(sound.backend.settle(settle).await?);
        }
        Ok(reply)
    }
}

/// Of a worker that was given up, what did not fit the limit is not looked for again.
#[derive(Default)]
struct GivesUpAtTheLimit(Mutex<bool>);

#[async_trait]
impl Mutation for GivesUpAtTheLimit {
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
