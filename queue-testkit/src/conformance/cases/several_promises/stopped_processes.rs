//! Q4, Q11: a process is stopped past its expiry and then continued.

use anyhow::{Context as _, ensure};
use queue_core::backend::{CancelRequest, InsertRequest};
use queue_core::{ErrorKind, JobState};

use crate::conformance::act::persist;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::{ChildProcess, Crew};
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

/// A process with three leases is stopped, and another worker completes the jobs. When continued,
/// the process settles all three, and each settle must return `LeaseLost`.
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
            ensure_eq!(
                (record.state, record.attempt),
                (JobState::Completed, 2),
                "round {round}, the state and attempt of job {job}"
            );
        }
        crew.kill(child).await?;
    }
    crew.check().await?;
    Ok(())
}

/// Lets the expiry pass, rescues the leases, and claims and completes the jobs.
async fn take_over(other: &crate::conformance::session::Session, jobs: usize) -> CaseResult {
    other.advance(EXPIRY);
    ensure_eq!(other.rescue(100).await?.rescued, jobs as u64, "the number of leases rescued");
    let worker = other.worker().await?;
    let claimed = other.claiming(worker, 100).kinds(&[KIND]).take().await?.jobs;
    ensure_eq!(claimed.len(), jobs, "the number of claimed jobs");
    for job in claimed {
        let result = work::result_of(&job);
        let settled =
            other.settle_one(job.token, crate::conformance::session::complete_with(&result)).await?;
        ensure_eq!(
            settled,
            queue_core::backend::Settled::Done,
            "the reply to the settle of the second worker"
        );
    }
    other.retire(worker).await
}

/// A process is stopped past its expiry and continued. It must register a new worker, and complete
/// a job that is inserted afterwards.
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
    ensure!(before != after, "the process continues with its old worker id");
    let refused = kit.try_heartbeat(before).await?;
    ensure!(
        refused.is_err_and(|error| error.kind() == ErrorKind::WorkerLost),
        "the lost worker is alive again"
    );
    ensure_eq!(kit.state(next).await?, JobState::Completed, "the state of the job inserted afterwards");
    crew.dismiss(child).await?;
    crew.check().await?;
    Ok(())
}

/// A process of the runtime is stopped past its expiry. Another worker must run its jobs. When
/// continued, its settles must have no effect, and it must run new jobs.
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
            ensure_eq!(kit.state(job).await?, JobState::Completed, "round {round}, the state of job {job}");
        }
        crew.dismiss(child).await?;
    }
    crew.check().await?;
    Ok(())
}

/// Stops a process, but not during a write, because some backends allow one writer at a time and
/// would block all other processes. Continues and stops it again until an insert of
/// the test succeeds.
async fn stop_between_writes(kit: &Kit, child: &mut ChildProcess) -> CaseResult {
    let backend = kit.backend()?;
    for number in 0..20 {
        let mut probe = Jobs::new(u32::MAX - number).next(queue_core::Timestamp::now(), "\"well\"")?;
        // No worker serves this queue.
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
            Err(error) => return Err(error).context("a probe insert failed"),
        };
        backend.cancel(CancelRequest::new(vec![probe.id])).await?;
        if is_between {
            return Ok(());
        }
    }
    anyhow::bail!("the process was stopped during a write each time")
}
