//! Inserts, cancels, and retries by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use queue_core::backend::{CancelReply, CancelRequest, IfRunning, InsertRequest, RetryReply, RetryRequest};
use queue_core::{ErrorKind, JobId, JobSpec, JobState, Payload, Submitted, Timestamp};

use super::super::super::super::case::CaseResult;
use super::super::super::super::check::{About as _, check_eq, ensure_eq, fails_with};
use super::super::super::super::promise::Promise;
use super::super::super::operation::{Claiming, Row, Signal};
use super::super::super::tally::{Rare, Tally};
use super::Run;

impl Run<'_> {
    /// Inserts the batches in one request, and makes the claim with it if the backend can.
    pub(super) async fn insert(
        &mut self,
        batches: &[Vec<Row>],
        claim: Option<&Claiming>,
        tally: &mut Tally,
    ) -> CaseResult {
        let mut built = Vec::new();
        for rows in batches {
            built.extend(Some(self.batch(rows)?).filter(|batch| !batch.is_empty()));
        }
        if built.is_empty() {
            return Ok(());
        }
        let (now, backend) = (self.kit.now(), self.kit.backend()?);
        let claim = claim.filter(|_| backend.capabilities().insert_and_claim);
        let claim = claim.map(|claiming| self.claim_request(claiming)).transpose()?;
        let request = InsertRequest::new(built.clone()).at(now).claim(claim.clone());
        let mut reply = backend.insert(request).await?;
        if claim.is_some() && reply.batches.is_empty() {
            // It was declined, and nothing was stored.
            return Ok(());
        }
        ensure_eq!(reply.batches.len(), built.len(), "the number of results for the batches");
        for (batch, result) in built.into_iter().zip(reply.batches.drain(..)) {
            self.agree_on_batch(now, batch, result, tally)?;
        }
        match (claim, reply.claim) {
            (Some(request), Some(answer)) => self.agree_on_claim(&request, answer, tally),
            _ => Ok(()),
        }
    }

    fn agree_on_batch(
        &mut self,
        now: Timestamp,
        batch: Vec<JobSpec>,
        result: queue_core::Result<Vec<Submitted>>,
        tally: &mut Tally,
    ) -> CaseResult {
        match self.model.insert(now, &batch) {
            Ok(inserted) => {
                let submitted = result.about(Promise::IdempotentEnqueue)?;
                let seen: Vec<_> = submitted.iter().map(|job| (job.id, job.is_new())).collect();
                let expected: Vec<_> = batch.iter().map(|spec| (spec.id, inserted)).collect();
                check_eq!(seen, expected, "the replies to the jobs of a batch")
                    .about(Promise::IdempotentEnqueue)?;
                if inserted {
                    self.specs.extend(batch);
                }
                tally.reached_if(!inserted, Rare::InsertedAgain);
            }
            Err(_) => {
                fails_with(result, ErrorKind::Conflict).about(Promise::IdempotentEnqueue)?;
                tally.reached(Rare::BatchRefused);
            }
        }
        Ok(())
    }

    /// Builds the jobs of the rows, each id at most once.
    fn batch(&self, rows: &[Row]) -> anyhow::Result<Vec<JobSpec>> {
        let mut ids = BTreeSet::new();
        let mut batch = Vec::new();
        for row in rows {
            batch.extend(self.spec(row)?.filter(|spec| ids.insert(spec.id)));
        }
        Ok(batch)
    }

    fn spec(&self, row: &Row) -> anyhow::Result<Option<JobSpec>> {
        let before = |index: &proptest::sample::Index| {
            (!self.specs.is_empty()).then(|| index.get(&self.specs).clone())
        };
        match row {
            Row::New { kind, queue, priority, retries, delay, timeout } => {
                let spec = self.kit.spec(kind).queue(queue).priority(*priority).max_retries(*retries);
                let spec = spec.timeout(Duration::from_secs(*timeout));
                // From five seconds in the past on, so that jobs may precede jobs that were claimed
                // before.
                let run_at = |delay: u64| {
                    let start = self.kit.now().saturating_sub(Duration::from_secs(5));
                    start.saturating_add(Duration::from_secs(delay))
                };
                Ok(Some(match delay {
                    Some(delay) => spec.run_at(run_at(*delay)).build()?,
                    None => spec.build()?,
                }))
            }
            Row::Again(index) => Ok(before(index)),
            Row::Clash(index) => {
                let payload = Payload::json("[\"another\"]")?;
                Ok(before(index).map(|spec| spec.payload(payload)))
            }
        }
    }

    pub(super) async fn cancel(&mut self, jobs: &[JobId], signal: Signal, tally: &mut Tally) -> CaseResult {
        let now = self.kit.now();
        let request = CancelRequest::new(jobs.to_vec()).at(now);
        let (request, if_running) = match signal {
            Signal::Yes => (request.signal_running(), IfRunning::Signal),
            Signal::No => (request, IfRunning::Leave),
        };
        let seen = self.kit.backend()?.cancel(request).await?;
        let expected: Vec<_> = jobs.iter().map(|id| self.model.cancel(now, *id, if_running)).collect();
        check_eq!(seen, expected, "the replies to a cancel").about(Promise::CancelLinearizable)?;
        for (job, reply) in jobs.iter().zip(expected) {
            if reply == CancelReply::Running && if_running == IfRunning::Signal {
                self.signalled.push(*job);
            }
            tally.reached_if(reply == CancelReply::Running, Rare::CancelMetRunning);
            tally.reached_if(matches!(reply, CancelReply::Finished(_)), Rare::CancelMetFinished);
        }
        Ok(())
    }

    pub(super) async fn retry(&mut self, jobs: &[JobId], tally: &mut Tally) -> CaseResult {
        let (backend, now) = (self.kit.backend()?, self.kit.now());
        let Some(manage) = backend.extensions().manage else { return Ok(()) };
        let seen = manage.retry(RetryRequest::new(jobs.to_vec()).at(now)).await?;
        ensure_eq!(seen.len(), jobs.len(), "the number of replies to a retry by hand");
        for (job, seen) in jobs.iter().zip(seen) {
            let expected = self.model.retry(now, *job);
            // Any worker may have promoted a job that is due.
            let is_due = matches!(expected, RetryReply::Unfinished(state) if state != JobState::Running);
            if !(is_due && seen == RetryReply::Unfinished(JobState::Ready)) {
                check_eq!(seen, expected, "the reply to a retry of {job} by hand")
                    .about(Promise::TerminalFinal)?;
            }
            tally.reached_if(expected == RetryReply::Retried, Rare::RetriedByHand);
            tally.reached_if(matches!(expected, RetryReply::Unfinished(_)), Rare::RetryMetUnfinished);
        }
        Ok(())
    }
}
