//! Q22: an error to one is no answer to another.

use std::sync::Arc;

use anyhow::ensure;
use queue_core::backend::InsertRequest;
use queue_core::testing::drop_after;
use queue_core::{ErrorKind, JobId, JobSpec, State};

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

/// How often each task is refused something, and asks the next at once.
const ROUNDS: usize = 50;

/// Twelve tasks on four handles: what goes out right after an error must be answered its own, and so must what others ask
/// at that moment. A pooler or a driver that hands on a connection before all of an answer has come mixes these up.
async fn q22_each_is_answered_its_own_while_others_are_refused(kit: &Kit) -> CaseResult {
    let handles = kit.handles(4).await?;
    let task = |handle: &Arc<Session>| {
        let handle = Arc::clone(handle);
        async move { be_refused_and_go_on(&handle).await }
    };
    race(handles.iter().cycle().take(12).map(task).collect()).await?;
    let stored = kit.stored().await?;
    ensure_eq!((stored.jobs.len(), stored.live.len()), (12 * ROUNDS, 12 * ROUNDS), "jobs");
    Ok(())
}

async fn be_refused_and_go_on(handle: &Session) -> CaseResult {
    for _ in 0..ROUNDS {
        let stranger = handle.new_worker_id();
        fails_with(handle.claiming(stranger, 1).attempt().await?, ErrorKind::WorkerLost)?;
        let number = handle.new_number();
        let job = handle.insert_one(handle.spec("job").payload(number.to_string())).await?;
        fails_with(handle.try_heartbeat(stranger).await?, ErrorKind::WorkerLost)?;
        let record = handle.record(job).await?;
        ensure_eq!((record.job.id, record.state), (job, State::Ready), "the job that was asked for");
        ensure_eq!(record.job.payload.as_bytes(), number.to_string().as_bytes(), "its payload");
    }
    Ok(())
}

/// Sixteen tasks insert at the same time, half of them lose patience: what was acknowledged is there,
/// and of the others each batch is whole.
async fn q22_dropped_inserts_harm_no_neighbour_in_their_commit(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..12 {
        let enqueuer = |task: u32| {
            let handle = Arc::clone(&handles[usize::from(task.is_multiple_of(4))]);
            let specs = batch(kit, 5);
            async move {
                let patience = if task.is_multiple_of(2) { 1 + (task + round) % 3 } else { u32::MAX };
                let answer = drop_after(patience, handle.try_insert(specs.clone())).await;
                let acknowledged = matches!(answer, Some(Ok(Ok(_))));
                ensure!(acknowledged || patience < u32::MAX, "a patient insert was answered {answer:?}");
                Ok((acknowledged, specs))
            }
        };
        for (acknowledged, specs) in race((0..16).map(enqueuer).collect()).await? {
            let again = kit.try_insert(specs).await??;
            let made = again.iter().filter(|job| job.is_new()).count();
            ensure!(made == 0 || made == 5 && !acknowledged, "round {round}: {made} of 5 jobs were missing");
        }
    }
    ensure_eq!(kit.stored().await?.live.len(), 12 * 16 * 5, "jobs");
    kit.works().await
}

/// Four hundred requests of every kind under way on one handle: none is forgotten, and none is an error.
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
    ensure_eq!(kit.stored().await?.jobs.len(), 280, "jobs");
    kit.works().await
}
