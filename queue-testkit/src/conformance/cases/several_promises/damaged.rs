//! Q22, Q19, Q16: a stored job that cannot be read is reported by its id, and harms no other job.

use anyhow::{Context as _, ensure};
use queue_core::backend::{Inspect, JobRecord, ListRequest};
use queue_core::{Error, ErrorKind, JobId, JobState, Result};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::complete;
use crate::conformance::spec::Spec;

cases! {
    Fast q22_a_read_of_a_damaged_job_is_corrupt_by_name [Damage],
    Fast q22_a_list_with_a_damaged_job_is_corrupt_by_name [Damage],
    Fast q16_a_damaged_job_that_is_inserted_again_is_corrupt [Damage],
    Fast q19_a_damaged_job_hides_no_other [Damage],
}

/// The place of the damaged one of the jobs.
const DAMAGED: usize = 2;

/// Inserts five jobs and damages the middle one.
async fn jobs(kit: &Kit) -> anyhow::Result<(Vec<JobId>, Vec<Spec>)> {
    let specs: Vec<Spec> = (0..5).map(|_| kit.spec("job")).collect();
    let jobs = kit.insert(specs.clone()).await?;
    kit.damage(jobs[DAMAGED]).await?;
    Ok((jobs, specs))
}

/// Fails unless the error is `Corrupt` and names the job. A worker must not drop its results for
/// it.
fn is_corrupt<T: std::fmt::Debug>(reply: Result<T>, job: JobId) -> anyhow::Result<Error> {
    let error = fails_with(reply, ErrorKind::Corrupt)?;
    ensure!(error.to_string().contains(&job.to_string()), "the error does not name job {job}: {error}");
    Ok(error)
}

fn ids(records: Vec<JobRecord>) -> Vec<JobId> {
    records.into_iter().map(|record| record.job.id).collect()
}

/// A read that names the damaged job must fail with its id. A read of the others must return them.
async fn q22_a_read_of_a_damaged_job_is_corrupt_by_name(kit: &Kit) -> CaseResult {
    let (jobs, _) = jobs(kit).await?;
    let backend = kit.backend()?;
    let inspect: &dyn Inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    for request in [vec![jobs[DAMAGED]], jobs.clone(), vec![jobs[4], jobs[DAMAGED]]] {
        is_corrupt(inspect.jobs(&request).await, jobs[DAMAGED])?;
    }
    let others = [jobs[4], jobs[0], jobs[1]];
    let records = inspect.jobs(&others).await?;
    ensure_eq!(ids(records.into_iter().flatten().collect()), others, "the jobs of a read of the others");
    Ok(())
}

/// A page with the damaged job must fail with its id. The pages before and after it must be
/// returned.
async fn q22_a_list_with_a_damaged_job_is_corrupt_by_name(kit: &Kit) -> CaseResult {
    let (jobs, _) = jobs(kit).await?;
    let backend = kit.backend()?;
    let inspect: &dyn Inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    for request in [ListRequest::new(9), ListRequest::new(9).state(JobState::Ready), ListRequest::new(3)] {
        is_corrupt(inspect.list(request).await, jobs[DAMAGED])?;
    }
    ensure_eq!(ids(inspect.list(ListRequest::new(2)).await?), jobs[..2], "the page before");
    let after = ListRequest::new(9).after(jobs[DAMAGED]);
    ensure_eq!(ids(inspect.list(after).await?), jobs[3..], "the page after");
    Ok(())
}

/// A request inserts the damaged job again, and a new batch. The first must fail, because its
/// content cannot be compared, and the second must be stored.
async fn q16_a_damaged_job_that_is_inserted_again_is_corrupt(kit: &Kit) -> CaseResult {
    let (jobs, specs) = jobs(kit).await?;
    let batches = vec![vec![specs[DAMAGED].clone()], vec![kit.spec("job")]];
    let mut results = kit.insert_batches(batches).await?;
    ensure_eq!(results.remove(1)?.len(), 1, "the number of jobs of the second batch");
    is_corrupt(results.remove(0), jobs[DAMAGED])?;
    Ok(())
}

/// Workers claim and settle. They must get all jobs but the damaged one, in order.
async fn q19_a_damaged_job_hides_no_other(kit: &Kit) -> CaseResult {
    // A storage without a check of its history, because a claim may lease a job that it cannot
    // return.
    let kit = &kit.fresh().await?;
    let worker = kit.worker().await?;
    let (mut jobs, _) = jobs(kit).await?;
    jobs.remove(DAMAGED);
    let mut claimed = Vec::new();
    while claimed.len() < jobs.len() {
        let held = kit.claim(worker, 9).await?;
        ensure!(!held.is_empty(), "claims found only {claimed:?} of {jobs:?}");
        for job in held {
            claimed.push(job.token.job);
            kit.settle_one(job.token, complete()).await?;
        }
    }
    ensure_eq!(claimed, jobs, "the claimed jobs");
    kit.works().await
}
