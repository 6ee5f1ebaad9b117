//! Compares the jobs of a backend with those of the model.

use std::collections::BTreeSet;

use anyhow::Context as _;
use queue_core::backend::JobRecord;
use queue_core::{JobId, JobState, Timestamp};

use super::super::case::CaseResult;
use super::super::check::{About as _, check_eq, ensure_eq};
use super::super::kit::Kit;
use super::super::promise::Promise;
use super::{ANY_TEXT, Job, Model, Reason};

/// Compares every job at the present time, which is at least that of every operation.
pub(super) async fn compare(kit: &Kit, model: &Model) -> CaseResult {
    let stored: BTreeSet<JobId> = kit.stored().await?.jobs.into_iter().collect();
    let expected: BTreeSet<JobId> = model.jobs.iter().map(|job| job.spec.id).collect();
    let is_any_lost = expected.difference(&stored).next().is_some();
    check_eq!(stored, expected, "the ids of all jobs").about(if is_any_lost {
        Promise::NoLostAck
    } else {
        Promise::NoPhantom
    })?;
    for job in &model.jobs {
        let record = kit.record(job.spec.id).await?;
        agree(&record, job, kit.now()).with_context(|| format!("job {}", job.spec.id))?;
    }
    Ok(())
}

fn agree(record: &JobRecord, job: &Job, now: Timestamp) -> CaseResult {
    let may_be_promoted = job.is_waiting() && job.run_at <= now;
    if !(may_be_promoted && record.state == JobState::Ready) {
        check_eq!(record.state, job.state, "`state`").about(broken_by_state(record.state, job.state))?;
    }
    if !job.state.is_finished() {
        check_eq!(record.run_at, job.run_at, "`run_at`").about(Promise::NotBefore)?;
    }
    check_eq!(record.attempt, job.attempt, "`attempt`").about(Promise::AttemptBound)?;
    check_eq!(record.result, job.result, "`result`").about(Promise::ResultIffComplete)?;
    let progress = job.lease.as_ref().and_then(|lease| lease.progress.as_ref());
    if let Some(progress) = progress {
        check_eq!(record.progress.as_ref(), Some(progress), "`progress`").about(Promise::FencedSettle)?;
    }
    agree_on_contents(record, job).about(Promise::PayloadFidelity)
}

/// The fields that must come back as they were stored.
fn agree_on_contents(record: &JobRecord, job: &Job) -> CaseResult {
    ensure_eq!(record.created_at, job.created_at, "`created_at`");
    ensure_eq!(record.finished_at, job.finished_at, "`finished_at`");
    if !job.spec.is_same_as(&record.job, job.created_at) {
        ensure_eq!(record.job, job.spec, "the stored job");
    }
    match &job.reason {
        Reason::None => ensure_eq!(record.error, None, "`error`"),
        Reason::Text(text) => ensure_eq!(record.error.as_ref(), Some(text), "`error`"),
        Reason::Any => {}
    }
    ensure_eq!(record.errors.len(), job.errors.len(), "the number of `errors`");
    for (seen, expected) in record.errors.iter().zip(&job.errors) {
        let mut expected = expected.clone();
        if expected.error == ANY_TEXT {
            expected.error.clone_from(&seen.error);
        }
        ensure_eq!(*seen, expected, "an entry of `errors`");
    }
    Ok(())
}

/// The promise that a wrong state breaks.
fn broken_by_state(seen: JobState, expected: JobState) -> Promise {
    match (seen, expected) {
        (_, JobState::Cancelled) | (JobState::Cancelled, _) => Promise::CancelLinearizable,
        (_, JobState::Dead) | (JobState::Dead, _) => Promise::AttemptBound,
        (_, JobState::Completed) | (JobState::Completed, _) => Promise::TerminalFinal,
        (_, JobState::Running) | (JobState::Running, _) => Promise::SingleLiveLease,
        _ => Promise::NotBefore,
    }
}
