//! Q14, Q12, Q20: requests without a time are made at the time of the storage's own clock, as in
//! production.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    CancelRequest, HeartbeatRequest, InsertRequest, MaintainRequest, Prune, RegisterRequest, RetryRequest,
    SettleRequest, Settlement,
};
use queue_core::{JobId, JobState, Timestamp, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{bury, complete};
use crate::conformance::spec::Spec;

cases! {
    Fast q14_a_claim_without_a_time_takes_what_is_due_now,
    Fast q14_upkeep_without_a_time_promotes_and_prunes_by_the_clock,
    Fast q12_a_heartbeat_without_a_time_extends_the_expiry,
    Fast q20_times_without_a_time_are_those_of_the_clock,
}

/// The most by which the clock of the storage and that of this process may differ. More is a fault
/// of the machines.
const AGREED: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3600);

/// Fails unless the time is the present one.
fn is_now(time: Timestamp, what: &str) -> CaseResult {
    let now = Timestamp::now();
    ensure!(
        now.saturating_sub(AGREED) <= time && time <= now.saturating_add(AGREED),
        "{what} is {time}, and the clock of this process says {now}"
    );
    Ok(())
}

/// Inserts a job without a time of the request.
async fn insert(kit: &Kit, spec: Spec) -> anyhow::Result<JobId> {
    let spec = spec.build()?;
    let id = spec.id;
    kit.knows_kind(&spec.kind);
    let reply = kit.backend()?.insert(InsertRequest::new(vec![vec![spec]])).await?;
    reply.batches.into_iter().collect::<queue_core::Result<Vec<_>>>()?;
    Ok(id)
}

/// Registers a worker without a time of the request.
async fn register(kit: &Kit, expiry: Duration) -> anyhow::Result<WorkerId> {
    let worker = kit.new_worker_id();
    kit.backend()?.register(RegisterRequest::new(worker, "kit", expiry)).await?;
    Ok(worker)
}

/// Jobs are due now, an hour ago and in an hour. A claim must take the first two.
async fn q14_a_claim_without_a_time_takes_what_is_due_now(kit: &Kit) -> CaseResult {
    let (worker, now) = (register(kit, HOUR).await?, Timestamp::now());
    let present = insert(kit, kit.spec("job")).await?;
    let past = insert(kit, kit.spec("job").run_at(now.saturating_sub(HOUR))).await?;
    let future = insert(kit, kit.spec("job").run_at(now.saturating_add(HOUR))).await?;
    ensure_eq!(kit.state(future).await?, JobState::Scheduled, "the state of the job for later");
    let mut request = kit.claiming(worker, 9).request()?;
    request.now = None;
    let jobs = kit.backend()?.claim(request).await?.jobs;
    let seen: Vec<JobId> = jobs.iter().map(|job| job.token.job).collect();
    ensure_eq!(seen, [past, present], "the claimed jobs");
    is_now(jobs[1].run_at, "`run_at` of a job without one")
}

/// A job became due and one ended. Upkeep must promote the first, and keep the second for its
/// retention.
async fn q14_upkeep_without_a_time_promotes_and_prunes_by_the_clock(kit: &Kit) -> CaseResult {
    let worker = register(kit, HOUR).await?;
    let now = Timestamp::now();
    kit.set_clock(now.saturating_sub(HOUR * 2));
    let due = kit.insert_one(kit.spec("job").run_at(now.saturating_sub(HOUR))).await?;
    let later = kit.insert_one(kit.spec("job").run_at(now.saturating_add(HOUR))).await?;
    let ended = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, complete()).await?;
    let mut upkeep = MaintainRequest::promote(9);
    for (retention, pruned) in [(HOUR * 3, 0), (HOUR, 1)] {
        upkeep.prune = Some(Prune::default().completed(retention).idempotency_window(retention));
        let reply = kit.backend()?.maintain(upkeep.clone()).await?;
        ensure_eq!(reply.pruned, pruned, "the number of jobs pruned with {retention:?}");
    }
    ensure_eq!(kit.state(due).await?, JobState::Ready, "the state of the job that is due");
    ensure_eq!(kit.state(later).await?, JobState::Scheduled, "the state of the job for later");
    ensure_eq!(kit.find(ended).await?, None, "the job that ended");
    Ok(())
}

/// A worker was registered half an hour ago with an expiry of an hour. After its heartbeat it must
/// live for another hour.
async fn q12_a_heartbeat_without_a_time_extends_the_expiry(kit: &Kit) -> CaseResult {
    let now = Timestamp::now();
    kit.set_clock(now.saturating_sub(HOUR / 2));
    let worker = kit.worker_expiring_after(HOUR).await?;
    kit.backend()?.heartbeat(HeartbeatRequest::new(worker)).await?;
    kit.set_clock(now.saturating_add(HOUR).saturating_sub(AGREED));
    ensure_eq!(kit.rescue(9).await?.workers_lost, 0, "the workers lost shortly before the expiry");
    kit.set_clock(now.saturating_add(HOUR + AGREED));
    ensure_eq!(kit.rescue(9).await?.workers_lost, 1, "the workers lost shortly after the expiry");
    let worker = register(kit, HOUR).await?;
    let reply = kit.backend()?.maintain(MaintainRequest::rescue(9)).await?;
    ensure_eq!(reply.workers_lost, 0, "the workers lost by a rescue without a time");
    kit.backend()?.heartbeat(HeartbeatRequest::new(worker)).await?;
    Ok(())
}

/// Jobs are inserted, claimed, ended, cancelled and retried without times. Each stored time must be
/// the present one.
async fn q20_times_without_a_time_are_those_of_the_clock(kit: &Kit) -> CaseResult {
    let (backend, worker) = (kit.backend()?, register(kit, HOUR).await?);
    let ids = [insert(kit, kit.spec("job")).await?, insert(kit, kit.spec("job")).await?];
    let mut request = kit.claiming(worker, 2).request()?;
    request.now = None;
    let held = backend.claim(request).await?.jobs;
    ensure_eq!(held.len(), 2, "the number of claimed jobs");
    let verdicts = [complete(), bury("hopeless")];
    let settlements =
        held.iter().zip(verdicts).map(|(job, verdict)| Settlement::new(job.token, verdict)).collect();
    backend.settle(SettleRequest::new(worker, settlements)).await?;
    let waiting = insert(kit, kit.spec("job")).await?;
    backend.cancel(CancelRequest::new(vec![waiting])).await?;
    for id in [ids[0], ids[1], waiting] {
        let record = kit.record(id).await?;
        is_now(record.created_at, "`created_at`")?;
        is_now(record.finished_at.context("the job is not finished")?, "`finished_at`")?;
        for error in record.errors {
            is_now(error.at, "the time of the error")?;
        }
    }
    if let Some(manage) = backend.extensions().manage {
        manage.retry(RetryRequest::new(vec![waiting])).await?;
        is_now(kit.record(waiting).await?.run_at, "`run_at` of a job that was retried by hand")?;
    }
    Ok(())
}
