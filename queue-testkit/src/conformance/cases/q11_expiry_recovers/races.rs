//! Q11: a rescue races a heartbeat, and a worker of the runtime is lost.

use std::sync::Arc;

use queue_core::backend::Beat;
use queue_core::{Enqueuer as _, ErrorKind, JobContext, JobId, JobState, Payload};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::program::{Program, SHORT_EXPIRY, Started, new_job, stop};
use crate::conformance::race::{RepeatedRace, Winner};
use crate::conformance::session::EXPIRY;

cases! {
    Race q11_a_heartbeat_and_a_rescue_agree_whether_the_worker_lives,
    Race q11_what_a_vanished_worker_ran_is_run_by_another,
}

/// A worker sends a heartbeat at its expiry, while another handle rescues. The worker must either
/// keep all its leases, or be lost and keep none.
async fn q11_a_heartbeat_and_a_rescue_agree_whether_the_worker_lives(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let jobs = kit.insert((0..8).map(|_| kit.spec("job").max_retries(1000)).collect()).await?;
    let mut duels = RepeatedRace::default();
    while let Some(round) = duels.next_round()? {
        let worker = kit.worker().await?;
        let held = kit.claim(worker, 8).await?;
        ensure_eq!(held.len(), jobs.len(), "the number of jobs claimed in round {round}");
        kit.advance(EXPIRY);
        let (beating, rescuing) = (Arc::clone(&handles[0]), Arc::clone(&handles[1]));
        let beat = async move { beating.try_heartbeat(worker).await };
        let rescue = async move { rescuing.rescue(100).await };
        let (beat, rescue) = duels.run_round(beat, rescue).await?;
        let seen = (rescue.rescued, rescue.workers_lost);
        match beat {
            Ok(reply) => {
                ensure_eq!(
                    (reply.beat, reply.leases),
                    (Beat::Late, 8),
                    "the heartbeat and the number of leases in round {round}"
                );
                ensure_eq!(
                    seen,
                    (0, 0),
                    "the leases rescued and workers lost in round {round}, where the heartbeat succeeded"
                );
                kit.advance(EXPIRY);
                kit.rescue(100).await?;
                duels.won(Winner::First);
            }
            Err(error) => {
                ensure_eq!(
                    error.kind(),
                    ErrorKind::WorkerLost,
                    "the kind of the heartbeat's error in round {round}"
                );
                ensure_eq!(
                    seen,
                    (8, 1),
                    "the leases rescued and workers lost in round {round}, where the heartbeat failed"
                );
                duels.won(Winner::Second);
            }
        }
    }
    Ok(())
}

/// A worker of the runtime is dropped without a shutdown while it runs jobs. Another worker must
/// rescue the jobs and run them as attempt 2.
async fn q11_what_a_vanished_worker_ran_is_run_by_another(kit: &Kit) -> CaseResult {
    let mut vanishing = Program::new(kit)?;
    vanishing.on("job", |context: JobContext, _: Payload| async move {
        context.cancellation().cancelled().await;
        Ok(())
    })?;
    let worker = vanishing.start_with(3, |settings| settings.worker_expiry = SHORT_EXPIRY)?;
    let jobs = (0..3).map(|_| new_job("job", "{}")).collect::<queue_core::Result<_>>()?;
    let ids: Vec<JobId> = vanishing.queue.submit(jobs).await?.iter().map(|job| job.id).collect();
    for _ in 0..3 {
        ensure_eq!(vanishing.next_start().await?.attempt, 1, "the attempt on the dropped worker");
    }
    drop(worker);

    let mut program = Program::new(kit)?;
    program.on("job", |_: JobContext, _: Payload| async { Ok(()) })?;
    let worker = program.start(3)?;
    program.ended(&ids).await?;
    stop(worker).await?;
    for _ in 0..3 {
        let Started { id, attempt } = program.next_start().await?;
        ensure_eq!(attempt, 2, "the attempt of job {id} on the other worker");
        let record = kit.record(id).await?;
        ensure_eq!(
            (record.state, record.errors.len()),
            (JobState::Completed, 1),
            "the state and number of errors of the job"
        );
    }
    Ok(())
}
