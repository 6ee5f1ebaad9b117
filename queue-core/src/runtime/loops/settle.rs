//! The settle loop of one backend: sends settlements in batches, and retries those that fail.
//!
//! Settlements that arrive during a round trip wait together for the next one, so that the size of
//! a batch follows the load.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{SettleRequest, Settled, Verdict};
use crate::metrics::Operation;
use crate::runtime::decide::settlement::{FailedSettlement, PendingSettlement, RejectedSettlement, halve};
use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
use crate::{Error, Result, WorkerId};

/// Settles until the worker has stopped.
pub(crate) async fn serve(worker: Arc<WorkerState>, backend: Arc<ServedBackend>) {
    let outage = Outage::new(&worker, "settle");
    SettleLoop { worker: &worker, backend: &backend, outage, retries: Vec::new() }.run().await;
}

struct SettleLoop<'a> {
    worker: &'a WorkerState,
    backend: &'a ServedBackend,
    outage: Outage<'a>,
    /// Settlements that failed while others succeeded, with the time of their next try.
    retries: Vec<(Instant, PendingSettlement)>,
}

impl SettleLoop<'_> {
    async fn run(mut self) {
        let limit = self.worker.settings.batch * 2;
        loop {
            let mut batch = self.take_due();
            let held = !batch.is_empty() || !self.retries.is_empty();
            batch.extend(self.backend.settlements.take(limit, held));
            if !batch.is_empty() {
                self.settle(batch).await;
                continue;
            }
            let next = self.retries.iter().map(|(at, _)| *at).min();
            let now = self.worker.now();
            let wait = next.map_or(Duration::MAX, |next| next.saturating_duration_since(now));
            tokio::select! {
                biased;
                () = self.backend.settlements.arrived() => {}
                () = self.worker.stop.settles.cancelled() => return self.settle_last().await,
                () = self.worker.environment.sleep(wait), if next.is_some() => {}
            }
        }
    }

    /// Tries once more what waits for a retry, because the worker stops.
    async fn settle_last(&mut self) {
        let mut last: Vec<PendingSettlement> = self.retries.drain(..).map(|(_, pending)| pending).collect();
        while !last.is_empty() {
            self.settle(last).await;
            // A result that was rejected is due at once, as a failed attempt.
            last = self.take_due();
        }
    }

    fn take_due(&mut self) -> Vec<PendingSettlement> {
        let now = self.worker.now();
        self.retries.extract_if(.., |(at, _)| *at <= now).map(|(_, pending)| pending).collect()
    }

    /// Settles a batch, however long the outage is. Repeating is safe, because a token that settled
    /// already is `Done` again.
    async fn settle(&mut self, mut batch: Vec<PendingSettlement>) {
        let id = self.backend.membership.id().unwrap_or_else(WorkerId::generate);
        // A settlement may have to wait for the transaction that completes its job. The others must
        // not wait with it.
        let apart = batch.extract_if(.., |pending| pending.may_be_completed).collect();
        let mut work: VecDeque<_> = [batch, apart].into_iter().filter(|batch| !batch.is_empty()).collect();
        while let Some(batch) = work.pop_front() {
            let settlements = batch.iter().map(|pending| pending.settlement.clone()).collect();
            let sent_at = self.worker.now();
            let reply = self.backend.backend.settle(SettleRequest::new(id, settlements)).await;
            let took = self.worker.now().saturating_duration_since(sent_at);
            self.backend.events.metrics().answered(Operation::Settle, took, &reply);
            match reply {
                Ok(replies) => {
                    self.outage.succeeded();
                    self.backend.claims.end_settle_outage();
                    self.take_in(batch, replies);
                }
                Err(error) if error.is_final() => work.extend(split(batch, &error)),
                Err(error) => {
                    self.backend.claims.begin_settle_outage();
                    self.outage.failed(&error);
                    self.outage.wait().await;
                    work.push_front(batch);
                }
            }
        }
    }

    /// Keeps the settlements that must be tried again.
    fn take_in(&mut self, batch: Vec<PendingSettlement>, replies: Vec<Result<Settled>>) {
        for (pending, reply) in batch.into_iter().zip(replies) {
            match reply {
                Ok(Settled::Done) => {
                    if pending.may_be_completed {
                        let (job, error) = (pending.job(), text(&pending.settlement.verdict));
                        tracing::warn!(
                            %job, %error,
                            "no transaction of the handler completed the job; it is settled as failed"
                        );
                    }
                    self.backend.events.settled(pending.attempt.as_deref(), pending.settlement);
                }
                Ok(Settled::LeaseLost) if pending.may_be_completed => {
                    let job = pending.job();
                    tracing::debug!(%job, "the job was completed in a transaction, or its lease was lost");
                    if let Some(attempt) = &pending.attempt {
                        attempt.completed_in_transaction(pending.settlement.ran_for);
                    }
                }
                Ok(Settled::LeaseLost) => {
                    let job = pending.job();
                    tracing::error!(
                        %job,
                        "lease lost before the settle; the job's outcome is dropped"
                    );
                }
                Err(error) if error.is_final() => {
                    let failed = reject(pending, &error);
                    self.retries.extend(failed.map(|failed| (self.worker.now(), failed)));
                }
                Err(error) => self.retry(pending, &error),
            }
        }
    }

    /// Retries a settlement apart from the others, so that they do not wait for it.
    fn retry(&mut self, pending: PendingSettlement, error: &Error) {
        let job = pending.job();
        match pending.failed(error, self.worker.now(), &self.worker.settings) {
            FailedSettlement::Retry { at, pending, is_first_failure } => {
                if is_first_failure {
                    tracing::warn!(
                        %job, %error,
                        "settle of one job failed; retrying until its lease ends"
                    );
                }
                self.retries.push((at, pending));
            }
            FailedSettlement::Drop => {
                tracing::error!(
                    %job, %error,
                    "settle of one job failed until its lease ended; the job's outcome is dropped"
                );
            }
        }
    }
}

/// The error or reason of a verdict.
fn text(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Retry { error, .. } | Verdict::Bury { error } => error,
        Verdict::Cancel { reason } => reason,
        Verdict::Complete(_) | Verdict::Snooze { .. } | Verdict::Release => "none",
    }
}

/// Splits a batch that was rejected as a whole. Returns the batches to settle instead.
fn split(batch: Vec<PendingSettlement>, error: &Error) -> Vec<Vec<PendingSettlement>> {
    match halve(batch) {
        Ok(halves) => halves.into(),
        Err(batch) => {
            let failed = batch.into_iter().filter_map(|pending| reject(pending, error));
            failed.map(|failed| vec![failed]).collect()
        }
    }
}

/// Turns a rejected settlement into one that fails its attempt, if that is possible.
fn reject(pending: PendingSettlement, error: &Error) -> Option<PendingSettlement> {
    let job = pending.job();
    match pending.rejected(error) {
        RejectedSettlement::FailAttempt(failed) => {
            tracing::error!(
                %job, %error,
                "result rejected by the storage; the attempt is settled as failed"
            );
            Some(failed)
        }
        RejectedSettlement::Drop => {
            tracing::error!(
                %job, %error,
                "settle of one job rejected; its lease runs to its deadline"
            );
            None
        }
    }
}
