//! Ending a worker: stop claiming, release, let finish, cancel, release.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::engine::Engine;
use super::environment::EnvironmentFuture;
use super::run::Interruption;
use super::{Environment, Place};

/// What a shutdown left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Handlers that were still running at the end, though asked to stop. Their leases are left to
    /// expire, since their work goes on.
    pub abandoned: usize,
}

/// Tells when a task has ended, also by being dropped.
#[derive(Debug)]
pub(super) struct Ended(oneshot::Receiver<()>);

impl Ended {
    pub(super) async fn wait(self) {
        let _ = self.0.await;
    }
}

/// Spawns a task whose end can be awaited.
pub(super) fn spawn(environment: &dyn Environment, place: Place, task: EnvironmentFuture) -> Ended {
    let (end, ended) = oneshot::channel::<()>();
    environment.spawn(
        place,
        Box::pin(async move {
            task.await;
            drop(end);
        }),
    );
    Ended(ended)
}

/// The tasks of a worker, in the order in which they end.
#[derive(Debug)]
pub(super) struct Tasks {
    pub(super) claims: Vec<Ended>,
    pub(super) slots: Vec<Ended>,
    pub(super) others: Vec<Ended>,
}

/// Shuts down within about `grace` plus the cancellation grace.
pub(super) async fn shut_down(engine: Arc<Engine>, tasks: Tasks, grace: Duration) -> ShutdownReport {
    let deadline = engine.now().checked_add(grace);
    if let Some(deadline) = deadline {
        let _ = engine.shutdown.set(deadline);
    }
    engine.stop_claims.cancel();
    let end_of_claims = wait_all(tasks.claims);
    tokio::select! {
        () = end_of_claims => {}
        // A claim that is never answered: its jobs are found when the worker expires.
        () = engine.environment.sleep(grace.max(engine.settings.cancellation_grace)) => {}
    }
    engine.release_buffered();
    engine.close_slots();
    let mut finished = std::pin::pin!(wait_all(tasks.slots));
    let left = deadline.map_or(grace, |deadline| deadline.saturating_duration_since(engine.now()));
    tokio::select! {
        biased;
        () = &mut finished => {}
        () = engine.environment.sleep(left) => {
            engine.interrupt(Interruption::ShutDown, |_| true);
            // Twice: first the handlers have their grace, then their verdicts are written down.
            let last = engine.settings.cancellation_grace * 2;
            tokio::select! {
                biased;
                () = &mut finished => {}
                () = engine.environment.sleep(last) => {}
            }
        }
    }
    let abandoned = engine.stations.iter().map(|station| engine.running(station.index).len()).sum();
    engine.stop_all.cancel();
    tokio::select! {
        () = wait_all(tasks.others) => {}
        // The storage is away: what could not be settled is found when the worker expires.
        () = engine.environment.sleep(engine.settings.outage_backoff_cap) => {}
    }
    ShutdownReport { abandoned }
}

async fn wait_all(tasks: Vec<Ended>) {
    for task in tasks {
        task.wait().await;
    }
}
