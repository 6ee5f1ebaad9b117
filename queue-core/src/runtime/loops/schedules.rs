//! The loop that stores and fires the schedules of one backend.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
use crate::schedule::{Fired, Unreadable, fire_due};

/// The workers of a fleet look at a due schedule within this time, so that usually one of them
/// fires it before the others look.
const SPREAD: Duration = Duration::from_millis(20);

/// Stores the schedules of the program, and fires what is due, until the worker claims no more.
pub(crate) async fn serve(worker: Arc<WorkerState>, backend: Arc<ServedBackend>) {
    let work = async { tokio::join!(store(&worker, &backend), fire(&worker, &backend)) };
    tokio::select! {
        biased;
        () = worker.stop.claims.cancelled() => {}
        _ = work => {}
    }
}

/// Stores the schedules of the program.
async fn store(worker: &WorkerState, backend: &ServedBackend) {
    if backend.declared.is_empty() {
        return;
    }
    let mut stores = Outage::new(worker, "storing schedules");
    while stores.check(backend.declared.store(&*backend.backend).await).is_none() {
        stores.wait().await;
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
        let wait = match fire_due(&*backend.backend, &mut unreadable, None).await {
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
