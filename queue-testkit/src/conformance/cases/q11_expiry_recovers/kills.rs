//! Q11: the process of a worker is killed.

use anyhow::ensure;
use queue_core::JobState;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::run::{self, Upkeep};
use crate::conformance::crash::work::{KIND, RUNNING, Verdicts};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK};

cases! {
    Crash q11_a_killed_workers_jobs_are_claimable_after_its_expiry_never_before [Durable, MultiProcess, Children],
    Crash q11_what_a_killed_program_ran_is_run_by_another [Durable, MultiProcess, Children],
}

/// A process with four leases is killed. No rescue or claim may take its jobs one tick before its
/// expiry. At the expiry all must be claimable, each charged one attempt.
async fn q11_a_killed_workers_jobs_are_claimable_after_its_expiry_never_before(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let keeper = kit.handle();
    keeper.insert((0..4).map(|_| kit.spec(KIND).max_retries(100)).collect()).await?;
    for (round, point) in ["claim answered", RUNNING, "before settle"].into_iter().cycle().take(9).enumerate()
    {
        let child = crew.start_halting(crew.worker(4, Verdicts::Complete), point, 1).await?;
        crew.kill(child).await?;
        kit.advance(EXPIRY - TICK);
        let early = keeper.rescue(100).await?;
        ensure_eq!(
            (early.rescued, early.workers_lost),
            (0, 0),
            "round {round}, {point}: the leases and workers lost before the expiry"
        );
        let worker = keeper.worker().await?;
        let claimed = keeper.claiming(worker, 9).kinds(&[KIND]).take().await?.jobs;
        ensure_eq!(claimed.len(), 0, "round {round}, {point}: the number of jobs claimed before the expiry");
        kit.advance(TICK);
        let due = keeper.rescue(100).await?;
        ensure_eq!(
            (due.rescued, due.workers_lost),
            (4, 1),
            "round {round}, {point}: the leases rescued and workers lost at the expiry"
        );
        keeper.retire(worker).await?;
    }
    crew.drain().await?;
    let stored = crew.check().await?;
    let attempts: Vec<u32> = stored.outcomes.iter().map(|row| row.attempt).collect();
    ensure_eq!(attempts, [10; 4], "the attempts of the jobs");
    Ok(())
}

/// A process of the runtime is killed while its handlers run. Another worker that is already
/// running must run the jobs again as their next attempt.
async fn q11_what_a_killed_program_ran_is_run_by_another(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    for _ in 0..3 {
        let jobs = crew.enqueue(&["well"; 3]).await?;
        let child = crew.start_halting(run::Orders { slots: 3, upkeep: Upkeep::Often }, RUNNING, 3).await?;
        let other = crew.run_here(3)?;
        crew.kill(child).await?;
        crew.ended(&jobs).await?;
        other.shutdown(run::GRACE).await;
        let mut again = 0;
        for job in jobs {
            let record = kit.record(job).await?;
            // A slot that did not halt may have settled its job before the kill.
            let losses = u32::try_from(record.errors.len())?;
            ensure_eq!(
                (record.state, record.attempt),
                (JobState::Completed, 1 + losses),
                "the state and attempt of job {job}"
            );
            again += losses.min(1);
        }
        ensure!(again > 0, "no job ran a second time, so the case proves nothing");
    }
    crew.check().await?;
    Ok(())
}
