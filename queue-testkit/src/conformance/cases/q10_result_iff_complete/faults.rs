//! Q10, Q12: completed work survives an outage, whatever the kind of its errors.

use std::sync::Arc;

use anyhow::ensure;
use queue_core::{Enqueuer as _, HandlerResult, JobContext, JobId, JobState, Payload};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::fault::ENDURED;
use crate::conformance::kit::Kit;
use crate::conformance::program::{LOOK, Program, new_job, stop};
use crate::conformance::wait::in_time;

cases! {
    Fault q10_finished_work_outlives_an_outage_of_any_class on ENDURED,
}

const JOBS: usize = 8;
/// The requests of the worker that must fail after its handlers have ended. Settles are among them,
/// because a worker sends them first.
const ENOUGH_FAILURES: u64 = 4;

/// Handlers end during the fault, each on the last attempt of its job. Each job must be completed
/// with its result, and no handler may run again.
async fn q10_finished_work_outlives_an_outage_of_any_class(kit: &Kit) -> CaseResult {
    let mut program = Program::new(&kit.impatient())?;
    let (gate, ended) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (wait, report_end) = (Arc::clone(&gate), Arc::clone(&ended));
    program.on("slow", move |context: JobContext, _: Payload| {
        let (wait, report_end) = (Arc::clone(&wait), Arc::clone(&report_end));
        async move {
            wait.acquire().await?.forget();
            context.capture_result(context.id().to_string().into_bytes());
            report_end.add_permits(1);
            HandlerResult::Ok(())
        }
    })?;
    let jobs = (0..JOBS).map(|_| Ok(new_job("slow", "1")?.max_retries(0))).collect::<anyhow::Result<_>>()?;
    let ids: Vec<JobId> = program.queue.submit(jobs).await?.iter().map(|job| job.id).collect();
    let worker = program.start_with(JOBS, |settings| settings.outage_backoff_cap = LOOK * 50)?;
    for _ in 0..JOBS {
        program.next_start().await?;
    }
    let broken = kit.inject(&[]).await?;
    let before = kit.history().failures_in_all();
    gate.add_permits(JOBS);
    in_time("the handlers to end", ended.acquire_many(u32::try_from(JOBS)?)).await??.forget();
    in_time("requests to fail under the fault", async {
        while kit.history().failures_in_all() < before + ENOUGH_FAILURES {
            sleep(LOOK).await;
        }
    })
    .await?;
    broken.mend().await?;
    program.ended(&ids).await?;
    stop(worker).await?;
    for id in ids {
        let record = kit.record(id).await?;
        ensure_eq!(
            (record.state, record.attempt),
            (JobState::Completed, 1),
            "the state and attempt of job {id}, with errors {:?}",
            record.errors
        );
        ensure_eq!(record.result, Some(id.to_string().into_bytes()), "the result of the job");
    }
    let again = program.starts_so_far();
    ensure!(again.is_empty(), "jobs were started again: {again:?}");
    Ok(())
}
