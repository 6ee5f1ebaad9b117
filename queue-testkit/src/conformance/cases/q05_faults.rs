//! Q5, Q19: a batch that meets a fault is stored whole or not at all, and harms no other.

use std::time::Duration;

use anyhow::{bail, ensure};
use queue_core::backend::Settled;
use queue_core::{ErrorKind, JobId, Result, Submitted};
use tokio::time::sleep;

use crate::conformance::act::{judge_work, persist};
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::fault::{Fault, Manner, Work};
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::in_time;
use crate::conformance::race::race;
use crate::conformance::session::{complete, complete_with};
use crate::conformance::spec::Spec;

cases! {
    Fault q05_a_batch_that_meets_a_fault_is_stored_whole_or_not_at_all on Fault::ALL,
    Fault q05_batches_beside_one_that_is_refused_are_stored on &[Fault::RowRefused],
    Fault q19_settlements_beside_one_that_is_refused_are_done on &[Fault::RowRefused],
}

/// The rows of a batch at which a fault is aimed: the first, one in the middle, the last.
const ROWS: [usize; 3] = [0, 20, 39];
/// How many inserts a fault of a moment may miss.
const MOST_MISSES: u32 = 200;

fn batch(kit: &Kit, many: usize) -> Vec<Spec> {
    let payload = format!("\"{}\"", "x".repeat(3000));
    (0..many).map(|_| kit.spec("job").payload(payload.clone())).collect()
}

fn ids(specs: &[Spec]) -> Result<Vec<JobId>> {
    specs.iter().map(|spec| spec.clone().build().map(|spec| spec.id)).collect()
}

/// The fault is at the first row, in the middle, at the last; or it comes while the insert is under way, until it has met that
/// as often. None of the batch, or all of it; and the same batch again makes it all, once.
async fn q05_a_batch_that_meets_a_fault_is_stored_whole_or_not_at_all(kit: &Kit) -> CaseResult {
    let fault = kit.fault()?;
    let (mut met, mut known) = (0, 0);
    for round in 0..MOST_MISSES {
        let specs = batch(kit, 40);
        let ids = ids(&specs)?;
        let answer = insert_under_fault(kit, &specs, ids[ROWS[met % ROWS.len()]], round).await?;
        judge_work("insert", Work::Enters, fault, &answer)?;
        is_whole_or_not_at_all(kit, &ids, &answer).await?;
        persist("insert", || kit.try_insert(specs.clone())).await??;
        known += 40;
        ensure_eq!(kit.stored().await?.jobs.len(), known, "jobs after all was inserted again");
        met += usize::from(answer.is_err() || fault.manner() != Manner::Moment);
        if met == ROWS.len() {
            return Ok(());
        }
    }
    bail!("of {MOST_MISSES} inserts only {met} met the fault")
}

async fn insert_under_fault(
    kit: &Kit,
    specs: &[Spec],
    target: JobId,
    round: u32,
) -> anyhow::Result<Result<Vec<Submitted>>> {
    if kit.fault()?.manner() != Manner::Moment {
        let broken = kit.inject(&target.to_bytes()).await?;
        let answer = in_time("an insert", kit.try_insert(specs.to_vec())).await??;
        broken.mend().await?;
        return Ok(answer);
    }
    let (handle, specs) = (kit.handle(), specs.to_vec());
    let insert = tokio::spawn(async move { handle.try_insert(specs).await });
    // At another moment each time.
    sleep(Duration::from_millis(1) * (round % 8)).await;
    kit.inject(&[]).await?.mend().await?;
    in_time("an insert", insert).await??
}

async fn is_whole_or_not_at_all(kit: &Kit, ids: &[JobId], answer: &Result<Vec<Submitted>>) -> CaseResult {
    let stored = persist("audit", || async { Ok(kit.try_stored().await) }).await??.jobs;
    let there = ids.iter().filter(|id| stored.contains(id)).count();
    match answer {
        Ok(_) => ensure_eq!(there, ids.len(), "jobs that are there of a batch that was acknowledged"),
        Err(error) if error.kind() == ErrorKind::UnknownOutcome => {
            ensure!(there == 0 || there == ids.len(), "{there} of {} jobs are there", ids.len());
        }
        Err(error) => ensure_eq!(there, 0, "jobs that are there of a batch that was refused by {error}"),
    }
    Ok(())
}

/// Twenty at the same time, so that they share commits, two of which have a row that is not accepted: these are refused,
/// the others stored. So it is within one request.
async fn q05_batches_beside_one_that_is_refused_are_stored(kit: &Kit) -> CaseResult {
    let bad = kit.spec("job");
    let target = ids(std::slice::from_ref(&bad))?[0];
    let broken = kit.inject(&target.to_bytes()).await?;
    let insert = |task: usize| {
        let (handle, mut specs) = (kit.handle(), batch(kit, 3));
        if task == 7 {
            specs[1] = bad.clone();
        } else if task == 9 {
            specs = vec![bad.clone()];
        }
        async move { handle.try_insert(specs).await }
    };
    let fates = race((0..20).map(insert).collect()).await?;
    let together: Vec<Vec<Spec>> = vec![batch(kit, 2), vec![kit.spec("job"), bad.clone()], batch(kit, 2)];
    let fates_together = kit.insert_batches(together).await?;
    broken.mend().await?;
    for (task, fate) in fates.into_iter().enumerate() {
        if task == 7 || task == 9 {
            fails_with(fate, ErrorKind::Invalid)?;
        } else {
            fate?;
        }
    }
    let fates: Vec<bool> = fates_together.iter().map(Result::is_ok).collect();
    ensure_eq!(fates, [true, false, true], "the fates of three batches of one request");
    ensure_eq!(kit.stored().await?.jobs.len(), 18 * 3 + 4, "jobs");
    Ok(())
}

/// One of a hundred completions cannot be stored: it alone fails, and its lease is as it was.
async fn q19_settlements_beside_one_that_is_refused_are_done(kit: &Kit) -> CaseResult {
    let jobs = kit.insert((0..100).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(kit.worker().await?, 100).await?;
    let broken = kit.inject(&jobs[42].to_bytes()).await?;
    let settlements: Vec<_> = held.iter().map(|job| (job.token, complete_with(b"1"))).collect();
    let answers = kit.try_settle(settlements).await??;
    broken.mend().await?;
    for (job, answer) in held.iter().zip(answers) {
        if job.token.job == jobs[42] {
            fails_with(answer, ErrorKind::Invalid)?;
        } else {
            ensure_eq!(answer?, Settled::Done, "the settle of job {}", job.token.job);
        }
    }
    let stored = kit.stored().await?;
    ensure_eq!((stored.live.len(), stored.outcomes.len()), (1, 99), "jobs that live, and that have ended");
    ensure_eq!(kit.settle_one(held[42].token, complete()).await?, Settled::Done, "the settle after it");
    Ok(())
}
