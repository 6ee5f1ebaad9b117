//! Q4: a failure is recorded for the lease that it ends.

use queue_core::backend::{Settled, Settlement};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{TICK, bury, retry};

cases! {
    Fast q04_a_failure_names_the_worker_of_its_lease,
}

/// Three workers hold a job one after the other. Two fail it and one buries it, each in a request
/// that names the first worker, and the first repeats its failure meanwhile. The error of each
/// attempt must name the worker that had the lease, because only the token counts.
async fn q04_a_failure_names_the_worker_of_its_lease(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let workers = [kit.worker().await?, kit.worker().await?, kit.worker().await?];
    let mut stale = None;
    for (worker, verdict) in workers.into_iter().zip([retry("a", 0), retry("b", 0), bury("c")]) {
        let token = kit.claim_one(worker).await?.token;
        let first = *stale.get_or_insert(token);
        if first != token {
            let late = Settlement::new(first, retry("late", 0)).ran_for(TICK);
            let settled = kit.settle_exact(workers[0], vec![late]).await?;
            ensure_eq!(settled, [Settled::LeaseLost], "the reply to the repeated failure");
        }
        kit.settle_exact(workers[0], vec![Settlement::new(token, verdict)]).await?;
    }
    let errors = kit.record(id).await?.errors;
    let seen: Vec<_> = errors.iter().map(|error| (&*error.error, error.worker, error.duration)).collect();
    let [first, second, third] = workers.map(Some);
    let expected = [("a", first, None), ("b", second, None), ("c", third, None)];
    ensure_eq!(seen, expected, "the text, worker and duration of each error");
    Ok(())
}
