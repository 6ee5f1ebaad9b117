//! One attempt of one job, from its claim to the verdict.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::backend::ClaimedJob;
use crate::job_queue::Registration;
use crate::panic::catch_panic;
use crate::runtime::environment::Environment;
use crate::runtime::run::verdict::{Judge, Judgement, RunEnd};
use crate::runtime::settings::WorkerSettings;
use crate::runtime::shared::running::{Interrupt, Interruption, RunningJob};
use crate::{Handler, JobContext, Limits, ResultCapture, Stop};

/// An attempt that is about to start.
pub(crate) struct Attempt<'a> {
    job: ClaimedJob,
    context: JobContext,
    registration: &'a Registration,
    limits: &'a Limits,
    environment: &'a dyn Environment,
    settings: &'a WorkerSettings,
    capture: ResultCapture,
    interrupt: Interrupt,
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
        let context = context.with_result_capture(capture.clone());
        let interrupt = Interrupt::default();
        Self { job, context, registration, limits, environment, settings, capture, interrupt }
    }

    pub(crate) const fn job(&self) -> &ClaimedJob {
        &self.job
    }

    /// What other loops see of the attempt while it runs.
    pub(crate) fn running(&self, backend: usize) -> RunningJob {
        let (context, interrupt) = (self.context.clone(), self.interrupt.clone());
        RunningJob { backend, token: self.job.token, context, interrupt }
    }

    /// Runs the handler. `None` if the job must not be settled, because its lease is lost.
    pub(crate) async fn run(self) -> Option<Judgement> {
        let handler = &*self.registration.handler;
        tracing::debug!("started");
        let end = self.run_handler(handler).await;
        let interruption = self.interrupt.reason();
        if interruption == Some(Interruption::LeaseLost) {
            return None;
        }
        let judge = Judge {
            job: &self.job,
            registration: self.registration,
            limits: self.limits,
            capture: &self.capture,
            attempt_state: self.context.attempt_state(),
            settings: self.settings,
            random: &|| self.environment.random(),
        };
        Some(judge.judge(end, interruption))
    }

    async fn run_handler(&self, handler: &dyn Handler) -> RunEnd {
        let payload = self.job.payload.clone();
        let mut run = pin!(async {
            let run = handler.run(self.context.clone(), payload);
            catch_panic(run).await.map_or_else(RunEnd::Panicked, RunEnd::Returned)
        });
        // Without a timer, because most jobs of a busy queue end at their first poll.
        if let Poll::Ready(end) = poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx))).await {
            return end;
        }
        tokio::select! {
            biased;
            end = &mut run => return end,
            () = self.interrupt.requested() => {}
            () = self.environment.sleep(self.job.timeout) => {
                self.interrupt.set_reason(Interruption::TimedOut);
                self.context.cancellation().cancel();
            }
        }
        match handler.stop() {
            Stop::OnReturn => run.await,
            Stop::OnDrop => tokio::select! {
                biased;
                end = &mut run => end,
                () = self.environment.sleep(self.settings.cancellation_grace) => RunEnd::Dropped,
            },
        }
    }
}
