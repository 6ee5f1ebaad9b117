//! Entering jobs.

use std::collections::{BTreeMap, HashMap};

use queue_core::backend::{Hint, TakenClaim};
use queue_core::{
    Backoff, Error, ErrorKind, Insertion, JobId, JobSpec, QueueName, Result, Submitted, Timestamp,
};

use crate::columns::{Columns, bytes};
use crate::core::Core;
use crate::error::{Effect, Fault, Outcome};
use crate::parked::{Entered, insert_and_claim};
use crate::parts::Parts;
use crate::row;
use crate::types::{Id, stored_duration};

const OPERATION: &str = "enqueue jobs";

/// The most bytes of the payloads of one batch: the server takes no list of a gigabyte.
const MAX_BATCH_BYTES: usize = 512 << 20;

/// How often a batch is entered again whose ids were known and then were not.
const MOST_TRIES: u32 = 5;

/// Stores each batch whole or not at all; all of them in one commit, unless one cannot be stored.
pub(crate) async fn insert(
    core: &Core,
    now: Option<Timestamp>,
    batches: &[Vec<JobSpec>],
) -> Vec<Result<Vec<Submitted>>> {
    let mut fates: Vec<Option<Result<Vec<Submitted>>>> = batches.iter().map(|_| None).collect();
    let mut parked = core.parking.take(batches.iter().flatten(), now);
    let mut parts = Parts::of(batches.len());
    while let Some(part) = parts.next() {
        let together = &batches[part.clone()];
        let slices: Vec<&[JobSpec]> = together.iter().map(Vec::as_slice).collect();
        match store(core, now, &slices, parked.take()).await {
            Ok(()) => {
                for (fate, batch) in fates[part].iter_mut().zip(together) {
                    *fate = Some(Ok(answers(batch, Insertion::New)));
                }
            }
            // One of them is in the way of the others.
            Err(fault) if together.len() > 1 && fault.is_of_a_value() => parts.halve(&part),
            Err(fault) if fault.is_known() => {
                for (fate, batch) in fates[part].iter_mut().zip(together) {
                    *fate = Some(insert_known(core, now, batch).await.map_err(|fault| failed(fault, batch)));
                }
            }
            Err(fault) => fail(&mut fates[part], together, fault),
        }
    }
    fates.into_iter().map(|fate| fate.unwrap_or_else(|| Err(unanswered()))).collect()
}

/// A batch of which an id is known: fine if all of it is, with the same content.
async fn insert_known(core: &Core, now: Option<Timestamp>, batch: &[JobSpec]) -> Outcome<Vec<Submitted>> {
    for _ in 0..MOST_TRIES {
        // In a snapshot of its own: the job that was in the way is committed, or has been pruned since.
        let stored = known(core, batch).await?;
        if stored.is_empty() {
            match store(core, now, &[batch], None).await {
                Ok(()) => return Ok(answers(batch, Insertion::New)),
                Err(fault) if fault.is_known() => continue,
                Err(fault) => return Err(fault),
            }
        }
        return compare(batch, &stored).map(|()| answers(batch, Insertion::Known));
    }
    let message = "its ids come and go: somebody else enters and removes the same ones";
    Err(Error::new(ErrorKind::Busy, OPERATION, message).into())
}

fn compare(batch: &[JobSpec], stored: &HashMap<JobId, (JobSpec, Timestamp)>) -> Outcome<()> {
    for job in batch {
        if let Some((kept, created_at)) = stored.get(&job.id)
            && !as_stored(job).is_same_as(kept, *created_at)
        {
            return Err(conflict(job.id, "is stored already with other content"));
        }
    }
    match batch.iter().find(|job| stored.contains_key(&job.id)) {
        Some(known) if stored.len() < batch.len() => {
            Err(conflict(known.id, "is stored already, but others of its batch are not"))
        }
        _ => Ok(()),
    }
}

fn conflict(id: JobId, fault: &str) -> Fault {
    let message = format!("the job {id} {fault}");
    Error::new(ErrorKind::Conflict, OPERATION, message).with_jobs(vec![id]).into()
}

/// The job as it would come back, in whole microseconds.
fn as_stored(job: &JobSpec) -> JobSpec {
    let rounded = |backoff: Backoff| {
        let (base, cap) = (stored_duration(backoff.base()), stored_duration(backoff.cap()));
        Backoff::new(base, cap, backoff.jitter()).unwrap_or(backoff)
    };
    job.clone().timeout(stored_duration(job.timeout)).backoff(job.backoff.map(rounded))
}

async fn known(core: &Core, batch: &[JobSpec]) -> Outcome<HashMap<JobId, (JobSpec, Timestamp)>> {
    let ids: Vec<Id> = batch.iter().map(|job| job.id.into()).collect();
    let payloads: Vec<&str> = batch.iter().map(|job| job.payload.as_str()).collect();
    let rows = core.connections.query(&core.statements.known, &[&ids, &payloads]).await?;
    let job = |row: &tokio_postgres::Row| {
        let id = row::job_id(row, 0)?;
        Ok((id, (row::job(row, id, 2)?, row::time(row, 1)?)))
    };
    rows.iter().map(job).collect()
}

/// Stores the batches in one transaction, and tells of them.
async fn store(
    core: &Core,
    now: Option<Timestamp>,
    batches: &[&[JobSpec]],
    parked: Option<TakenClaim>,
) -> Outcome<()> {
    let jobs = || batches.iter().copied().flatten();
    let bytes: usize = jobs().map(bytes).sum();
    if bytes > MAX_BATCH_BYTES {
        if let Some(parked) = parked {
            parked.decline();
        }
        let message = format!("the payloads of the batch are {bytes} bytes, the limit is {MAX_BATCH_BYTES}");
        return Err(Error::invalid(OPERATION, message).into());
    }
    let columns = Columns::of(now, jobs());
    if let Some(parked) = parked
        && let Some(Entered { at, taken }) = insert_and_claim(core, &columns, parked).await?
    {
        core.waker.ready(hints(jobs().filter(|job| !taken.contains(&job.id)), at));
        return Ok(());
    }
    let rows = core.connections.query(&core.statements.insert, &columns.parameters()).await?;
    core.waker.ready(hints(jobs(), row::time(row::only(&rows)?, 0)?));
    Ok(())
}

fn answers(batch: &[JobSpec], insertion: Insertion) -> Vec<Submitted> {
    batch.iter().map(|job| Submitted::new(job.id, insertion)).collect()
}

/// The same for all of them.
fn fail(fates: &mut [Option<Result<Vec<Submitted>>>], batches: &[Vec<JobSpec>], fault: Fault) {
    let error = fault.into_error(OPERATION, Effect::Writes);
    for (fate, batch) in fates.iter_mut().zip(batches) {
        let same = Error::new(error.kind(), OPERATION, error.message());
        *fate = Some(Err(named(same, batch)));
    }
    // The first keeps the driver's own error as its source.
    if let (Some(fate), Some(batch)) = (fates.first_mut(), batches.first()) {
        *fate = Some(Err(named(error, batch)));
    }
}

fn failed(fault: Fault, batch: &[JobSpec]) -> Error {
    named(fault.into_error(OPERATION, Effect::Writes), batch)
}

/// With the ids to try again with, where it is not known whether they are stored.
fn named(error: Error, batch: &[JobSpec]) -> Error {
    match error.kind() {
        ErrorKind::UnknownOutcome => error.with_jobs(batch.iter().map(|job| job.id).collect()),
        _ => error,
    }
}

fn unanswered() -> Error {
    Error::new(ErrorKind::UnknownOutcome, OPERATION, "a batch was forgotten")
}

fn hints<'a>(jobs: impl Iterator<Item = &'a JobSpec>, now: Timestamp) -> Vec<Hint> {
    let mut first: BTreeMap<(&QueueName, i16, bool), Timestamp> = BTreeMap::new();
    for job in jobs {
        let run_at = job.run_at.unwrap_or(now);
        let least = first.entry((&job.queue, job.priority, run_at <= now)).or_insert(run_at);
        *least = run_at.min(*least);
    }
    let hint = |((queue, priority, _), run_at): ((&QueueName, i16, bool), Timestamp)| {
        Hint::new(queue.clone(), priority, run_at).due_in(now.until(run_at))
    };
    first.into_iter().map(hint).collect()
}
