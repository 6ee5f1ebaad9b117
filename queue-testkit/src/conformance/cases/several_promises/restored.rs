//! Q4, Q12, Q13, Q16, Q17: a storage that an operator restores while handles are open. Nothing that a handle remembers about it may outlive that.

use anyhow::{Context as _, anyhow, ensure};
use queue_core::backend::Settled;
use queue_core::{ErrorKind, JobId, State};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::at_last;
use crate::conformance::session::{Session, complete};
use crate::conformance::storage::{Backup, Storage};

cases! {
    Fast q17_kinds_and_queues_are_what_they_are_called_after_a_restore [Backup, MultiProcess],
    Fast q16_a_job_that_a_restore_removed_is_entered_anew [Backup],
    Fast q12_a_worker_that_a_restore_removed_is_lost_and_registers_anew [Backup],
    Fast q04_a_lease_of_before_a_restore_settles_nothing [Backup],
    Fast q13_jobs_that_a_restore_brought_back_are_claimed [Backup],
}

/// A storage beside the case's own, since what a restore removes is lost for the history.
struct Restored {
    storage: std::sync::Arc<dyn Storage>,
    handle: Session,
}

impl Restored {
    async fn new(kit: &Kit) -> anyhow::Result<Self> {
        let storage = kit.storage_without_a_schema().await?;
        let handle = kit.open_on(&*storage).await?;
        Ok(Self { storage, handle })
    }

    async fn back_up(&self) -> anyhow::Result<Box<dyn Backup>> {
        let backup = self.storage.back_up().await.map_err(|error| anyhow!("`back_up` failed: {error}"))?;
        backup.context("the storage was backed up before, and now there is no `back_up`")
    }
}

async fn restore(backup: &dyn Backup) -> CaseResult {
    backup.restore().await.map_err(|error| anyhow!("`restore` failed: {error}"))
}

/// A handle has met the names in one order, and after the restore another one meets them in the opposite order.
async fn q17_kinds_and_queues_are_what_they_are_called_after_a_restore(kit: &Kit) -> CaseResult {
    let Restored { storage, handle } = &Restored::new(kit).await?;
    let empty = storage.back_up().await.map_err(|error| anyhow!("{error}"))?.context("no backup")?;
    let worker = handle.worker().await?;
    for (kind, queue) in [("thumb", "images"), ("resize", "mail")] {
        handle.insert_one(handle.spec(kind).queue(queue)).await?;
        ensure_eq!(
            handle.claiming(worker, 5).queue(queue).kinds(&[kind]).take().await?.jobs.len(),
            1,
            "jobs"
        );
    }
    restore(&*empty).await?;
    let other = kit.open_on(&**storage).await?;
    for (kind, queue) in [("resize", "mail"), ("thumb", "images")] {
        other.insert_one(other.spec(kind).queue(queue)).await?;
    }
    // By the first handle, which knew them by other numbers, if it knew any.
    let ours = at_last("an insert after the restore", || {
        handle.insert(vec![handle.spec("resize").queue("mail"), handle.spec("thumb").queue("images")])
    })
    .await?;
    for job in &ours {
        let record = other.record(*job).await?;
        let expected = if *job == ours[0] { ("resize", "mail") } else { ("thumb", "images") };
        ensure_eq!(
            (record.job.kind.as_str(), record.job.queue.as_str()),
            expected,
            "kind and queue of a job"
        );
        ensure_eq!(handle.record(*job).await?.job, record.job, "the job as the first handle reads it");
    }
    for session in [handle, &other] {
        let worker = session.worker().await?;
        for (kind, queue, wrong) in [("resize", "mail", "thumb"), ("thumb", "images", "resize")] {
            let none = session.claiming(worker, 9).queue(queue).kinds(&[wrong]).take().await?.jobs;
            ensure!(none.is_empty(), "a claim of `{wrong}` took {none:?}");
            let one = session.claiming(worker, 1).queue(queue).kinds(&[kind]).take().await?.jobs;
            ensure_eq!(one.len(), 1, "jobs of kind `{kind}` in `{queue}`");
            ensure_eq!(one[0].kind.as_str(), kind, "the kind of a job that was claimed");
        }
    }
    Ok(())
}

/// It was acknowledged, and the operator took it away: the same id is new.
async fn q16_a_job_that_a_restore_removed_is_entered_anew(kit: &Kit) -> CaseResult {
    let restored = Restored::new(kit).await?;
    let handle = &restored.handle;
    let backup = restored.back_up().await?;
    let spec = handle.spec("job");
    let id = handle.insert_one(spec.clone()).await?;
    restore(&*backup).await?;
    ensure!(handle.find(id).await?.is_none(), "the job {id} is there after the restore");
    let again = at_last("an insert after the restore", || async {
        Ok(handle.try_insert(vec![spec.clone()]).await??)
    });
    ensure!(again.await?[0].is_new(), "the job was known, though it is not there");
    let worker = handle.worker().await?;
    ensure_eq!(handle.claim_one(worker).await?.token.job, id, "the job that was claimed");
    Ok(())
}

/// What it holds was taken away with it.
async fn q12_a_worker_that_a_restore_removed_is_lost_and_registers_anew(kit: &Kit) -> CaseResult {
    let restored = Restored::new(kit).await?;
    let handle = &restored.handle;
    handle.insert_one(handle.spec("job")).await?;
    let backup = restored.back_up().await?;
    let worker = handle.worker().await?;
    handle.heartbeat(worker).await?;
    handle.claim_one(worker).await?;
    restore(&*backup).await?;
    for _ in 0..2 {
        let beat = handle.try_heartbeat(worker).await?;
        ensure!(
            beat.as_ref().is_err_and(|error| error.kind() == ErrorKind::WorkerLost || error.is_retryable()),
            "a worker that is not there was told {beat:?}"
        );
    }
    let claim = handle.claiming(worker, 1).attempt().await?;
    ensure!(claim.is_err_and(|error| error.kind() == ErrorKind::WorkerLost), "it claimed all the same");
    let anew = handle.worker().await?;
    ensure_eq!(handle.claim(anew, 5).await?.len(), 1, "jobs of the new worker");
    Ok(())
}

/// Though its job is there, and ready again.
async fn q04_a_lease_of_before_a_restore_settles_nothing(kit: &Kit) -> CaseResult {
    let restored = Restored::new(kit).await?;
    let handle = &restored.handle;
    let worker = handle.worker().await?;
    let id = handle.insert_one(handle.spec("job")).await?;
    let backup = restored.back_up().await?;
    let stale = handle.claim_one(worker).await?.token;
    restore(&*backup).await?;
    let settled = at_last("a settle after the restore", || handle.settle_one(stale, complete())).await?;
    ensure_eq!(settled, Settled::LeaseLost, "the settle of a lease that was taken away");
    ensure_eq!(handle.state(id).await?, State::Ready, "the job's state");
    let token = handle.claim_one(worker).await?.token;
    ensure_eq!(handle.settle_one(stale, complete()).await?, Settled::LeaseLost, "the settle, again");
    ensure_eq!(handle.settle_one(token, complete()).await?, Settled::Done, "the settle of the new lease");
    Ok(())
}

/// However many later jobs its worker had claimed.
async fn q13_jobs_that_a_restore_brought_back_are_claimed(kit: &Kit) -> CaseResult {
    let restored = Restored::new(kit).await?;
    let handle = &restored.handle;
    let worker = handle.worker().await?;
    let ids: Vec<JobId> = handle.insert((0..4).map(|_| handle.spec("job")).collect()).await?;
    let backup = restored.back_up().await?;
    for job in handle.claim(worker, 4).await? {
        handle.settle_one(job.token, complete()).await?;
    }
    ensure!(handle.claim(worker, 4).await?.is_empty(), "there is one job too many");
    restore(&*backup).await?;
    let again = at_last("a claim after the restore", || handle.claim(worker, 9)).await?;
    let taken: Vec<JobId> = again.iter().map(|job| job.token.job).collect();
    ensure_eq!(taken, ids, "the jobs that were claimed");
    Ok(())
}
