//! What one process, or one task, said that it did: put together from its lines.

use std::collections::BTreeMap;
use std::time::Duration;

use queue_core::{ClaimId, JobId};

use super::event::{Answered, Asked, End, Ending, Event, Failure, Lease, Named};
use crate::child::Line;

/// How the leases of a process can be taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expires {
    /// The case moves the clock so that workers are given up only once their process is killed or stopped.
    OnceGone,
    /// By the backend's own clock: this long after a worker's last heartbeat.
    After(Duration),
}

/// The lines of a process.
#[derive(Debug, Clone)]
pub(crate) struct Testimony {
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) expires: Expires,
    /// The moment before it was killed, or stopped for the first time.
    pub(crate) gone_from: Option<Duration>,
}

/// An operation, from when it was asked for to when it was answered, if it was.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) asked_at: Duration,
    pub(crate) asked: Asked,
    pub(crate) answer: Option<(Duration, Answered)>,
}

impl Testimony {
    pub(crate) fn events(&self) -> impl Iterator<Item = (Duration, Event)> {
        self.lines.iter().filter_map(|line| Some((line.at, Event::read(&line.text)?)))
    }

    /// Its operations, in the order in which they were asked for.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let mut operations = BTreeMap::new();
        for (at, event) in self.events() {
            match event {
                Event::Asks(number, asked) => {
                    operations.insert(number, Operation { asked_at: at, asked, answer: None });
                }
                Event::Answers(number, answer) => {
                    if let Some(operation) = operations.get_mut(&number) {
                        operation.answer = Some((at, answer));
                    }
                }
                Event::Starts { .. } => {}
            }
        }
        operations.into_values().collect()
    }

    /// The leases that it had been given and had not ended, by its own words.
    pub(crate) fn open_leases(&self) -> Vec<Lease> {
        let mut open = Vec::new();
        for operation in self.operations() {
            match (operation.asked, operation.answer) {
                (Asked::Claim { claim, .. }, Some((_, Answered::Claimed(jobs)))) => {
                    open.extend(jobs.into_iter().map(|(job, _)| Lease { job, claim }));
                }
                (Asked::Settle(ends), Some((_, Answered::Settled(answers)))) => {
                    let is_over = |lease: &Lease| {
                        let mut ends = ends.iter().zip(&answers);
                        ends.any(|((ended, _), answer)| ended == lease && answer.is_ok())
                    };
                    open.retain(|lease| !is_over(lease));
                }
                _ => {}
            }
        }
        open
    }

    /// Whether it had sent an insert, a settle or a cancel, and knew no answer.
    pub(crate) fn has_open_write(&self) -> bool {
        let is_write =
            |asked: &Asked| matches!(asked, Asked::Insert(_) | Asked::Settle(_) | Asked::Cancel(_));
        self.operations().iter().any(|operation| operation.answer.is_none() && is_write(&operation.asked))
    }

    /// Whether this worker of the process may have been given up by `moment`.
    pub(crate) fn may_be_lost(&self, worker: Named, moment: Duration, beats: &[(Named, Duration)]) -> bool {
        match self.expires {
            Expires::OnceGone => self.gone_from.is_some_and(|from| from <= moment),
            Expires::After(expiry) => {
                let of_worker = |beat: &&(Named, Duration)| beat.0 == worker && beat.1 <= moment;
                let last = beats.iter().filter(of_worker).map(|beat| beat.1).max();
                // A little earlier than by this clock: the backend's may run faster.
                last.is_none_or(|last| moment >= last + expiry.mul_f64(0.95))
            }
        }
    }

    /// When its workers were certainly alive: the moments at which heartbeats were asked for that were answered.
    pub(crate) fn beats(&self) -> Vec<(Named, Duration)> {
        let alive = |operation: Operation| match (operation.asked, operation.answer) {
            (Asked::Register(worker) | Asked::Beat(worker), Some((_, Answered::Alive))) => {
                Some((worker, operation.asked_at))
            }
            _ => None,
        };
        self.operations().into_iter().filter_map(alive).collect()
    }
}

/// A claim's lease on a job, with all that is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) claim: ClaimId,
    pub(crate) attempt: u32,
    pub(crate) worker: Named,
    /// Which testimony tells of it.
    pub(crate) by: usize,
    pub(crate) asked_at: Duration,
    pub(crate) answered_at: Duration,
    pub(crate) ends: Vec<Ended>,
}

impl Held {
    /// Whether the lease was certainly live after this moment: what ended it was asked for later, and did not
    /// repeat what may have ended it before.
    pub(crate) fn outlived(&self, moment: Duration) -> bool {
        let (before, after): (Vec<_>, Vec<_>) = self.ends.iter().partition(|end| end.asked_at <= moment);
        let may_have_ended = before.iter().any(|end| end.answer.may_be_done());
        !may_have_ended && after.iter().any(|end| matches!(end.answer, Answer::Is(_, End::Done)))
    }
}

/// A settlement of it.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) asked_at: Duration,
    pub(crate) ending: Ending,
    pub(crate) answer: Answer,
}

/// What is known of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Is(Duration, End),
    Unknown,
    Refused,
}

impl Answer {
    pub(crate) fn of(answer: Option<&(Duration, Answered)>, index: usize) -> Self {
        match answer {
            Some((at, Answered::Settled(ends))) => match ends.get(index) {
                Some(Ok(end)) => Self::Is(*at, *end),
                Some(Err(Failure::Unknown)) => Self::Unknown,
                Some(Err(_)) | None => Self::Refused,
            },
            Some((_, Answered::Failed(Failure::Unknown))) | None => Self::Unknown,
            Some(_) => Self::Refused,
        }
    }

    /// Whether the settlement may have taken effect.
    pub(crate) const fn may_be_done(self) -> bool {
        matches!(self, Self::Is(_, End::Done) | Self::Unknown)
    }
}

/// A batch that somebody asked to store.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) jobs: Vec<JobId>,
    pub(crate) asked_at: Duration,
    pub(crate) fate: Fate,
}

/// What is known of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was acknowledged, at this moment.
    Stored(Duration),
    /// Nobody knows: it is there whole, or not at all.
    Unknown,
    /// It was refused.
    Refused,
}

impl Fate {
    pub(crate) fn of(answer: Option<&(Duration, Answered)>, index: usize) -> Self {
        match answer {
            Some((at, Answered::Inserted(fates))) => match fates.get(index) {
                Some(Ok(_)) => Self::Stored(*at),
                Some(Err(Failure::Unknown)) => Self::Unknown,
                Some(Err(_)) | None => Self::Refused,
            },
            Some((_, Answered::Failed(Failure::Unknown))) | None => Self::Unknown,
            Some(_) => Self::Refused,
        }
    }
}
