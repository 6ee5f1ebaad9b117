//! The slots: each takes a job, runs it, and leaves its verdict.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::JobContext;
use crate::backend::Verdict;
use crate::runtime::decide::buffer::Buffered;
use crate::runtime::run::attempt::Attempt;
use crate::runtime::run::panic::catch_panic;
use crate::runtime::shared::worker_state::Engine;

/// Jobs after which a slot lets other tasks of its thread have a turn.
const TURN: u32 = 32;

/// Runs jobs until the worker stops.
pub(crate) async fn serve(engine: Arc<Engine>, slot: usize) {
    let mut run = 0;
    while let Some(next) = engine.next_job().await {
        let job = next.job.token.job;
        // Handlers are guarded more closely; this is for what their values do when they are dropped.
        if let Err(message) = catch_panic(serve_one(&engine, slot, next)).await {
            tracing::error!(%job, message, "a job panicked after its end; its lease is left to its deadline");
            engine.occupy(slot, None);
        }
        run += 1;
        if run % TURN == 0 {
            yield_now().await;
        }
    }
}

async fn serve_one(engine: &Engine, slot: usize, next: Buffered) {
    let Buffered { job, station, .. } = next;
    let station = &engine.stations[station];
    let token = job.token;
    let started = engine.now();
    let lease_end = station.lease_end(&job, started);
    let Some(registration) = station.registrations.get(&job.kind) else {
        tracing::error!(job = %token.job, kind = %job.kind, "claimed a job of a kind that was not asked for");
        return station.settle(token, Verdict::Release, lease_end);
    };
    let context = JobContext::new(job.kind.clone())
        .with_id(token.job)
        .with_queue(job.queue.clone())
        .with_attempt(job.attempt)
        .with_max_retries(job.max_retries)
        .with_end(engine.now().checked_add(job.timeout))
        .with_shared_state(Arc::clone(&engine.state))
        .with_shutdown(Arc::clone(&engine.shutdown));
    let (limits, environment) = (&station.limits, &*engine.environment);
    let attempt = Attempt::new(job, context, registration, limits, environment, &engine.settings);
    engine.occupy(slot, Some(attempt.running(station.index)));
    let verdict = attempt.run().await;
    engine.learn_run(engine.now().saturating_duration_since(started));
    engine.occupy(slot, None);
    match verdict {
        Some(verdict) => station.settle(token, verdict, lease_end),
        None => {
            tracing::warn!(job = %token.job, "a job ran on after its lease was lost; its outcome is dropped");
        }
    }
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
