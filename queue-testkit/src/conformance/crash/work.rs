//! A child that claims and settles without the runtime, at the time that its parent sets.

use std::time::Duration;

use queue_core::backend::{
    ClaimRequest, ClaimedJob, Completion, HeartbeatRequest, RegisterRequest, SettleRequest, Settlement,
    Verdict,
};
use queue_core::{
    Backend, ClaimId, ErrorKind, JobId, JobSpec, Kind, Payload, QueueName, Timestamp, WorkerId,
};
use serde::{Deserialize, Serialize};

use super::messages::{END, IDLE};
use crate::child::Parent;
use crate::conformance::history::event::Micros;
use crate::conformance::session::{EXPIRY, GRACE};

/// The kind of all jobs in crash cases.
pub(crate) const KIND: &str = "job";

/// The payload of a follow-up.
const FOLLOW_UP: &str = "\"follow-up\"";

/// Default number of retries. High, because each kill of a worker uses up an attempt.
pub(crate) const RETRIES: u16 = 1000;

/// The point between a claim and its settlement.
pub(crate) const RUNNING: &str = "handler running";

/// The orders of a working child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) now: Micros,
    /// Maximum number of jobs per claim.
    pub(crate) limit: u32,
    pub(crate) verdicts: Verdicts,
}

/// The verdicts of a working child.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Verdicts {
    /// Completes each job, with a result that names its claim.
    Complete,
    /// Completes each job, with a follow-up unless the job is one itself.
    CompleteThen,
    /// Random verdicts from this seed.
    Mixed(u64),
}

/// The line with which a parent sets the time of its children.
pub(crate) fn time_line(now: Timestamp) -> String {
    format!("now {}", now.as_micros())
}

pub(crate) fn parse_time(line: &str) -> Option<Timestamp> {
    let micros: u64 = line.strip_prefix("now ")?.parse().ok()?;
    Some(Timestamp::UNIX_EPOCH.saturating_add(Duration::from_micros(micros)))
}

/// The line of a child after it was told that time, and sent its heartbeat if it sends any.
pub(crate) fn beat_line(now: Timestamp) -> String {
    format!("beat at {}", now.as_micros())
}

/// A result that no other lease has.
pub(crate) fn result_of(job: &ClaimedJob) -> Vec<u8> {
    format!("\"{} of {:?}\"", job.attempt, job.token.claim).into_bytes()
}

pub(crate) async fn run(orders: &Orders, backend: &dyn Backend, parent: &Parent) -> anyhow::Result<()> {
    let mut worker = ManualWorker {
        backend,
        parent,
        now: orders.now.time(),
        worker: WorkerId::generate(),
        has_follow_ups: matches!(orders.verdicts, Verdicts::CompleteThen),
        rng: match orders.verdicts {
            Verdicts::Complete | Verdicts::CompleteThen => None,
            Verdicts::Mixed(seed) => Some(fastrand::Rng::with_seed(seed)),
        },
    };
    worker.register().await?;
    loop {
        let jobs = worker.claim(orders.limit).await?;
        if jobs.is_empty() {
            parent.say(IDLE);
            let line = parent.hear().await;
            if line == END {
                return Ok(());
            }
            worker.set_time(&line).await?;
        }
        for job in jobs {
            parent.reach(RUNNING).await;
            worker.settle(&job).await?;
            while let Some(line) = parent.heard() {
                worker.set_time(&line).await?;
            }
        }
    }
}

struct ManualWorker<'a> {
    backend: &'a dyn Backend,
    parent: &'a Parent,
    now: Timestamp,
    worker: WorkerId,
    has_follow_ups: bool,
    rng: Option<fastrand::Rng>,
}

impl ManualWorker<'_> {
    async fn register(&mut self) -> anyhow::Result<()> {
        self.worker = WorkerId::generate();
        let request = RegisterRequest::new(self.worker, "a child of the kit", EXPIRY).at(self.now);
        Ok(self.backend.register(request).await?)
    }

    async fn claim(&mut self, limit: u32) -> anyhow::Result<Vec<ClaimedJob>> {
        let kinds = [Kind::new(KIND)?];
        let (queue, claim) = (QueueName::new("default")?, ClaimId::generate()?);
        let mut request = ClaimRequest::new(self.worker, claim, queue, kinds, limit).at(self.now);
        request.grace = GRACE;
        match self.backend.claim(request).await {
            Ok(reply) => Ok(reply.jobs),
            Err(error) => self.endure(error).await.map(|()| Vec::new()),
        }
    }

    async fn settle(&mut self, job: &ClaimedJob) -> anyhow::Result<()> {
        let settlement = Settlement::new(job.token, self.verdict(job)?);
        let request = SettleRequest::new(self.worker, vec![settlement]).at(self.now);
        match self.backend.settle(request).await {
            // A lost lease is not an error here; the wrapper records the reply.
            Ok(_) => Ok(()),
            Err(error) => self.endure(error).await,
        }
    }

    fn verdict(&mut self, job: &ClaimedJob) -> anyhow::Result<Verdict> {
        let error = || "a random verdict".to_owned();
        Ok(match self.rng.as_mut().map_or(0, |rng| rng.u8(..100)) {
            0..75 => {
                let completion = Completion::new().result(result_of(job));
                Verdict::Complete(completion.follow_ups(self.follow_ups(job)?))
            }
            75..90 => Verdict::Retry { error: error(), delay: Duration::ZERO },
            90..94 => Verdict::Snooze { delay: Duration::ZERO },
            94..97 => Verdict::Release,
            97.. => Verdict::Bury { error: error() },
        })
    }

    fn follow_ups(&self, job: &ClaimedJob) -> anyhow::Result<Vec<JobSpec>> {
        if !self.has_follow_ups || job.payload.as_str() == FOLLOW_UP {
            return Ok(Vec::new());
        }
        let spec = JobSpec::new(JobId::generate(), Kind::new(KIND)?, Payload::json(FOLLOW_UP)?);
        Ok(vec![spec.max_retries(RETRIES).run_at(self.now)])
    }

    /// Sets the time, sends a heartbeat, and notifies the parent.
    async fn set_time(&mut self, line: &str) -> anyhow::Result<()> {
        let Some(now) = parse_time(line) else { return Ok(()) };
        self.now = now;
        match self.backend.heartbeat(HeartbeatRequest::new(self.worker).at(now)).await {
            Ok(_) => self.parent.say(beat_line(now)),
            Err(error) => self.endure(error).await?,
        }
        Ok(())
    }

    /// After a lost worker, registers a new one. After a retryable error, continues. Any other
    /// error ends this process.
    async fn endure(&mut self, error: queue_core::Error) -> anyhow::Result<()> {
        if error.kind() == ErrorKind::WorkerLost {
            self.register().await
        } else if error.is_retryable() {
            Ok(())
        } else {
            Err(error.into())
        }
    }
}
