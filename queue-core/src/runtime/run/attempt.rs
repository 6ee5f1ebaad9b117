//! One attempt of one job: from its claim to the verdict.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::backend::{ClaimedJob, Verdict};
use crate::border::error_text;
use crate::queue::Registration;
use crate::runtime::run::panic::{catch_panic, catch_panic_in};
use crate::runtime::{Environment, WorkerSettings};
use crate::{Handler, HandlerResult, JobContext, JobError, Limits, ResultCapture, RetryPolicy, Stop, Token};

/// Why a running job should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// Its own time is over.
    TimedOut,
    /// Somebody wants it cancelled.
    Cancelled,
    /// Its lease is gone: whatever it does, it may not settle.
    LeaseLost,
    /// The worker's shutdown has reached its deadline.
    ShutDown,
}

/// A job in a slot, as the loops see it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) station: usize,
    pub(crate) token: Token,
    pub(crate) context: JobContext,
    stop: CancellationToken,
    why: Arc<OnceLock<Interruption>>,
}

impl Running {
    /// Interrupts it; the first reason counts.
    pub(crate) fn interrupt(&self, why: Interruption) {
        let _ = self.why.set(why);
        self.stop.cancel();
        self.context.cancellation().cancel();
    }
}

/// How a run ended.
#[derive(Debug)]
enum Ending {
    Returned(HandlerResult),
    Panicked(String),
    /// The future was dropped.
    Dropped,
}

/// A run that is about to start.
pub(crate) struct Attempt<'a> {
    pub(crate) job: ClaimedJob,
    pub(crate) context: JobContext,
    pub(crate) registration: &'a Registration,
    pub(crate) limits: &'a Limits,
    pub(crate) environment: &'a dyn Environment,
    pub(crate) settings: &'a WorkerSettings,
    capture: ResultCapture,
    /// Apart from the handler's token: who cancels that stops nothing but its own work.
    stop: CancellationToken,
    why: Arc<OnceLock<Interruption>>,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(
        job: ClaimedJob,
        context: JobContext,
        registration: &'a Registration,
        limits: &'a Limits,
        environment: &'a dyn Environment,
        settings: &'a WorkerSettings,
    ) -> Self {
        let capture = ResultCapture::new();
        let stop = CancellationToken::new();
        let context =
            context.with_result_capture(capture.clone()).with_cancellation(CancellationToken::new());
        let why = Arc::default();
        Self { job, context, registration, limits, environment, settings, capture, stop, why }
    }

    /// The job as the loops see it while it runs.
    pub(crate) fn running(&self, station: usize) -> Running {
        let (stop, why) = (self.stop.clone(), Arc::clone(&self.why));
        Running { station, token: self.job.token, context: self.context.clone(), stop, why }
    }

    /// Runs the handler; `None` if the job may not be settled.
    pub(crate) async fn run(self) -> Option<Verdict> {
        let handler = &*self.registration.handler;
        let ending = self.drive(handler).await;
        match self.why.get() {
            Some(Interruption::LeaseLost) => None,
            why => Some(self.verdict(ending, why.copied())),
        }
    }

    async fn drive(&self, handler: &dyn Handler) -> Ending {
        let payload = self.job.payload.clone();
        let mut run = pin!(async {
            let run = handler.run(self.context.clone(), payload);
            catch_panic(run).await.map_or_else(Ending::Panicked, Ending::Returned)
        });
        // Most jobs of a busy queue end at their first poll; only the others need a timer.
        if let Poll::Ready(ending) = poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx))).await {
            return ending;
        }
        tokio::select! {
            biased;
            ending = &mut run => return ending,
            () = self.stop.cancelled() => {}
            () = self.environment.sleep(self.job.timeout) => {
                let _ = self.why.set(Interruption::TimedOut);
                self.context.cancellation().cancel();
            }
        }
        match handler.stop() {
            Stop::OnReturn => run.await,
            Stop::OnDrop => tokio::select! {
                biased;
                ending = &mut run => ending,
                () = self.environment.sleep(self.settings.cancellation_grace) => Ending::Dropped,
            },
        }
    }

    fn verdict(&self, ending: Ending, why: Option<Interruption>) -> Verdict {
        let error = match (ending, why) {
            // Done is done, even if it was asked to stop meanwhile.
            (Ending::Returned(Ok(())), _) => return self.complete(),
            (Ending::Returned(Err(error)), None) => error,
            (Ending::Panicked(message), None) => JobError::retry(format!("panicked: {message}")),
            (ending, Some(Interruption::TimedOut)) => self.timed_out(&ending),
            (_, Some(Interruption::Cancelled)) => JobError::cancel("cancelled while it ran"),
            // What the handler decided in time stands; what it left unfinished is free of charge.
            (Ending::Returned(Err(error)), Some(_)) if !matches!(error, JobError::Retry { .. }) => error,
            (Ending::Dropped, None) => JobError::retry("stopped before it ended"),
            (_, Some(Interruption::ShutDown | Interruption::LeaseLost)) => return Verdict::Release,
        };
        self.failure(error)
    }

    fn complete(&self) -> Verdict {
        let result = self.capture.take();
        let bytes = result.as_ref().map_or(0, Vec::len);
        if bytes > self.limits.result_bytes {
            let fault = format!("the result is {bytes} bytes, the limit is {}", self.limits.result_bytes);
            return self.failure(JobError::retry(fault));
        }
        Verdict::Complete { result }
    }

    fn timed_out(&self, ending: &Ending) -> JobError {
        let timeout = self.job.timeout;
        match ending {
            Ending::Returned(Err(error)) => JobError::retry(format!("timed out after {timeout:?}: {error}")),
            _ => JobError::retry(format!("timed out after {timeout:?}")),
        }
    }

    fn failure(&self, error: JobError) -> Verdict {
        let cut = |text: String| error_text(&text, self.limits.error_bytes);
        match error {
            JobError::Retry { error, after } => {
                let delay = after.unwrap_or_else(|| self.delay(&error));
                Verdict::Retry { error: cut(error), delay }
            }
            JobError::Bury { error } => Verdict::Bury { error: cut(error) },
            JobError::Snooze { delay } => Verdict::Snooze { delay },
            JobError::Cancel { reason } => Verdict::Cancel { reason: cut(reason) },
        }
    }

    /// What is stored with the job decides, else the registration, else the default.
    fn delay(&self, error: &str) -> Duration {
        let stored = self.job.backoff.map(RetryPolicy::Exponential);
        let policy = stored.as_ref().or(self.registration.options.retry.as_ref());
        let random = self.environment.random();
        let attempt = self.job.attempt;
        let by = |policy: &RetryPolicy| policy.delay(attempt, error, random);
        // The policy may be the user's function.
        let delay = policy.and_then(|policy| catch_panic_in(|| by(policy)).ok());
        delay.unwrap_or_else(|| by(&RetryPolicy::default()))
    }
}
