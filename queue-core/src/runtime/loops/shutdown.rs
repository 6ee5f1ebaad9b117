//! Shutting a worker down: stop claims, release, let handlers finish, cancel them, release.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::loops::tasks::{WorkerTasks, wait_all};
use crate::runtime::shared::running::Interruption;
use crate::runtime::shared::worker_state::WorkerState;

/// What a shutdown left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Handlers that still ran at the end, although they were asked to stop. Their leases are left
    /// to expire, because their work continues.
    pub abandoned: usize,
}

/// Shuts down within about `grace` and three times the cancellation grace. A storage that does not
/// answer can add twice `outage_backoff_cap`.
pub(crate) async fn shut_down(
    worker: Arc<WorkerState>,
    tasks: WorkerTasks,
    grace: Duration,
) -> ShutdownReport {
    let deadline = worker.now().checked_add(grace);
    if let Some(deadline) = deadline {
        let _ = worker.shutdown_deadline.set(deadline);
    }
    tracing::info!(running = worker.running_jobs(), ?grace, "the worker shuts down");
    worker.stop.claims.cancel();
    // A claim whose reply arrives from now on releases its jobs. One without a reply leaves its
    // jobs leased until the worker expires.
    worker.release_waiting();
    worker.slots.close();
    let mut finished = pin!(wait_all(tasks.slots));
    let left = deadline.map_or(grace, |deadline| deadline.saturating_duration_since(worker.now()));
    let cancellation_grace = worker.settings.cancellation_grace;
    if !ends_within(&worker, left, &mut finished).await {
        worker.slots.interrupt(Interruption::ShutDown, |_| true);
        // Twice: the handlers have their grace, and then their verdicts are queued.
        ends_within(&worker, cancellation_grace * 2, &mut finished).await;
    }
    ends_within(&worker, cancellation_grace, wait_all(tasks.claims)).await;
    worker.release_waiting();
    let abandoned = worker.running_jobs();
    // The storage may not answer. Leases that cannot be settled end when the worker expires.
    let patience = worker.settings.outage_backoff_cap;
    worker.stop.settles.cancel();
    ends_within(&worker, patience, wait_all(tasks.settles)).await;
    worker.stop.heartbeats.cancel();
    ends_within(&worker, patience, wait_all(tasks.heartbeats)).await;
    tracing::info!(abandoned, "the worker has shut down");
    ShutdownReport { abandoned }
}

async fn ends_within(worker: &WorkerState, patience: Duration, end: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = end => true,
        () = worker.environment.sleep(patience) => false,
    }
}
