//! Claims of ready jobs.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::iter::Peekable;

use queue_core::backend::{ClaimReply, ClaimRequest, ClaimedJob, LeasesRequest};
use queue_core::{JobId, JobState, Kind, Result, Timestamp, Token};

use crate::error::corrupt;
use crate::layout::{Id, Micros};
use crate::promote::{next_due, promote};
use crate::rows::{Lease, Live, job, job_id};
use crate::tables::Tables;
use crate::{pause, worker};

/// The maximum number of due jobs that a claim promotes. The contract requires at least 1000.
const MAX_PROMOTED: usize = 1000;

/// Claims the first jobs of the queue.
pub(crate) fn claim(tables: &mut Tables<'_>, request: &ClaimRequest) -> Result<ClaimReply> {
    let now = request.now.unwrap_or_else(Timestamp::now);
    // No rescue can happen before the commit, because there is one transaction at a time.
    worker::check(tables, request.worker)?;
    // Before the index of ready jobs is read, because otherwise due jobs would be missed.
    promote(tables, &request.queue, now, MAX_PROMOTED)?;
    let mut jobs = Vec::new();
    if !pause::is_paused(tables, &request.queue)? {
        for (id, live) in pick(tables, request, now)? {
            jobs.push(lease(tables, request, now, id, &live)?);
        }
    }
    Ok(ClaimReply::new(jobs, next_due(tables, &request.queue, now)?))
}

/// Returns the live leases of a claim.
pub(crate) fn leases(tables: &Tables<'_>, request: &LeasesRequest) -> Result<Vec<ClaimedJob>> {
    let mut jobs = Vec::new();
    for id in tables.held_by(request.worker, Some(request.claim))? {
        jobs.push(claimed(tables, Token { job: id, claim: request.claim }, &tables.indexed(id)?)?);
    }
    jobs.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.token.job));
    Ok(jobs)
}

/// Inverted priority, `run_at`, job. The first job has the smallest position.
type ClaimPosition = (i16, Micros, Id);

/// Returns the first jobs of all kinds. It merges one sorted stream per kind.
fn pick(tables: &Tables<'_>, request: &ClaimRequest, now: Timestamp) -> Result<Vec<(JobId, Live)>> {
    // A set, because otherwise a repeated kind would return its jobs twice.
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

/// Returns the ready jobs of one kind, in order. Jobs that are not due are skipped, because the
/// clock can jump back.
fn ready<'t>(
    tables: &'t Tables<'_>,
    request: &'t ClaimRequest,
    kind: &'t Kind,
    now: Timestamp,
) -> Result<impl Iterator<Item = Result<ClaimPosition>> + 't> {
    let (queue, kind) = (request.queue.as_str(), kind.as_str());
    let first = (queue, kind, i16::MIN, Micros::MIN, Id::MIN);
    let last = (queue, kind, i16::MAX, Micros::MAX, Id::MAX);
    let positions = tables.ready.keys(first..=last, |(_, _, priority, run_at, id)| (priority, run_at, id))?;
    Ok(positions.filter(move |position| !matches!(position, Ok((_, run_at, _)) if *run_at > now.as_micros())))
}

/// Takes the smallest position of all streams.
fn next_of_all<I: Iterator<Item = Result<ClaimPosition>>>(
    streams: &mut [Peekable<I>],
) -> Result<Option<ClaimPosition>> {
    let mut least: Option<(usize, ClaimPosition)> = None;
    for (index, stream) in streams.iter_mut().enumerate() {
        match stream.next_if(Result::is_err) {
            Some(failure) => return failure.map(Some),
            None => {
                if let Some(Ok(position)) = stream.peek()
                    && least.is_none_or(|(_, least)| *position < least)
                {
                    least = Some((index, *position));
                }
            }
        }
    }
    match least {
        Some((index, _)) => streams[index].next().transpose(),
        None => Ok(None),
    }
}

/// Charges an attempt and writes the lease.
fn lease(
    tables: &mut Tables<'_>,
    request: &ClaimRequest,
    now: Timestamp,
    id: JobId,
    old: &Live,
) -> Result<ClaimedJob> {
    let mut new = Live { state: JobState::Running, attempt: old.attempt.saturating_add(1), ..old.clone() };
    let job = claimed(tables, Token { job: id, claim: request.claim }, &new)?;
    let deadline = now.saturating_add(job.timeout.saturating_add(request.grace));
    new.lease = Some(Lease { claim: request.claim, worker: request.worker, deadline, progress: None });
    tables.change_live(id, old, &new)?;
    Ok(job)
}

fn claimed(tables: &Tables<'_>, token: Token, live: &Live) -> Result<ClaimedJob> {
    let missing = || corrupt(format!("job {} is live, but its job row is missing", token.job));
    let spec = job(&*tables.jobs, token.job)?.ok_or_else(missing)?.spec;
    // A retry by hand has raised it.
    let spec = spec.max_retries(live.max_retries);
    Ok(ClaimedJob::new(token.claim, live.attempt, live.run_at, spec))
}
