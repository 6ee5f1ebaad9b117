//! Q6: a process is killed in its transaction, or as it completes jobs that have follow-ups.

use anyhow::ensure;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::transact::{JOBS, UNCOMMITTED};
use crate::conformance::crash::work::{KIND, Verdicts};
use crate::conformance::kit::Kit;

cases! {
    Crash q06_a_completion_cut_by_a_kill_stored_its_follow_ups_or_nothing [FollowUps, Durable, MultiProcess, Children],
    Crash q06_a_job_of_a_process_that_is_killed_before_its_commit_never_appears [Transactions, UniqueKeys, Durable, MultiProcess, Children],
}

/// A process is killed after it enqueued in a transaction, before the commit. The jobs of its
/// earlier transactions must be stored, those of the last one must not, and its key must be free.
async fn q06_a_job_of_a_process_that_is_killed_before_its_commit_never_appears(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let mut expected = 0;
    for nth in 1..=4 {
        let orders = crew.transactor(5);
        let key = orders.key(nth);
        let child = crew.start_halting(orders, UNCOMMITTED, nth).await?;
        crew.kill(child).await?;
        expected += JOBS * (nth as usize - 1);
        ensure_eq!(kit.stored().await?.jobs.len(), expected, "the number of jobs after {nth} processes");
        kit.insert_one(kit.spec("job").unique(key)).await?;
        expected += 1;
    }
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}

/// A process is killed during a settle or right after its reply. The check of the history finds a
/// follow-up without the completion of its job, and a completion without its follow-up.
async fn q06_a_completion_cut_by_a_kill_stored_its_follow_ups_or_nothing(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let session = kit.handle();
    let mut jobs = 0;
    for point in ["before settle", "settle sent", "settle answered"] {
        for nth in 1..=4 {
            session.insert((0..5).map(|_| kit.spec(KIND)).collect()).await?;
            jobs += 5;
            let child = crew.start_halting(crew.worker(5, Verdicts::CompleteThen), point, nth).await?;
            crew.let_execute(point).await?;
            crew.kill(child).await?;
            crew.drain().await?;
        }
    }
    let follow_ups = crew.check().await?.jobs.len() - jobs;
    // Of each process at least those of the settlements that were answered.
    ensure!(follow_ups >= 22, "only {follow_ups} follow-ups were stored");
    crew.kills.found_enough()
}
