//! Inserts jobs.

use std::collections::{HashMap, HashSet};

use queue_core::backend::{ClaimReply, ClaimRequest, InsertReply, WakeHints, compare_batch};
use queue_core::{Error, ErrorKind, Insertion, JobId, JobSpec, Result, Submitted, Timestamp};

use crate::columns::{Columns, bytes};
use crate::core::Core;
use crate::error::{Effect, Fault, Outcome};
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
            Ok(()) => {
                for (result, batch) in results[part].iter_mut().zip(together) {
                    *result = Some(Ok(answers(batch, Insertion::New)));
                }
            }
            // A row of one batch is refused.
            Err(fault) if together.len() > 1 && fault.is_row_fault() => parts.halve(&part),
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
            let results = batches.iter().map(|batch| Ok(answers(batch, Insertion::New))).collect();
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

/// Answers a batch with a stored id: it must be stored whole and with the same content.
async fn insert_known(core: &Core, now: Option<Timestamp>, batch: &[JobSpec]) -> Outcome<Vec<Submitted>> {
    for _ in 0..MAX_ATTEMPTS {
        // Reads in a new snapshot, because the existing job is committed or has been pruned since.
        let stored = known(core, batch).await?;
        if stored.is_empty() {
            match store(core, now, &[batch]).await {
                Ok(()) => return Ok(answers(batch, Insertion::New)),
                Err(fault) if fault.is_known() => continue,
                Err(fault) => return Err(fault),
            }
        }
        let stored = |id| Ok::<_, Fault>(stored.get(&id).map(|(job, created_at)| (job, *created_at)));
        let insertion = compare_batch(batch.iter().map(JobSpec::in_whole_micros), stored)?;
        return Ok(answers(batch, insertion));
    }
    let message = "jobs with the same ids are inserted and removed repeatedly";
    Err(Error::new(ErrorKind::Busy, OPERATION, message).into())
}

async fn known(core: &Core, batch: &[JobSpec]) -> Outcome<HashMap<JobId, (JobSpec, Timestamp)>> {
    let ids: Vec<Id> = batch.iter().map(|job| job.id.into()).collect();
    let payloads: Vec<&str> = batch.iter().map(|job| job.payload.as_str()).collect();
    let rows = core.query(&core.statements.known, &[&ids, &payloads]).await?;
    let job = |row: &tokio_postgres::Row| {
        let id = row::job_id(row, 0)?;
        Ok((id, (row::job(row, id, 2)?, row::time(row, 1)?)))
    };
    rows.iter().map(job).collect()
}

/// Inserts the batches in one transaction and wakes workers.
async fn store(core: &Core, now: Option<Timestamp>, batches: &[&[JobSpec]]) -> Outcome<()> {
    let columns = columns(now, batches)?;
    let rows = core.query(&core.statements.insert, &columns.parameters()).await?;
    let jobs = batches.iter().copied().flatten();
    core.waker.wake(WakeHints::of_inserted(jobs, row::time(row::only(&rows)?, 0)?));
    Ok(())
}

async fn store_and_claim(
    core: &Core,
    now: Option<Timestamp>,
    batches: &[&[JobSpec]],
    claim: &ClaimRequest,
) -> Outcome<Option<Result<ClaimReply>>> {
    let columns = columns(now, batches)?;
    let Some(InsertedAndClaimed { at, reply }) = insert_and_claim(core, &columns, claim).await? else {
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
    let bytes: usize = jobs().map(bytes).sum();
    if bytes > MAX_BATCH_BYTES {
        let message = format!("the payloads of the batch are {bytes} bytes, the limit is {MAX_BATCH_BYTES}");
        return Err(Error::invalid(OPERATION, message).into());
    }
    Ok(Columns::of(now, jobs()))
}

fn answers(batch: &[JobSpec], insertion: Insertion) -> Vec<Submitted> {
    batch.iter().map(|job| Submitted::new(job.id, insertion)).collect()
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
