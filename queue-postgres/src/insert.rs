//! Inserts jobs.

use std::collections::{HashMap, HashSet};

use queue_core::backend::{ClaimReply, ClaimRequest, InsertReply, WakeHints, compare_batch};
use queue_core::{Error, ErrorKind, Insertion, JobId, JobSpec, Result, Submitted, Timestamp};

use crate::columns::{Columns, bytes};
use crate::core::Core;
use crate::error::{Effect, Fault, Outcome, corrupt, named};
use crate::insert_and_claim::{InsertedAndClaimed, insert_and_claim};
use crate::parts::Parts;
use crate::row;
use crate::types::Id;

const OPERATION: &str = "enqueue jobs";

/// Maximum size of the payloads of one batch in bytes. The server refuses a list of a gigabyte.
const MAX_BATCH_BYTES: usize = 512 << 20;

/// Maximum number of attempts for a batch whose ids existed and then did not.
const MAX_ATTEMPTS: u32 = 5;

/// Inserts each batch whole or not at all. All batches share one commit unless one is refused.
pub(crate) async fn insert(
    core: &Core,
    now: Option<Timestamp>,
    batches: &[Vec<JobSpec>],
) -> Vec<Result<Vec<Submitted>>> {
    let mut results: Vec<Option<Result<Vec<Submitted>>>> = batches.iter().map(|_| None).collect();
    let mut parts = Parts::of(batches.len());
    while let Some(part) = parts.next() {
        let together = &batches[part.clone()];
        let slices: Vec<&[JobSpec]> = together.iter().map(Vec::as_slice).collect();
        match store(core, now, &slices).await {
            Ok(holders) => {
                for (result, batch) in results[part].iter_mut().zip(together) {
                    *result = Some(Ok(answers(batch, &holders)));
                }
            }
            // A row of one batch is refused, or its key is taken by an open transaction.
            Err(fault) if together.len() > 1 && (fault.is_row_fault() || fault.is_locked()) => {
                parts.halve(&part);
            }
            Err(fault) if fault.is_known() => {
                for (result, batch) in results[part].iter_mut().zip(together) {
                    *result =
                        Some(insert_known(core, now, batch).await.map_err(|fault| failed(fault, batch)));
                }
            }
            Err(fault) => fail(&mut results[part], together, fault),
        }
    }
    results.into_iter().map(|result| result.unwrap_or_else(|| Err(unanswered()))).collect()
}

/// Inserts all batches and makes the claim in one commit. Returns `None` if that is not possible at
/// once.
pub(crate) async fn insert_with_claim(
    core: &Core,
    now: Option<Timestamp>,
    batches: &[Vec<JobSpec>],
    claim: &ClaimRequest,
) -> Option<InsertReply> {
    let slices: Vec<&[JobSpec]> = batches.iter().map(Vec::as_slice).collect();
    match store_and_claim(core, now, &slices, claim).await {
        Ok(Some(reply)) => {
            let results = batches.iter().map(|batch| Ok(answers(batch, &Holders::new()))).collect();
            Some(InsertReply::new(results).claim(reply))
        }
        Ok(None) => None,
        Err(fault) => {
            let claim = fault.leaves_outcome_unknown().then(|| {
                let message = "the answer to the insert with this claim was lost";
                Err(Error::new(ErrorKind::UnknownOutcome, "claim jobs", message))
            });
            let mut results: Vec<_> = batches.iter().map(|_| None).collect();
            fail(&mut results, batches, fault);
            let results =
                results.into_iter().map(|result| result.unwrap_or_else(|| Err(unanswered()))).collect();
            Some(InsertReply::new(results).claim(claim))
        }
    }
}

/// Answers a batch with a stored id. Its jobs without a unique key must be stored whole and with
/// the same content; each job with a key is known, new or a duplicate on its own.
async fn insert_known(core: &Core, now: Option<Timestamp>, batch: &[JobSpec]) -> Outcome<Vec<Submitted>> {
    for _ in 0..MAX_ATTEMPTS {
        let insertions = insertions(core, batch).await?;
        let is_new = |(_, insertion): &(_, &Insertion)| **insertion == Insertion::New;
        let new: Vec<JobSpec> =
            batch.iter().zip(&insertions).filter(is_new).map(|(job, _)| job.clone()).collect();
        let holders = match store(core, now, &[&new]).await {
            Ok(holders) => holders,
            Err(fault) if fault.is_known() => continue,
            Err(fault) => return Err(fault),
        };
        let known = insertions.iter().map(|insertion| *insertion == Insertion::Known);
        let answer = |(answer, is_known): (Submitted, bool)| match is_known {
            true => Submitted::new(answer.id, Insertion::Known),
            false => answer,
        };
        return Ok(answers(batch, &holders).into_iter().zip(known).map(answer).collect());
    }
    let message = "jobs with the same ids are inserted and removed repeatedly";
    Err(Error::new(ErrorKind::Busy, OPERATION, message).into())
}

/// Compares a batch with the stored jobs. Reads in a new snapshot, because the existing job is
/// committed or has been pruned since.
pub(crate) async fn insertions(core: &Core, batch: &[JobSpec]) -> Outcome<Vec<Insertion>> {
    let stored = known(core, batch).await?;
    let stored = |id| Ok::<_, Fault>(stored.get(&id).map(|(job, created_at)| (job, *created_at)));
    compare_batch(batch.iter().map(JobSpec::in_whole_micros), stored)
}

async fn known(core: &Core, batch: &[JobSpec]) -> Outcome<HashMap<JobId, (JobSpec, Timestamp)>> {
    let ids: Vec<Id> = batch.iter().map(|job| job.id.into()).collect();
    let payloads: Vec<&str> = batch.iter().map(|job| job.payload.as_str()).collect();
    let rows = core.query(&core.statements.known, &[&ids, &payloads]).await?;
    let job = |row: &tokio_postgres::Row| {
        let id = row::job_id(row, 0)?;
        named(id, || Ok((id, (row::job(row, id, 2)?, row::time(row, 1)?))))
    };
    rows.iter().map(job).collect()
}

/// The holder of its unique key for each job that was not stored.
type Holders = HashMap<JobId, JobId>;

/// Inserts the batches in one transaction and wakes workers.
async fn store(core: &Core, now: Option<Timestamp>, batches: &[&[JobSpec]]) -> Outcome<Holders> {
    let jobs = || batches.iter().copied().flatten();
    if jobs().next().is_none() {
        return Ok(Holders::new());
    }
    let columns = columns(now, batches)?;
    let (holders, at) = if jobs().any(|job| job.unique.is_some()) {
        store_unique(core, &columns).await?
    } else {
        let rows = core.query(&core.statements.insert, &columns.parameters()).await?;
        (Holders::new(), row::time(row::only(&rows)?, 0)?)
    };
    core.waker.wake(WakeHints::of_inserted(jobs().filter(|job| !holders.contains_key(&job.id)), at));
    Ok(holders)
}

/// Inserts jobs with unique keys. Also returns the time of the insert.
async fn store_unique(core: &Core, columns: &Columns<'_>) -> Outcome<(Holders, Timestamp)> {
    let parameters = [columns.parameters().as_slice(), &[&core.unique_lock_timeout]].concat();
    let rows = core.query(&core.statements.insert_unique, &parameters).await?;
    let (last, duplicates) = rows.split_last().ok_or_else(|| corrupt("an insert returned no rows"))?;
    let duplicate = |row| Ok((row::job_id(row, 0)?, row::job_id(row, 1)?));
    Ok((duplicates.iter().map(duplicate).collect::<Outcome<_>>()?, row::time(last, 2)?))
}

async fn store_and_claim(
    core: &Core,
    now: Option<Timestamp>,
    batches: &[&[JobSpec]],
    claim: &ClaimRequest,
) -> Outcome<Option<Result<ClaimReply>>> {
    let columns = columns(now, batches)?;
    // Without the server's time, a job without a time of its own counts as the last one.
    let hints = WakeHints::of_inserted(batches.iter().copied().flatten(), now.unwrap_or(Timestamp::MAX));
    let Some(InsertedAndClaimed { at, reply }) = insert_and_claim(core, &columns, &hints, claim).await?
    else {
        return Ok(None);
    };
    let claimed: HashSet<JobId> =
        reply.iter().flat_map(|reply| &reply.jobs).map(|job| job.token.job).collect();
    let left = batches.iter().copied().flatten().filter(|job| !claimed.contains(&job.id));
    core.waker.wake(WakeHints::of_inserted(left, at));
    Ok(Some(reply))
}

fn columns<'a>(now: Option<Timestamp>, batches: &[&'a [JobSpec]]) -> Outcome<Columns<'a>> {
    let jobs = || batches.iter().copied().flatten();
    check_size(jobs())?;
    Ok(Columns::of(now, jobs()))
}

/// Fails if the jobs are too large for one statement.
pub(crate) fn check_size<'a>(jobs: impl Iterator<Item = &'a JobSpec>) -> Outcome<()> {
    let bytes: usize = jobs.map(bytes).sum();
    if bytes <= MAX_BATCH_BYTES {
        return Ok(());
    }
    let message = format!("the payloads of the batch are {bytes} bytes, the limit is {MAX_BATCH_BYTES}");
    Err(Error::invalid(OPERATION, message).into())
}

/// The answers for a batch that was stored, except the jobs whose keys these jobs hold.
fn answers(batch: &[JobSpec], holders: &Holders) -> Vec<Submitted> {
    let answer = |job: &JobSpec| match holders.get(&job.id) {
        Some(holder) => Submitted::new(*holder, Insertion::Duplicate),
        None => Submitted::new(job.id, Insertion::New),
    };
    batch.iter().map(answer).collect()
}

/// Sets the same error for all batches.
fn fail(results: &mut [Option<Result<Vec<Submitted>>>], batches: &[Vec<JobSpec>], fault: Fault) {
    let error = fault.into_error(OPERATION, Effect::Writes);
    for (result, batch) in results.iter_mut().zip(batches) {
        let same = Error::new(error.kind(), OPERATION, error.message());
        *result = Some(Err(with_ids(same, batch)));
    }
    // The first error has the driver's error as its source.
    if let (Some(result), Some(batch)) = (results.first_mut(), batches.first()) {
        *result = Some(Err(with_ids(error, batch)));
    }
}

fn failed(fault: Fault, batch: &[JobSpec]) -> Error {
    with_ids(fault.into_error(OPERATION, Effect::Writes), batch)
}

/// Adds the ids of the batch to an unknown outcome, so that the enqueuer can retry with them.
fn with_ids(error: Error, batch: &[JobSpec]) -> Error {
    match error.kind() {
        ErrorKind::UnknownOutcome => error.with_jobs(batch.iter().map(|job| job.id).collect()),
        _ => error,
    }
}

fn unanswered() -> Error {
    Error::new(ErrorKind::UnknownOutcome, OPERATION, "no result for a batch")
}
