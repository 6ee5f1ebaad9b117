//! Compares the jobs of a backend with those of the model.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use queue_core::backend::{AttemptError, JobRecord};
use queue_core::{JobId, JobState, Timestamp};

use super::super::case::CaseResult;
use super::super::check::ensure_eq;
use super::super::kit::Kit;
use super::{ANY_TEXT, Job, Model, Reason};

/// Compares every job at the present time, which is at least that of every operation.
pub(super) async fn compare(kit: &Kit, model: &Model) -> CaseResult {
    let stored: BTreeSet<JobId> = kit.stored().await?.jobs.into_iter().collect();
    let expected: BTreeSet<JobId> = model.jobs.iter().map(|job| job.spec.id).collect();
    ensure_eq!(stored, expected, "the ids of all jobs");
    for job in &model.jobs {
        let record = kit.record(job.spec.id).await?;
        agree(&record, job, kit.now()).with_context(|| format!("job {}", job.spec.id))?;
    }
    Ok(())
}

fn agree(record: &JobRecord, job: &Job, now: Timestamp) -> CaseResult {
    let may_be_promoted = job.is_waiting() && job.run_at <= now;
    if !(may_be_promoted && record.state == JobState::Ready) {
        ensure_eq!(record.state, job.state, "the state");
    }
    if !job.state.is_finished() {
        ensure_eq!(record.run_at, job.run_at, "`run_at`");
    }
    ensure_eq!(record.attempt, job.attempt, "the attempt number");
    ensure_eq!(record.created_at, job.created_at, "the time of the insert");
    ensure_eq!(record.finished_at, job.finished_at, "the time of its end");
    ensure_eq!(record.result, job.result, "the result");
    ensure!(
        job.spec.is_same_as(&record.job, job.created_at),
        "the stored job differs from the inserted one: {:?}",
        record.job
    );
    match &job.reason {
        Reason::None => ensure_eq!(record.error, None, "the reason of its end"),
        Reason::Text(text) => ensure_eq!(record.error.as_ref(), Some(text), "the reason of its end"),
        Reason::Any => {}
    }
    if let Some(progress) = job.lease.as_ref().and_then(|lease| lease.progress.as_ref()) {
        ensure_eq!(record.progress.as_ref(), Some(progress), "the progress");
    }
    let are_same = record.errors.len() == job.errors.len()
        && record.errors.iter().zip(&job.errors).all(|(seen, expected)| is_same(seen, expected));
    ensure!(are_same, "the errors of its attempts are {:?}, expected {:?}", record.errors, job.errors);
    Ok(())
}

fn is_same(seen: &AttemptError, expected: &AttemptError) -> bool {
    let text = expected.error == ANY_TEXT || seen.error == expected.error;
    let rest = |error: &AttemptError| (error.attempt, error.at, error.duration, error.worker);
    text && rest(seen) == rest(expected)
}
