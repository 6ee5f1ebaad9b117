//! Ending a worker: stop claiming, release, let finish, cancel, release.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::runtime::environment::EnvironmentFuture;
use crate::runtime::run::attempt::Interruption;
use crate::runtime::shared::worker_state::Engine;
use crate::runtime::{Environment, Place};

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
pub(crate) struct Ended(oneshot::Receiver<()>);

impl Ended {
    pub(crate) async fn wait(self) {
        let _ = self.0.await;
    }
}

/// Spawns a task whose end can be awaited.
pub(crate) fn spawn(environment: &dyn Environment, place: Place, task: EnvironmentFuture) -> Ended {
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
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    pub(crate) claims: Vec<Ended>,
    pub(crate) slots: Vec<Ended>,
    pub(crate) settles: Vec<Ended>,
    pub(crate) beats: Vec<Ended>,
}

/// Shuts down within about `grace` and three times the cancellation grace; a storage that is away
/// can add twice the cap of the outage's backoff.
pub(crate) async fn shut_down(engine: Arc<Engine>, tasks: Tasks, grace: Duration) -> ShutdownReport {
    let deadline = engine.now().checked_add(grace);
    if let Some(deadline) = deadline {
        let _ = engine.shutdown.set(deadline);
    }
    engine.stop_claims.cancel();
    // A claim that is answered from now on gives its jobs back by itself; one that never is, leaves
    // them to the worker's expiry.
    engine.release_buffered();
    engine.close_slots();
    let mut finished = std::pin::pin!(wait_all(tasks.slots));
    let left = deadline.map_or(grace, |deadline| deadline.saturating_duration_since(engine.now()));
    if !within(&engine, left, &mut finished).await {
        engine.interrupt(Interruption::ShutDown, |_| true);
        // Twice: first the handlers have their grace, then their verdicts are written down.
        within(&engine, engine.settings.cancellation_grace * 2, &mut finished).await;
    }
    within(&engine, engine.settings.cancellation_grace, wait_all(tasks.claims)).await;
    engine.release_buffered();
    let abandoned = engine.stations.iter().map(|station| engine.running(station.index).len()).sum();
    // The storage may be away: what cannot be settled is found when the worker expires.
    let patience = engine.settings.outage_backoff_cap;
    engine.stop_settles.cancel();
    within(&engine, patience, wait_all(tasks.settles)).await;
    engine.stop_beats.cancel();
    within(&engine, patience, wait_all(tasks.beats)).await;
    ShutdownReport { abandoned }
}

/// Whether something ended in time.
async fn within(engine: &Engine, patience: Duration, end: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = end => true,
        () = engine.environment.sleep(patience) => false,
    }
}

pub(crate) async fn wait_all(tasks: Vec<Ended>) {
    for task in tasks {
        task.wait().await;
    }
}
