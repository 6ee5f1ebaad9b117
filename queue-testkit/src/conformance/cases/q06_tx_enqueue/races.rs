//! Q6: transactions of the application beside inserts of other connections.

use anyhow::ensure;
use queue_core::backend::RetryReply;
use queue_core::{Insertion, JobId, Unique};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::retry_until_ok;
use crate::conformance::kit::transactions::Transaction;
use crate::conformance::race::race;
use crate::conformance::session::bury;

cases! {
    Race q06_an_insert_waits_for_the_transaction_that_has_its_key [Transactions, UniqueKeys],
    Race q06_a_retry_waits_for_the_transaction_that_has_its_key [Transactions, UniqueKeys, Manage],
    Race q06_of_transactions_with_one_key_one_stores_the_job [Transactions, UniqueKeys],
}

/// A transaction takes a key, and then another connection inserts a job of the key. That insert
/// must be a duplicate after the commit, and new after a rollback. It may fail while the
/// transaction is open, but must not succeed.
async fn q06_an_insert_waits_for_the_transaction_that_has_its_key(kit: &Kit) -> CaseResult {
    for round in 0..6 {
        let key = format!("round {round}");
        let mut transaction = kit.begin().await?;
        let holder = transaction.enqueue(vec![kit.job("job")?.unique(Unique::key(&*key))]).await??.remove(0);
        let (handle, spec) = (kit.handle(), kit.spec("job").unique(&*key));
        let insert = tokio::spawn(async move {
            retry_until_ok("the insert", || async { Ok(handle.try_insert(vec![spec.clone()]).await??[0]) })
                .await
        });
        tokio::task::yield_now().await;
        let is_committed = round % 2 == 0;
        if is_committed {
            transaction.commit().await?;
        } else {
            transaction.roll_back().await?;
        }
        let reply = insert.await??;
        let expected =
            if is_committed { (holder.id(), Insertion::Duplicate) } else { (reply.id, Insertion::New) };
        ensure_eq!((reply.id, reply.insertion), expected, "round {round}, the reply to the insert");
    }
    Ok(())
}

/// A transaction takes the key of a dead job, and then that job is retried by hand. The reply must
/// name the new job after the commit. After a rollback the retry must be made.
async fn q06_a_retry_waits_for_the_transaction_that_has_its_key(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for round in 0..6 {
        let key = format!("round {round}");
        let dead = kit.insert_one(kit.spec("job").unique(&*key)).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, bury("no")).await?;
        let mut transaction = kit.begin().await?;
        let holder = transaction.enqueue(vec![kit.job("job")?.unique(Unique::key(&*key))]).await??.remove(0);
        let handle = kit.handle();
        let retry =
            tokio::spawn(
                async move { retry_until_ok("the retry", || async { handle.retry(dead).await }).await },
            );
        tokio::task::yield_now().await;
        let expected = if round % 2 == 0 {
            transaction.commit().await?;
            RetryReply::KeyHeld(holder.id())
        } else {
            transaction.roll_back().await?;
            RetryReply::Retried
        };
        ensure_eq!(retry.await??, expected, "round {round}, the reply to the retry");
        kit.cancel(if round % 2 == 0 { holder.id() } else { dead }).await?;
    }
    Ok(())
}

/// Sixteen transactions enqueue jobs of one key at the same time, and commit. One job must be
/// stored.
async fn q06_of_transactions_with_one_key_one_stores_the_job(kit: &Kit) -> CaseResult {
    for round in 0..4 {
        let key = format!("round {round}");
        let mut tasks = Vec::new();
        for _ in 0..16 {
            let job = kit.job("job")?.unique(Unique::key(&*key));
            let beginner = kit.beginner()?;
            tasks.push(async move {
                let mut transaction: Transaction = beginner.begin().await?;
                let handle = transaction.enqueue(vec![job]).await??.remove(0);
                transaction.commit().await?;
                Ok((handle.id(), handle.is_new()))
            });
        }
        let replies: Vec<(JobId, bool)> = race(tasks).await?;
        let new: Vec<JobId> = replies.iter().filter(|(_, is_new)| *is_new).map(|(id, _)| *id).collect();
        ensure_eq!(new.len(), 1, "round {round}, the number of new jobs");
        ensure!(replies.iter().all(|(id, _)| *id == new[0]), "round {round}: {replies:?}");
    }
    ensure_eq!(kit.stored().await?.jobs.len(), 4, "the number of stored jobs");
    Ok(())
}
