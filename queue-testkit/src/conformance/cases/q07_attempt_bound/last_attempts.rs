//! Q7: a claim can limit how many jobs on their last attempt it returns. Such a job must start at
//! once. If it waited in a buffer, the loss of the worker would end it unstarted.

use queue_core::JobId;
use queue_core::backend::ClaimedJob;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{release, retry};

cases! {
    Fast q07_a_claim_ends_before_one_last_attempt_too_many,
    Fast q07_a_claim_that_may_bring_no_last_attempt_ends_at_the_first,
    Fast q07_a_last_attempt_is_one_by_what_was_charged,
}

fn ids(jobs: &[ClaimedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.token.job).collect()
}

/// Of six jobs three are on their last attempt, and a claim may return two of them. It must stop
/// before the third, and the next claim must continue there.
async fn q07_a_claim_ends_before_one_last_attempt_too_many(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let retries = [3, 0, 0, 3, 0, 3];
    let jobs = kit.insert(retries.map(|retries| kit.spec("job").max_retries(retries)).to_vec()).await?;
    let reply = kit.claiming(worker, 6).last_attempts(2).take().await?;
    ensure_eq!(ids(&reply.jobs), jobs[..4], "the claim of at most two last attempts");
    let reply = kit.claiming(worker, 6).last_attempts(2).take().await?;
    ensure_eq!(ids(&reply.jobs), jobs[4..], "the next claim");
    Ok(())
}

/// The first job is on its last attempt, and a claim may return no such job. It must return nothing
/// and leave the job unchanged.
async fn q07_a_claim_that_may_bring_no_last_attempt_ends_at_the_first(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let last = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    let free = kit.insert_one(kit.spec("job")).await?;
    let before = kit.record(last).await?;
    let reply = kit.claiming(worker, 5).last_attempts(0).take().await?;
    ensure_eq!(ids(&reply.jobs), [], "the claim without last attempts");
    ensure_eq!(kit.record(last).await?, before, "the job on its last attempt");
    let reply = kit.claiming(worker, 5).last_attempts(1).take().await?;
    ensure_eq!(ids(&reply.jobs), [last, free], "the claim of at most one last attempt");
    Ok(())
}

/// A job is released and retried several times. Only the attempts charged may decide whether its
/// next attempt is the last.
async fn q07_a_last_attempt_is_one_by_what_was_charged(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").max_retries(2)).await?;
    for attempt in 1..=2 {
        let reply = kit.claiming(worker, 1).last_attempts(0).take().await?;
        ensure_eq!(ids(&reply.jobs), [id], "the claim of attempt {attempt}, which is not the last");
        kit.settle_one(reply.jobs[0].token, release()).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 0)).await?;
    }
    let reply = kit.claiming(worker, 1).last_attempts(0).take().await?;
    ensure_eq!(ids(&reply.jobs), [], "the claim of attempt 3, which is the last");
    Ok(())
}
