//! The jobs for which callers wait, and which of them to ask for next.

use std::collections::{BTreeMap, BTreeSet};

use std::task::Waker;

use tokio::sync::oneshot;

use crate::backend::{JobEnd, Wakes};
use crate::limits::MAX_WATCHED_JOBS;
use crate::{Error, ErrorKind, JobId, Result};

pub(super) type Answer = Result<JobEnd>;

/// All callers by the job for which they wait.
pub(super) struct WaitList {
    jobs: BTreeMap<JobId, Vec<Waiting>>,
    /// The callers that were polled, and which of them was polled last.
    wakers: BTreeMap<u64, Waker>,
    polled_last: u64,
    /// The jobs to ask for. Sorted, because backends lock rows in the order of the ids.
    due: BTreeSet<JobId>,
    /// The number of requests and the number of callers so far.
    requests: u64,
    callers: u64,
    /// The maximum number of jobs in the next request. It is halved to find a job that cannot be
    /// read.
    most: usize,
    /// The consecutive requests that failed. After a failure, the next tick sends the next request.
    failures: u32,
    is_paused: bool,
    /// The thread of the ticks runs.
    pub(super) is_ticking: bool,
}

/// A caller that waits for a job.
struct Waiting {
    caller: u64,
    /// The number of requests that were sent before.
    since: u64,
    answer: oneshot::Sender<Answer>,
}

/// An answer to a caller.
pub(super) struct Delivery(oneshot::Sender<Answer>, Answer);

impl Delivery {
    pub(super) fn send(self) {
        // The caller may have been dropped.
        let _ = self.0.send(self.1);
    }
}

/// The jobs of one request, in the order of their ids.
pub(super) struct Request {
    pub(super) jobs: Vec<JobId>,
    number: u64,
}

impl Default for WaitList {
    fn default() -> Self {
        Self {
            jobs: BTreeMap::new(),
            wakers: BTreeMap::new(),
            polled_last: 0,
            due: BTreeSet::new(),
            requests: 0,
            callers: 0,
            most: MAX_WATCHED_JOBS,
            failures: 0,
            is_paused: false,
            is_ticking: false,
        }
    }
}

impl WaitList {
    /// Adds a caller. Returns its number, and the receivers of its answers.
    pub(super) fn add(&mut self, jobs: &[JobId]) -> (u64, Vec<oneshot::Receiver<Answer>>) {
        self.callers += 1;
        let (caller, since) = (self.callers, self.requests);
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (answer, receiver) = oneshot::channel();
            self.jobs.entry(*job).or_default().push(Waiting { caller, since, answer });
            answers.push(receiver);
        }
        self.due.extend(jobs);
        (caller, answers)
    }

    /// Removes a caller.
    pub(super) fn remove(&mut self, jobs: &[JobId], caller: u64) {
        self.wakers.remove(&caller);
        for job in jobs {
            self.retain(*job, |waiting| waiting.caller != caller);
        }
    }

    /// Notes that a caller is polled.
    pub(super) fn polled(&mut self, caller: u64, waker: &Waker) {
        self.polled_last = caller;
        self.wakers.entry(caller).and_modify(|old| old.clone_from(waker)).or_insert_with(|| waker.clone());
    }

    /// Returns the caller that shall poll the driver. It is the one that was polled last, because
    /// an earlier one may be kept without being polled.
    pub(super) fn caller_to_wake(&self) -> Option<Waker> {
        let last = self.wakers.get(&self.polled_last);
        last.or_else(|| self.wakers.values().next_back()).cloned()
    }

    /// Returns all callers.
    pub(super) fn callers(&self) -> Vec<Waker> {
        self.wakers.values().cloned().collect()
    }

    /// Notes which ends were announced.
    pub(super) fn wake(&mut self, wakes: &Wakes) {
        if wakes.unknown || wakes.more_finished {
            return self.ask_for_all();
        }
        self.due.extend(wakes.finished.iter().filter(|job| self.jobs.contains_key(job)));
    }

    /// Asks for all jobs, in case that the announcement of an end was lost.
    pub(super) fn tick(&mut self) {
        self.is_paused = false;
        self.ask_for_all();
    }

    pub(super) fn ask_for_all(&mut self) {
        self.due = self.jobs.keys().copied().collect();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Returns the request to send now, if there is one.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        if self.is_paused || self.due.is_empty() {
            return None;
        }
        self.requests += 1;
        let jobs = self.due.iter().take(self.most).copied().collect();
        Some(Request { jobs, number: self.requests })
    }

    /// Returns the answers to the callers. The caller must send them after it has unlocked the
    /// list.
    pub(super) fn answer(&mut self, request: Request, reply: Result<Vec<Option<JobEnd>>>) -> Vec<Delivery> {
        let mut answers = Vec::new();
        match reply {
            Ok(ends) => {
                (self.failures, self.most) = (0, self.most.saturating_mul(2).min(MAX_WATCHED_JOBS));
                for (job, end) in request.jobs.into_iter().zip(ends) {
                    match end {
                        None => drop(self.due.remove(&job)),
                        Some(JobEnd::Gone) => self.gone(job, request.number, &mut answers),
                        Some(end) => self.finish(job, || Ok(end.clone()), &mut answers),
                    }
                }
            }
            Err(error) => self.fail(&request.jobs, &error, &mut answers),
        }
        answers
    }

    fn finish(&mut self, job: JobId, answer: impl Fn() -> Answer, answers: &mut Vec<Delivery>) {
        self.due.remove(&job);
        for waiting in self.jobs.remove(&job).into_iter().flatten() {
            answers.push(Delivery(waiting.answer, answer()));
        }
    }

    /// Returns that a job does not exist. A caller that began to wait after the request was sent is
    /// asked for again, because it may have enqueued the job in between.
    fn gone(&mut self, job: JobId, request: u64, answers: &mut Vec<Delivery>) {
        let all = self.jobs.remove(&job).unwrap_or_default();
        let (before, after): (Vec<_>, Vec<_>) = all.into_iter().partition(|waiting| waiting.since < request);
        self.jobs.insert(job, before);
        self.finish(job, || Ok(JobEnd::Gone), answers);
        if !after.is_empty() {
            self.jobs.insert(job, after);
            self.due.insert(job);
        }
    }

    fn fail(&mut self, jobs: &[JobId], error: &Error, answers: &mut Vec<Delivery>) {
        if error.is_retryable() {
            self.is_paused = true;
            self.failures = self.failures.saturating_add(1);
            if self.failures.is_power_of_two() {
                let failures = self.failures;
                tracing::warn!(failures, %error, "the ends of awaited jobs could not be read; retrying");
            }
        } else if jobs.len() > 1 && matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid) {
            self.most = jobs.len() / 2;
        } else {
            // The error has one owner, so each caller gets a copy.
            let text = || crate::error_chain::error_chain(error);
            let copy = || Error::new(error.kind(), super::OPERATION, text()).with_jobs(error.jobs().to_vec());
            jobs.iter().for_each(|job| self.finish(*job, || Err(copy()), answers));
        }
    }

    fn retain(&mut self, job: JobId, keep: impl Fn(&Waiting) -> bool) {
        let Some(all) = self.jobs.get_mut(&job) else { return };
        all.retain(keep);
        if all.is_empty() {
            self.jobs.remove(&job);
            self.due.remove(&job);
        }
    }
}
