//! Q6: the follow-ups of a job that is completed in a transaction of the application.

use queue_core::{JobId, JobState, Unique};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::wakes::announced;

cases! {
    Fast q06_follow_ups_of_a_transaction_exist_from_its_commit_on [Transactions, FollowUps],
    Fast q06_follow_ups_of_a_rolled_back_transaction_never_appear [Transactions, FollowUps],
    Fast q06_follow_ups_of_a_transaction_are_announced_after_its_commit [Transactions, FollowUps],
    Fast q06_a_follow_up_of_a_transaction_may_take_the_key_of_its_job [Transactions, FollowUps, UniqueKeys],
}

/// A transaction completes a job with two follow-ups and enqueues a job besides.
async fn q06_follow_ups_of_a_transaction_exist_from_its_commit_on(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let job = kit.claim_one(worker).await?;
    let mut transaction = kit.begin().await?;
    transaction.enqueue(vec![kit.job("job")?]).await??;
    transaction.complete(job.token, "done", vec![kit.job("job")?, kit.job("other")?]).await??;
    ensure_eq!(kit.stored().await?.jobs.len(), 1, "the number of jobs before the commit");
    transaction.commit().await?;
    ensure_eq!(kit.stored().await?.jobs.len(), 4, "the number of jobs after the commit");
    ensure_eq!(kit.claim(worker, 10).await?.len(), 3, "the number of claimed jobs");
    Ok(())
}

/// The transaction is rolled back, and the job is completed in another one.
async fn q06_follow_ups_of_a_rolled_back_transaction_never_appear(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let job = kit.claim_one(worker).await?;
    let mut first = kit.begin().await?;
    first.complete(job.token, "first", vec![kit.job("job")?]).await??;
    first.roll_back().await?;
    ensure_eq!(kit.stored().await?.jobs.len(), 1, "the number of jobs after the rollback");
    let follow_up = kit.job("job")?.id(JobId::generate());
    let mut second = kit.begin().await?;
    second.complete(job.token, "second", vec![follow_up]).await??;
    second.commit().await?;
    ensure_eq!(kit.stored().await?.jobs.len(), 2, "the number of jobs after the commit");
    Ok(())
}

/// Nothing may be announced before the commit. Afterwards the queue must be announced.
async fn q06_follow_ups_of_a_transaction_are_announced_after_its_commit(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let job = kit.claim_one(worker).await?;
    let mut transaction = kit.begin().await?;
    transaction.complete(job.token, "done", vec![kit.job("job")?.queue("next".parse()?)]).await??;
    let is_next = |hint: &queue_core::backend::Hint| hint.queue.as_str() == "next";
    let early = receiver.take();
    anyhow::ensure!(!early.ready.iter().any(is_next), "a worker was woken before the commit: {early:?}");
    transaction.commit().await?;
    announced(&mut receiver, |all| all.ready.iter().any(is_next)).await?;
    Ok(())
}

/// The job has a unique key, and its follow-up has the same one.
async fn q06_a_follow_up_of_a_transaction_may_take_the_key_of_its_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job").unique("chain")).await?;
    let job = kit.claim_one(worker).await?;
    let next = kit.job("job")?.id(JobId::generate()).unique(Unique::key("chain"));
    let mut transaction = kit.begin().await?;
    transaction.complete(job.token, "done", vec![next]).await??;
    transaction.commit().await?;
    let successor = kit.claim_one(worker).await?;
    let beside = kit.try_insert(vec![kit.spec("job").unique("chain")]).await??;
    ensure_eq!(beside[0].id, successor.token.job, "the holder of the key");
    ensure_eq!(kit.state(job.token.job).await?, JobState::Completed, "the state of the job");
    Ok(())
}
