//! The life of the worker on one backend: registers, beats, and registers anew when it was given up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::backend::{
    Beat, HeartbeatReply, HeartbeatRequest, ProgressReport, RegisterRequest, RetireRequest,
};
use crate::runtime::environment::later;
use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::served_backend::{Nudge, Station};
use crate::runtime::shared::worker_state::Engine;
use crate::{Error, ErrorKind, Progress, Result, Token, WorkerId};

/// Heartbeats in a row that may find leases nobody here holds, before the worker registers anew so
/// that they expire.
const FORGOTTEN_BEATS: u32 = 2;

/// How often the buffer is searched for jobs that wait far too long.
const STALE_LOOK: Duration = Duration::from_secs(1);

/// What to do after a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Beat again after this long.
    BeatIn(Duration),
    /// The worker is lost, or has leases that it forgot: begin anew.
    Renew,
}

/// Decides after each heartbeat. Pure.
#[derive(Debug)]
pub(crate) struct Rhythm {
    interval: Duration,
    expiry: Duration,
    forgotten: u32,
    no_rescue_before: Option<Instant>,
}

impl Rhythm {
    pub(crate) const fn new(interval: Duration, expiry: Duration) -> Self {
        Self { interval, expiry, forgotten: 0, no_rescue_before: None }
    }

    fn after(&mut self, answer: &Result<HeartbeatReply>, holds_any: bool, now: Instant) -> Next {
        match answer {
            Ok(reply) => {
                if reply.beat == Beat::Late {
                    self.no_rescue_before = Some(later(now, self.expiry));
                }
                self.forgotten = if reply.leases > 0 && !holds_any { self.forgotten + 1 } else { 0 };
                if self.forgotten >= FORGOTTEN_BEATS { Next::Renew } else { Next::BeatIn(self.interval) }
            }
            Err(error) if error.kind() == ErrorKind::WorkerLost => Next::Renew,
            // Often enough to fit several tries into an expiry.
            Err(_) => Next::BeatIn(self.interval / 5),
        }
    }

    fn may_rescue(&self, now: Instant) -> bool {
        self.no_rescue_before.is_none_or(|before| before <= now)
    }
}

/// Keeps the worker alive on one backend until it has shut down, then retires it.
pub(crate) async fn serve(engine: Arc<Engine>, station: Arc<Station>) {
    while let Some(worker) = register(&engine, &station).await {
        station.set_identity(Some(worker));
        station.nudge(Nudge::LookEverywhere);
        station.may_rescue.store(true, Ordering::SeqCst);
        live(&engine, &station, worker).await;
        station.may_rescue.store(false, Ordering::SeqCst);
        station.set_identity(None);
        if engine.stop_beats.is_cancelled() {
            let retired = station.backend.retire(RetireRequest::new(worker)).await;
            if let Err(error) = retired {
                tracing::warn!(%worker, %error, "could not retire; the worker expires by itself");
            }
            return;
        }
        tracing::warn!(%worker, "the worker was given up; its jobs are dropped, and it registers anew");
        engine.abandon(&station);
    }
}

async fn register(engine: &Engine, station: &Station) -> Option<WorkerId> {
    let mut outage = Outage::new(engine, "register a worker");
    loop {
        let worker = WorkerId::generate();
        let name = format!("{}/{}", station.backend.name(), std::process::id());
        let request = RegisterRequest::new(worker, name, engine.settings.worker_expiry);
        match station.backend.register(request).await {
            Ok(()) => return Some(worker),
            Err(error) => outage.report(&error),
        }
        tokio::select! {
            biased;
            () = engine.stop_beats.cancelled() => return None,
            () = outage.wait() => {}
        }
    }
}

/// Beats until the worker is lost or has shut down.
async fn live(engine: &Engine, station: &Station, worker: WorkerId) {
    let mut rhythm = Rhythm::new(engine.settings.heartbeat_interval, engine.settings.worker_expiry);
    let mut outage = Outage::new(engine, "send a heartbeat");
    let mut reported = Vec::new();
    let mut beat_at = later(engine.now(), engine.settings.heartbeat_interval);
    loop {
        let wait = beat_at.saturating_duration_since(engine.now()).min(STALE_LOOK);
        tokio::select! {
            biased;
            () = engine.stop_beats.cancelled() => return,
            () = station.lost.notified() => beat_at = engine.now(),
            () = engine.environment.sleep(wait) => {}
        }
        engine.release_stale(station);
        if beat_at > engine.now() {
            continue;
        }
        let answer = beat(engine, station, worker, &mut reported).await;
        match &answer {
            Ok(reply) => {
                outage.over();
                take_in(engine, station, reply);
                // A claim may have taken an old loss for a new one.
                station.set_identity(Some(worker));
            }
            Err(error) => outage.report(error),
        }
        let next = rhythm.after(&answer, engine.holds_any(station), engine.now());
        station.may_rescue.store(answer.is_ok() && rhythm.may_rescue(engine.now()), Ordering::SeqCst);
        match next {
            Next::BeatIn(wait) => beat_at = later(engine.now(), wait),
            Next::Renew => return,
        }
    }
}

/// One heartbeat, with the progress that is new. A report that is refused for good must not cost the worker its leases,
/// so the heartbeat is sent again without any.
async fn beat(
    engine: &Engine,
    station: &Station,
    worker: WorkerId,
    reported: &mut Vec<(Token, Progress)>,
) -> Result<HeartbeatReply, Error> {
    let known = |(token, context): (Token, crate::JobContext)| Some((token, context.progress()?));
    let current: Vec<_> = engine.running(station.index).into_iter().filter_map(known).collect();
    let mut request = HeartbeatRequest::new(worker);
    let new = current.iter().filter(|report| !reported.contains(report));
    request.progress =
        new.map(|(token, progress)| ProgressReport { token: *token, progress: progress.clone() }).collect();
    let has_reports = !request.progress.is_empty();
    let reply = match station.backend.heartbeat(request).await {
        Err(error) if has_reports && !error.is_retryable() && error.kind() != ErrorKind::WorkerLost => {
            let reply = station.backend.heartbeat(HeartbeatRequest::new(worker)).await?;
            tracing::error!(%worker, %error, "the progress of jobs cannot be stored; it is left out");
            reply
        }
        reply => reply?,
    };
    *reported = current;
    Ok(reply)
}

fn take_in(engine: &Engine, station: &Station, reply: &HeartbeatReply) {
    for &id in &reply.cancels {
        engine.cancel(station, id);
    }
    if let Some(wait) = reply.next_due {
        station.nudge(Nudge::DueIn(wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);
    const EXPIRY: Duration = Duration::from_secs(15);

    fn reply(beat: Beat, leases: u64) -> Result<HeartbeatReply> {
        Ok(HeartbeatReply::new(beat, Vec::new(), leases, None))
    }

    #[test]
    fn a_failed_heartbeat_is_tried_again_soon_and_a_lost_worker_begins_anew() {
        let mut rhythm = Rhythm::new(INTERVAL, EXPIRY);
        let now = Instant::now();
        assert_eq!(rhythm.after(&reply(Beat::InTime, 3), true, now), Next::BeatIn(INTERVAL));
        let away = Err(Error::new(ErrorKind::Unavailable, "beat", "away"));
        assert_eq!(rhythm.after(&away, true, now), Next::BeatIn(Duration::from_secs(1)));
        let lost = Err(Error::new(ErrorKind::WorkerLost, "beat", "lost"));
        assert_eq!(rhythm.after(&lost, true, now), Next::Renew);
    }

    #[test]
    fn a_late_heartbeat_forbids_rescue_for_a_full_expiry() {
        let mut rhythm = Rhythm::new(INTERVAL, EXPIRY);
        let now = Instant::now();
        assert!(rhythm.may_rescue(now));
        rhythm.after(&reply(Beat::Late, 0), false, now);
        rhythm.after(&reply(Beat::InTime, 0), false, now + INTERVAL);
        assert!(!rhythm.may_rescue(now + EXPIRY - Duration::from_millis(1)));
        assert!(rhythm.may_rescue(now + EXPIRY));
    }

    #[test]
    fn leases_that_nobody_holds_are_left_behind() {
        let mut rhythm = Rhythm::new(INTERVAL, EXPIRY);
        let now = Instant::now();
        assert_eq!(rhythm.after(&reply(Beat::InTime, 1), false, now), Next::BeatIn(INTERVAL));
        assert_eq!(rhythm.after(&reply(Beat::InTime, 1), true, now), Next::BeatIn(INTERVAL));
        assert_eq!(rhythm.after(&reply(Beat::InTime, 1), false, now), Next::BeatIn(INTERVAL));
        assert_eq!(rhythm.after(&reply(Beat::InTime, 1), false, now), Next::Renew);
    }
}
