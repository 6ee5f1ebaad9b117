//! The upkeep loop of one backend: rescues the jobs of lost workers, prunes old jobs, and warns of
//! kinds that no worker handles.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{MaintainReply, MaintainRequest, NextReady, Prune};
use crate::runtime::decide::deadline::later;
use crate::runtime::decide::unhandled::UnhandledKinds;
use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::claim_signals::PlanChange;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
use crate::{JobEvent, Kind, WorkerId};

/// The most leases that one rescue ends.
const RESCUE_LIMIT: u32 = 1000;

/// Rescues and prunes until the worker has shut down.
///
/// Apart from the heartbeat loop, because a heartbeat must not wait for a slow rescue. Every worker
/// does it; the backend's locks keep two workers from doing the same.
pub(crate) async fn serve(worker: Arc<WorkerState>, backend: Arc<ServedBackend>) {
    let mut upkeep = UpkeepLoop {
        worker: &worker,
        backend: &backend,
        rescue_at: worker.now(),
        prune_at: later(worker.now(), jittered(&worker, worker.settings.prune_interval)),
        rescues: Outage::new(&worker, "rescue"),
        prunes: Outage::new(&worker, "prune"),
        look_at: worker.settings.warn_unhandled_after.map(|after| later(worker.now(), after)),
        unhandled: UnhandledKinds::default(),
    };
    loop {
        let id = tokio::select! {
            biased;
            () = worker.stop.heartbeats.cancelled() => return,
            id = backend.membership.registered() => id,
        };
        let next = upkeep.next();
        tokio::select! {
            biased;
            () = worker.stop.heartbeats.cancelled() => return,
            () = worker.environment.sleep(next.saturating_duration_since(worker.now())) => {}
        }
        upkeep.run_due(id).await;
    }
}

struct UpkeepLoop<'a> {
    worker: &'a WorkerState,
    backend: &'a ServedBackend,
    rescue_at: Instant,
    prune_at: Instant,
    rescues: Outage<'a>,
    prunes: Outage<'a>,
    look_at: Option<Instant>,
    unhandled: UnhandledKinds,
}

impl UpkeepLoop<'_> {
    fn next(&self) -> Instant {
        let next = self.rescue_at.min(self.prune_at);
        self.look_at.map_or(next, |look_at| next.min(look_at))
    }

    async fn run_due(&mut self, id: WorkerId) {
        let settings = &self.worker.settings;
        if self.rescue_at <= self.worker.now() {
            let has_more = self.backend.membership.may_rescue() && self.rescue(id).await;
            self.rescue_at = self.next_time(has_more, settings.rescue_interval);
        }
        if self.prune_at <= self.worker.now() {
            let has_more = match &settings.prune {
                Some(prune) => self.prune(prune).await,
                None => false,
            };
            self.prune_at = self.next_time(has_more, settings.prune_interval);
        }
        if let (Some(look_at), Some(interval)) = (self.look_at, settings.warn_unhandled_after)
            && look_at <= self.worker.now()
        {
            self.warn_of_unhandled().await;
            self.look_at = Some(self.next_time(false, interval));
        }
    }

    /// A backend or a role that cannot read does not warn. Does not delay the next rescue.
    async fn warn_of_unhandled(&mut self) {
        let Some(inspect) = self.backend.backend.extensions().inspect else { return };
        let patience = self.worker.settings.rescue_interval;
        let next = tokio::select! {
            biased;
            next = inspect.next_ready(&self.backend.queues) => next,
            () = self.worker.environment.sleep(patience) => return,
        };
        let next = match next {
            Ok(next) => next,
            Err(error) => return tracing::debug!(%error, "cannot look for kinds without a handler"),
        };
        let is_handled_here = |kind: &Kind| self.backend.registrations.contains_key(kind);
        for NextReady { queue, kind, job } in self.unhandled.look(next, is_handled_here) {
            tracing::warn!(
                %kind, %queue, %job,
                "no worker took the first job of this kind since the last look, and this worker has no \
                 handler for it"
            );
        }
    }

    fn next_time(&self, has_more: bool, interval: Duration) -> Instant {
        let wait = if has_more { Duration::ZERO } else { jittered(self.worker, interval) };
        later(self.worker.now(), wait)
    }

    /// Whether there may be more to rescue at once.
    async fn rescue(&mut self, id: WorkerId) -> bool {
        let request = MaintainRequest::rescue(RESCUE_LIMIT).by(id);
        let reply = self.backend.backend.maintain(request).await;
        let Some(reply) = self.rescues.check(reply) else { return false };
        let MaintainReply { rescued, died, workers_lost, .. } = reply;
        if rescued + died > 0 || workers_lost > 0 {
            tracing::warn!(workers_lost, rescued, died, "rescued the jobs of lost workers");
            self.backend.events.metrics().rescued(workers_lost, rescued, died);
            self.backend.events.send(|| JobEvent::Rescued { workers_lost, rescued, died });
            self.backend.claims.change_plan(PlanChange::LookEverywhere);
        }
        rescued + died >= u64::from(RESCUE_LIMIT)
    }

    /// Whether there may be more to prune at once.
    async fn prune(&mut self, prune: &Prune) -> bool {
        let reply = self.backend.backend.maintain(MaintainRequest::prune(prune.clone())).await;
        self.prunes.check(reply).is_some_and(|reply| reply.pruned >= u64::from(prune.limit))
    }
}

/// The interval, up to a tenth longer, so that the workers of a fleet do not act at the same
/// moment.
fn jittered(worker: &WorkerState, interval: Duration) -> Duration {
    let tenth = u64::try_from((interval / 10).as_micros()).unwrap_or(u64::MAX);
    interval.saturating_add(Duration::from_micros(worker.environment.random() % tenth.max(1)))
}
