//! Q6: follow-ups are stored without the completion of their job, or not stored with it.

use async_trait::async_trait;
use queue_core::backend::{Completion, InsertRequest, SettleRequest, Settled, Settlement, Verdict};
use queue_core::{Backend as _, JobSpec, Result, Timestamp};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q6 forgets_the_follow_ups => Changes(Vec::clear),
    Q6 stores_the_first_follow_up_only => Changes(|follow_ups| follow_ups.truncate(1)),
    Q6 stores_follow_ups_without_their_keys => Changes(|follow_ups| {
        follow_ups.iter_mut().for_each(|job| job.unique = None);
    }),
    Q6 stores_the_follow_ups_after_the_completion => Afterwards(|_| true),
    Q6 stores_the_follow_ups_of_a_lost_lease => Afterwards(|settled| settled != Settled::Done),
    Q6 stores_the_follow_ups_before_the_completion => Before,
    Q6 refuses_a_request_for_one_follow_up => RefusesAll,
}

fn follow_ups(settlement: &mut Settlement) -> Option<&mut Vec<JobSpec>> {
    match &mut settlement.verdict {
        Verdict::Complete(Completion { follow_ups, .. }) if !follow_ups.is_empty() => Some(follow_ups),
        _ => None,
    }
}

/// Changes the follow-ups of each settlement.
struct Changes(fn(&mut Vec<JobSpec>));

#[async_trait]
impl Mutation for Changes {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for jobs in request.settlements.iter_mut().filter_map(follow_ups) {
            let before = jobs.clone();
            (self.0)(jobs);
            if *jobs != before {
                sound.reached();
            }
        }
        sound.backend.settle(request).await
    }
}

async fn insert(sound: &Sound, now: Option<Timestamp>, jobs: Vec<JobSpec>) -> Result<()> {
    let mut request = InsertRequest::new(vec![jobs]);
    request.now = now;
    sound.backend.insert(request).await?.batches.remove(0).map(drop)
}

/// Stores the follow-ups of the settlements with these answers in a request of its own, after the
/// completion. Those of the others are stored by it.
struct Afterwards(fn(Settled) -> bool);

#[async_trait]
impl Mutation for Afterwards {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let (now, is_for_all) = (request.now, (self.0)(Settled::Done));
        let mut later = Vec::new();
        for settlement in &mut request.settlements {
            let jobs = follow_ups(settlement);
            later.push(jobs.map(|jobs| if is_for_all { std::mem::take(jobs) } else { jobs.clone() }));
        }
        let replies = sound.backend.settle(request).await?;
        for (jobs, reply) in later.into_iter().zip(&replies) {
            if let (Some(jobs), Ok(settled)) = (jobs, reply)
                && (self.0)(*settled)
            {
                sound.reached();
                // The job is completed already, so the worker gets no error.
                let _ = insert(sound, now, jobs).await;
            }
        }
        Ok(replies)
    }
}

/// Stores the follow-ups of a lease that is held, and completes the job in a second request.
struct Before;

#[async_trait]
impl Mutation for Before {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let now = request.now;
        for settlement in &mut request.settlements {
            let token = settlement.token;
            let is_held = sound.live(token.job).await.is_some_and(|live| live.claim == Some(token.claim));
            if let Some(jobs) = follow_ups(settlement).filter(|_| is_held) {
                sound.reached();
                let _ = insert(sound, now, std::mem::take(jobs)).await;
            }
        }
        sound.backend.settle(request).await
    }
}

/// Fails the whole request for one refused follow-up.
struct RefusesAll;

#[async_trait]
impl Mutation for RefusesAll {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let stored = sound.stored().await.jobs;
        for settlement in &mut request.settlements {
            let is_stored = |job: &JobSpec| stored.contains(&job.id);
            if let Some(jobs) = follow_ups(settlement).filter(|jobs| jobs.iter().any(is_stored)) {
                let mut insert = InsertRequest::new(vec![jobs.clone()]);
                insert.now = request.now;
                if let Err(error) = sound.backend.insert(insert).await?.batches.remove(0) {
                    sound.reached();
                    return Err(error);
                }
            }
        }
        sound.backend.settle(request).await
    }
}
