//! Q4, Q11: processes that stand still past their expiry, and then go on as if nothing had been.

use anyhow::{Context as _, ensure};
use queue_core::backend::{CancelRequest, InsertRequest};
use queue_core::{ErrorKind, State};

use crate::conformance::act::persist;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::{Crew, Hand};
use crate::conformance::crash::enqueue::Jobs;
use crate::conformance::crash::run::{self, Upkeep};
use crate::conformance::crash::work::{self, KIND, RUNNING, Verdicts};
use crate::conformance::history::event::{Event, SettleAnswer};
use crate::conformance::kit::Kit;
use crate::conformance::session::EXPIRY;

cases! {
    Crash q04_a_worker_that_stood_still_past_its_expiry_settles_nothing [Durable, MultiProcess, Children],
    Crash q11_a_worker_that_stood_still_goes_on_as_a_new_one [Durable, MultiProcess, Children],
    Crash q11_a_program_that_stood_still_doubles_nothing_and_works_on [Durable, MultiProcess, Children],
}

/// It is stopped with three jobs in its hands, which another one then completes. Continued, it settles all of
/// them, and is told each time that its lease was lost.
async fn q04_a_worker_that_stood_still_past_its_expiry_settles_nothing(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let other = kit.handle();
    for round in 0..3 {
        let jobs = other.insert((0..3).map(|_| kit.spec(KIND)).collect()).await?;
        let mut child = crew.start_halting(crew.worker(3, Verdicts::Complete), RUNNING, 1).await?;
        child.stop().await?;
        take_over(&other, 3).await?;
        child.child.resume()?;
        child.child.go_on()?;
        for _ in 0..3 {
            child.child.until(|text| Event::has_settled(text, SettleAnswer::LeaseLost)).await?;
        }
        for job in jobs {
            let record = kit.record(job).await?;
            ensure_eq!((record.state, record.attempt), (State::Completed, 2), "round {round}, job {job}");
        }
        crew.kill(child).await?;
    }
    crew.check().await?;
    Ok(())
}

/// The expiry passes, the leases are taken, and claimed and completed by another one.
async fn take_over(other: &crate::conformance::session::Session, jobs: usize) -> CaseResult {
    other.advance(EXPIRY);
    ensure_eq!(other.rescue(100).await?.rescued, jobs as u64, "leases taken back");
    let worker = other.worker().await?;
    let claimed = other.claiming(worker, 100).kinds(&[KIND]).take().await?.jobs;
    ensure_eq!(claimed.len(), jobs, "jobs taken over");
    for job in claimed {
        let result = work::result_of(&job);
        let settled =
            other.settle_one(job.token, crate::conformance::session::complete_with(&result)).await?;
        ensure_eq!(settled, queue_core::backend::Settled::Done, "the settle of the one that took over");
    }
    other.retire(worker).await
}

/// Its next claim or heartbeat is refused for good; it registers anew, and completes what comes then.
async fn q11_a_worker_that_stood_still_goes_on_as_a_new_one(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let other = kit.handle();
    other.insert_one(kit.spec(KIND)).await?;
    let mut child = crew.start_halting(crew.worker(1, Verdicts::Complete), RUNNING, 1).await?;
    let before = child.worker()?;
    child.stop().await?;
    take_over(&other, 1).await?;
    let next = other.insert_one(kit.spec(KIND)).await?;
    child.child.resume()?;
    child.child.go_on()?;
    child.child.tell(&work::time_line(kit.now()))?;
    child.child.until(|text| Event::has_settled(text, SettleAnswer::Done)).await?;
    let after = child.worker()?;
    ensure!(before != after, "it goes on under its old name");
    let refused = kit.try_heartbeat(before).await?;
    ensure!(refused.is_err_and(|error| error.kind() == ErrorKind::WorkerLost), "the old one lives again");
    ensure_eq!(kit.state(next).await?, State::Completed, "the job that came then");
    crew.dismiss(child).await?;
    crew.check().await?;
    Ok(())
}

/// The same with the real runtime at its own time: the jobs in its slots are run elsewhere, its own ends of them
/// count for nothing, and it takes up work again by itself.
async fn q11_a_program_that_stood_still_doubles_nothing_and_works_on(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    for round in 0..3 {
        let jobs = crew.enqueue(&["well"; 2]).await?;
        let orders = run::Orders { slots: 1, upkeep: Upkeep::Never };
        let mut child = crew.start_halting(orders, RUNNING, 1).await?;
        stop_between_writes(kit, &mut child).await?;
        let other = crew.run_here(2)?;
        crew.ended(&jobs).await?;
        other.shutdown(run::GRACE).await;
        child.child.resume()?;
        child.child.go_on()?;
        let next = crew.enqueue(&["well"]).await?;
        crew.ended(&next).await?;
        for job in jobs.into_iter().chain(next) {
            ensure_eq!(kit.state(job).await?, State::Completed, "round {round}, job {job}");
        }
        crew.dismiss(child).await?;
    }
    crew.check().await?;
    Ok(())
}

/// A process that is stopped in the middle of a write may hold up all others for as long, on a backend that lets
/// one write at a time: then it is continued until that write is through, and stopped again.
async fn stop_between_writes(kit: &Kit, child: &mut Hand) -> CaseResult {
    let backend = kit.backend()?;
    for number in 0..20 {
        let mut probe = Jobs::new(u32::MAX - number).next(queue_core::Timestamp::now(), "\"well\"")?;
        // Where nobody looks for jobs.
        probe.queue = queue_core::QueueName::new("probes")?;
        let request = InsertRequest::new(vec![vec![probe.clone()]]);
        let insert = async || anyhow::Ok(backend.insert(request.clone()).await);
        child.stop().await?;
        let is_between = match insert().await? {
            Ok(_) => true,
            Err(error) if error.is_retryable() => {
                child.child.resume()?;
                persist("probe", insert).await??;
                false
            }
            Err(error) => return Err(error).context("a probe was refused"),
        };
        backend.cancel(CancelRequest::new(vec![probe.id])).await?;
        if is_between {
            return Ok(());
        }
    }
    anyhow::bail!("the process was always stopped in the middle of a write")
}
