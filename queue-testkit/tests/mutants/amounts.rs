//! Long lists are cut, at the lengths where databases and drivers cut them.

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, ClaimedJob, HeartbeatReply, HeartbeatRequest, InsertReply, InsertRequest,
    Inspect as _, JobRecord, LeasesRequest, ListRequest, SettleRequest, Settled,
};
use queue_core::{Backend as _, Insertion, JobId, Result, Submitted};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q3 lists_a_thousand_leases => ListsThousand,
    Q3 counts_a_thousand_leases => CountsThousand,
    Q4 settles_five_thousand_leases => SettlesSome,
    Q4 stores_a_thousand_reports_of_progress => ReportsThousand,
    Q5 stores_five_thousand_jobs_of_a_batch => StoresSome,
    Q9 cancels_five_thousand_jobs => CancelsSome,
    Q9 names_a_thousand_cancels => NamesThousand,
    Q20 reads_a_thousand_jobs => ReadsThousand,
    Q20 loses_the_job_between_two_pages => LosesBetweenPages,
}

const THOUSAND: usize = 1000;
const SOME: usize = 5000;

/// Cuts a list, and says whether anything was cut.
fn cut<T>(sound: &Sound, items: &mut Vec<T>, length: usize) -> Vec<T> {
    let rest = items.split_off(items.len().min(length));
    if !rest.is_empty() {
        sound.reached();
    }
    rest
}

struct ListsThousand;

#[async_trait]
impl Mutation for ListsThousand {
    async fn leases(&self, sound: &Sound, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        let mut leases = sound.backend.leases(request).await?;
        cut(sound, &mut leases, THOUSAND);
        Ok(leases)
    }
}

struct CountsThousand;

#[async_trait]
impl Mutation for CountsThousand {
    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let mut reply = sound.backend.heartbeat(request).await?;
        if reply.leases > THOUSAND as u64 {
            sound.reached();
            reply.leases = THOUSAND as u64;
        }
        Ok(reply)
    }
}

struct SettlesSome;

#[async_trait]
impl Mutation for SettlesSome {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let rest = cut(sound, &mut request.settlements, SOME);
        let mut replies = sound.backend.settle(request).await?;
        replies.extend(rest.iter().map(|_| Ok(Settled::Done)));
        Ok(replies)
    }
}

struct ReportsThousand;

#[async_trait]
impl Mutation for ReportsThousand {
    async fn heartbeat(&self, sound: &Sound, mut request: HeartbeatRequest) -> Result<HeartbeatReply> {
        cut(sound, &mut request.progress, THOUSAND);
        sound.backend.heartbeat(request).await
    }
}

struct StoresSome;

#[async_trait]
impl Mutation for StoresSome {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        let rests: Vec<_> = request.batches.iter_mut().map(|batch| cut(sound, batch, SOME)).collect();
        let mut reply = sound.backend.insert(request).await?;
        for (answers, rest) in reply.batches.iter_mut().zip(rests) {
            if let Ok(answers) = answers {
                let insertion = answers.last().map_or(Insertion::New, |job| job.insertion);
                answers.extend(rest.iter().map(|job| Submitted::new(job.id, insertion)));
            }
        }
        Ok(reply)
    }
}

struct CancelsSome;

#[async_trait]
impl Mutation for CancelsSome {
    async fn cancel(&self, sound: &Sound, mut request: CancelRequest) -> Result<Vec<CancelReply>> {
        let rest = cut(sound, &mut request.jobs, SOME);
        let mut replies = sound.backend.cancel(request).await?;
        replies.extend(rest.iter().map(|_| CancelReply::Cancelled));
        Ok(replies)
    }
}

struct NamesThousand;

#[async_trait]
impl Mutation for NamesThousand {
    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let mut reply = sound.backend.heartbeat(request).await?;
        cut(sound, &mut reply.cancels, THOUSAND);
        Ok(reply)
    }
}

struct ReadsThousand;

#[async_trait]
impl Mutation for ReadsThousand {
    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = sound.backend.jobs(ids).await?;
        if records.len() > THOUSAND {
            sound.reached();
            records[THOUSAND..].fill(None);
        }
        Ok(records)
    }
}

/// `after` is the position of the next page, and not of the last job.
struct LosesBetweenPages;

#[async_trait]
impl Mutation for LosesBetweenPages {
    async fn list(&self, sound: &Sound, request: ListRequest) -> Result<Vec<JobRecord>> {
        let is_later = request.after.is_some();
        let mut records = sound.backend.list(request).await?;
        if is_later && !records.is_empty() {
            sound.reached();
            records.remove(0);
        }
        Ok(records)
    }
}
