//! Checks the reply to an operation under a fault, and repeats the operation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use queue_core::backend::{
    CancelReply, ClaimRequest, ClaimedJob, LeasesRequest, RetryReply, ScheduleChange, ScheduleChanged,
    Settled,
};
use queue_core::{ErrorKind, JobId, JobState, QueueName, Result, WorkerId};
use tokio::time::sleep;

use super::{Act, Answer};
use crate::conformance::case::CaseResult;
use crate::conformance::check::ensure_eq;
use crate::conformance::fault::{Fails, Fault, Work};
use crate::conformance::kit::Kit;
use crate::conformance::wait::in_time;

/// Pause before a retry.
const PAUSE: Duration = Duration::from_millis(5);

/// Fails unless the fault permits the reply.
pub(crate) fn judge(act: &Act, fault: Fault, answer: &Result<Answer>) -> CaseResult {
    judge_work(act.name(), act.work(), fault, answer)
}

/// Does the same for an operation with these writes.
pub(crate) fn judge_work<T: fmt::Debug>(
    name: &str,
    work: Work,
    fault: Fault,
    answer: &Result<T>,
) -> CaseResult {
    match (answer, fault.fails(work)) {
        (Ok(answer), Fails::Certainly) => {
            bail!("the {name} must fail under the fault `{fault}`, but succeeded: {answer:?}")
        }
        (Err(error), Fails::Never) => {
            bail!("the {name} must succeed despite the fault `{fault}`, but failed: {error:?}")
        }
        (Err(error), _) => {
            let kind = error.kind();
            ensure!(
                fault.permits(kind, work),
                "the {name} must not fail with `{kind}` under the fault `{fault}`: {error:?}"
            );
            Ok(())
        }
        (Ok(_), _) => Ok(()),
    }
}

/// Repeats an operation as long as its error is retryable, as callers do.
pub(crate) async fn persist<T, F>(what: &str, mut attempt: impl FnMut() -> F) -> anyhow::Result<Result<T>>
where
    F: Future<Output = anyhow::Result<Result<T>>>,
{
    let succeed = async {
        loop {
            match attempt().await? {
                Err(error) if error.is_retryable() => sleep(PAUSE).await,
                answer => return anyhow::Ok(answer),
            }
        }
    };
    in_time(&format!("the repeated {what} to succeed"), succeed).await?
}

impl Act {
    async fn persist(&self, kit: &Kit) -> anyhow::Result<Result<Answer>> {
        let session = kit.impatient();
        persist(self.name(), || self.attempt(&session)).await
    }

    /// Does the same for an operation whose reply depends on an earlier execution. Also returns
    /// whether it cannot have been executed before, because all attempts but the last were refused.
    async fn persist_after(
        &self,
        kit: &Kit,
        first: &Result<Answer>,
    ) -> anyhow::Result<(Result<Answer>, bool)> {
        let session = kit.impatient();
        let is_refused = AtomicBool::new(is_refusal(first));
        let attempt = async || {
            let answer = self.attempt(&session).await?;
            is_refused.fetch_and(answer.is_ok() || is_refusal(&answer), Ordering::Relaxed);
            Ok(answer)
        };
        let answer = persist(self.name(), attempt).await?;
        Ok((answer, is_refused.into_inner()))
    }

    /// Repeats the operation on the handle that met the fault until it succeeds. Fails unless the
    /// outcome is that of one execution, whatever the first reply was.
    pub(crate) async fn finish(&self, kit: &Kit, first: &Result<Answer>) -> CaseResult {
        let outcome = self.finish_after(kit, first).await;
        outcome.with_context(|| format!("the first reply to the {} was {first:?}", self.name()))
    }

    async fn finish_after(&self, kit: &Kit, first: &Result<Answer>) -> CaseResult {
        match self {
            Self::Insert(_) => self.finish_insert(kit, first).await,
            Self::Claim { worker, queue, jobs, .. } => {
                self.finish_claim(kit, first, *worker, queue, jobs).await
            }
            Self::Settle { .. } => self.finish_settle(kit).await,
            Self::Cancel(_) => self.finish_cancel(kit, first).await,
            Self::Retry(jobs) => self.finish_retry(kit, first, jobs).await,
            Self::Fire(change) => self.finish_fire(kit, first, change).await,
            Self::Register(worker) => {
                match self.persist_after(kit, first).await? {
                    (Err(error), false) if error.kind() == ErrorKind::Conflict => {}
                    (answer, _) => drop(answer?),
                }
                Self::Heartbeat(*worker).persist(kit).await??;
                Ok(())
            }
            Self::Retire(worker) => {
                self.persist(kit).await??;
                let error = Self::Heartbeat(*worker).persist(kit).await?.err();
                let kind = error.map(|error| error.kind());
                ensure_eq!(kind, Some(ErrorKind::WorkerLost), "the error of a heartbeat of a retired worker");
                Ok(())
            }
            Self::Rescue { jobs, .. } => {
                self.persist(kit).await??;
                for job in jobs {
                    let record = kit.record(*job).await?;
                    let seen = (record.state, record.attempt, record.errors.len());
                    ensure_eq!(
                        seen,
                        (JobState::Ready, 1, 1),
                        "state, attempt and number of errors of a rescued job"
                    );
                }
                Ok(())
            }
            Self::Leases { jobs, .. } => {
                let Answer::Jobs(held) = self.persist(kit).await?? else { return Ok(()) };
                let held: Vec<JobId> = held.iter().map(|job| job.token.job).collect();
                ensure_eq!(held, *jobs, "the jobs with leases of the claim");
                Ok(())
            }
            Self::Pause(queue) | Self::Resume(queue) => self.finish_pause(kit, first, queue).await,
            Self::Heartbeat(_) | Self::Promote | Self::Paused | Self::Read(_) | Self::List => {
                self.persist(kit).await??;
                Ok(())
            }
        }
    }

    /// The repeated batch must be new or known as a whole. It must be known if the first attempt
    /// succeeded, and new if it was refused.
    async fn finish_insert(&self, kit: &Kit, first: &Result<Answer>) -> CaseResult {
        let (again, is_refused) = self.persist_after(kit, first).await?;
        let Answer::Submitted(again) = again? else { return Ok(()) };
        let made = again.iter().filter(|job| job.is_new()).count();
        ensure!(
            made == 0 || made == again.len(),
            "{made} of the {} jobs of one batch were not stored",
            again.len()
        );
        ensure!(made == 0 || first.is_err(), "an acknowledged batch was not stored");
        ensure!(made > 0 || !is_refused, "a refused batch was stored");
        Ok(())
    }

    /// Each job must have a lease of the claim, or be claimable again, as its first attempt.
    async fn finish_claim(
        &self,
        kit: &Kit,
        first: &Result<Answer>,
        worker: WorkerId,
        queue: &QueueName,
        jobs: &[JobId],
    ) -> CaseResult {
        let Self::Claim { claim, .. } = self else { return Ok(()) };
        let mut claims = vec![*claim];
        let mut found: BTreeMap<JobId, ClaimedJob> = BTreeMap::new();
        let all = async {
            loop {
                let (backend, now) = (kit.impatient().backend()?, kit.now());
                for claim in &claims {
                    let leases = LeasesRequest::new(worker, *claim);
                    let held =
                        persist("leases", || async { Ok(backend.leases(leases.clone()).await) }).await??;
                    let is_refused = *claim == claims[0] && is_refusal(first);
                    ensure!(held.is_empty() || !is_refused, "a refused claim has leases: {held:?}");
                    add(&mut found, held)?;
                }
                if found.len() >= jobs.len() {
                    return anyhow::Ok(());
                }
                let name = kit.new_claim_id();
                claims.push(name);
                let request = ClaimRequest::new(worker, name, queue.clone(), kit.kinds(), 9).at(now);
                match backend.claim(request).await {
                    Ok(reply) => add(&mut found, reply.jobs)?,
                    Err(error) if error.is_retryable() => sleep(PAUSE).await,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        in_time("leases of all jobs", all).await??;
        ensure_eq!(found.keys().copied().collect::<Vec<_>>(), *jobs, "the jobs with leases");
        for job in found.values() {
            ensure_eq!(job.attempt, 1, "the attempt number of job {}", job.token.job);
        }
        let tokens = found.values().map(|job| job.token).collect();
        Self::Settle { worker, tokens }.finish_settle(kit).await
    }

    /// All settlements must be done, each with its own result.
    async fn finish_settle(&self, kit: &Kit) -> CaseResult {
        let Self::Settle { tokens, .. } = self else { return Ok(()) };
        let Answer::Settled(again) = self.persist(kit).await?? else { return Ok(()) };
        ensure!(
            again.iter().all(|answer| *answer == Settled::Done),
            "a repeated settle must return `Done` for each token: {again:?}"
        );
        for token in tokens {
            let record = kit.record(token.job).await?;
            let seen = (record.state, record.attempt, record.result);
            let expected = (JobState::Completed, 1, Some(token.job.to_bytes().to_vec()));
            ensure_eq!(seen, expected, "state, attempt and result of a settled job");
        }
        Ok(())
    }

    /// One request is one transaction, so all jobs must be cancelled by the same attempt.
    async fn finish_cancel(&self, kit: &Kit, first: &Result<Answer>) -> CaseResult {
        let (again, is_refused) = self.persist_after(kit, first).await?;
        let Answer::Cancelled(again) = again? else { return Ok(()) };
        let is_done = again.iter().all(|reply| *reply == CancelReply::Cancelled);
        let was_done = again.iter().all(|reply| *reply == CancelReply::Finished(JobState::Cancelled));
        ensure!(
            is_done && first.is_err() || was_done && !is_refused,
            "a repeated cancel returned wrong replies: {again:?}"
        );
        Ok(())
    }

    /// All jobs must be made ready by the same attempt.
    async fn finish_retry(&self, kit: &Kit, first: &Result<Answer>, jobs: &[JobId]) -> CaseResult {
        let (again, is_refused) = self.persist_after(kit, first).await?;
        let Answer::Retried(again) = again? else { return Ok(()) };
        let is_done = again.iter().all(|reply| *reply == RetryReply::Retried);
        let was_done = again.iter().all(|reply| *reply == RetryReply::Unfinished(JobState::Ready));
        ensure!(
            is_done && first.is_err() || was_done && !is_refused,
            "a repeated retry returned wrong replies: {again:?}"
        );
        for job in jobs {
            ensure_eq!(kit.state(*job).await?, JobState::Ready, "the state of a job that was retried");
        }
        Ok(())
    }

    /// The repeated fire must be stale exactly if the first one happened.
    async fn finish_fire(&self, kit: &Kit, first: &Result<Answer>, change: &ScheduleChange) -> CaseResult {
        let (again, is_refused) = self.persist_after(kit, first).await?;
        let Answer::Changed(again) = again? else { return Ok(()) };
        let is_done = again != ScheduleChanged::Stale;
        // A fire that would have to wait may be stale too.
        let is_stale = matches!(first, Ok(Answer::Changed(ScheduleChanged::Stale)));
        ensure!(
            is_done && (first.is_err() || is_stale) || !is_done && !is_refused,
            "a repeated fire returned a wrong reply: {again:?}"
        );
        let schedule = kit.schedule(change.name().as_str()).await?;
        ensure_eq!(schedule.as_ref(), change.schedule(), "the schedule after its fire");
        for job in &change.jobs {
            ensure!(kit.find(job.id).await?.is_some(), "job {} of a fire is missing", job.id);
        }
        Ok(())
    }

    async fn finish_pause(&self, kit: &Kit, first: &Result<Answer>, queue: &QueueName) -> CaseResult {
        let backend = kit.impatient().backend()?;
        let Some(manage) = backend.extensions().manage else { return Ok(()) };
        let is_pause = matches!(self, Self::Pause(_));
        let paused = || persist("list of paused queues", || async { Ok(manage.paused().await) });
        if is_refusal(first) {
            ensure_eq!(
                paused().await??.contains(queue),
                !is_pause,
                "whether the queue is paused after a refused request"
            );
        }
        self.persist(kit).await??;
        ensure_eq!(paused().await??.contains(queue), is_pause, "whether the queue is paused");
        Ok(())
    }
}

fn add(found: &mut BTreeMap<JobId, ClaimedJob>, jobs: Vec<ClaimedJob>) -> CaseResult {
    for job in jobs {
        let token = job.token;
        if let Some(other) = found.insert(token.job, job) {
            ensure_eq!(other.token, token, "the token of a job with two leases");
        }
    }
    Ok(())
}

/// Whether the reply says that the request was not executed.
fn is_refusal(answer: &Result<Answer>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() != ErrorKind::UnknownOutcome)
}
