//! Workers of the real runtime, with handlers that act on the payload.

use std::sync::Arc;
use std::time::Duration;

use queue_core::runtime::WorkerSettings;
use queue_core::{
    Backend, HandlerResult, JobContext, JobError, JobQueue, Payload, Queue as _, RunningWorker, TaskOptions,
    Worker,
};
use serde::{Deserialize, Serialize};

use super::work::{KIND, RUNNING};
use crate::conformance::history::Sink;
use crate::conformance::history::event::Event;

/// Time that handlers get to end after a shutdown.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// Time after its last heartbeat at which a worker of the runtime is lost, by the backend's clock.
pub(crate) const EXPIRY: Duration = Duration::from_millis(900);

/// The kind of jobs whose first lease a case loses on purpose.
pub(crate) const LAPSE: &str = "lapse";

/// The point after a handler has captured its result, before the job is settled.
pub(crate) const CAPTURED: &str = "result captured";

/// The orders of a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) slots: usize,
    pub(crate) upkeep: Upkeep,
}

/// Whether the worker rescues jobs of lost workers.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Upkeep {
    Often,
    Never,
}

pub(crate) fn start(
    orders: &Orders,
    backend: Arc<dyn Backend>,
    sink: &Arc<dyn Sink>,
) -> anyhow::Result<RunningWorker> {
    start_for(&[KIND], orders, backend, sink)
}

/// Starts a worker that handles these kinds.
pub(crate) fn start_for(
    kinds: &[&str],
    orders: &Orders,
    backend: Arc<dyn Backend>,
    sink: &Arc<dyn Sink>,
) -> anyhow::Result<RunningWorker> {
    let mut queue = JobQueue::new(backend);
    for kind in kinds {
        let sink = Arc::clone(sink);
        let handler =
            move |context: JobContext, payload: Payload| run_payload(Arc::clone(&sink), context, payload);
        queue.handle(kind, Arc::new(handler), TaskOptions::new())?;
    }
    Ok(Worker::new(&queue).settings(settings(orders)).start()?)
}

/// Starts a worker that handles no existing kind, but rescues jobs of lost workers.
pub(crate) fn start_keeper(backend: Arc<dyn Backend>) -> anyhow::Result<RunningWorker> {
    let mut queue = JobQueue::new(backend);
    let nothing = |_: JobContext, _: Payload| async { Ok(()) };
    queue.handle("nothing", Arc::new(nothing), TaskOptions::new())?;
    let orders = Orders { slots: 1, upkeep: Upkeep::Often };
    Ok(Worker::new(&queue).settings(settings(&orders)).start()?)
}

fn settings(orders: &Orders) -> WorkerSettings {
    WorkerSettings::default()
        .slots(orders.slots)
        .heartbeat_interval(EXPIRY / 9)
        .worker_expiry(EXPIRY)
        .cancellation_grace(Duration::from_millis(200))
        .rescue_interval(match orders.upkeep {
            Upkeep::Often => EXPIRY / 9,
            Upkeep::Never => Duration::from_secs(24 * 60 * 60),
        })
        .poll_interval(EXPIRY)
        .prune(None)
}

/// Records the start, acts on the payload, and captures a result that no other attempt captures.
async fn run_payload(sink: Arc<dyn Sink>, context: JobContext, payload: Payload) -> HandlerResult {
    let attempt = context.attempt();
    sink.write(Event::Started { job: context.id(), attempt });
    sink.reach(RUNNING).await;
    match payload.decode::<String>()?.as_str() {
        "fail once" if attempt == 1 => return Err(JobError::retry("not yet")),
        "bury" => return Err(JobError::bury("hopeless")),
        "refuse" => return Err(JobError::cancel("not wanted")),
        "snooze" if fastrand::bool() => return Err(JobError::snooze(Duration::ZERO)),
        // The duration of real work: a cancel or a kill rarely meets a job that ends at once.
        "slow" => tokio::time::sleep(Duration::from_millis(fastrand::u64(2..20))).await,
        "stubborn" => tokio::time::sleep(Duration::from_millis(60)).await,
        "obedient" => tokio::select! {
            () = context.cancellation().cancelled() => return Err(JobError::retry("asked to stop")),
            () = tokio::time::sleep(Duration::from_millis(60)) => {}
        },
        _ => {}
    }
    context.capture_result(format!("\"{attempt} in {}\"", std::process::id()).into_bytes());
    sink.reach(CAPTURED).await;
    Ok(())
}
