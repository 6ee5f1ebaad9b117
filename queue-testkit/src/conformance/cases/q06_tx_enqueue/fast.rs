//! Q6: commits, rollbacks and refusals, one after the other.

use anyhow::ensure;
use queue_core::backend::WakeReceiver;
use queue_core::{ErrorKind, JobHandle, JobState, Unique};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::complete;
use crate::conformance::wakes::announced;

cases! {
    Fast q06_a_job_is_visible_from_the_commit_on [Transactions],
    Fast q06_a_rolled_back_job_never_appears [Transactions],
    Fast q06_a_job_of_a_closed_connection_never_appears [Transactions],
    Fast q06_a_batch_of_several_kinds_is_stored_with_its_choices [Transactions],
    Fast q06_a_refused_batch_stores_nothing [Transactions],
    Fast q06_a_job_that_is_stored_is_known_in_a_transaction [Transactions],
    Fast q06_no_worker_is_woken_before_the_commit [Transactions],
    Fast q06_a_deferred_wake_up_is_sent_after_the_commit [Transactions],
    Fast q06_a_unique_key_is_held_from_the_commit_on [Transactions, UniqueKeys],
}

/// Two batches are enqueued in one transaction. Before the commit no job exists; afterwards all are
/// claimed and completed.
async fn q06_a_job_is_visible_from_the_commit_on(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut transaction = kit.begin().await?;
    let mut ids = Vec::new();
    for batch in [vec![kit.job("job")?], vec![kit.job("job")?, kit.job("job")?]] {
        let handles = transaction.enqueue(batch).await??;
        ensure!(handles.iter().all(JobHandle::is_new), "a job is not new: {handles:?}");
        ids.extend(handles.iter().map(JobHandle::id));
    }
    for id in &ids {
        ensure_eq!(kit.find(*id).await?, None, "a job before the commit");
    }
    ensure_eq!(kit.stored().await?.jobs, [], "the stored jobs before the commit");
    transaction.commit().await?;
    ids.sort_unstable();
    ensure_eq!(kit.stored().await?.jobs, ids, "the stored jobs after the commit");
    let jobs = kit.claim(worker, 10).await?;
    ensure_eq!(jobs.len(), 3, "the number of claimed jobs");
    for job in jobs {
        kit.settle_one(job.token, complete()).await?;
    }
    Ok(())
}

/// A transaction is rolled back. Its jobs must not exist, and its ids must be new.
async fn q06_a_rolled_back_job_never_appears(kit: &Kit) -> CaseResult {
    let job = kit.job("job")?;
    let mut transaction = kit.begin().await?;
    transaction.enqueue(vec![job.clone(), kit.job("job")?]).await??;
    transaction.roll_back().await?;
    ensure_eq!(kit.stored().await?.jobs, [], "the stored jobs");
    ensure_eq!(kit.claim(kit.worker().await?, 10).await?.len(), 0, "the number of claimed jobs");
    let mut again = kit.begin().await?;
    let handles = again.enqueue(vec![job]).await??;
    ensure!(handles[0].is_new(), "the id of a rolled-back job is known");
    again.commit().await
}

/// The connection of an open transaction is closed, as when its process ends.
async fn q06_a_job_of_a_closed_connection_never_appears(kit: &Kit) -> CaseResult {
    let mut transaction = kit.begin().await?;
    transaction.enqueue(vec![kit.job("job")?]).await??;
    drop(transaction);
    // The database notices the closed connection on its own time; a write waits for that.
    let other = kit.insert_one(kit.spec("other")).await?;
    ensure_eq!(kit.stored().await?.jobs, [other], "the stored jobs");
    Ok(())
}

/// A batch has jobs of two kinds with all choices. They must be stored as a request without a
/// transaction stores them.
async fn q06_a_batch_of_several_kinds_is_stored_with_its_choices(kit: &Kit) -> CaseResult {
    let later = kit.now().saturating_add(std::time::Duration::from_micros(1_234_567));
    let chosen = kit.job("other")?.priority(-7).max_retries(0).queue("elsewhere".parse()?).run_at(later);
    let mut transaction = kit.begin().await?;
    let handles = transaction.enqueue(vec![kit.job("job")?, chosen]).await??;
    transaction.commit().await?;
    let [first, second] = [kit.record(handles[0].id()).await?, kit.record(handles[1].id()).await?];
    ensure_eq!((first.job.kind.as_str(), first.state), ("job", JobState::Ready), "the first job");
    let job = &second.job;
    ensure_eq!(
        (job.kind.as_str(), job.queue.as_str(), job.priority, job.max_retries, job.run_at),
        ("other", "elsewhere", -7, 0, Some(later)),
        "the second job"
    );
    Ok(())
}

/// A batch contains a stored id with other content. The error must be a `Conflict`, and after the
/// rollback only the earlier job exists.
async fn q06_a_refused_batch_stores_nothing(kit: &Kit) -> CaseResult {
    let job = kit.job("job")?;
    let mut transaction = kit.begin().await?;
    let stored = transaction.enqueue(vec![job.clone()]).await??;
    transaction.commit().await?;
    let mut transaction = kit.begin().await?;
    let other = vec![kit.job("job")?, job.priority(9)];
    fails_with(transaction.enqueue(other).await?, ErrorKind::Conflict)?;
    transaction.roll_back().await?;
    ensure_eq!(kit.stored().await?.jobs, [stored[0].id()], "the stored jobs");
    Ok(())
}

/// A transaction enqueues a job again whose commit succeeded, as after an unknown outcome.
async fn q06_a_job_that_is_stored_is_known_in_a_transaction(kit: &Kit) -> CaseResult {
    let batch = vec![kit.job("job")?, kit.job("job")?];
    for is_new in [true, false] {
        let mut transaction = kit.begin().await?;
        let handles = transaction.enqueue(batch.clone()).await??;
        transaction.commit().await?;
        ensure!(handles.iter().all(|job| job.is_new() == is_new), "is_new is not {is_new}: {handles:?}");
    }
    ensure_eq!(kit.stored().await?.jobs.len(), 2, "the number of stored jobs");
    Ok(())
}

/// Nothing may be announced before the commit. Afterwards the queue must be announced.
async fn q06_no_worker_is_woken_before_the_commit(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    kit.works().await?;
    let mut transaction = kit.begin().await?;
    transaction.enqueue(vec![kit.job("job")?.queue("in-transaction".parse()?)]).await??;
    let early = receiver.take();
    let is_early = early.ready.iter().any(|hint| hint.queue.as_str() == "in-transaction");
    ensure!(!is_early, "a worker was woken before the commit: {early:?}");
    transaction.commit().await?;
    is_announced(&mut receiver).await
}

/// The transaction notifies no worker. After the commit, the application wakes them.
async fn q06_a_deferred_wake_up_is_sent_after_the_commit(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    let mut transaction = kit.begin().await?;
    let pending =
        transaction.enqueue_deferred(vec![kit.job("job")?.queue("in-transaction".parse()?)]).await?;
    transaction.commit().await?;
    let handles = pending.wake();
    is_announced(&mut receiver).await?;
    ensure_eq!(kit.state(handles[0].id()).await?, JobState::Ready, "the state of the job");
    Ok(())
}

async fn is_announced(receiver: &mut WakeReceiver) -> CaseResult {
    announced(receiver, |all| all.ready.iter().any(|hint| hint.queue.as_str() == "in-transaction")).await?;
    Ok(())
}

/// A key is taken in a transaction that is rolled back, and in one that is committed. A second
/// transaction must then find it free, and a third one held.
async fn q06_a_unique_key_is_held_from_the_commit_on(kit: &Kit) -> CaseResult {
    let job = || Ok::<_, anyhow::Error>(kit.job("job")?.unique(Unique::key("a")));
    let mut first = kit.begin().await?;
    ensure!(first.enqueue(vec![job()?]).await??[0].is_new(), "the key was not free");
    first.roll_back().await?;
    let mut second = kit.begin().await?;
    let holder = second.enqueue(vec![job()?]).await??.remove(0);
    ensure!(holder.is_new(), "the key of a rolled-back job was not free");
    let same = second.enqueue(vec![job()?, kit.job("job")?]).await??;
    ensure!(!same[0].is_new() && same[1].is_new(), "in the same transaction: {same:?}");
    ensure_eq!(same[0].id(), holder.id(), "the id of the duplicate");
    second.commit().await?;
    let mut third = kit.begin().await?;
    let duplicate = third.enqueue(vec![job()?]).await??.remove(0);
    ensure_eq!((duplicate.id(), duplicate.is_new()), (holder.id(), false), "the third transaction");
    third.commit().await
}
