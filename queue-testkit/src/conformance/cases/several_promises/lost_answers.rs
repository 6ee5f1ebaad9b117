//! Q3, Q4: a worker of the runtime recovers from a lost reply.

use std::time::Duration;

use anyhow::ensure;
use queue_core::{Enqueuer as _, JobContext, JobState, Payload};
use tokio::time::sleep;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::fault::Fault;
use crate::conformance::kit::Kit;
use crate::conformance::program::{Program, Started, new_job, stop};
use crate::conformance::wait::in_time;

cases! {
    Fault q03_a_worker_finds_what_it_claimed_without_an_answer on LOST,
    Fault q04_a_worker_repeats_a_settle_that_had_no_answer on LOST,
}

const LOST: &[Fault] = &[Fault::RequestLost, Fault::ReplyLost];

/// The request or the reply of a claim is lost. The worker must find its leases, and the job must
/// run once, as attempt 1.
async fn q03_a_worker_finds_what_it_claimed_without_an_answer(kit: &Kit) -> CaseResult {
    recovers_from_a_lost_reply(kit, |_| b"a-kind-of-its-own".to_vec()).await
}

/// The request or the reply of a settle is lost. The worker must repeat it, and the job must be
/// completed once, with its result.
async fn q04_a_worker_repeats_a_settle_that_had_no_answer(kit: &Kit) -> CaseResult {
    recovers_from_a_lost_reply(kit, |job| job.to_bytes().to_vec()).await
}

async fn recovers_from_a_lost_reply(kit: &Kit, target: impl Fn(queue_core::JobId) -> Vec<u8>) -> CaseResult {
    let mut program = Program::new(&kit.impatient())?;
    program.on("a-kind-of-its-own", |context: JobContext, _: Payload| async move {
        context.capture_result(format!("{}", context.id()));
        Ok(())
    })?;
    let submitted = program.queue.submit(vec![new_job("a-kind-of-its-own", "{}")?]).await?;
    let id = submitted[0].id;
    let broken = kit.inject(&target(id)).await?;
    let worker = program.start(2)?;
    // The case does not read the job before this, because the fault would also strike a read that
    // names it.
    in_time("a reply to be lost", async {
        while kit.history().unknown_outcomes() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await?;
    broken.mend().await?;
    program.ended(&[id]).await?;
    stop(worker).await?;
    ensure_eq!(program.next_start().await?, Started { id, attempt: 1 }, "the attempt that ran");
    ensure!(program.starts_so_far().is_empty(), "the job ran more than once");
    let record = kit.record(id).await?;
    let expected = (JobState::Completed, 1, Some(id.to_string().into_bytes()));
    ensure_eq!((record.state, record.attempt, record.result), expected, "the state, attempt and result");
    Ok(())
}
