//! The tasks of a worker, and waiting for their ends.

use tokio::sync::oneshot;

use crate::runtime::environment::{Environment, EnvironmentFuture, Place};

/// Ends when a task does, also if the task is dropped.
#[derive(Debug)]
pub(crate) struct TaskEnd(oneshot::Receiver<()>);

/// The tasks of a worker, in the order in which a shutdown ends them.
#[derive(Debug, Default)]
pub(crate) struct WorkerTasks {
    pub(crate) claims: Vec<TaskEnd>,
    pub(crate) slots: Vec<TaskEnd>,
    pub(crate) settles: Vec<TaskEnd>,
    /// Heartbeat and upkeep loops.
    pub(crate) heartbeats: Vec<TaskEnd>,
}

/// Spawns a task whose end can be awaited.
pub(crate) fn spawn(environment: &dyn Environment, place: Place, task: EnvironmentFuture) -> TaskEnd {
    let (end, ended) = oneshot::channel::<()>();
    environment.spawn(
        place,
        Box::pin(async move {
            task.await;
            drop(end);
        }),
    );
    TaskEnd(ended)
}

/// Waits until all of these tasks have ended.
pub(crate) async fn wait_all(tasks: Vec<TaskEnd>) {
    for task in tasks {
        let _ = task.0.await;
    }
}
