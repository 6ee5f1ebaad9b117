//! A worker that runs jobs in the caller's task, one after the other, for tests.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{ClaimRequest, ClaimedJob, MaintainRequest, RegisterRequest, SettleRequest, Settlement};
use crate::clock::Clock;
use crate::panic::keep_places;
use crate::runtime::environment::ControlThread;
use crate::runtime::run::attempt::Attempt;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
use crate::{ClaimId, Error, ErrorKind, JobContext, JobId, JobState, Kind, Result, Worker, WorkerId};

/// The expiry of the worker. It sends no heartbeats, and its clock may move by years.
const NEVER: Duration = Duration::from_secs(1000 * 365 * 24 * 60 * 60);

/// The number of waiting jobs that become ready at once.
const PROMOTED: u32 = 1000;

/// One attempt that a [`TestWorker`](crate::testing::TestWorker) ran.
///
/// It can be compared with the state of the job after it:
/// `assert_eq!(runs, [JobState::Retrying, JobState::Completed])`.
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

impl PartialEq<JobState> for Run {
    fn eq(&self, state: &JobState) -> bool {
        self.state == *state
    }
}

/// The parts of a worker, without its loops.
#[derive(Debug)]
pub(crate) struct InlineWorker {
    state: WorkerState,
    /// Its id on each backend, once it is registered.
    ids: Vec<WorkerId>,
    pub(crate) clock: Clock,
    _control: ControlThread,
}

impl InlineWorker {
    pub(crate) fn new(worker: Worker) -> Result<Self> {
        keep_places();
        let (state, clock, control) = worker.into_parts()?;
        Ok(Self { state, ids: Vec::new(), clock, _control: control })
    }

    /// Registers the worker, stores the schedules that it declares, and inserts the jobs of those
    /// that are due.
    pub(crate) async fn prepare(&mut self) -> Result<()> {
        for backend in self.state.backends.iter().skip(self.ids.len()) {
            let id = WorkerId::generate();
            backend.backend.register(RegisterRequest::new(id, "a test", NEVER)).await?;
            self.ids.push(id);
        }
        #[cfg(feature = "schedules")]
        for backend in &self.state.backends {
            if !backend.declared.is_empty() {
                backend.declared.clone().store(&*backend.backend).await?;
            }
            crate::schedule::fire_due(&*backend.backend, &mut crate::schedule::Unreadable::default(), None)
                .await?;
        }
        Ok(())
    }

    /// Runs the next job that is ready; `None` if there is none.
    pub(crate) async fn run_next(&self) -> Result<Option<Run>> {
        for (backend, worker) in self.state.backends.iter().zip(&self.ids) {
            for queue in &backend.queues {
                let (claim, kinds) = (ClaimId::generate()?, backend.kinds.to_vec());
                let request = ClaimRequest::new(*worker, claim, queue.clone(), kinds, 1);
                if let Some(job) = backend.backend.claim(request).await?.jobs.pop() {
                    return self.run(backend, *worker, job).await.map(Some);
                }
            }
        }
        Ok(None)
    }

    async fn run(&self, backend: &ServedBackend, worker: WorkerId, job: ClaimedJob) -> Result<Run> {
        let (token, kind, attempt) = (job.token, job.kind.clone(), job.attempt);
        let missing =
            |message: &str| Error::new(ErrorKind::Corrupt, format!("run job {}", token.job), message);
        let registration =
            backend.registrations.get(&kind).ok_or_else(|| missing("its kind has no handler"))?;
        let ends = self.state.now().checked_add(job.timeout);
        let context = JobContext::claimed(&job, Arc::clone(&backend.context), ends);
        let (limits, environment) = (&backend.limits, &*self.state.environment);
        let attempted = Attempt::new(job, context, registration, limits, environment, &self.state.settings);
        let judgement = attempted.run().await.ok_or_else(|| missing("its lease was lost"))?;
        let settlement = Settlement::new(token, judgement.verdict);
        for settled in backend.backend.settle(SettleRequest::new(worker, vec![settlement])).await? {
            settled?;
        }
        let inspect = crate::backend::inspect(&*backend.backend)?;
        let record = inspect.jobs(&[token.job]).await?.pop().flatten();
        let record = record.ok_or_else(|| missing("it has vanished"))?;
        let error = record.errors.iter().find(|error| error.attempt == attempt);
        let error = error.map(|error| error.error.clone()).or(record.error);
        Ok(Run { job: token.job, kind, attempt, state: record.state, error })
    }

    /// Returns the time until the first waiting job is due.
    pub(crate) async fn next_due(&self) -> Result<Option<Duration>> {
        let mut next: Option<Duration> = None;
        for backend in &self.state.backends {
            let reply = backend.backend.maintain(MaintainRequest::promote(PROMOTED)).await?;
            next = next.into_iter().chain(reply.next_due).min();
        }
        Ok(next)
    }
}
