//! Q2: a worker receives only enqueued jobs, and a refused job never appears.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{CancelReply, ClaimedJob, ListRequest};
use queue_core::{ErrorKind, JobId, JobSpec, Timestamp};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete, release, retry, snooze};
use crate::conformance::spec::Spec;

cases! {
    Fast q02_what_is_claimed_is_what_was_enqueued,
    Fast q02_an_empty_storage_gives_nothing,
    Fast q02_nothing_of_a_refused_batch_appears_or_runs,
    Fast q02_a_job_that_is_known_runs_no_second_time,
    Fast q02_a_refused_batch_is_not_there_when_the_storage_is_opened_again [Durable],
}

/// A hundred jobs of all priorities, queues and times are released, snoozed and retried before they
/// end. Each claimed job must be an enqueued one with the same fields.
async fn q02_what_is_claimed_is_what_was_enqueued(kit: &Kit) -> CaseResult {
    const QUEUES: [&str; 3] = ["default", "mail", "side"];
    let mut enqueued = Vec::new();
    for index in 0..100_usize {
        let run_at = kit.now().saturating_add(Duration::from_secs(u64::try_from(index % 4)?));
        let spec = kit.spec(["a", "b"][index % 2]).queue(QUEUES[index % 3]).payload(index.to_string());
        let spec = spec.priority(i16::try_from(index % 5)?).run_at(run_at).max_retries(100);
        enqueued.push(spec.clone().build()?);
        kit.insert_one(spec).await?;
    }
    let mut ended = BTreeSet::new();
    for turn in 0..60_usize {
        kit.advance(Duration::from_secs(1));
        let worker = kit.worker().await?;
        let reply = kit.claiming(worker, 9).queue(QUEUES[turn % 3]).take().await?;
        for (index, job) in reply.jobs.iter().enumerate() {
            let spec = enqueued.iter().find(|spec| spec.id == job.token.job);
            let Some(spec) = spec else {
                anyhow::bail!("a job was claimed that was never enqueued: {job:?}")
            };
            ensure!(is_as_enqueued(job, spec), "the claimed job {job:?} differs from the enqueued {spec:?}");
            let verdict = match (turn + index) % 5 {
                0 if turn < 20 => release(),
                1 if turn < 20 => snooze(1),
                2 if turn < 20 => retry("failed", 1),
                _ => complete(),
            };
            let is_end = verdict.final_state().is_some();
            kit.settle_one(job.token, verdict).await?;
            ensure!(!is_end || ended.insert(job.token.job), "job {} ended twice", job.token.job);
        }
    }
    let expected: BTreeSet<JobId> = enqueued.iter().map(|spec| spec.id).collect();
    ensure_eq!(ended, expected, "the jobs with an outcome");
    ensure_eq!(kit.stored().await?.jobs, expected.into_iter().collect::<Vec<_>>(), "the stored jobs");
    Ok(())
}

fn is_as_enqueued(job: &ClaimedJob, spec: &JobSpec) -> bool {
    (&job.kind, &job.queue, &job.payload) == (&spec.kind, &spec.queue, &spec.payload)
}

/// The storage is empty. A claim, list, rescue, promotion and heartbeat must return no job, both
/// now and near the greatest time.
async fn q02_an_empty_storage_gives_nothing(kit: &Kit) -> CaseResult {
    for time in [kit.now(), Timestamp::MAX.saturating_sub(EXPIRY)] {
        kit.set_clock(time);
        let worker = kit.worker().await?;
        let reply = kit.claiming(worker, 100).kinds(&["job"]).take().await?;
        ensure_eq!(reply.jobs, [], "a claim at {time}");
        ensure_eq!(kit.promote(100).await?.promoted, 0, "the number of jobs promoted at {time}");
        ensure_eq!(kit.rescue(100).await?.rescued, 0, "the number of jobs rescued at {time}");
        ensure_eq!(kit.heartbeat(worker).await?.leases, 0, "the number of leases at {time}");
        kit.retire(worker).await?;
    }
    ensure_eq!(listed(kit).await?, [], "the list");
    ensure_eq!(kit.stored().await?.jobs, [], "the stored jobs");
    Ok(())
}

async fn listed(kit: &Kit) -> anyhow::Result<Vec<JobId>> {
    let backend = kit.backend()?;
    let inspect =
        backend.extensions().inspect.ok_or_else(|| anyhow::anyhow!("the backend offers no `inspect`"))?;
    Ok(inspect.list(ListRequest::new(100)).await?.into_iter().map(|record| record.job.id).collect())
}

/// A batch that the backend must refuse, because it reuses the id of `taken` with other content.
/// Also returns the new ids in it.
fn refused_batch(kit: &Kit, taken: JobId, bad_row: usize) -> anyhow::Result<(Vec<Spec>, Vec<JobId>)> {
    let later = kit.now().saturating_add(Duration::from_secs(60));
    let new = vec![kit.spec("job"), kit.spec("job").run_at(later), kit.spec("job").priority(9)];
    let ids = new.iter().cloned().map(|spec| Ok(spec.build()?.id)).collect::<anyhow::Result<_>>()?;
    let mut batch = new;
    batch.insert(bad_row, kit.spec("job").id(taken).payload("\"other\""));
    Ok((batch, ids))
}

/// A batch is refused. None of its new jobs may be found by id, listed, cancelled or claimed, even
/// after their `run_at`.
async fn q02_nothing_of_a_refused_batch_appears_or_runs(kit: &Kit) -> CaseResult {
    let taken = kit.insert_one(kit.spec("job")).await?;
    for bad_row in 0..4 {
        let (batch, ids) = refused_batch(kit, taken, bad_row)?;
        fails_with(kit.try_insert(batch).await?, ErrorKind::Conflict)?;
        for id in &ids {
            ensure_eq!(
                kit.find(*id).await?,
                None,
                "the record of job {id} of the batch with bad row {bad_row}"
            );
            ensure_eq!(kit.cancel(*id).await?, CancelReply::NotFound, "the reply to a cancel of job {id}");
        }
        ensure_eq!(listed(kit).await?, [taken], "the list after bad row {bad_row}");
        kit.advance(Duration::from_secs(60));
        kit.promote(100).await?;
        let held = kit.claim(kit.worker().await?, 100).await?;
        let claimed: Vec<JobId> = held.iter().map(|job| job.token.job).collect();
        ensure_eq!(claimed, [taken], "the jobs claimed after bad row {bad_row}");
        kit.settle_one(held[0].token, release()).await?;
    }
    Ok(())
}

/// Jobs are enqueued again while they wait, run and are finished. No worker may receive them a
/// second time.
async fn q02_a_job_that_is_known_runs_no_second_time(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let batch = vec![kit.spec("job"), kit.spec("job")];
    let ids = kit.insert(batch.clone()).await?;
    kit.try_insert(batch.clone()).await??;
    let held = kit.claim(worker, 100).await?;
    let claimed: Vec<JobId> = held.iter().map(|job| job.token.job).collect();
    ensure_eq!(claimed, ids, "the claimed jobs");
    for verdict in [None, Some(complete())] {
        if let Some(verdict) = verdict {
            kit.settle(held.iter().map(|job| (job.token, verdict.clone())).collect()).await?;
        }
        kit.try_insert(batch.clone()).await??;
        ensure_eq!(kit.claim(worker, 100).await?, [], "a claim after the repeated insert");
    }
    ensure_eq!(kit.stored().await?.jobs, ids, "the stored jobs");
    Ok(())
}

/// A batch is refused and the handle is reopened. No job of the batch may be stored, because a
/// rolled-back write must not reach the disk.
async fn q02_a_refused_batch_is_not_there_when_the_storage_is_opened_again(kit: &Kit) -> CaseResult {
    let taken = kit.insert_one(kit.spec("job")).await?;
    for bad_row in [0, 3] {
        let (batch, _) = refused_batch(kit, taken, bad_row)?;
        fails_with(kit.try_insert(batch).await?, ErrorKind::Conflict)?;
        kit.reopen().await?;
        ensure_eq!(kit.stored().await?.jobs, [taken], "the stored jobs after bad row {bad_row} and a reopen");
    }
    kit.advance(Duration::from_secs(60));
    let claimed = kit.claim(kit.worker().await?, 100).await?;
    ensure_eq!(claimed.len(), 1, "the number of claimed jobs");
    Ok(())
}
