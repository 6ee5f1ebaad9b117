//! Q5: under a fault a batch is stored whole or not at all, and no other batch fails with it.

use anyhow::{bail, ensure};
use queue_core::{ErrorKind, JobId, Result, Submitted};

use crate::conformance::act::{judge_work, persist};
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::fault::{Fault, Manner, Work};
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::{MAX_INJECTIONS, RepeatedFault};
use crate::conformance::race::race;
use crate::conformance::spec::Spec;
use crate::conformance::wait::in_time;

cases! {
    Fault q05_a_batch_that_meets_a_fault_is_stored_whole_or_not_at_all on Fault::ALL,
    Fault q05_batches_beside_one_that_is_refused_are_stored on &[Fault::RowRefused],
}

/// The rows of a batch at which a fault is aimed: first, middle and last.
const ROWS: [usize; 3] = [0, 20, BATCH - 1];
const BATCH: usize = 40;
/// The number of batches in flight when a momentary fault is injected.
const AT_A_STRIKE: usize = 8;

fn batch(kit: &Kit, many: usize) -> Vec<Spec> {
    let payload = format!("\"{}\"", "x".repeat(3000));
    (0..many).map(|_| kit.spec("job").payload(payload.clone())).collect()
}

fn ids(specs: &[Spec]) -> Result<Vec<JobId>> {
    specs.iter().map(|spec| spec.clone().build().map(|spec| spec.id)).collect()
}

/// An aimed fault strikes the first, a middle or the last row; a momentary fault strikes inserts in
/// flight. A batch must be stored whole or not at all. The same batch again must be stored once.
async fn q05_a_batch_that_meets_a_fault_is_stored_whole_or_not_at_all(kit: &Kit) -> CaseResult {
    if kit.fault()?.manner() == Manner::Moment {
        let (mut met, mut strikes) = (0, RepeatedFault::default());
        for round in 1..=MAX_INJECTIONS {
            let batches: Vec<_> = (0..AT_A_STRIKE).map(|_| batch(kit, BATCH)).collect();
            let inserts = batches.iter().map(|specs| insert(kit, specs)).collect();
            let answers = strikes.inject_during(kit, inserts).await?;
            met += answers.iter().filter(|answer| answer.is_err()).count();
            for (specs, answer) in batches.iter().zip(&answers) {
                is_whole_or_not_at_all(kit, specs, answer).await?;
            }
            has_all(kit, round * AT_A_STRIKE).await?;
            if met >= ROWS.len() {
                return Ok(());
            }
        }
        bail!("the fault was injected {MAX_INJECTIONS} times, but only {met} inserts failed");
    }
    for (round, row) in (1..).zip(ROWS) {
        let specs = batch(kit, BATCH);
        let broken = kit.inject(&ids(&specs)?[row].to_bytes()).await?;
        let answer = insert(kit, &specs).await?;
        broken.mend().await?;
        is_whole_or_not_at_all(kit, &specs, &answer).await?;
        has_all(kit, round).await?;
    }
    Ok(())
}

async fn has_all(kit: &Kit, batches: usize) -> CaseResult {
    ensure_eq!(
        stored(kit).await?.len(),
        batches * BATCH,
        "the number of jobs after all batches were inserted again"
    );
    Ok(())
}

async fn insert(kit: &Kit, specs: &[Spec]) -> anyhow::Result<Result<Vec<Submitted>>> {
    in_time("an insert", kit.impatient().try_insert(specs.to_vec())).await?
}

async fn is_whole_or_not_at_all(kit: &Kit, specs: &[Spec], answer: &Result<Vec<Submitted>>) -> CaseResult {
    judge_work("insert", Work::Inserts, kit.fault()?, answer)?;
    let ids = ids(specs)?;
    let stored = stored(kit).await?;
    let there = ids.iter().filter(|id| stored.contains(id)).count();
    match answer {
        Ok(_) => ensure_eq!(there, ids.len(), "the number of stored jobs of an acknowledged batch"),
        Err(error) if error.kind() == ErrorKind::UnknownOutcome => {
            ensure!(
                there == 0 || there == ids.len(),
                "after an unknown outcome, {there} of {} jobs of the batch are stored",
                ids.len()
            );
        }
        Err(error) => ensure_eq!(there, 0, "the number of stored jobs of a batch refused with {error}"),
    }
    let handle = kit.impatient();
    persist("insert", || handle.try_insert(specs.to_vec())).await??;
    Ok(())
}

/// The stored jobs. The read is retried, because the fault may have cut this connection, too.
async fn stored(kit: &Kit) -> anyhow::Result<Vec<JobId>> {
    Ok(persist("audit", || async { Ok(kit.try_stored().await) }).await??.jobs)
}

/// Twenty concurrent inserts share commits, and two of them hold a row that the storage refuses.
/// Only these two may fail. The same must hold for batches of one request.
async fn q05_batches_beside_one_that_is_refused_are_stored(kit: &Kit) -> CaseResult {
    let bad = kit.spec("job");
    let target = ids(std::slice::from_ref(&bad))?[0];
    let broken = kit.inject(&target.to_bytes()).await?;
    let insert = |task: usize| {
        let (handle, mut specs) = (kit.impatient(), batch(kit, 3));
        if task == 7 {
            specs[1] = bad.clone();
        } else if task == 9 {
            specs = vec![bad.clone()];
        }
        async move { handle.try_insert(specs).await }
    };
    let results = race((0..20).map(insert).collect()).await?;
    let together: Vec<Vec<Spec>> = vec![batch(kit, 2), vec![kit.spec("job"), bad.clone()], batch(kit, 2)];
    let results_together = kit.impatient().insert_batches(together).await?;
    broken.mend().await?;
    for (task, result) in results.into_iter().enumerate() {
        if task == 7 || task == 9 {
            fails_with(result, ErrorKind::Invalid)?;
        } else {
            result?;
        }
    }
    let results: Vec<bool> = results_together.iter().map(Result::is_ok).collect();
    ensure_eq!(results, [true, false, true], "whether each of the three batches of one request was stored");
    ensure_eq!(kit.stored().await?.jobs.len(), 18 * 3 + 4, "the number of stored jobs");
    Ok(())
}
