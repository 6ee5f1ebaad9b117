//! Rescue and pruning, each in its rhythm.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::WorkerId;
use crate::backend::{MaintainReply, MaintainRequest, Prune};
use crate::runtime::environment::later;
use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::served_backend::{Nudge, Station};
use crate::runtime::shared::worker_state::Engine;

/// The most leases that one rescue takes back.
const RESCUE_LIMIT: u32 = 1000;

/// Keeps a backend up until the worker has shut down. Apart from the heartbeat, which must not wait
/// for it. Every worker does it; the backend's locks share it out.
pub(crate) async fn serve(engine: Arc<Engine>, station: Arc<Station>) {
    let prune_at = later(engine.now(), jittered(&engine, engine.settings.prune_interval));
    let outage = |doing| Outage::new(&engine, doing);
    let mut upkeep = Upkeep {
        engine: &engine,
        station: &station,
        rescue_at: engine.now(),
        prune_at,
        rescues: outage("rescue the jobs of dead workers"),
        prunes: outage("remove old jobs"),
    };
    loop {
        let worker = tokio::select! {
            biased;
            () = engine.stop_beats.cancelled() => return,
            worker = station.registered() => worker,
        };
        let next = upkeep.rescue_at.min(upkeep.prune_at);
        tokio::select! {
            biased;
            () = engine.stop_beats.cancelled() => return,
            () = engine.environment.sleep(next.saturating_duration_since(engine.now())) => {}
        }
        upkeep.run_due(worker).await;
    }
}

struct Upkeep<'a> {
    engine: &'a Engine,
    station: &'a Station,
    rescue_at: Instant,
    prune_at: Instant,
    rescues: Outage<'a>,
    prunes: Outage<'a>,
}

impl Upkeep<'_> {
    async fn run_due(&mut self, worker: WorkerId) {
        let settings = &self.engine.settings;
        if self.rescue_at <= self.engine.now() {
            let more = self.station.may_rescue.load(Ordering::SeqCst) && self.rescue(worker).await;
            let wait = if more { Duration::ZERO } else { jittered(self.engine, settings.rescue_interval) };
            self.rescue_at = later(self.engine.now(), wait);
        }
        if self.prune_at <= self.engine.now() {
            let more = match &settings.prune {
                Some(prune) => self.prune(prune).await,
                None => false,
            };
            let wait = if more { Duration::ZERO } else { jittered(self.engine, settings.prune_interval) };
            self.prune_at = later(self.engine.now(), wait);
        }
    }

    /// Whether there may be more to rescue at once.
    async fn rescue(&mut self, worker: WorkerId) -> bool {
        let request = MaintainRequest::rescue(RESCUE_LIMIT).by(worker);
        let Some(reply) = self.rescues.note(self.station.backend.maintain(request).await) else {
            return false;
        };
        let taken = reply.rescued + reply.died;
        if taken > 0 || reply.workers_lost > 0 {
            let MaintainReply { rescued, died, workers_lost, .. } = reply;
            tracing::warn!(workers_lost, rescued, died, "took back the jobs of dead workers");
            self.station.nudge(Nudge::LookEverywhere);
        }
        taken >= u64::from(RESCUE_LIMIT)
    }

    /// Whether there may be more to prune at once.
    async fn prune(&mut self, prune: &Prune) -> bool {
        let reply = self.station.backend.maintain(MaintainRequest::prune(prune.clone())).await;
        self.prunes.note(reply).is_some_and(|reply| reply.pruned >= u64::from(prune.limit))
    }
}

/// The interval, up to a tenth longer, so that the workers of a fleet do not act in step.
fn jittered(engine: &Engine, interval: Duration) -> Duration {
    let tenth = u64::try_from((interval / 10).as_micros()).unwrap_or(u64::MAX);
    interval.saturating_add(Duration::from_micros(engine.environment.random() % tenth.max(1)))
}
