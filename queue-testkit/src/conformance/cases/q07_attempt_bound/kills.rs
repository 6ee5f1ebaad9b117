//! Q7: a job kills the process that runs it.

use queue_core::JobState;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::run::{self, Upkeep};
use crate::conformance::crash::work::{KIND, RUNNING, Verdicts};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete};

cases! {
    Crash q07_a_job_that_kills_its_process_each_time_ends_dead [Durable, MultiProcess, Children],
    Crash q07_a_kill_costs_the_attempt_that_ran_and_no_other [Durable, MultiProcess, Children],
}

/// A job with two retries kills three processes of the runtime. It must then be dead, and a job
/// beside it must complete.
async fn q07_a_job_that_kills_its_process_each_time_ends_dead(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let deadly = crew.enqueue_with(&["well"], |mut job| {
        job.max_retries = 2;
        job.priority = 1;
        job
    });
    let deadly = deadly.await?[0];
    let innocent = crew.enqueue(&["well"]).await?[0];
    for attempt in 1..=3 {
        // With one slot the deadly job starts first, because its priority is higher.
        let child = crew.start_halting(run::Orders { slots: 1, upkeep: Upkeep::Often }, RUNNING, 1).await?;
        let started = kit.record(deadly).await?;
        ensure_eq!(
            (started.state, started.attempt),
            (JobState::Running, attempt),
            "the state and attempt of the deadly job"
        );
        crew.kill(child).await?;
        // Only the upkeep of a live worker can rescue the job.
        let keeper = crew.run_with_nothing_to_do()?;
        crew.until_not_running(deadly).await?;
        keeper.shutdown(run::GRACE).await;
    }
    crew.run_dry().await?;
    crew.check().await?;
    let dead = kit.record(deadly).await?;
    ensure_eq!(
        (dead.state, dead.attempt, dead.errors.len()),
        (JobState::Dead, 3, 3),
        "the state, attempt and number of errors of the deadly job"
    );
    ensure_eq!(kit.state(innocent).await?, JobState::Completed, "the state of the other job");
    Ok(())
}

/// A process with four leases is killed after it settled one of them. The other three must be
/// charged an attempt, and a job never claimed must not. This repeats until the three are dead.
async fn q07_a_kill_costs_the_attempt_that_ran_and_no_other(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let keeper = kit.handle();
    let specs =
        (0..4).map(|_| kit.spec(KIND).max_retries(3)).chain([kit.spec(KIND).max_retries(3).priority(-1)]);
    let jobs = keeper.insert(specs.collect()).await?;
    let mut settled = 0;
    for attempt in 1..=4_u32 {
        let left = u32::try_from(4 - settled)?;
        let nth = if attempt == 1 { 2 } else { 1 };
        let child = crew.start_halting(crew.worker(left, Verdicts::Complete), RUNNING, nth).await?;
        settled = 1;
        crew.kill(child).await?;
        kit.advance(EXPIRY);
        let reply = keeper.rescue(100).await?;
        let expected = if attempt == 4 { (0, 3) } else { (3, 0) };
        ensure_eq!(
            (reply.rescued, reply.died),
            expected,
            "the numbers of jobs rescued and dead after kill {attempt}"
        );
        for &job in &jobs[1..4] {
            let record = kit.record(job).await?;
            ensure_eq!(record.attempt, attempt, "the attempts charged to job {job}");
        }
        ensure_eq!(
            kit.record(jobs[4]).await?.attempt,
            0,
            "the attempts charged to the job that was never claimed"
        );
    }
    let worker = keeper.worker().await?;
    let last = keeper.claiming(worker, 9).kinds(&[KIND]).take().await?.jobs;
    ensure_eq!(last.len(), 1, "the number of jobs left");
    keeper.settle_one(last[0].token, complete()).await?;
    crew.check().await?;
    Ok(())
}
