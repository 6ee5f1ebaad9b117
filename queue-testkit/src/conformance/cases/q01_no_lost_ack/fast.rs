//! Q1: an acknowledged job is never lost and ends in a final state.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::JobRecord;
use queue_core::{JobId, JobState};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, bury, cancelled, complete, complete_with, release, retry, snooze};

cases! {
    Fast q01_every_job_ends_whatever_its_attempts_did,
    Fast q01_a_job_outlives_every_worker_that_dies_of_it,
    Fast q01_a_failed_request_takes_no_acknowledged_job_with_it,
    Fast q01_a_job_can_be_read_from_its_acknowledgement_on,
    Fast q01_jobs_of_every_state_outlive_the_handle [Durable],
    Fast q01_what_one_handle_acknowledged_another_runs [MultiProcess],
}

/// Jobs fail, snooze, are released, or lose their worker. Workers must still bring each job to a
/// final state.
async fn q01_every_job_ends_whatever_its_attempts_did(kit: &Kit) -> CaseResult {
    let mut jobs = Vec::new();
    for (index, delay) in (0_u64..120).enumerate() {
        let run_at = kit.now().saturating_add(Duration::from_secs(delay % 7));
        let priority = i16::try_from(delay % 3)?;
        let retries = u16::try_from(index % 4)?;
        jobs.push(kit.spec("job").run_at(run_at).priority(priority).max_retries(retries));
    }
    let jobs = kit.insert(jobs).await?;
    let mut rounds = 0;
    while !kit.stored().await?.live.is_empty() {
        rounds += 1;
        ensure!(
            rounds <= 200,
            "{} jobs are still unfinished after 200 rounds",
            kit.stored().await?.live.len()
        );
        let worker = kit.worker().await?;
        for (index, job) in kit.claim(worker, 13).await?.into_iter().enumerate() {
            let verdict = match (index + rounds) % 6 {
                // The worker is lost with the job.
                0 => continue,
                1 => retry("failed", 2),
                2 if rounds < 20 => snooze(1),
                3 if rounds < 20 => release(),
                4 => bury("hopeless"),
                _ => complete(),
            };
            kit.settle_one(job.token, verdict).await?;
        }
        kit.advance(EXPIRY);
        kit.rescue(100).await?;
    }
    let outcomes: Vec<JobId> = kit.stored().await?.outcomes.iter().map(|row| row.id).collect();
    ensure_eq!(outcomes, jobs, "the jobs with an outcome");
    Ok(())
}

/// Forty workers in a row are lost while they hold the job. Each loss must be recorded once, and
/// attempt 41 must complete.
async fn q01_a_job_outlives_every_worker_that_dies_of_it(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").max_retries(100)).await?;
    for attempt in 1..=40 {
        let job = kit.claim_one(kit.worker().await?).await?;
        ensure_eq!((job.token.job, job.attempt), (id, attempt), "the claimed job and its attempt");
        kit.advance(EXPIRY);
        ensure_eq!(kit.rescue(10).await?.rescued, 1, "the number of jobs rescued after attempt {attempt}");
    }
    let last = kit.claim_one(kit.worker().await?).await?;
    kit.settle_one(last.token, complete_with(b"at last")).await?;
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (JobState::Completed, 41), "the state and attempt of the job");
    ensure_eq!(record.errors.len(), 40, "the number of recorded errors, one per lost worker");
    Ok(())
}

/// The backend refuses an insert, a claim, a heartbeat and a registration. The stored jobs must
/// stay as they were.
async fn q01_a_failed_request_takes_no_acknowledged_job_with_it(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let unknown = kit.new_worker_id();
    let taken = kit.spec("job");
    let jobs = kit.insert(vec![taken.clone(), kit.spec("job")]).await?;
    let running = kit.claim_one(worker).await?;
    let before = kit.stored().await?;
    let other = taken.payload("\"other\"");
    ensure!(
        kit.try_insert(vec![other, kit.spec("job")]).await?.is_err(),
        "an insert succeeded although its id has other content"
    );
    ensure!(
        kit.claiming(unknown, 9).attempt().await?.is_err(),
        "a claim of an unregistered worker succeeded"
    );
    ensure!(kit.try_heartbeat(unknown).await?.is_err(), "a heartbeat of an unregistered worker succeeded");
    ensure!(kit.try_register(worker).await?.is_err(), "a worker was registered twice");
    let after = kit.stored().await?;
    ensure_eq!(
        (after.jobs, after.live),
        (before.jobs, before.live),
        "the stored jobs after the refused requests"
    );
    kit.settle_one(running.token, complete()).await?;
    ensure_eq!(kit.claim(worker, 9).await?.len(), 1, "the number of jobs left to claim");
    ensure_eq!(kit.stored().await?.jobs, jobs, "the stored jobs at the end");
    Ok(())
}

/// A caller reads a ready and a scheduled job right after the insert, by id and in the list. Both
/// reads must return the submitted fields.
async fn q01_a_job_can_be_read_from_its_acknowledgement_on(kit: &Kit) -> CaseResult {
    let submitted_at = kit.now();
    let later = submitted_at.saturating_add(Duration::from_secs(60));
    let specs = [kit.spec("a").priority(7), kit.spec("b").queue("side").run_at(later)];
    for spec in specs {
        let id = kit.insert_one(spec.clone()).await?;
        let record = kit.record(id).await?;
        let mut expected = spec.build()?;
        let run_at = *expected.run_at.get_or_insert(submitted_at);
        let state = if run_at > submitted_at { JobState::Scheduled } else { JobState::Ready };
        ensure_eq!(record.job, expected, "the submitted fields");
        ensure_eq!(
            (record.state, record.run_at, record.attempt),
            (state, run_at, 0),
            "the state, run_at and attempt of the new job"
        );
        ensure_eq!(record.created_at, submitted_at, "created_at");
        ensure_eq!(listed(kit).await?.pop(), Some(record), "the last job of the list");
    }
    Ok(())
}

async fn listed(kit: &Kit) -> anyhow::Result<Vec<JobRecord>> {
    let backend = kit.backend()?;
    let inspect =
        backend.extensions().inspect.ok_or_else(|| anyhow::anyhow!("the backend offers no `inspect`"))?;
    Ok(inspect.list(queue_core::backend::ListRequest::new(100)).await?)
}

/// The handle is reopened. Each job must keep its state, result, errors and progress, and each
/// unfinished job must still be claimable.
async fn q01_jobs_of_every_state_outlive_the_handle(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let verdicts = [
        retry("failed", 60),
        complete_with(b"\0result"),
        bury("hopeless"),
        cancelled("not wanted"),
        release(),
        snooze(30),
    ];
    for verdict in verdicts {
        kit.insert_one(kit.spec("job").priority(9)).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
    }
    kit.insert_one(kit.spec("job").priority(10)).await?;
    let running = kit.claim_one(worker).await?.token;
    kit.report_progress(worker, running, 5).await?;
    let before = (listed(kit).await?, kit.stored().await?);
    kit.reopen().await?;
    let after = (listed(kit).await?, kit.stored().await?);
    ensure_eq!(after.0, before.0, "the jobs after the reopen");
    ensure_eq!(after.1.live, before.1.live, "the rows of unfinished jobs after the reopen");
    ensure_eq!(after.1.outcomes, before.1.outcomes, "the rows of finished jobs after the reopen");

    kit.settle_one(running, complete()).await?;
    kit.advance(Duration::from_secs(60));
    let worker = kit.worker().await?;
    for job in kit.claim(worker, 10).await? {
        kit.settle_one(job.token, complete()).await?;
    }
    let live = kit.stored().await?.live;
    ensure!(live.is_empty(), "unfinished jobs were not completed after the reopen: {live:?}");
    Ok(())
}

/// The first handle inserts and settles a job, the second claims it, and the third reads it. Each
/// handle must see the changes of the others at once.
async fn q01_what_one_handle_acknowledged_another_runs(kit: &Kit) -> CaseResult {
    let (second, third) = (kit.open_second().await?, kit.open_second().await?);
    for round in 0..10 {
        let id = kit.insert_one(kit.spec("job")).await?;
        let job = second.claim_one(second.worker().await?).await?;
        ensure_eq!(job.token.job, id, "the job that the second handle claimed in round {round}");
        kit.settle_one(job.token, complete_with(&[round])).await?;
        let record = third.record(id).await?;
        ensure_eq!(record.result, Some(vec![round]), "the result that the third handle read");
    }
    Ok(())
}
