//! Q5: a batch is all or nothing.

use anyhow::{Context as _, ensure};
use queue_core::backend::Wakes;
use queue_core::{ErrorKind, JobState};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{bury, cancelled, complete, retry};
use crate::conformance::spec::Spec;
use crate::conformance::wakes::{announced, announced_so_far};

cases! {
    Fast q05_a_bad_row_anywhere_stores_none_of_its_batch,
    Fast q05_a_batch_known_in_part_stores_no_more_of_it,
    Fast q05_batches_of_one_request_have_fates_of_their_own,
    Fast q05_a_batch_sees_those_before_it_in_its_request,
    Fast q05_a_large_batch_is_stored_whole_and_answered_in_order,
    Fast q05_only_a_stored_batch_wakes,
    Fast q05_the_jobs_of_a_batch_end_each_by_itself,
}

/// One row has a stored id with other content, in each position of the batch. The insert must
/// return `Conflict` and store no row.
async fn q05_a_bad_row_anywhere_stores_none_of_its_batch(kit: &Kit) -> CaseResult {
    let taken = kit.insert_one(kit.spec("job").payload("1")).await?;
    let before = kit.record(taken).await?;
    for bad_row in 0..5 {
        let mut batch: Vec<Spec> = (0..5).map(|_| kit.spec("job")).collect();
        batch[bad_row] = kit.spec("job").payload("2").id(taken);
        let error = fails_with(kit.try_insert(batch).await?, ErrorKind::Conflict)?;
        ensure!(
            error.jobs().contains(&taken),
            "the error for bad row {bad_row} does not name {taken}: {error}"
        );
        ensure_eq!(kit.stored().await?.jobs, [taken], "the stored jobs after bad row {bad_row}");
    }
    ensure_eq!(kit.record(taken).await?, before, "the job with the id in use");
    Ok(())
}

/// One job of the batch is stored with the same content, the others are new. The insert must return
/// `Conflict` and store none of the new jobs.
async fn q05_a_batch_known_in_part_stores_no_more_of_it(kit: &Kit) -> CaseResult {
    let known = kit.spec("job");
    let id = kit.insert_one(known.clone()).await?;
    for place in 0..3 {
        let mut batch: Vec<Spec> = (0..3).map(|_| kit.spec("job")).collect();
        batch[place] = known.clone();
        let error = fails_with(kit.try_insert(batch).await?, ErrorKind::Conflict)?;
        ensure!(!error.jobs().is_empty(), "the error names no job: {error}");
        ensure_eq!(kit.stored().await?.jobs, [id], "the stored jobs with the known job at position {place}");
    }
    Ok(())
}

/// A request holds a bad batch between two good ones. The good batches must be stored, and the bad
/// one must return `Conflict`.
async fn q05_batches_of_one_request_have_fates_of_their_own(kit: &Kit) -> CaseResult {
    let taken = kit.insert_one(kit.spec("job").payload("1")).await?;
    let good = [vec![kit.spec("job"), kit.spec("job")], vec![kit.spec("job")]];
    let bad = vec![kit.spec("job"), kit.spec("job").payload("2").id(taken)];
    let [first, last] = good;
    let mut results = kit.insert_batches(vec![first, bad, last]).await?.into_iter();
    let mut next = || results.next().unwrap_or_else(|| Ok(Vec::new()));
    let (first, bad, last) = (next()?, next(), next()?);
    fails_with(bad, ErrorKind::Conflict)?;
    ensure_eq!((first.len(), last.len()), (2, 1), "the numbers of replies of the good batches");
    let mut expected: Vec<_> = first.iter().chain(&last).map(|job| job.id).chain([taken]).collect();
    expected.sort();
    ensure_eq!(kit.stored().await?.jobs, expected, "the stored jobs");
    Ok(())
}

/// A request holds a batch, a part of it with a new job, and the batch again. Each must see the
/// batches before it: new, `Conflict`, known.
async fn q05_a_batch_sees_those_before_it_in_its_request(kit: &Kit) -> CaseResult {
    let batch = vec![kit.spec("job"), kit.spec("job")];
    let in_part = vec![batch[0].clone(), kit.spec("job")];
    let results = kit.insert_batches(vec![batch.clone(), in_part, batch]).await?;
    let seen: Vec<Result<Vec<bool>, ErrorKind>> = results
        .into_iter()
        .map(|result| match result {
            Ok(submitted) => Ok(submitted.iter().map(|job| job.is_new()).collect()),
            Err(error) => Err(error.kind()),
        })
        .collect();
    let expected = [Ok(vec![true, true]), Err(ErrorKind::Conflict), Ok(vec![false, false])];
    ensure_eq!(seen, expected, "the results of the three batches: new, known in part, known");
    ensure_eq!(kit.stored().await?.jobs.len(), 2, "the number of stored jobs");
    Ok(())
}

/// A batch of 3000 jobs is inserted with ids in no order. All must be stored, and the replies must
/// be in batch order.
async fn q05_a_large_batch_is_stored_whole_and_answered_in_order(kit: &Kit) -> CaseResult {
    const JOBS: usize = 3000;
    let mut batch: Vec<Spec> = (0..JOBS).map(|_| kit.spec("job")).collect();
    batch.reverse();
    batch.rotate_left(JOBS / 3);
    let expected =
        batch.iter().cloned().map(|spec| Ok(spec.build()?.id)).collect::<anyhow::Result<Vec<_>>>()?;
    let answered = kit.insert(batch).await?;
    ensure!(answered == expected, "the replies are not in the order of the batch");
    ensure_eq!(kit.stored().await?.live.len(), JOBS, "the number of unfinished jobs");
    Ok(())
}

/// A subscriber must be woken for a stored batch. It must not be woken for a failed batch or a
/// known one.
async fn q05_only_a_stored_batch_wakes(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    let known = kit.spec("job").payload("1");
    let id = kit.insert_one(known.clone()).await?;
    announced(&mut receiver, |all| !all.ready.is_empty())
        .await
        .context("a stored batch woke no subscriber")?;
    let bad = vec![kit.spec("job").priority(7), kit.spec("job").payload("2").id(id)];
    fails_with(kit.try_insert(bad).await?, ErrorKind::Conflict)?;
    let urgent = |wakes: &Wakes| wakes.ready.iter().any(|hint| hint.priority == 7);
    let announced_wakes = announced_so_far(kit, &mut receiver).await?;
    ensure!(!urgent(&announced_wakes), "a failed batch woke a subscriber: {announced_wakes:?}");
    let again = kit.try_insert(vec![known]).await??;
    ensure!(!again[0].is_new(), "a known job was reported as new");
    let announced_wakes = announced_so_far(kit, &mut receiver).await?;
    ensure!(announced_wakes.ready.is_empty(), "a known batch woke a subscriber: {announced_wakes:?}");
    Ok(())
}

/// Five jobs of one batch get different verdicts. Each must end in its own state.
async fn q05_the_jobs_of_a_batch_end_each_by_itself(kit: &Kit) -> CaseResult {
    let ids = kit.insert((0..5).map(|_| kit.spec("job")).collect()).await?;
    let worker = kit.worker().await?;
    for verdict in [complete(), bury("x"), cancelled("x"), retry("x", 60)] {
        kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
    }
    let expected =
        [JobState::Completed, JobState::Dead, JobState::Cancelled, JobState::Retrying, JobState::Ready];
    for (id, expected) in ids.into_iter().zip(expected) {
        ensure_eq!(kit.state(id).await?, expected, "the state of job {id}");
    }
    Ok(())
}
