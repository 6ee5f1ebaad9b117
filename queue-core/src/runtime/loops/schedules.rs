//! The loop that stores and fires the schedules of one backend.

use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
use crate::schedule::{Declared, Fired, Unreadable, fire_due};

/// The workers of a fleet look at a due schedule within this time, so that usually one of them
/// fires it before the others look.
const SPREAD: Duration = Duration::from_millis(20);

/// How long a worker waits before it tries again to store schedules that were refused, e.g. because
/// they belong to another program.
const REFUSED_RETRY: Duration = Duration::from_secs(60);

/// Stores the schedules of the program, and fires what is due, until the worker claims no more.
pub(crate) async fn serve(worker: Arc<WorkerState>, backend: Arc<ServedBackend>) {
    let work = async {
        let mut declared = backend.declared.clone();
        // First, because a fire before it would be one of an old definition.
        let first = if declared.is_empty() { Ok(()) } else { declared.store(&*backend.backend).await };
        tokio::join!(store(&worker, &backend, declared, first), fire(&worker, &backend))
    };
    tokio::select! {
        biased;
        () = worker.stop.claims.cancelled() => {}
        _ = work => {}
    }
}

/// Stores the schedules of the program until all are stored, after a first attempt.
async fn store(worker: &WorkerState, backend: &ServedBackend, mut declared: Declared, first: Result<()>) {
    let mut stores = Outage::new(worker, "storing schedules");
    let mut stored = first;
    loop {
        match stores.check(stored) {
            Some(()) if declared.has_refused() => worker.environment.sleep(REFUSED_RETRY).await,
            Some(()) => return,
            None => stores.wait().await,
        }
        stored = declared.store(&*backend.backend).await;
    }
}

/// Fires what is due.
///
/// Every worker does it. Of several that fire one slot, the first one does, and the others change
/// nothing.
async fn fire(worker: &WorkerState, backend: &ServedBackend) {
    let Some(interval) = worker.settings.schedule_interval else { return };
    let mut fires = Outage::new(worker, "firing schedules");
    let mut unreadable = Unreadable::default();
    loop {
        let wait = match fire_due(&*backend.backend, &mut unreadable).await {
            Ok(None) => return,
            Ok(Some(fired)) => {
                fires.succeeded();
                wait_after(worker, interval, &fired)
            }
            Err(error) => {
                fires.failed(&error);
                interval
            }
        };
        worker.environment.sleep(wait).await;
    }
}

fn wait_after(worker: &WorkerState, interval: Duration, fired: &Fired) -> Duration {
    if fired.has_more {
        return Duration::ZERO;
    }
    let spread = u64::try_from(SPREAD.as_micros()).unwrap_or(u64::MAX);
    let spread = Duration::from_micros(worker.environment.random() % spread);
    fired.next_due.map_or(interval, |next| next.min(interval)).saturating_add(spread)
}
