//! Q6: a process is killed in its transaction.

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::transact::{JOBS, UNCOMMITTED};
use crate::conformance::kit::Kit;

cases! {
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
