//! Q22: an error to one is no answer to another.

use std::sync::Arc;

use queue_core::{ErrorKind, State};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::Session;

cases! {
    Race q22_each_is_answered_its_own_while_others_are_refused,
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
