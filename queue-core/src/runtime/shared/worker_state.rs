//! What all loops of a worker share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::JobId;
use crate::backend::{ClaimedJob, Settlement, Verdict};
use crate::context::ShutdownDeadline;
use crate::metrics::Held;
use crate::runtime::decide::buffer::BufferedJob;
use crate::runtime::environment::Environment;
use crate::runtime::settings::WorkerSettings;
use crate::runtime::shared::running::Interruption;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::slots::Slots;

/// The signals that end the loops of a worker, in the order of a shutdown.
#[derive(Debug, Default)]
pub(crate) struct StopSignals {
    /// Ends the claim loops.
    pub(crate) claims: CancellationToken,
    /// Ends the settle loops once nothing is left to settle.
    pub(crate) settles: CancellationToken,
    /// Ends the heartbeat and upkeep loops.
    pub(crate) heartbeats: CancellationToken,
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct WorkerState {
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) settings: WorkerSettings,
    pub(crate) backends: Vec<Arc<ServedBackend>>,
    pub(crate) shutdown_deadline: ShutdownDeadline,
    pub(crate) stop: StopSignals,
    pub(crate) slots: Slots,
    /// The slots in the metrics, until the last of them has ended.
    _measured_slots: Option<Held>,
}

impl WorkerState {
    pub(crate) fn new(
        environment: Arc<dyn Environment>,
        settings: WorkerSettings,
        backends: Vec<Arc<ServedBackend>>,
        shutdown_deadline: ShutdownDeadline,
    ) -> Self {
        let metrics = backends.first().map(|backend| backend.events.metrics());
        Self {
            environment,
            _measured_slots: metrics.map(|metrics| metrics.slots(settings.slots)),
            backends,
            shutdown_deadline,
            stop: StopSignals::default(),
            slots: Slots::new(&settings),
            settings,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.environment.now()
    }

    /// Hands claimed jobs to the slots. Releases those that must not wait.
    pub(crate) fn add_jobs(&self, backend: &ServedBackend, jobs: Vec<ClaimedJob>) {
        let refused = self.slots.add(backend.index, jobs, self.now());
        backend.release(refused, self.now());
    }

    /// Waits for the next job of a slot; `None` when the worker stops. Signals the claim loops if
    /// they wanted room.
    pub(crate) async fn next_job(&self) -> Option<BufferedJob> {
        let announce_room = || self.backends.iter().for_each(|backend| backend.claims.check_again());
        self.slots.next_job(|| self.now(), announce_room).await
    }

    /// The number of handlers that run.
    pub(crate) fn running_jobs(&self) -> usize {
        self.backends.iter().map(|backend| self.slots.running(backend.index).len()).sum()
    }

    /// Cancels a job: settles it at once if it has not started, and otherwise asks it to stop.
    pub(crate) fn cancel(&self, backend: &ServedBackend, id: JobId) {
        if let Some(job) = self.slots.remove(backend.index, id) {
            let verdict = Verdict::Cancel { reason: "cancelled before it started".into() };
            let settlement = Settlement::new(job.token, verdict);
            return backend.settle(settlement, backend.lease_end(&job, self.now()));
        }
        self.slots.interrupt(Interruption::Cancelled, |running| {
            running.backend == backend.index && running.token.job == id
        });
    }

    /// Drops all jobs of a backend, because their leases are lost.
    pub(crate) fn drop_jobs(&self, backend: &ServedBackend) {
        self.slots.drain(backend.index);
        self.slots.interrupt(Interruption::LeaseLost, |running| running.backend == backend.index);
    }

    /// Releases all jobs that have not started.
    pub(crate) fn release_waiting(&self) {
        for backend in &self.backends {
            backend.release(self.slots.drain(backend.index), self.now());
        }
    }

    /// Releases jobs that have waited far too long, so that other workers start them.
    pub(crate) fn release_stale(&self, backend: &ServedBackend) {
        backend.release(self.slots.take_stale(backend.index, self.now()), self.now());
    }

    /// Logs which handlers do not stop, once per run. `interval` is the time between two calls, in
    /// which a handler may still be dropped.
    pub(crate) fn report_stuck(&self, backend: &ServedBackend, interval: Duration) {
        let grace = self.settings.cancellation_grace.saturating_add(interval);
        for context in self.slots.stuck(backend.index, self.now(), grace) {
            let (job, kind) = (context.id(), context.kind());
            tracing::warn!(
                %job, %kind,
                "handler was asked to stop and still runs, because it blocks its thread; its slot waits for it"
            );
        }
    }

    /// Whether this worker holds or may hold a lease of the backend.
    pub(crate) fn holds_lease(&self, backend: &ServedBackend) -> bool {
        backend.claims.is_claiming() || self.slots.holds(backend.index) || !backend.settlements.is_idle()
    }
}
