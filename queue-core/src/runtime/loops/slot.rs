//! The loop of one slot: takes a job, runs it, and queues its settlement.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tracing::Instrument;

use crate::JobContext;
use crate::backend::{ClaimedJob, Settlement, Verdict};
use crate::panic::catch_panic;
use crate::runtime::decide::buffer::BufferedJob;
use crate::runtime::decide::settlement::PendingSettlement;
use crate::runtime::run::attempt::Attempt;
use crate::runtime::run::verdict::Judgement;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;

/// A slot yields to the other tasks of its thread after this many jobs.
const JOBS_PER_TURN: u32 = 32;

/// Runs jobs until the worker stops.
pub(crate) async fn serve(worker: Arc<WorkerState>, slot: usize) {
    let mut runs = 0;
    while let Some(next) = worker.next_job().await {
        let job = next.job.token.job;
        // A panic of the handler itself is caught in the attempt. This one is for values of the
        // handler that panic when they are dropped.
        if let Err(panic) = catch_panic(run_one(&worker, slot, next)).await {
            tracing::error!(
                %job, %panic,
                "a value of the handler panicked when dropped; the job's lease runs to its deadline"
            );
            worker.slots.show(slot, None);
        }
        runs += 1;
        if runs % JOBS_PER_TURN == 0 {
            yield_now().await;
        }
    }
}

async fn run_one(worker: &WorkerState, slot: usize, next: BufferedJob) {
    let BufferedJob { job, backend, .. } = next;
    let backend = &worker.backends[backend];
    let token = job.token;
    let started = worker.now();
    let lease_end = backend.lease_end(&job, started);
    let Some(registration) = backend.registrations.get(&job.kind) else {
        let (job, kind) = (token.job, &job.kind);
        tracing::error!(
            %job, %kind,
            "claim returned a job of a kind without a handler; it is released"
        );
        return backend.settle(Settlement::new(token, Verdict::Release), lease_end);
    };
    let span = tracing::info_span!(
        "job", id = %token.job, kind = %job.kind, queue = %job.queue, attempt = job.attempt
    );
    let context = context(worker, backend, &job);
    let _busy = backend.events.metrics().busy();
    let (limits, environment) = (&backend.limits, &*worker.environment);
    let attempt = Attempt::new(job, context, registration, limits, environment, &worker.settings);
    worker.slots.show(slot, Some(attempt.running(backend.index)));
    // From here on a shutdown interrupts it.
    let noted = backend.events.started(attempt.job());
    let judgement = attempt.run().instrument(span).await;
    let ran_for = worker.now().saturating_duration_since(started);
    worker.slots.learn_run(ran_for);
    worker.slots.show(slot, None);
    match judgement {
        Some(Judgement { verdict, may_be_completed }) => {
            let settlement = Settlement::new(token, verdict).ran_for(ran_for);
            let pending = PendingSettlement::new(settlement, lease_end);
            let pending = pending.after_transaction(may_be_completed).of_attempt(noted);
            backend.settlements.push(pending);
        }
        None => {
            tracing::error!(
                job = %token.job,
                "job ended after its lease was lost; its outcome is dropped, and it runs again"
            );
        }
    }
}

fn context(worker: &WorkerState, backend: &ServedBackend, job: &ClaimedJob) -> JobContext {
    JobContext::claimed(job, Arc::clone(&backend.context), worker.now().checked_add(job.timeout))
}

async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
