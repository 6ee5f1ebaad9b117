//! Every operation of the contract with a target of its own, for cases that try all operations.

mod again;
mod prepare;

use anyhow::Context as _;
use queue_core::backend::{
    CancelReply, CancelRequest, ChangeSchedulesRequest, ClaimRequest, ClaimedJob, HeartbeatRequest,
    InsertRequest, LeasesRequest, ListRequest, LiveRow, MaintainRequest, RegisterRequest, RetireRequest,
    RetryReply, RetryRequest, ScheduleChange, ScheduleChanged, SettleRequest, Settled, Settlement, Stored,
};
use queue_core::{
    ClaimId, Error, ErrorKind, JobId, JobSpec, JobState, QueueName, Result, Submitted, Token, WorkerId,
};

use super::fault::{Fault, Work};
use super::session::{EXPIRY, Session, complete_with};
pub(crate) use again::{judge, judge_work, persist};
pub(crate) use prepare::{one_of_each, some_of_each, unique_queue};

/// A target that no request and no row contains.
const NOTHING: [u8; 16] = [0xee; 16];

/// An operation and its target.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Insert(Vec<JobSpec>),
    /// Claims all jobs of a queue that no other operation uses.
    Claim {
        worker: WorkerId,
        claim: ClaimId,
        queue: QueueName,
        jobs: Vec<JobId>,
    },
    Leases {
        worker: WorkerId,
        claim: ClaimId,
        jobs: Vec<JobId>,
    },
    Settle {
        worker: WorkerId,
        tokens: Vec<Token>,
    },
    Cancel(Vec<JobId>),
    /// A retry by hand of cancelled jobs.
    Retry(Vec<JobId>),
    Register(WorkerId),
    Heartbeat(WorkerId),
    Retire(WorkerId),
    /// A rescue by this worker of the jobs of a lost worker.
    Rescue {
        by: WorkerId,
        jobs: Vec<JobId>,
    },
    Promote,
    /// A change of a schedule that inserts jobs.
    Fire(ScheduleChange),
    Pause(QueueName),
    Resume(QueueName),
    Paused,
    Read(JobId),
    List,
}

/// The part of a reply that cases check.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Submitted(Vec<Submitted>),
    Jobs(Vec<ClaimedJob>),
    Settled(Vec<Settled>),
    Cancelled(Vec<CancelReply>),
    Retried(Vec<RetryReply>),
    Changed(ScheduleChanged),
    Done,
}

impl Act {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Insert(_) => "insert",
            Self::Claim { .. } => "claim",
            Self::Leases { .. } => "leases",
            Self::Settle { .. } => "settle",
            Self::Cancel(_) => "cancel",
            Self::Retry(_) => "retry",
            Self::Register(_) => "register",
            Self::Heartbeat(_) => "heartbeat",
            Self::Retire(_) => "retire",
            Self::Rescue { .. } => "rescue",
            Self::Promote => "promote",
            Self::Fire(_) => "fire of a schedule",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Paused => "paused",
            Self::Read(_) => "read",
            Self::List => "list",
        }
    }

    pub(crate) const fn work(&self) -> Work {
        match self {
            Self::Insert(_) | Self::Fire(_) => Work::Inserts,
            Self::Settle { .. } | Self::Cancel(_) => Work::WritesOutcome,
            Self::Claim { .. } | Self::Rescue { .. } | Self::Retry(_) => Work::WritesJob,
            Self::Register(_) | Self::Heartbeat(_) | Self::Retire(_) | Self::Pause(_) | Self::Resume(_) => {
                Work::WritesOther
            }
            Self::Promote => Work::MayWrite,
            Self::Leases { .. } | Self::Paused | Self::Read(_) | Self::List => Work::Reads,
        }
    }

    /// The target of an aimed fault that must hit the operation: an id or name in its request, or a
    /// job whose rows it writes.
    pub(crate) fn target(&self, fault: Fault) -> Vec<u8> {
        let job = |job: Option<&JobId>| job.map_or_else(Vec::new, |job| job.to_bytes().to_vec());
        match self {
            Self::Insert(jobs) | Self::Fire(ScheduleChange { jobs, .. }) => {
                job(middle(jobs).map(|job| &job.id))
            }
            Self::Claim { jobs, .. } | Self::Rescue { jobs, .. } if fault.hits_rows() => job(middle(jobs)),
            Self::Claim { claim, .. } | Self::Leases { claim, .. } => claim.to_bytes().to_vec(),
            Self::Rescue { by, .. } => by.to_bytes().to_vec(),
            Self::Settle { tokens, .. } => job(middle(tokens).map(|token| &token.job)),
            Self::Cancel(jobs) | Self::Retry(jobs) => job(middle(jobs)),
            Self::Register(worker) | Self::Heartbeat(worker) | Self::Retire(worker) => {
                worker.to_bytes().to_vec()
            }
            Self::Read(read) => job(Some(read)),
            Self::Pause(queue) | Self::Resume(queue) => queue.as_str().as_bytes().to_vec(),
            Self::Promote | Self::Paused | Self::List => NOTHING.to_vec(),
        }
    }

    /// The number of its jobs that the operation has changed by these rows, and of all of them.
    pub(crate) fn effect(&self, stored: &Stored) -> (usize, usize) {
        let is_running = |job: JobId| live(stored, job).is_some_and(|row| row.state == JobState::Running);
        let is_finished = |job: JobId| stored.outcomes.iter().any(|row| row.id == job);
        match self {
            Self::Insert(jobs) | Self::Fire(ScheduleChange { jobs, .. }) => {
                count(jobs, |job| stored.jobs.contains(&job.id))
            }
            Self::Claim { jobs, .. } => count(jobs, |job| is_running(*job)),
            Self::Settle { tokens, .. } => count(tokens, |token| is_finished(token.job)),
            Self::Cancel(jobs) => count(jobs, |job| is_finished(*job)),
            Self::Retry(jobs) => count(jobs, |job| !is_finished(*job)),
            Self::Rescue { jobs, .. } => count(jobs, |job| !is_running(*job)),
            _ => (0, 0),
        }
    }

    /// Sends the request once. An error of its batch, or of one settlement, is returned as the
    /// error of the operation.
    pub(crate) async fn attempt(&self, session: &Session) -> anyhow::Result<Result<Answer>> {
        let backend = session.backend()?;
        let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
        let now = session.now();
        Ok(match self {
            Self::Insert(jobs) => {
                let request = InsertRequest::new(vec![jobs.clone()]).at(now);
                let reply = backend.insert(request).await;
                reply
                    .and_then(|mut reply| {
                        reply.batches.pop().unwrap_or_else(|| Err(unanswered("insert one batch")))
                    })
                    .map(Answer::Submitted)
            }
            Self::Claim { worker, claim, queue, jobs } => {
                let many = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
                let request =
                    ClaimRequest::new(*worker, *claim, queue.clone(), session.kinds(), many).at(now);
                backend.claim(request).await.map(|reply| Answer::Jobs(reply.jobs))
            }
            Self::Leases { worker, claim, .. } => {
                backend.leases(LeasesRequest::new(*worker, *claim)).await.map(Answer::Jobs)
            }
            Self::Settle { worker, tokens } => {
                let end = |token: &Token| Settlement::new(*token, complete_with(&token.job.to_bytes()));
                let request = SettleRequest::new(*worker, tokens.iter().map(end).collect()).at(now);
                let answers = backend.settle(request).await;
                answers.and_then(|answers| answers.into_iter().collect::<Result<_>>()).map(Answer::Settled)
            }
            Self::Cancel(jobs) => {
                backend.cancel(CancelRequest::new(jobs.clone()).at(now)).await.map(Answer::Cancelled)
            }
            Self::Retry(jobs) => match backend.extensions().manage {
                Some(manage) => {
                    manage.retry(RetryRequest::new(jobs.clone()).at(now)).await.map(Answer::Retried)
                }
                None => Ok(Answer::Done),
            },
            Self::Register(worker) => {
                done(backend.register(RegisterRequest::new(*worker, "kit", EXPIRY).at(now)).await)
            }
            Self::Heartbeat(worker) => done(backend.heartbeat(HeartbeatRequest::new(*worker).at(now)).await),
            Self::Retire(worker) => done(backend.retire(RetireRequest::new(*worker)).await),
            Self::Rescue { by, .. } => {
                done(backend.maintain(MaintainRequest::rescue(100).by(*by).at(now)).await)
            }
            Self::Promote => done(backend.maintain(MaintainRequest::promote(100).at(now)).await),
            Self::Fire(change) => match backend.extensions().schedules {
                Some(store) => {
                    fired(store.change(ChangeSchedulesRequest::new(vec![change.clone()]).at(now)).await)
                }
                None => Ok(Answer::Done),
            },
            Self::Pause(queue) => match backend.extensions().manage {
                Some(manage) => done(manage.pause(queue).await),
                None => Ok(Answer::Done),
            },
            Self::Resume(queue) => match backend.extensions().manage {
                Some(manage) => done(manage.resume(queue).await),
                None => Ok(Answer::Done),
            },
            Self::Paused => match backend.extensions().manage {
                Some(manage) => done(manage.paused().await),
                None => Ok(Answer::Done),
            },
            Self::Read(job) => done(inspect.jobs(&[*job]).await),
            Self::List => done(inspect.list(ListRequest::new(10)).await),
        })
    }
}

fn fired(reply: Result<Vec<Result<ScheduleChanged>>>) -> Result<Answer> {
    let unanswered = || Err(unanswered("change one schedule"));
    reply.and_then(|mut reply| reply.pop().unwrap_or_else(unanswered)).map(Answer::Changed)
}

fn done<T>(reply: Result<T>) -> Result<Answer> {
    reply.map(|_| Answer::Done)
}

fn live(stored: &Stored, job: JobId) -> Option<&LiveRow> {
    stored.live.iter().find(|row| row.id == job)
}

/// The number of items that meet the condition, and of all.
fn count<T>(items: &[T], is_met: impl Fn(&T) -> bool) -> (usize, usize) {
    (items.iter().filter(|item| is_met(item)).count(), items.len())
}

fn middle<T>(all: &[T]) -> Option<&T> {
    all.get(all.len() / 2)
}

fn unanswered(operation: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, operation, "the reply has no result for it")
}
