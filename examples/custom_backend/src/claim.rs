//! Taking ready jobs for a worker.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::iter::Peekable;

use queue_core::backend::{ClaimReply, ClaimRequest, ClaimedJob, LeasesRequest};
use queue_core::{JobId, Kind, Result, State, Timestamp, Token};

use crate::error::corrupt;
use crate::layout::{Id, Micros};
use crate::promote::{next_due, promote};
use crate::rows::{Lease, Live, job, job_id};
use crate::tables::Tables;
use crate::{pause, worker};

/// How many due jobs a claim promotes before it looks: the contract asks for 1000.
const PROMOTED: usize = 1000;

/// Takes the first jobs of the queue.
pub(crate) fn claim(tables: &mut Tables<'_>, request: &ClaimRequest) -> Result<ClaimReply> {
    let now = request.now.unwrap_or_else(Timestamp::now);
    // No rescue comes between this and the commit: there is one transaction at a time.
    worker::check(tables, request.worker)?;
    // Before the look into the index of ready jobs, or what is due now would be missed.
    promote(tables, &request.queue, now, PROMOTED)?;
    let mut jobs = Vec::new();
    if !pause::is_paused(tables, &request.queue)? {
        for (id, live) in pick(tables, request, now)? {
            jobs.push(lease(tables, request, now, id, &live)?);
        }
    }
    Ok(ClaimReply::new(jobs, next_due(tables, &request.queue, now)?))
}

/// The live leases of a claim.
pub(crate) fn leases(tables: &Tables<'_>, request: &LeasesRequest) -> Result<Vec<ClaimedJob>> {
    let mut jobs = Vec::new();
    for id in tables.held_by(request.worker, Some(request.claim))? {
        jobs.push(claimed(tables, Token { job: id, claim: request.claim }, &tables.indexed(id)?)?);
    }
    jobs.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.token.job));
    Ok(jobs)
}

/// Priority upside down, time, job: what comes first is least.
type Place = (i16, Micros, Id);

/// The first jobs among all kinds: the index has each kind in order, and these streams are merged.
fn pick(tables: &Tables<'_>, request: &ClaimRequest, now: Timestamp) -> Result<Vec<(JobId, Live)>> {
    // A kind that is named twice must not give each job twice.
    let kinds: BTreeSet<&Kind> = request.kinds.iter().collect();
    let mut streams = Vec::new();
    for kind in kinds {
        streams.push(ready(tables, request, kind, now)?.peekable());
    }
    let mut picked = Vec::new();
    let mut last_attempts = 0;
    while picked.len() < request.limit as usize {
        let Some((_, _, id)) = next_of_all(&mut streams)? else { break };
        let id = job_id(id);
        let live = tables.indexed(id)?;
        if live.attempt == u32::from(live.max_retries) {
            if last_attempts == request.last_attempts {
                break;
            }
            last_attempts += 1;
        }
        picked.push((id, live));
    }
    Ok(picked)
}

/// The ready jobs of one kind, in order. Those whose time has not come are there if the clock went back.
fn ready<'t>(
    tables: &'t Tables<'_>,
    request: &'t ClaimRequest,
    kind: &'t Kind,
    now: Timestamp,
) -> Result<impl Iterator<Item = Result<Place>> + 't> {
    let (queue, kind) = (request.queue.as_str(), kind.as_str());
    let first = (queue, kind, i16::MIN, Micros::MIN, Id::MIN);
    let last = (queue, kind, i16::MAX, Micros::MAX, Id::MAX);
    let places = tables.ready.keys(first..=last, |(_, _, priority, run_at, id)| (priority, run_at, id))?;
    Ok(places.filter(move |place| !matches!(place, Ok((_, run_at, _)) if *run_at > now.as_micros())))
}

/// Takes the least place of all streams.
fn next_of_all<I: Iterator<Item = Result<Place>>>(streams: &mut [Peekable<I>]) -> Result<Option<Place>> {
    let mut least: Option<(usize, Place)> = None;
    for (index, stream) in streams.iter_mut().enumerate() {
        match stream.next_if(Result::is_err) {
            Some(failure) => return failure.map(Some),
            None => {
                if let Some(Ok(place)) = stream.peek()
                    && least.is_none_or(|(_, least)| *place < least)
                {
                    least = Some((index, *place));
                }
            }
        }
    }
    match least {
        Some((index, _)) => streams[index].next().transpose(),
        None => Ok(None),
    }
}

/// Charges an attempt and gives the lease.
fn lease(
    tables: &mut Tables<'_>,
    request: &ClaimRequest,
    now: Timestamp,
    id: JobId,
    old: &Live,
) -> Result<ClaimedJob> {
    let mut new = Live { state: State::Running, attempt: old.attempt.saturating_add(1), ..old.clone() };
    let job = claimed(tables, Token { job: id, claim: request.claim }, &new)?;
    let deadline = now.saturating_add(job.timeout.saturating_add(request.grace));
    new.lease = Some(Lease { claim: request.claim, worker: request.worker, deadline, progress: None });
    tables.change_live(id, old, &new)?;
    Ok(job)
}

fn claimed(tables: &Tables<'_>, token: Token, live: &Live) -> Result<ClaimedJob> {
    let missing = || corrupt(format!("job {} is live, but what was submitted is not there", token.job));
    let spec = job(&*tables.jobs, token.job)?.ok_or_else(missing)?.spec;
    Ok(ClaimedJob::new(token.claim, live.attempt, live.run_at, spec))
}
