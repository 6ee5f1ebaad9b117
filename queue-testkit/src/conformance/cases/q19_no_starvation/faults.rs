//! Q19: a settlement that the storage refuses does not fail other settlements.

use queue_core::ErrorKind;
use queue_core::backend::Settled;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::fault::Fault;
use crate::conformance::kit::Kit;
use crate::conformance::session::{complete, complete_with};

cases! {
    Fault q19_settlements_beside_one_that_is_refused_are_done on &[Fault::RowRefused],
}

/// The storage refuses one of a hundred completions. Only this one may fail, and its lease must
/// still settle later.
async fn q19_settlements_beside_one_that_is_refused_are_done(kit: &Kit) -> CaseResult {
    let jobs = kit.insert((0..100).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(kit.worker().await?, 100).await?;
    let broken = kit.inject(&jobs[42].to_bytes()).await?;
    let settlements: Vec<_> = held.iter().map(|job| (job.token, complete_with(b"1"))).collect();
    let answers = kit.impatient().try_settle(settlements).await??;
    broken.mend().await?;
    for (job, answer) in held.iter().zip(answers) {
        if job.token.job == jobs[42] {
            fails_with(answer, ErrorKind::Invalid)?;
        } else {
            ensure_eq!(answer?, Settled::Done, "the reply to the settle of job {}", job.token.job);
        }
    }
    let stored = kit.stored().await?;
    ensure_eq!(
        (stored.live.len(), stored.outcomes.len()),
        (1, 99),
        "the numbers of unfinished and finished jobs"
    );
    ensure_eq!(
        kit.settle_one(held[42].token, complete()).await?,
        Settled::Done,
        "the reply to a settle after the fault"
    );
    Ok(())
}
