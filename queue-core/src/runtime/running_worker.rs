//! A worker that runs, and its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::panic::keep_places;
use crate::runtime::environment::{ControlThread, Place};
use crate::runtime::loops::shutdown::{ShutdownReport, shut_down};
use crate::runtime::loops::tasks::{WorkerTasks, spawn, wait_all};
use crate::runtime::loops::{claim, heartbeat, settle, slot, upkeep};
use crate::runtime::shared::running::Interruption;
use crate::runtime::shared::worker_state::WorkerState;

/// A worker that runs.
///
/// If it is dropped without [`shutdown`](Self::shutdown), it stops at once: its heartbeats end,
/// handlers are asked to stop, and other workers rescue its jobs when it expires.
#[derive(Debug)]
#[must_use = "a worker that is dropped stops at once"]
pub struct RunningWorker {
    state: Arc<WorkerState>,
    tasks: Option<WorkerTasks>,
    control: Option<ControlThread>,
}

impl RunningWorker {
    pub(super) fn new(state: WorkerState, control: Option<ControlThread>) -> Self {
        keep_places();
        let state = Arc::new(state);
        for backend in &state.backends {
            let (kinds, queues, slots) = (&*backend.kinds, &backend.queues, state.settings.slots);
            tracing::info!(backend = backend.backend.name(), ?kinds, ?queues, slots, "the worker starts");
        }
        let tasks = Some(start_tasks(&state));
        Self { state, tasks, control }
    }

    /// Shuts the worker down: claims nothing more, releases jobs that have not started, and lets
    /// handlers finish for at most `grace`. Then cancels their tokens, and releases the jobs that
    /// they leave unfinished. Handlers read the end of the grace from
    /// [`JobContext::deadline`](crate::JobContext::deadline).
    ///
    /// # Cancellation
    /// Dropping this future drops the worker.
    pub async fn shutdown(mut self, grace: Duration) -> ShutdownReport {
        let Some(tasks) = self.tasks.take() else { return ShutdownReport::default() };
        let (end, ended) = oneshot::channel();
        let state = Arc::clone(&self.state);
        // On the control thread, because handlers may block the threads of the caller.
        let shutdown = async move {
            let _ = end.send(shut_down(state, tasks, grace).await);
        };
        self.state.environment.spawn(Place::Control, Box::pin(shutdown));
        ended.await.unwrap_or_default()
    }
}

/// Starts the loops of each backend, and then one loop per slot.
fn start_tasks(state: &Arc<WorkerState>) -> WorkerTasks {
    let environment = &*state.environment;
    let mut tasks = WorkerTasks::default();
    for backend in &state.backends {
        let control = |task| spawn(environment, Place::Control, task);
        let shared = || (Arc::clone(state), Arc::clone(backend));
        let (worker, backend) = shared();
        tasks.heartbeats.push(control(Box::pin(heartbeat::serve(worker, backend))));
        let (worker, backend) = shared();
        tasks.heartbeats.push(control(Box::pin(upkeep::serve(worker, backend))));
        #[cfg(feature = "schedules")]
        {
            let (worker, backend) = shared();
            let fires = crate::runtime::loops::schedules::serve(worker, backend);
            tasks.claims.push(control(Box::pin(fires)));
        }
        let (worker, backend) = shared();
        tasks.settles.push(control(Box::pin(settle::serve(worker, backend))));
        let (worker, backend) = shared();
        tasks.claims.push(control(Box::pin(claim::serve(worker, backend))));
    }
    for slot in 0..state.settings.slots {
        let task = Box::pin(slot::serve(Arc::clone(state), slot));
        tasks.slots.push(spawn(environment, Place::Handlers, task));
    }
    tasks
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.state.stop.claims.cancel();
        self.state.stop.settles.cancel();
        self.state.stop.heartbeats.cancel();
        self.state.slots.close();
        self.state.slots.interrupt(Interruption::LeaseLost, |_| true);
        if let Some(tasks) = self.tasks.take() {
            // The control thread must outlive the slots, because it has the timers of handlers that
            // are still stopping.
            let control = self.control.take();
            let last = async move {
                wait_all(tasks.slots).await;
                drop(control);
            };
            self.state.environment.spawn(Place::Handlers, Box::pin(last));
        }
    }
}
