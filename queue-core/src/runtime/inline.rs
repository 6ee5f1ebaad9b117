//! A worker that runs jobs in the caller's task, one after the other, for tests.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use crate::backend::{
    ClaimRequest, ClaimedJob, ReadyQueuesRequest, RegisterRequest, SettleRequest, Settled, Settlement,
};
use crate::clock::Clock;
use crate::panic::keep_places;
use crate::runtime::decide::settlement::{PendingSettlement, RejectedSettlement};
use crate::runtime::environment::ControlThread;
use crate::runtime::run::attempt::Attempt;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
use crate::{
    ClaimId, Error, ErrorKind, JobContext, JobId, JobState, Kind, Result, Timestamp, Worker, WorkerId,
};

/// The expiry of the worker, which sends no heartbeats. The clock of a test may move by years.
const NEVER: Duration = Duration::from_secs(1000 * 365 * 24 * 60 * 60);
/// The same by the clock of the system: longer than a test, so that others rescue what it left.
const EXPIRY: Duration = Duration::from_secs(60 * 60);

/// How often due schedules are looked at again at once, e.g. to cancel the job before.
#[cfg(feature = "schedules")]
const MAX_LOOKS: u32 = 10;

/// One attempt that a [`TestWorker`](crate::testing::TestWorker) ran.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Run {
    /// The job.
    pub job: JobId,
    /// Its kind.
    pub kind: Kind,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The state of the job after it.
    pub state: JobState,
    /// The error of the attempt.
    pub error: Option<String>,
}

/// The attempts that a [`TestWorker`](crate::testing::TestWorker) ran, in their order: a slice of
/// [`Run`]. It can be compared with the states of the jobs after them:
/// `assert_eq!(runs, [JobState::Retrying, JobState::Completed])`.
#[derive(Debug, Clone, Default)]
#[must_use = "a handler that failed is seen only here"]
pub struct Runs(pub(crate) Vec<Run>);

impl Deref for Runs {
    type Target = [Run];

    fn deref(&self) -> &[Run] {
        &self.0
    }
}

impl<const N: usize> PartialEq<[JobState; N]> for Runs {
    fn eq(&self, states: &[JobState; N]) -> bool {
        self.iter().map(|run| run.state).eq(states.iter().copied())
    }
}

/// The parts of a worker, without its loops.
#[derive(Debug)]
pub(crate) struct InlineWorker {
    state: WorkerState,
    id: WorkerId,
    /// That of each backend.
    clocks: Vec<Clock>,
    _control: ControlThread,
}

impl InlineWorker {
    /// Registers the worker, and stores the schedules that it declares.
    pub(crate) async fn start(worker: Worker) -> Result<Self> {
        keep_places();
        let (state, clocks, control) = worker.into_parts()?;
        let id = WorkerId::generate();
        for (backend, clock) in state.backends.iter().zip(&clocks) {
            let expiry = if matches!(clock, Clock::System) { EXPIRY } else { NEVER };
            backend.backend.register(RegisterRequest::new(id, "a test", expiry)).await?;
            #[cfg(feature = "schedules")]
            if !backend.declared.is_empty() {
                backend.declared.clone().store(&*backend.backend).await?;
            }
        }
        Ok(Self { state, id, clocks, _control: control })
    }

    /// The time of its first backend.
    pub(crate) fn now(&self) -> Timestamp {
        self.clocks.first().map_or_else(Timestamp::now, Clock::now)
    }

    /// Moves all clocks to this time.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if one is that of the system.
    pub(crate) fn advance_to(&self, time: Timestamp) -> Result<()> {
        if self.clocks.iter().all(|clock| clock.advance_to(time)) {
            return Ok(());
        }
        let message = "a job waits, and only the clock of a `TestQueue` can jump to it";
        Err(Error::invalid("run jobs that wait", message))
    }

    /// Inserts the jobs of the schedules that are due. Returns when the next one is due.
    #[cfg(feature = "schedules")]
    pub(crate) async fn fire(&self) -> Result<Option<Timestamp>> {
        use crate::schedule::{Unreadable, fire_due};
        if self.state.settings.schedule_interval.is_none() {
            return Ok(None);
        }
        let mut next: Option<Timestamp> = None;
        for (backend, clock) in self.state.backends.iter().zip(&self.clocks) {
            let mut unreadable = Unreadable::default();
            for _ in 0..MAX_LOOKS {
                let Some(fired) = fire_due(&*backend.backend, &mut unreadable).await? else { break };
                if fired.has_more || fired.next_due == Some(Duration::ZERO) {
                    continue;
                }
                let due_at = fired.next_due.map(|wait| clock.now().saturating_add(wait));
                next = next.into_iter().chain(due_at).min();
                break;
            }
        }
        Ok(next)
    }

    #[cfg(not(feature = "schedules"))]
    #[expect(clippy::unused_async, reason = "as with schedules")]
    pub(crate) async fn fire(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// Runs the next job that is ready; `None` if there is none.
    pub(crate) async fn run_next(&self) -> Result<Option<Run>> {
        for backend in &self.state.backends {
            for queue in &backend.queues {
                let (claim, kinds) = (ClaimId::generate()?, backend.kinds.to_vec());
                let request = ClaimRequest::new(self.id, claim, queue.clone(), kinds, 1);
                if let Some(job) = backend.backend.claim(request).await?.jobs.pop() {
                    return self.run(backend, job).await.map(Some);
                }
            }
        }
        Ok(None)
    }

    async fn run(&self, backend: &ServedBackend, job: ClaimedJob) -> Result<Run> {
        let (token, kind, attempt) = (job.token, job.kind.clone(), job.attempt);
        let fault = |message: &str| Error::new(ErrorKind::Corrupt, format!("run job {}", token.job), message);
        let registration =
            backend.registrations.get(&kind).ok_or_else(|| fault("its kind has no handler"))?;
        let started = self.state.now();
        let lease_end = backend.lease_end(&job, started);
        let context =
            JobContext::claimed(&job, Arc::clone(&backend.context), started.checked_add(job.timeout));
        let noted = backend.events.started(&job);
        let (limits, environment) = (&backend.limits, &*self.state.environment);
        let span = tracing::info_span!("job", id = %token.job, %kind, queue = %job.queue, attempt);
        let attempted = Attempt::new(job, context, registration, limits, environment, &self.state.settings);
        let judgement = attempted.run().instrument(span).await.ok_or_else(|| fault("its lease was lost"))?;
        let ran_for = self.state.now().saturating_duration_since(started);
        let settlement = Settlement::new(token, judgement.verdict).ran_for(ran_for);
        let pending = PendingSettlement::new(settlement, lease_end).of_attempt(noted.clone());
        let settled = self.settle(backend, pending).await?;
        match (settled, noted) {
            (Settled::LeaseLost, _) if !judgement.may_be_completed => {
                return Err(fault("another worker has taken it"));
            }
            (Settled::LeaseLost, Some(noted)) => noted.completed_in_transaction(Some(ran_for)),
            _ => {}
        }
        let inspect = crate::backend::inspect(&*backend.backend)?;
        let record = inspect.jobs(&[token.job]).await?.pop().flatten();
        let record = record.ok_or_else(|| fault("it has vanished"))?;
        let error = record.errors.iter().find(|error| error.attempt == attempt);
        let error = error.map(|error| error.error.clone()).or(record.error);
        Ok(Run { job: token.job, kind, attempt, state: record.state, error })
    }

    /// Settles an attempt. If its result or its follow-ups cannot be stored, it has failed.
    async fn settle(&self, backend: &ServedBackend, pending: PendingSettlement) -> Result<Settled> {
        let settle = async |pending: PendingSettlement| -> Result<Settled> {
            let request = SettleRequest::new(self.id, vec![pending.settlement.clone()]);
            let settled = backend.backend.settle(request).await?.pop().unwrap_or(Ok(Settled::LeaseLost))?;
            if settled == Settled::Done {
                backend.events.settled(pending.attempt.as_deref(), pending.settlement);
            }
            Ok(settled)
        };
        match settle(pending.clone()).await {
            Err(error) if error.is_final() => match pending.rejected(&error) {
                RejectedSettlement::FailAttempt(failed) => settle(failed).await,
                RejectedSettlement::Drop => Err(error),
            },
            settled => settled,
        }
    }

    /// Returns when the first waiting job of the served queues is due.
    pub(crate) async fn next_due(&self) -> Result<Option<Timestamp>> {
        let mut next: Option<Timestamp> = None;
        for (backend, clock) in self.state.backends.iter().zip(&self.clocks) {
            let request = ReadyQueuesRequest::new(backend.queues.clone(), backend.kinds.to_vec());
            let wait = backend.backend.ready_queues(request).await?.next_due;
            next = next.into_iter().chain(wait.map(|wait| clock.now().saturating_add(wait))).min();
        }
        Ok(next)
    }
}
