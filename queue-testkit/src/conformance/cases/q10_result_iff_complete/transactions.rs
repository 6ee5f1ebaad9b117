//! Q10, Q4: a job that is completed in a transaction of the application.

use anyhow::ensure;
use queue_core::backend::Settled::{Done, LeaseLost};
use queue_core::{ErrorKind, HandlerResult, JobContext, JobError, JobState, Payload};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::program::{Program, new_job, stop};
use crate::conformance::session::{EXPIRY, retry};
use crate::conformance::wakes::announced;

cases! {
    Fast q10_a_job_that_a_transaction_completes_has_its_result_from_the_commit_on [Transactions],
    Fast q10_a_job_of_a_rolled_back_transaction_runs_on [Transactions],
    Fast q10_a_failed_attempt_after_the_commit_changes_nothing [Transactions],
    Fast q10_a_completed_job_cannot_be_completed_in_a_second_transaction [Transactions],
    Fast q10_a_watched_end_in_a_transaction_is_announced [Transactions, Watch],
    Fast q10_a_worker_learns_whether_a_transaction_was_committed [Transactions],
}

/// Before the commit the job runs without a result. Afterwards it is completed, with the attempt
/// that completed it.
async fn q10_a_job_that_a_transaction_completes_has_its_result_from_the_commit_on(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let job = kit.claim_one(worker).await?;
    let mut transaction = kit.begin().await?;
    transaction.complete(job.token, "\u{1f600} \" \\ \0 done", Vec::new()).await??;
    let before = kit.record(id).await?;
    ensure_eq!((before.state, before.result), (JobState::Running, None), "the job before the commit");
    transaction.commit().await?;
    let after = kit.record(id).await?;
    ensure_eq!((after.state, after.attempt), (JobState::Completed, 1), "the job after the commit");
    let expected = serde_json::to_vec("\u{1f600} \" \\ \0 done")?;
    ensure_eq!(after.result, Some(expected), "the result");
    Ok(())
}

/// After the rollback the lease is still held, so that the attempt fails as usual.
async fn q10_a_job_of_a_rolled_back_transaction_runs_on(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let job = kit.claim_one(worker).await?;
    let mut transaction = kit.begin().await?;
    transaction.complete(job.token, "done", Vec::new()).await??;
    transaction.roll_back().await?;
    ensure_eq!(kit.state(id).await?, JobState::Running, "the state after the rollback");
    ensure_eq!(kit.settle_one(job.token, retry("not committed", 0)).await?, Done, "the reply");
    let again = kit.claim_one(worker).await?;
    ensure_eq!((again.token.job, again.attempt), (id, 2), "the next attempt");
    Ok(())
}

/// The answer to the commit was lost, so that the worker settles the attempt as failed.
async fn q10_a_failed_attempt_after_the_commit_changes_nothing(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    let job = kit.claim_one(worker).await?;
    let mut transaction = kit.begin().await?;
    transaction.complete(job.token, "done", Vec::new()).await??;
    transaction.commit().await?;
    ensure_eq!(kit.settle_one(job.token, retry("unknown", 0)).await?, LeaseLost, "the reply");
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.errors.len()), (JobState::Completed, 0), "the state and errors");
    Ok(())
}

/// A handler that runs its transaction again after a commit of unknown outcome must not repeat its
/// changes. So must one whose lease was lost.
async fn q10_a_completed_job_cannot_be_completed_in_a_second_transaction(kit: &Kit) -> CaseResult {
    let (worker, lost) = (kit.worker().await?, kit.worker().await?);
    kit.insert((0..2).map(|_| kit.spec("job")).collect()).await?;
    let (completed, rescued) = (kit.claim_one(worker).await?, kit.claim_one(lost).await?);
    let mut first = kit.begin().await?;
    first.complete(completed.token, "done", Vec::new()).await??;
    first.commit().await?;
    kit.advance(EXPIRY);
    kit.heartbeat(worker).await?;
    kit.rescue(10).await?;
    let again = kit.claim_one(worker).await?;
    ensure_eq!(again.token.job, rescued.token.job, "the rescued job");
    for token in [completed.token, rescued.token] {
        let mut second = kit.begin().await?;
        fails_with(second.complete(token, "again", vec![kit.job("job")?]).await?, ErrorKind::LeaseLost)?;
        second.roll_back().await?;
    }
    ensure_eq!(kit.stored().await?.jobs.len(), 2, "the number of stored jobs");
    ensure_eq!(kit.state(again.token.job).await?, JobState::Running, "the state of the rescued job");
    Ok(())
}

/// A caller waits for jobs that transactions complete, one after another. An unknown change, as a
/// backend announces it when it begins to listen, may hide the first end, but not each of them.
async fn q10_a_watched_end_in_a_transaction_is_announced(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut receiver = kit.backend()?.subscribe();
    for _ in 0..3 {
        let id = kit.insert_one(kit.spec("job")).await?;
        let job = kit.claim_one(worker).await?;
        ensure_eq!(kit.watch(&[id]).await?, [None], "the end of a running job");
        let mut transaction = kit.begin().await?;
        transaction.complete(job.token, "done", Vec::new()).await??;
        let early = receiver.take();
        ensure!(!early.finished.contains(&id), "the end was announced before the commit: {early:?}");
        transaction.commit().await?;
        announced(&mut receiver, |all| all.finished.contains(&id)).await?;
    }
    Ok(())
}

/// Handlers complete their jobs in transactions. Only the commit counts, not what they return: a
/// job whose transaction was committed is completed, and the others have failed.
async fn q10_a_worker_learns_whether_a_transaction_was_committed(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    let beginner = std::sync::Arc::new(kit.beginner()?);
    program.on("transact", move |context: JobContext, payload: Payload| {
        let beginner = std::sync::Arc::clone(&beginner);
        async move {
            let (commits, returns_ok): (bool, bool) = payload.decode()?;
            let mut transaction = beginner.begin().await?;
            transaction.complete_by(&context, "by the transaction").await??;
            if commits {
                transaction.commit().await?;
            } else {
                transaction.roll_back().await?;
            }
            context.capture_result("by the handler");
            if returns_ok { Ok(()) } else { HandlerResult::Err(JobError::retry("the handler failed")) }
        }
    })?;
    let worker = program.start(1)?;
    for (commits, returns_ok) in [(true, true), (true, false), (false, true), (false, false)] {
        let job = new_job("transact", &format!("[{commits}, {returns_ok}]"))?.max_retries(0);
        let id = program.queue.enqueue(job).await?.id();
        program.ended(&[id]).await?;
        let record = kit.record(id).await?;
        let text = record.result.as_deref().map(String::from_utf8_lossy);
        let expected = if commits { JobState::Completed } else { JobState::Dead };
        ensure_eq!(record.state, expected, "commits {commits}, returns Ok {returns_ok}: the state");
        ensure_eq!(text.as_deref(), commits.then_some("\"by the transaction\""), "the result");
        ensure_eq!(record.errors.len(), usize::from(!commits), "the number of errors");
    }
    stop(worker).await?;
    Ok(())
}
