//! Q10: a process is killed between the result of a handler and the settle.

use anyhow::ensure;
use queue_core::JobState;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::run::{self, CAPTURED, Upkeep};
use crate::conformance::crash::transact::{COMMITTED, UNCOMMITTED};
use crate::conformance::crash::work::{KIND, Verdicts};
use crate::conformance::kit::Kit;

cases! {
    Crash q10_a_result_that_was_captured_before_a_kill_is_not_stored [Durable, MultiProcess, Children],
    Crash q10_a_kill_around_the_commit_leaves_a_completed_job_or_a_running_one [Transactions, FollowUps, Durable, MultiProcess, Children],
    Crash q10_a_completion_cut_by_a_kill_left_its_result_or_did_nothing [Durable, MultiProcess, Children],
}

/// A process of the runtime is killed after its handlers captured results, before the settle. Only
/// the result of the completing attempt may be stored.
async fn q10_a_result_that_was_captured_before_a_kill_is_not_stored(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let mut jobs = Vec::new();
    for nth in [1, 2, 1] {
        jobs.extend(crew.enqueue(&["well"; 3]).await?);
        let child =
            crew.start_halting(run::Orders { slots: 3, upkeep: Upkeep::Often }, CAPTURED, nth).await?;
        crew.kill(child).await?;
    }
    crew.run_dry().await?;
    crew.check().await?;
    for job in jobs {
        let record = kit.record(job).await?;
        let result = String::from_utf8_lossy(record.result.as_deref().unwrap_or_default()).into_owned();
        ensure_eq!(record.state, JobState::Completed, "the state of job {job}");
        let winner = format!("\"{} in ", record.attempt);
        ensure!(
            result.starts_with(&winner),
            "attempt {} of {job} completed, but the result is {result}",
            record.attempt
        );
    }
    Ok(())
}

/// A process is killed during a settle or right after its reply. A job must have a result exactly
/// if it is completed.
async fn q10_a_completion_cut_by_a_kill_left_its_result_or_did_nothing(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let session = kit.handle();
    for point in ["before settle", "settle sent", "settle answered"] {
        for nth in 1..=4 {
            let jobs = session.insert((0..5).map(|_| kit.spec(KIND)).collect()).await?;
            let child = crew.start_halting(crew.worker(5, Verdicts::Complete), point, nth).await?;
            crew.let_execute(point).await?;
            crew.kill(child).await?;
            for record in jobs.iter().map(|&job| kit.record(job)) {
                let record = record.await?;
                let is_complete = record.state == JobState::Completed;
                ensure_eq!(
                    record.result.is_some(),
                    is_complete,
                    "{point}, {nth}: whether {record:?} has a result"
                );
            }
            // The final check compares the results of the completed jobs.
            crew.drain().await?;
        }
    }
    crew.check().await?;
    crew.kills.found_enough()
}

/// A process is killed right before or after the commit of a transaction that completes a job. Of
/// the job either all is stored, or nothing.
async fn q10_a_kill_around_the_commit_leaves_a_completed_job_or_a_running_one(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let session = kit.handle();
    for (point, ended) in [(UNCOMMITTED, 0), (COMMITTED, 1)] {
        for nth in 1..=4 {
            let jobs = session.insert((0..5).map(|_| kit.spec(KIND)).collect()).await?;
            let before = kit.stored().await?.jobs.len();
            let child = crew.start_halting(crew.completer(5), point, nth).await?;
            crew.kill(child).await?;
            let expected = usize::try_from(nth)? - 1 + ended;
            let mut completed = 0;
            for job in jobs {
                completed += usize::from(kit.state(job).await? == JobState::Completed);
            }
            ensure_eq!(completed, expected, "{point}, {nth}: the number of completed jobs");
            let follow_ups = kit.stored().await?.jobs.len() - before;
            ensure_eq!(follow_ups, expected, "{point}, {nth}: the number of follow-ups");
            crew.drain().await?;
        }
    }
    crew.check().await?;
    Ok(())
}
