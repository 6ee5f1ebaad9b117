//! Q4, Q12, Q13, Q16, Q17: an operator restores a storage while handles are open. No handle may
//! keep cached state from before the restore.

use anyhow::{Context as _, anyhow, ensure};
use queue_core::backend::Settled;
use queue_core::{ErrorKind, JobId, JobState};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::retry_until_ok;
use crate::conformance::session::{Session, complete};
use crate::conformance::storage::{Backup, Storage};

cases! {
    Fast q17_kinds_and_queues_are_what_they_are_called_after_a_restore [Backup, MultiProcess],
    Fast q16_a_job_that_a_restore_removed_is_entered_anew [Backup],
    Fast q12_a_worker_that_a_restore_removed_is_lost_and_registers_anew [Backup],
    Fast q04_a_lease_of_before_a_restore_settles_nothing [Backup],
    Fast q13_jobs_that_a_restore_brought_back_are_claimed [Backup],
}

/// A storage apart from that of the case, because a restore removes jobs that the history must
/// keep.
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
        backup.context("the storage no longer supports `back_up`")
    }
}

async fn restore(backup: &dyn Backup) -> CaseResult {
    backup.restore().await.map_err(|error| anyhow!("`restore` failed: {error}"))
}

/// A handle inserts kinds and queues in one order. After the restore another handle inserts them in
/// the opposite order. Both must return each job with its own names.
async fn q17_kinds_and_queues_are_what_they_are_called_after_a_restore(kit: &Kit) -> CaseResult {
    let Restored { storage, handle } = &Restored::new(kit).await?;
    let empty = storage.back_up().await.map_err(|error| anyhow!("{error}"))?.context("no backup")?;
    let worker = handle.worker().await?;
    for (kind, queue) in [("thumb", "images"), ("resize", "mail")] {
        handle.insert_one(handle.spec(kind).queue(queue)).await?;
        ensure_eq!(
            handle.claiming(worker, 5).queue(queue).kinds(&[kind]).take().await?.jobs.len(),
            1,
            "the number of claimed jobs"
        );
    }
    restore(&*empty).await?;
    let other = kit.open_on(&**storage).await?;
    for (kind, queue) in [("resize", "mail"), ("thumb", "images")] {
        other.insert_one(other.spec(kind).queue(queue)).await?;
    }
    // The first handle may have cached numbers for these names, which are different now.
    let ours = retry_until_ok("an insert after the restore", || {
        handle.insert(vec![handle.spec("resize").queue("mail"), handle.spec("thumb").queue("images")])
    })
    .await?;
    for job in &ours {
        let record = other.record(*job).await?;
        let expected = if *job == ours[0] { ("resize", "mail") } else { ("thumb", "images") };
        ensure_eq!(
            (record.job.kind.as_str(), record.job.queue.as_str()),
            expected,
            "the kind and queue of a job"
        );
        ensure_eq!(handle.record(*job).await?.job, record.job, "the job that the first handle reads");
    }
    for session in [handle, &other] {
        let worker = session.worker().await?;
        for (kind, queue, wrong) in [("resize", "mail", "thumb"), ("thumb", "images", "resize")] {
            let none = session.claiming(worker, 9).queue(queue).kinds(&[wrong]).take().await?.jobs;
            ensure!(none.is_empty(), "a claim of `{wrong}` returned {none:?}");
            let one = session.claiming(worker, 1).queue(queue).kinds(&[kind]).take().await?.jobs;
            ensure_eq!(one.len(), 1, "the number of jobs of kind `{kind}` in `{queue}`");
            ensure_eq!(one[0].kind.as_str(), kind, "the kind of a claimed job");
        }
    }
    Ok(())
}

/// A restore removes an acknowledged job. An insert of the same id must store it as new.
async fn q16_a_job_that_a_restore_removed_is_entered_anew(kit: &Kit) -> CaseResult {
    let restored = Restored::new(kit).await?;
    let handle = &restored.handle;
    let backup = restored.back_up().await?;
    let spec = handle.spec("job");
    let id = handle.insert_one(spec.clone()).await?;
    restore(&*backup).await?;
    ensure!(handle.find(id).await?.is_none(), "job {id} is stored after the restore");
    let again = retry_until_ok("an insert after the restore", || async {
        Ok(handle.try_insert(vec![spec.clone()]).await??)
    });
    ensure!(again.await?[0].is_new(), "the insert reported a removed job as known");
    let worker = handle.worker().await?;
    ensure_eq!(handle.claim_one(worker).await?.token.job, id, "the claimed job");
    Ok(())
}

/// A restore removes a worker and its lease. Its heartbeats and claims must return `WorkerLost`,
/// and a new worker must claim the job.
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
            "the heartbeat of a removed worker returned {beat:?}"
        );
    }
    let claim = handle.claiming(worker, 1).attempt().await?;
    ensure!(
        claim.is_err_and(|error| error.kind() == ErrorKind::WorkerLost),
        "a claim of a removed worker succeeded"
    );
    let new = handle.worker().await?;
    ensure_eq!(handle.claim(new, 5).await?.len(), 1, "the number of jobs that the new worker claims");
    Ok(())
}

/// A restore removes a lease, and its job is ready again. The old token must settle nothing.
async fn q04_a_lease_of_before_a_restore_settles_nothing(kit: &Kit) -> CaseResult {
    let restored = Restored::new(kit).await?;
    let handle = &restored.handle;
    let worker = handle.worker().await?;
    let id = handle.insert_one(handle.spec("job")).await?;
    let backup = restored.back_up().await?;
    let stale = handle.claim_one(worker).await?.token;
    restore(&*backup).await?;
    let settled =
        retry_until_ok("a settle after the restore", || handle.settle_one(stale, complete())).await?;
    ensure_eq!(settled, Settled::LeaseLost, "the reply to a settle of the removed lease");
    ensure_eq!(handle.state(id).await?, JobState::Ready, "the state of the job");
    let token = handle.claim_one(worker).await?.token;
    ensure_eq!(
        handle.settle_one(stale, complete()).await?,
        Settled::LeaseLost,
        "the reply to a settle of the removed lease after a new claim"
    );
    ensure_eq!(
        handle.settle_one(token, complete()).await?,
        Settled::Done,
        "the reply to a settle of the new lease"
    );
    Ok(())
}

/// A restore makes completed jobs ready again. The worker must claim them, although it had claimed
/// later jobs before.
async fn q13_jobs_that_a_restore_brought_back_are_claimed(kit: &Kit) -> CaseResult {
    let restored = Restored::new(kit).await?;
    let handle = &restored.handle;
    let worker = handle.worker().await?;
    let ids: Vec<JobId> = handle.insert((0..4).map(|_| handle.spec("job")).collect()).await?;
    let backup = restored.back_up().await?;
    for job in handle.claim(worker, 4).await? {
        handle.settle_one(job.token, complete()).await?;
    }
    ensure!(handle.claim(worker, 4).await?.is_empty(), "a claim returned a job that was already claimed");
    restore(&*backup).await?;
    let again = retry_until_ok("a claim after the restore", || handle.claim(worker, 9)).await?;
    let taken: Vec<JobId> = again.iter().map(|job| job.token.job).collect();
    ensure_eq!(taken, ids, "the claimed jobs");
    Ok(())
}
