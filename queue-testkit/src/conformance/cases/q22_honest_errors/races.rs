//! Q22: a request never receives the reply or error of another request.

use std::sync::Arc;

use anyhow::ensure;
use queue_core::backend::InsertRequest;
use queue_core::testing::drop_after;
use queue_core::{ErrorKind, JobId, JobSpec, JobState};

use super::dropped::batch;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::Session;

cases! {
    Race q22_each_is_answered_its_own_while_others_are_refused,
    Race q22_dropped_inserts_harm_no_neighbour_in_their_commit,
    Race q22_many_requests_at_once_are_all_answered,
}

/// How often each task gets an error and sends its next request at once.
const ROUNDS: usize = 50;

/// Twelve tasks on four handles send requests right after an error. Each request must receive its
/// own reply. This fails if a pooler or driver reuses a connection before it has read a whole
/// reply.
async fn q22_each_is_answered_its_own_while_others_are_refused(kit: &Kit) -> CaseResult {
    let handles = kit.handles(4).await?;
    let task = |handle: &Arc<Session>| {
        let handle = Arc::clone(handle);
        async move { alternate_errors_and_requests(&handle).await }
    };
    race(handles.iter().cycle().take(12).map(task).collect()).await?;
    let stored = kit.stored().await?;
    ensure_eq!(
        (stored.jobs.len(), stored.live.len()),
        (12 * ROUNDS, 12 * ROUNDS),
        "the numbers of stored and of unfinished jobs"
    );
    Ok(())
}

async fn alternate_errors_and_requests(handle: &Session) -> CaseResult {
    for _ in 0..ROUNDS {
        let unknown = handle.new_worker_id();
        fails_with(handle.claiming(unknown, 1).attempt().await?, ErrorKind::WorkerLost)?;
        let number = handle.new_number();
        let job = handle.insert_one(handle.spec("job").payload(number.to_string())).await?;
        fails_with(handle.try_heartbeat(unknown).await?, ErrorKind::WorkerLost)?;
        let record = handle.record(job).await?;
        ensure_eq!(
            (record.job.id, record.state),
            (job, JobState::Ready),
            "the id and state of the requested job"
        );
        ensure_eq!(
            record.job.payload.as_bytes(),
            number.to_string().as_bytes(),
            "the payload of the requested job"
        );
    }
    Ok(())
}

/// Sixteen tasks insert concurrently, and half of them drop their future. Each acknowledged batch
/// must be stored, and each other batch must be stored whole or not at all.
async fn q22_dropped_inserts_harm_no_neighbour_in_their_commit(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..12 {
        let enqueuer = |task: u32| {
            let handle = Arc::clone(&handles[usize::from(task.is_multiple_of(4))]);
            let specs = batch(kit, 5);
            async move {
                let polls = if task.is_multiple_of(2) { 1 + (task + round) % 3 } else { u32::MAX };
                let answer = drop_after(polls, handle.try_insert(specs.clone())).await;
                let acknowledged = matches!(answer, Some(Ok(Ok(_))));
                ensure!(
                    acknowledged || polls < u32::MAX,
                    "an insert that was not dropped returned {answer:?}"
                );
                Ok((acknowledged, specs))
            }
        };
        for (acknowledged, specs) in race((0..16).map(enqueuer).collect()).await? {
            let again = kit.try_insert(specs).await??;
            let made = again.iter().filter(|job| job.is_new()).count();
            ensure!(
                made == 0 || made == 5 && !acknowledged,
                "round {round}: {made} of 5 jobs were not stored"
            );
        }
    }
    ensure_eq!(kit.stored().await?.live.len(), 12 * 16 * 5, "the number of unfinished jobs");
    kit.works().await
}

/// Four hundred requests of all kinds run concurrently on one handle. Each must return without an
/// error.
async fn q22_many_requests_at_once_are_all_answered(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert(batch(kit, 200)).await?;
    let requester = |task: usize| {
        let handle = kit.handle();
        let (job, spec): (JobId, queue_core::Result<JobSpec>) = (jobs[task % 200], kit.spec("job").build());
        async move {
            let backend = handle.backend()?;
            match task % 5 {
                0 => drop(backend.insert(InsertRequest::new(vec![vec![spec?]])).await?),
                1 => drop(handle.claim(worker, 1).await?),
                2 => drop(handle.cancel_running(job).await?),
                3 => drop(handle.heartbeat(worker).await?),
                _ => drop(handle.record(job).await?),
            }
            Ok(())
        }
    };
    race((0..400).map(requester).collect()).await?;
    ensure_eq!(kit.stored().await?.jobs.len(), 280, "the number of stored jobs");
    kit.works().await
}
