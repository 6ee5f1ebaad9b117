//! Checks of promises that do not follow from the order of the operations on one job.

use std::collections::{BTreeMap, BTreeSet};

use queue_core::backend::Stored;
use queue_core::{ClaimId, JobId, JobState};

use super::event::{Answered, Asked, Ending, Failure, Lease, LeaseEnd, NewJob, SettleAnswer};
use super::job_history::JobHistories;
use super::log::{Log, Operation};
use super::order::{AnyJobEffects, JobHistory};
use super::request::hash;
use super::step::Step;
use crate::conformance::promise::Promise;

/// Each stored result must be that of a settle by the claim that completed the job.
pub(super) fn results(stored: &Stored, histories: &JobHistories) -> Vec<String> {
    let mut faults = Vec::new();
    for row in stored.outcomes.iter().filter(|row| row.state == JobState::Completed) {
        let Some(history) = histories.get(&row.id) else { continue };
        let stored = row.result.as_deref().map(hash);
        let wrote_it = |step: Step| {
            let Step::Settled { claim, ending, answer: SettleAnswer::Done } = step else { return false };
            Some(claim) == row.claim && ending == Ending::Complete(stored)
        };
        if !history.steps().any(wrote_it) {
            let job = row.id;
            faults.push(format!("job {job} has a result that the claim which completed it did not send"));
        }
    }
    faults
}

/// Each start of a handler must have a lease of its own.
pub(super) fn starts(log: &Log, histories: &JobHistories) -> Vec<String> {
    let mut started: BTreeMap<(JobId, u32), usize> = BTreeMap::new();
    for start in &log.starts {
        *started.entry(*start).or_default() += 1;
    }
    let mut faults = Vec::new();
    for ((job, attempt), starts) in started {
        let claim_of = |step: Step| match step {
            Step::Claimed { claim, attempt: charged } => (charged == attempt).then_some(claim),
            Step::Leased { claim, attempt: charged } => (charged == Some(attempt)).then_some(claim),
            _ => None,
        };
        let steps = histories.get(&job).into_iter().flat_map(JobHistory::steps);
        let claims = steps.filter_map(claim_of).collect::<BTreeSet<ClaimId>>().len();
        if starts > claims {
            let promise = Promise::SingleLiveLease;
            faults.push(format!(
                "{promise}: attempt {attempt} of job {job} started {starts} times, but was claimed {claims} \
                 times"
            ));
        }
    }
    faults
}

/// The follow-ups of a settlement must be stored exactly if it completed its job.
pub(super) fn follow_ups(log: &Log, any_job: &AnyJobEffects, stored: &Stored) -> Vec<String> {
    if !any_job.prunes.is_empty() {
        // A missing job may have been pruned.
        return Vec::new();
    }
    let completed: BTreeSet<Lease> = stored
        .outcomes
        .iter()
        .filter(|row| row.state == JobState::Completed)
        .filter_map(|row| Some(Lease { job: row.id, claim: row.claim? }))
        .collect();
    let stored: BTreeSet<JobId> = stored.jobs.iter().copied().collect();
    let inserted: BTreeSet<JobId> =
        log.operations.iter().flat_map(batches_of).flat_map(|(batch, _)| batch).map(|job| job.id).collect();
    // Their earlier ends are not in the rows.
    let retried = log.retries();
    let mut settlements: BTreeMap<Lease, usize> = BTreeMap::new();
    for (end, _) in log.operations.iter().flat_map(ends_of) {
        *settlements.entry(end.lease).or_default() += 1;
    }
    let mut faults = Vec::new();
    for (end, outcome) in log.operations.iter().flat_map(ends_of) {
        let is_completed = completed.contains(&end.lease) && outcome != Outcome::Refused;
        // Another settlement of the lease may have completed the job instead.
        let is_sure = outcome == Outcome::Stored || settlements[&end.lease] == 1;
        for follow_up in &end.follow_ups {
            let (id, is_stored) = (follow_up.id, stored.contains(&follow_up.id));
            let fault = match (is_completed, is_stored) {
                (true, false) if is_sure && !follow_up.has_key => "is not stored, but the lease completed it",
                (false, true) if !inserted.contains(&id) && !retried.contains_key(&end.lease.job) => {
                    "is stored, but the lease did not complete it"
                }
                _ => continue,
            };
            let (promise, job) = (Promise::TxEnqueue, end.lease.job);
            faults.push(format!("{promise}: the follow-up {id} of a lease of job {job} {fault}"));
        }
    }
    faults
}

/// The settlements of an operation. One that lost its lease counts as refused.
fn ends_of(operation: &Operation) -> impl Iterator<Item = (&LeaseEnd, Outcome)> {
    let ends: &[LeaseEnd] = match &operation.asked {
        Asked::Settle(ends) => ends,
        _ => &[],
    };
    let outcome = |index: usize| match operation.answered() {
        None | Some(Answered::Failed(Failure::UnknownOutcome)) => Outcome::Unknown,
        Some(Answered::Settled(answers)) => match answers.get(index) {
            Some(Ok(SettleAnswer::Done)) => Outcome::Stored,
            Some(Err(Failure::UnknownOutcome)) => Outcome::Unknown,
            _ => Outcome::Refused,
        },
        Some(_) => Outcome::Refused,
    };
    ends.iter().enumerate().map(move |(index, end)| (end, outcome(index)))
}

/// A batch of unknown outcome must be stored as a whole or not at all.
pub(super) fn batches(log: &Log, any_job: &AnyJobEffects, stored: &Stored) -> Vec<String> {
    if !any_job.prunes.is_empty() {
        // A missing job may have been pruned.
        return Vec::new();
    }
    let batches: Vec<(&[NewJob], Outcome)> = log.operations.iter().flat_map(batches_of).collect();
    let stored: BTreeSet<JobId> = stored.jobs.iter().copied().collect();
    // A job of one of these may have been stored by it.
    let mut stored_whole: BTreeSet<JobId> = BTreeSet::new();
    for (batch, _) in batches.iter().filter(|(_, outcome)| *outcome != Outcome::Refused) {
        if batch.iter().all(|job| stored.contains(&job.id)) {
            stored_whole.extend(batch.iter().map(|job| job.id));
        }
    }
    let mut faults = Vec::new();
    for (batch, _) in batches.iter().filter(|(_, outcome)| *outcome == Outcome::Unknown) {
        let there = batch.iter().filter(|job| stored.contains(&job.id)).count();
        let is_proof = |job: &NewJob| stored.contains(&job.id) && !stored_whole.contains(&job.id);
        if there < batch.len() && batch.iter().any(is_proof) {
            let (promise, many) = (Promise::BatchAtomic, batch.len());
            let first = batch.first().map(|job| job.id);
            faults.push(format!(
                "{promise}: only {there} jobs of a batch of {many} are stored; the first of the batch is \
                 {first:?}"
            ));
        }
    }
    faults
}

/// The outcome of a batch or a settlement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Stored,
    Unknown,
    Refused,
}

fn batches_of(operation: &Operation) -> impl Iterator<Item = (&[NewJob], Outcome)> {
    let batches = match &operation.asked {
        Asked::Insert { batches, .. } => batches.as_slice(),
        _ => &[],
    };
    let outcome = |index: usize| match operation.answered() {
        None | Some(Answered::Failed(Failure::UnknownOutcome)) => Outcome::Unknown,
        Some(Answered::Inserted { batches, .. }) => match batches.get(index) {
            Some(Ok(_)) => Outcome::Stored,
            Some(Err(Failure::UnknownOutcome)) => Outcome::Unknown,
            Some(Err(_)) | None => Outcome::Refused,
        },
        Some(_) => Outcome::Refused,
    };
    batches.iter().enumerate().map(move |(index, batch)| (batch.as_slice(), outcome(index)))
}
