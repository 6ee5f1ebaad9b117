//! Compares a claim with that of the model.

use queue_core::backend::{ClaimRequest, ClaimedJob};
use queue_core::{JobState, Timestamp};

use super::super::super::case::CaseResult;
use super::super::super::check::{About as _, check_eq};
use super::super::super::promise::Promise;
use super::super::Model;

/// Compares the jobs of a claim with those that the model has claimed, and names the promise that a
/// difference breaks.
pub(super) fn agree_on_claim(
    model: &Model,
    now: Timestamp,
    request: &ClaimRequest,
    seen: &[ClaimedJob],
    expected: &[ClaimedJob],
) -> CaseResult {
    let is_in =
        |job: &ClaimedJob, jobs: &[ClaimedJob]| jobs.iter().any(|other| other.token.job == job.token.job);
    let promise = if let Some(job) = seen.iter().find(|job| !is_in(job, expected)) {
        broken_by_claim_of(model, now, request, job)
    } else if let Some(job) = expected.iter().find(|job| !is_in(job, seen)) {
        if job.is_last_attempt() { Promise::AttemptBound } else { Promise::NoStarvation }
    } else {
        broken_by_fields(seen, expected)
    };
    check_eq!(seen, expected, "the claimed jobs").about(promise)
}

/// The promise that the claim of a job breaks that the model does not claim.
fn broken_by_claim_of(
    model: &Model,
    now: Timestamp,
    request: &ClaimRequest,
    claimed: &ClaimedJob,
) -> Promise {
    match model.jobs.iter().find(|job| job.spec.id == claimed.token.job) {
        None => Promise::NoPhantom,
        Some(job) if job.state == JobState::Cancelled => Promise::CancelLinearizable,
        Some(job) if job.state.is_finished() => Promise::TerminalFinal,
        Some(job) if job.lease.is_some() => Promise::SingleLiveLease,
        Some(job) if job.run_at > now => Promise::NotBefore,
        Some(job) if job.spec.queue != request.queue || model.paused.contains(&request.queue) => {
            Promise::QueueIsolation
        }
        Some(job) if !request.kinds.contains(&job.spec.kind) => Promise::NoPhantom,
        Some(_) if claimed.is_last_attempt() => Promise::AttemptBound,
        Some(_) => Promise::PriorityOrder,
    }
}

/// The promise that is broken by a claim of the right jobs.
fn broken_by_fields(seen: &[ClaimedJob], expected: &[ClaimedJob]) -> Promise {
    let pairs = || seen.iter().zip(expected);
    let differ =
        |field: fn(&ClaimedJob) -> u64| pairs().any(|(seen, expected)| field(seen) != field(expected));
    if seen.len() != expected.len() {
        Promise::SingleLiveLease
    } else if pairs().any(|(seen, expected)| seen.token.job != expected.token.job) {
        Promise::PriorityOrder
    } else if pairs().any(|(seen, expected)| seen.token.claim != expected.token.claim) {
        Promise::SingleLiveLease
    } else if differ(|job| job.attempt.into()) || differ(|job| job.max_retries.into()) {
        Promise::AttemptBound
    } else {
        Promise::PayloadFidelity
    }
}
