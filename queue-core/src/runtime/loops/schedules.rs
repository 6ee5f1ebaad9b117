//! The loop that fires the schedules of one backend.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
use crate::schedule::{Fired, fire_due};

/// The workers of a fleet look at a due schedule within this time, so that usually one of them
/// fires it before the others look.
const SPREAD: Duration = Duration::from_millis(20);

/// Fires what is due until the worker claims no more.
///
/// Every worker does it. Of several that fire one slot, the first one does, and the others change
/// nothing.
pub(crate) async fn serve(worker: Arc<WorkerState>, backend: Arc<ServedBackend>) {
    let Some(interval) = worker.settings.schedule_interval else { return };
    let mut fires = Outage::new(&worker, "firing schedules");
    loop {
        let fired = tokio::select! {
            biased;
            () = worker.stop.claims.cancelled() => return,
            fired = fire_due(&*backend.backend, None) => fired,
        };
        let wait = match fired {
            Ok(None) => return,
            Ok(Some(fired)) => {
                fires.succeeded();
                wait_after(&worker, interval, &fired)
            }
            Err(error) => {
                fires.failed(&error);
                interval
            }
        };
        tokio::select! {
            biased;
            () = worker.stop.claims.cancelled() => return,
            () = worker.environment.sleep(wait) => {}
        }
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
