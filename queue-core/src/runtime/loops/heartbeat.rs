//! The heartbeat loop of one backend: registers the worker, sends heartbeats, and registers it
//! again when it is lost.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{HeartbeatReply, HeartbeatRequest, ProgressReport, RegisterRequest, RetireRequest};
use crate::runtime::decide::deadline::later;
use crate::runtime::decide::heartbeat::{HeartbeatSchedule, HeartbeatStep};
use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::claim_signals::PlanChange;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
use crate::{ErrorKind, JobContext, Progress, Result, Token, WorkerId};

/// How often the loop releases jobs that have waited far too long for a slot, and looks for
/// handlers that do not stop.
const STALE_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the worker registered on one backend until it has shut down, then retires it.
pub(crate) async fn serve(worker: Arc<WorkerState>, backend: Arc<ServedBackend>) {
    while let Some(id) = register(&worker, &backend).await {
        backend.set_worker_id(Some(id));
        backend.claims.change_plan(PlanChange::LookEverywhere);
        backend.membership.set_may_rescue(true);
        send_heartbeats(&worker, &backend, id).await;
        backend.membership.set_may_rescue(false);
        backend.set_worker_id(None);
        if worker.stop.heartbeats.is_cancelled() {
            if let Err(error) = backend.backend.retire(RetireRequest::new(id)).await {
                tracing::warn!(
                    worker = %id, %error,
                    "retiring the worker failed; it expires by itself"
                );
            }
            return;
        }
        tracing::warn!(worker = %id, "worker lost; its jobs are dropped, and it registers again");
        worker.drop_jobs(&backend);
    }
}

/// Registers under a new id; `None` if the worker stops before.
async fn register(worker: &WorkerState, backend: &ServedBackend) -> Option<WorkerId> {
    let mut outage = Outage::new(worker, "registration");
    loop {
        let id = WorkerId::generate();
        let name = format!("{}/{}", backend.backend.name(), std::process::id());
        let request = RegisterRequest::new(id, name, worker.settings.worker_expiry);
        match backend.backend.register(request).await {
            Ok(()) => return Some(id),
            Err(error) => outage.failed(&error),
        }
        tokio::select! {
            biased;
            () = worker.stop.heartbeats.cancelled() => return None,
            () = outage.wait() => {}
        }
    }
}

/// Sends heartbeats until the worker must register again, or has shut down.
async fn send_heartbeats(worker: &WorkerState, backend: &ServedBackend, id: WorkerId) {
    let settings = &worker.settings;
    let mut schedule = HeartbeatSchedule::new(settings.heartbeat_interval, settings.worker_expiry);
    let mut outage = Outage::new(worker, "heartbeat");
    let mut reported = Vec::new();
    let mut beat_at = later(worker.now(), settings.heartbeat_interval);
    loop {
        let wait = beat_at.saturating_duration_since(worker.now()).min(STALE_INTERVAL);
        tokio::select! {
            biased;
            () = worker.stop.heartbeats.cancelled() => return,
            () = backend.membership.loss_reported() => beat_at = worker.now(),
            () = worker.environment.sleep(wait) => {}
        }
        worker.release_stale(backend);
        worker.report_stuck(backend, STALE_INTERVAL);
        if beat_at > worker.now() {
            continue;
        }
        let reply = send_heartbeat(worker, backend, id, &mut reported).await;
        match &reply {
            Ok(reply) => {
                outage.succeeded();
                take_in(worker, backend, reply);
                // A claim may have removed the id because of an earlier loss.
                backend.set_worker_id(Some(id));
            }
            Err(error) => outage.failed(error),
        }
        let step = schedule.after(&reply, worker.holds_lease(backend), worker.now());
        backend.membership.set_may_rescue(reply.is_ok() && schedule.may_rescue(worker.now()));
        match step {
            HeartbeatStep::BeatIn(wait) => beat_at = later(worker.now(), wait),
            HeartbeatStep::RegisterAgain => return,
        }
    }
}

/// Sends one heartbeat, with the progress that changed since `reported`.
///
/// If a report is refused, the heartbeat is sent again without reports: otherwise the worker would
/// lose its leases.
async fn send_heartbeat(
    worker: &WorkerState,
    backend: &ServedBackend,
    id: WorkerId,
    reported: &mut Vec<(Token, Progress)>,
) -> Result<HeartbeatReply> {
    let progress = |(token, context): (Token, JobContext)| Some((token, context.progress()?));
    let current: Vec<_> = worker.slots.running(backend.index).into_iter().filter_map(progress).collect();
    let mut request = HeartbeatRequest::new(id);
    let new = current.iter().filter(|report| !reported.contains(report));
    request.progress =
        new.map(|(token, progress)| ProgressReport { token: *token, progress: progress.clone() }).collect();
    let has_reports = !request.progress.is_empty();
    let reply = match backend.backend.heartbeat(request).await {
        Err(error) if has_reports && !error.is_retryable() && error.kind() != ErrorKind::WorkerLost => {
            let reply = backend.backend.heartbeat(HeartbeatRequest::new(id)).await?;
            tracing::error!(
                worker = %id, %error,
                "progress refused; the heartbeat was sent without it"
            );
            reply
        }
        reply => reply?,
    };
    *reported = current;
    Ok(reply)
}

fn take_in(worker: &WorkerState, backend: &ServedBackend, reply: &HeartbeatReply) {
    for &id in &reply.cancels {
        worker.cancel(backend, id);
    }
    if let Some(wait) = reply.next_due {
        backend.claims.change_plan(PlanChange::DueIn(wait));
    }
}
