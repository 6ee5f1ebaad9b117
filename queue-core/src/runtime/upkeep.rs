//! Rescue and pruning, each in its rhythm.

use std::time::{Duration, Instant};

use super::engine::Engine;
use super::station::{Nudge, Station};
use crate::backend::{MaintainReply, MaintainRequest, Prune};

/// The most leases that one rescue takes back.
const RESCUE_LIMIT: u32 = 1000;

/// The upkeep of one backend by one worker. Every worker does it; the backend's locks share it out.
#[derive(Debug)]
pub(super) struct Upkeep<'a> {
    engine: &'a Engine,
    station: &'a Station,
    rescue_at: Instant,
    prune_at: Instant,
}

impl<'a> Upkeep<'a> {
    pub(super) fn new(engine: &'a Engine, station: &'a Station) -> Self {
        let now = engine.now();
        let prune_at = now + jittered(engine, engine.settings.prune_interval);
        Self { engine, station, rescue_at: now, prune_at }
    }

    /// When something is next due.
    pub(super) fn next(&self) -> Instant {
        self.rescue_at.min(self.prune_at)
    }

    /// Does what is due.
    pub(super) async fn run_due(&mut self, may_rescue: bool) {
        let settings = &self.engine.settings;
        if self.rescue_at <= self.engine.now() {
            let more = may_rescue && self.rescue().await;
            let wait = if more { Duration::ZERO } else { jittered(self.engine, settings.rescue_interval) };
            self.rescue_at = self.engine.now() + wait;
        }
        if self.prune_at <= self.engine.now() {
            let more = match &settings.prune {
                Some(prune) => self.prune(prune).await,
                None => false,
            };
            let wait = if more { Duration::ZERO } else { jittered(self.engine, settings.prune_interval) };
            self.prune_at = self.engine.now() + wait;
        }
    }

    /// Whether there may be more to rescue at once.
    async fn rescue(&self) -> bool {
        let Some(reply) = self.maintain(MaintainRequest::rescue(RESCUE_LIMIT)).await else { return false };
        let taken = reply.rescued + reply.died;
        if taken > 0 || reply.workers_lost > 0 {
            let MaintainReply { rescued, died, workers_lost, .. } = reply;
            tracing::warn!(workers_lost, rescued, died, "took back the jobs of dead workers");
            self.station.nudge(Nudge::LookEverywhere);
        }
        taken >= u64::from(RESCUE_LIMIT)
    }

    /// Whether there may be more to prune at once.
    async fn prune(&self, prune: &Prune) -> bool {
        let reply = self.maintain(MaintainRequest::prune(prune.clone())).await;
        reply.is_some_and(|reply| reply.pruned >= u64::from(prune.limit))
    }

    async fn maintain(&self, request: MaintainRequest) -> Option<MaintainReply> {
        match self.station.backend.maintain(request).await {
            Ok(reply) => Some(reply),
            Err(error) => {
                tracing::warn!(%error, "upkeep failed; it is tried again");
                None
            }
        }
    }
}

/// The interval, up to a tenth longer, so that the workers of a fleet do not act in step.
fn jittered(engine: &Engine, interval: Duration) -> Duration {
    let tenth = u64::try_from((interval / 10).as_micros()).unwrap_or(u64::MAX);
    interval + Duration::from_micros(engine.environment.random() % tenth.max(1))
}
