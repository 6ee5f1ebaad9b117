//! Q15: what is stored, and what is a duplicate.

use std::time::Duration;

use anyhow::ensure;
use queue_core::{ErrorKind, Insertion, JobId, Submitted};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::complete;
use crate::conformance::spec::Spec;
use crate::conformance::wakes::announced_so_far;

cases! {
    Fast q15_a_second_job_of_a_key_is_a_duplicate [UniqueKeys],
    Fast q15_a_key_belongs_to_its_kind [UniqueKeys],
    Fast q15_a_batch_stores_all_but_its_duplicates [UniqueKeys],
    Fast q15_of_the_batches_of_a_request_the_first_holds_the_key [UniqueKeys],
    Fast q15_a_repeated_insert_with_a_key_is_known [UniqueKeys],
    Fast q15_a_batch_that_is_known_but_for_its_duplicates_is_known [UniqueKeys],
    Fast q15_a_refused_batch_holds_no_key [UniqueKeys],
    Fast q15_keys_are_compared_byte_for_byte [UniqueKeys],
    Fast q15_a_key_is_read_as_it_was_stored [UniqueKeys],
    Fast q15_a_duplicate_wakes_no_worker [UniqueKeys],
    Fast q15_a_thousand_keys_of_a_batch_are_each_held_once [UniqueKeys],
}

/// Inserts one job, and returns the reply for it.
pub(super) async fn insert(kit: &Kit, spec: Spec) -> anyhow::Result<Submitted> {
    let mut replies = kit.try_insert(vec![spec]).await??;
    Ok(replies.remove(0))
}

fn duplicate(holder: JobId) -> Submitted {
    Submitted::new(holder, Insertion::Duplicate)
}

/// The second insert must return the id of the first job, and must store nothing.
async fn q15_a_second_job_of_a_key_is_a_duplicate(kit: &Kit) -> CaseResult {
    let first = kit.insert_one(kit.spec("job").unique("a")).await?;
    let reply = insert(kit, kit.spec("job").unique("a").payload("[]")).await?;
    ensure_eq!(reply, duplicate(first), "the reply to the second insert");
    ensure!(insert(kit, kit.spec("job").unique("b")).await?.is_new(), "another key was not free");
    ensure!(insert(kit, kit.spec("job")).await?.is_new(), "a job without a key was not stored");
    let stored = kit.stored().await?;
    ensure_eq!((stored.jobs.len(), stored.unique_keys.len()), (3, 2), "the numbers of jobs and of keys");
    Ok(())
}

/// Jobs of two kinds with the same key must both be stored; the queue does not matter.
async fn q15_a_key_belongs_to_its_kind(kit: &Kit) -> CaseResult {
    let first = kit.insert_one(kit.spec("job").unique("a")).await?;
    kit.insert_one(kit.spec("other").unique("a")).await?;
    let reply = insert(kit, kit.spec("job").unique("a").queue("elsewhere")).await?;
    ensure_eq!(reply, duplicate(first), "the reply to an insert into another queue");
    Ok(())
}

/// A batch has new jobs, a job whose key is held, and two jobs of one key. All but the duplicates
/// must be stored.
async fn q15_a_batch_stores_all_but_its_duplicates(kit: &Kit) -> CaseResult {
    let held = kit.insert_one(kit.spec("job").unique("held")).await?;
    let keys = [Some("x"), None, Some("held"), Some("x"), Some("y")];
    let batch: Vec<Spec> =
        keys.iter().map(|key| key.iter().fold(kit.spec("job"), |spec, key| spec.unique(*key))).collect();
    let replies = kit.try_insert(batch).await??;
    let new = |index: usize| Submitted::new(replies[index].id, Insertion::New);
    let expected = [new(0), new(1), duplicate(held), duplicate(replies[0].id), new(4)];
    ensure_eq!(replies, expected, "the replies to the batch");
    let stored = kit.stored().await?;
    ensure_eq!((stored.jobs.len(), stored.unique_keys.len()), (4, 3), "the numbers of jobs and of keys");
    Ok(())
}

/// Three batches of one request have the same key.
async fn q15_of_the_batches_of_a_request_the_first_holds_the_key(kit: &Kit) -> CaseResult {
    let batches = (0..3).map(|_| vec![kit.spec("job"), kit.spec("job").unique("a")]).collect();
    let replies = kit.insert_batches(batches).await?;
    let replies: Vec<Vec<Submitted>> = replies.into_iter().collect::<queue_core::Result<_>>()?;
    let holder = replies[0][1];
    ensure!(replies.iter().all(|batch| batch[0].is_new()), "a job without a key is not new: {replies:?}");
    ensure!(holder.is_new(), "the first job of the key is not new: {holder:?}");
    let later = [replies[1][1], replies[2][1]];
    ensure_eq!(later, [duplicate(holder.id); 2], "the replies to the later jobs of the key");
    Ok(())
}

/// An insert is repeated while the job is unfinished, and after it was completed. It must be known
/// both times. Other content, also another key, must be a conflict.
async fn q15_a_repeated_insert_with_a_key_is_known(kit: &Kit) -> CaseResult {
    let spec = kit.spec("job").unique("a");
    let first = insert(kit, spec.clone()).await?;
    let known = Submitted::new(first.id, Insertion::Known);
    ensure_eq!(insert(kit, spec.clone()).await?, known, "the reply while the job is unfinished");
    let job = kit.claim_one(kit.worker().await?).await?;
    kit.settle_one(job.token, complete()).await?;
    ensure_eq!(insert(kit, spec.clone()).await?, known, "the reply after the job was completed");
    for other in [spec.clone().payload("[]"), spec.clone().unique("b"), spec.unique_for("a", Duration::MAX)] {
        let error = fails_with(kit.try_insert(vec![other]).await?, ErrorKind::Conflict)?;
        ensure_eq!(error.jobs(), [first.id], "the jobs that the conflict names");
    }
    ensure_eq!(kit.stored().await?.unique_keys, [], "the keys that are held");
    Ok(())
}

/// A batch with a duplicate is repeated, as after an unknown outcome. The stored job must be known,
/// and the other one a duplicate again. After the holder has ended, it must be new.
async fn q15_a_batch_that_is_known_but_for_its_duplicates_is_known(kit: &Kit) -> CaseResult {
    let holder = kit.insert_one(kit.spec("job").unique("a").priority(9)).await?;
    let batch = vec![kit.spec("job"), kit.spec("job").unique("a")];
    kit.try_insert(batch.clone()).await??;
    let replies = kit.try_insert(batch.clone()).await??;
    let known = Submitted::new(replies[0].id, Insertion::Known);
    ensure_eq!(replies, [known, duplicate(holder)], "the replies to the repeated batch");
    let job = kit.claim_one(kit.worker().await?).await?;
    kit.settle_one(job.token, complete()).await?;
    let replies = kit.try_insert(batch).await??;
    ensure!(
        replies[0] == known && replies[1].is_new(),
        "the replies after the holder has ended: {replies:?}"
    );
    Ok(())
}

/// A batch fails because of another job. Its key must be free afterwards.
async fn q15_a_refused_batch_holds_no_key(kit: &Kit) -> CaseResult {
    let stored = kit.spec("job");
    kit.insert_one(stored.clone()).await?;
    let batch = vec![kit.spec("job").unique("a"), stored.payload("[]")];
    fails_with(kit.try_insert(batch).await?, ErrorKind::Conflict)?;
    ensure_eq!(kit.stored().await?.unique_keys, [], "the keys that are held");
    ensure!(insert(kit, kit.spec("job").unique("a")).await?.is_new(), "the key was not free");
    Ok(())
}

/// Keys that differ in case, spaces, Unicode form or length must be different keys.
async fn q15_keys_are_compared_byte_for_byte(kit: &Kit) -> CaseResult {
    let (long, longer) = ("k".repeat(254), "k".repeat(255));
    let keys = [
        "a",
        "A",
        "a ",
        " a",
        "é",
        "e\u{301}",
        "e",
        "\u{feff}a",
        "ß",
        "ss",
        "0",
        "00",
        "1e0",
        "[1]",
        &long,
        &longer,
    ];
    for key in keys {
        let reply = insert(kit, kit.spec("job").unique(key)).await?;
        ensure!(reply.is_new(), "the key {key:?} was held by job {}", reply.id);
    }
    for key in keys {
        let reply = insert(kit, kit.spec("job").unique(key)).await?;
        ensure!(reply.insertion == Insertion::Duplicate, "the key {key:?} is free: {reply:?}");
    }
    Ok(())
}

/// A record must have the key and the time for which it is kept.
async fn q15_a_key_is_read_as_it_was_stored(kit: &Kit) -> CaseResult {
    for (key, keep) in
        [("[7,\"eu\"]", Duration::ZERO), ("ключ", Duration::from_micros(1)), ("k", Duration::MAX)]
    {
        let spec = kit.spec("job").unique_for(key, keep);
        let submitted = spec.clone().build()?.unique;
        let id = kit.insert_one(spec).await?;
        ensure_eq!(kit.record(id).await?.job.unique, submitted, "the key of the record");
    }
    let plain = kit.insert_one(kit.spec("job")).await?;
    ensure_eq!(kit.record(plain).await?.job.unique, None, "the key of a job without one");
    Ok(())
}

/// A duplicate is not stored, so no worker must be woken for it.
async fn q15_a_duplicate_wakes_no_worker(kit: &Kit) -> CaseResult {
    kit.insert_one(kit.spec("job").unique("a")).await?;
    let mut receiver = kit.backend()?.subscribe();
    let duplicate = kit.spec("job").unique("a").queue("of-duplicates");
    let batch = vec![duplicate, kit.spec("job").queue("of-new-jobs")];
    kit.try_insert(batch).await??;
    let woken = announced_so_far(kit, &mut receiver).await?;
    let has = |queue: &str| woken.ready.iter().any(|hint| hint.queue.as_str() == queue);
    ensure!(woken.unknown || has("of-new-jobs"), "no worker was woken for the new job: {woken:?}");
    ensure!(!has("of-duplicates"), "a worker was woken for a duplicate: {woken:?}");
    Ok(())
}

/// A batch has a thousand keys, each twice. Each key must be held by the first of its jobs.
async fn q15_a_thousand_keys_of_a_batch_are_each_held_once(kit: &Kit) -> CaseResult {
    let batch: Vec<Spec> =
        (0..2000).map(|job| kit.spec("job").unique(format!("key {}", job % 1000))).collect();
    let replies = kit.try_insert(batch).await??;
    for (first, second) in replies[..1000].iter().zip(&replies[1000..]) {
        ensure!(first.is_new(), "the first job of a key is not new: {first:?}");
        ensure_eq!(*second, duplicate(first.id), "the reply to the second job of a key");
    }
    ensure_eq!(kit.stored().await?.unique_keys.len(), 1000, "the number of keys");
    Ok(())
}
