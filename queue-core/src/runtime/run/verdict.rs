//! The verdict on an attempt, from the end of its run.

use std::time::Duration;

use crate::backend::{ClaimedJob, Completion, Verdict};
use crate::border::error_text;
use crate::context::AttemptState;
use crate::job_queue::Registration;
use crate::panic::{CaughtPanic, catch_panic_in};
use crate::runtime::settings::WorkerSettings;
use crate::runtime::shared::running::Interruption;
use crate::{HandlerResult, JobError, Limits, ResultCapture, RetryPolicy};

/// Replaces, in the log, an error that quotes the payload.
const UNDECODABLE: &str = "the payload does not decode; the record of the job has the error";

/// The error of an attempt whose transaction should have completed the job. It is stored only if
/// that transaction was not committed.
const NOT_COMMITTED: &str = "the transaction that completes the job was not committed";

/// How a run ended.
pub(super) enum RunEnd {
    Returned(HandlerResult),
    Panicked(CaughtPanic),
    /// Its future was dropped, because the handler did not stop in time.
    Dropped,
}

/// What a verdict depends on besides the end of the run.
pub(super) struct Judge<'a> {
    pub(super) job: &'a ClaimedJob,
    pub(super) registration: &'a Registration,
    pub(super) limits: &'a Limits,
    pub(super) settings: &'a WorkerSettings,
    pub(super) capture: &'a ResultCapture,
    pub(super) attempt_state: &'a AttemptState,
    /// For the jitter of the retry's delay.
    pub(super) random: &'a dyn Fn() -> u64,
}

/// How an attempt ended.
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// A transaction of the application has completed the job, if it was committed. The verdict is
    /// that of a failed attempt then. Its settlement has no effect after the commit, because the
    /// lease has ended, and waits for a transaction that is not over.
    pub(crate) may_be_completed: bool,
}

impl Judge<'_> {
    /// Decides how the attempt ended, and says so in the log.
    pub(super) fn judge(&self, end: RunEnd, interruption: Option<Interruption>) -> Judgement {
        let may_be_completed = self.attempt_state.end();
        if !may_be_completed {
            return Judgement { verdict: self.verdict(end, interruption), may_be_completed };
        }
        // Nothing is known yet, so the answer to the settlement is logged instead.
        let end = match end {
            RunEnd::Returned(Ok(())) => RunEnd::Returned(Err(JobError::retry(NOT_COMMITTED))),
            end => end,
        };
        Judgement { verdict: self.decide(end, interruption), may_be_completed }
    }

    fn verdict(&self, end: RunEnd, interruption: Option<Interruption>) -> Verdict {
        let is_abnormal = matches!(end, RunEnd::Panicked(_)) || interruption == Some(Interruption::TimedOut);
        let is_undecodable = matches!(end, RunEnd::Returned(Err(JobError::Undecodable { .. })));
        let verdict = self.decide(end, interruption);
        self.log(&verdict, is_abnormal, is_undecodable);
        verdict
    }

    fn decide(&self, end: RunEnd, interruption: Option<Interruption>) -> Verdict {
        let error = match (end, interruption) {
            // A handler that succeeded is done, even if it was asked to stop meanwhile.
            (RunEnd::Returned(Ok(())), _) => return self.complete(),
            (RunEnd::Returned(Err(error)), None) => error,
            (RunEnd::Panicked(panic), None) => JobError::retry(panic),
            (end, Some(Interruption::TimedOut)) => self.timed_out(&end),
            (_, Some(Interruption::Cancelled)) => JobError::cancel("cancelled while it ran"),
            // Final decisions of the handler count. An attempt that it left unfinished is not
            // charged.
            (RunEnd::Returned(Err(error)), Some(_)) if !error.is_retried() => error,
            (RunEnd::Dropped, None) => JobError::retry("stopped before it ended"),
            (_, Some(Interruption::ShutDown | Interruption::LeaseLost)) => return Verdict::Release,
        };
        self.failure(error)
    }

    /// One line per attempt. It has no payload, so it omits an error that quotes the payload.
    fn log(&self, verdict: &Verdict, is_abnormal: bool, is_undecodable: bool) {
        let (attempt, of) = (self.job.attempt, u32::from(self.job.max_retries) + 1);
        match verdict {
            Verdict::Complete(_) => tracing::debug!("completed"),
            Verdict::Retry { error, delay } if attempt < of => {
                let (next, error) = (whole(*delay), if is_undecodable { UNDECODABLE } else { error });
                if is_abnormal {
                    tracing::error!("attempt {attempt} of {of} failed, next in {next}: {error}");
                } else {
                    tracing::warn!("attempt {attempt} of {of} failed, next in {next}: {error}");
                }
            }
            Verdict::Retry { error, .. } | Verdict::Bury { error } => {
                let error = if is_undecodable { UNDECODABLE } else { error };
                tracing::error!("attempt {attempt} of {of} failed, the job is dead: {error}");
            }
            Verdict::Snooze { delay } => tracing::debug!("snoozed for {}", whole(*delay)),
            Verdict::Cancel { reason } => tracing::info!("cancelled: {reason}"),
            Verdict::Release => tracing::info!("released by the shutdown of the worker; it runs again"),
        }
    }

    fn complete(&self) -> Verdict {
        let result = self.capture.take();
        let bytes = result.as_ref().map_or(0, Vec::len);
        if bytes > self.limits.result_bytes {
            let fault = format!("the result is {bytes} bytes, the limit is {}", self.limits.result_bytes);
            return self.failure(JobError::retry(fault));
        }
        let follow_ups = self.attempt_state.take_follow_ups();
        Verdict::Complete(Completion::new().result(result).follow_ups(follow_ups))
    }

    fn timed_out(&self, end: &RunEnd) -> JobError {
        let timeout = self.job.timeout;
        match end {
            RunEnd::Returned(Err(error)) => JobError::retry(format!("timed out after {timeout:?}: {error}")),
            RunEnd::Panicked(panic) => JobError::retry(format!("timed out after {timeout:?}: {panic}")),
            RunEnd::Returned(Ok(())) | RunEnd::Dropped => {
                JobError::retry(format!("timed out after {timeout:?}"))
            }
        }
    }

    fn failure(&self, error: JobError) -> Verdict {
        let cut = |text: String| error_text(&text, self.limits.error_bytes);
        match error {
            JobError::Retry { error, after } => {
                let delay = after.unwrap_or_else(|| self.delay(&error));
                Verdict::Retry { error: cut(error), delay }
            }
            JobError::Undecodable { error } if self.job.attempt > self.settings.decode_retries => {
                Verdict::Bury { error: cut(error) }
            }
            JobError::Undecodable { error } => {
                Verdict::Retry { error: cut(error), delay: self.settings.decode_retry_delay }
            }
            JobError::Bury { error } => Verdict::Bury { error: cut(error) },
            JobError::Snooze { delay } => Verdict::Snooze { delay },
            JobError::Cancel { reason } => Verdict::Cancel { reason: cut(reason) },
        }
    }

    /// The delay by the backoff of the job itself, else by the policy of its registration, else by
    /// the default. No policy is stored with a job, so that a changed policy applies at once.
    fn delay(&self, error: &str) -> Duration {
        let own = self.job.backoff.map(RetryPolicy::from);
        let policy = own.as_ref().or(self.registration.options.retry.as_ref());
        let random = (self.random)();
        let by = |policy: &RetryPolicy| policy.delay(self.job.attempt, error, random);
        // The policy may be a function of the user, and panic.
        let delay = policy.and_then(|policy| catch_panic_in(|| by(policy)).ok());
        delay.unwrap_or_else(|| by(&RetryPolicy::default()))
    }
}

/// A delay for readers: whole seconds, or milliseconds below one second.
fn whole(delay: Duration) -> humantime::FormattedDuration {
    let delay = if delay < Duration::from_secs(1) {
        Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
    } else {
        Duration::from_secs(delay.as_secs())
    };
    humantime::format_duration(delay)
}
