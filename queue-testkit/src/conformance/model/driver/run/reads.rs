//! Reads that change nothing, and a storage that is opened again.

use anyhow::ensure;
use queue_core::backend::{JobEnd, ListRequest, ReadyQueuesRequest, RegisterRequest};
use queue_core::{ErrorKind, JobId, JobState, Kind, QueueName, WorkerId};

use super::super::super::super::case::CaseResult;
use super::super::super::super::check::{About as _, check_eq, fails_with};
use super::super::super::super::promise::Promise;
use super::super::super::super::session::{EXPIRY, queue};
use super::super::super::operation::Listing;
use super::super::super::{Job, Reason};
use super::Run;

/// The queues of the jobs.
const QUEUES: [&str; 2] = ["default", "other"];

impl Run<'_> {
    pub(super) async fn reopen(&mut self) -> CaseResult {
        if self.kit.backend()?.capabilities().durable {
            self.kit.reopen().await?;
            self.wakes = self.kit.backend()?.subscribe();
        }
        Ok(())
    }

    /// The expiry of the worker must stay as it is, whatever the request says.
    pub(super) async fn register_again(&mut self, worker: WorkerId) -> CaseResult {
        // The id of a retired worker may be forgotten.
        if !self.model.is_retired(worker) {
            let request = RegisterRequest::new(worker, "again", EXPIRY * 9).at(self.kit.now());
            let answer = self.kit.backend()?.register(request).await;
            fails_with(answer, ErrorKind::Conflict).about(Promise::HeartbeatExtends)?;
        }
        Ok(())
    }

    /// The jobs of a list in order. A waiting job that is due may be ready, because any worker may
    /// have promoted it, so a list by state is not compared while there is one.
    pub(super) async fn list(&self, listing: &Listing) -> CaseResult {
        if listing.state.is_some() && self.model.has_overdue(self.kit.now()) {
            return Ok(());
        }
        let backend = self.kit.backend()?;
        let Some(inspect) = backend.extensions().inspect else { return Ok(()) };
        let mut request = ListRequest::new(listing.limit);
        request.state = listing.state;
        request.queue = listing.queue.map(queue).transpose()?;
        request.kind = listing.kind.map(Kind::new).transpose()?;
        request.after = listing.after.as_ref().map(|index| self.any_job(index));
        let is_meant = |job: &&Job| {
            listing.state.is_none_or(|state| job.state == state)
                && listing.queue.is_none_or(|name| job.spec.queue.as_str() == name)
                && listing.kind.is_none_or(|kind| job.spec.kind.as_str() == kind)
                && request.after.is_none_or(|after| job.spec.id > after)
        };
        let mut expected: Vec<JobId> =
            self.model.jobs.iter().filter(is_meant).map(|job| job.spec.id).collect();
        expected.sort();
        expected.truncate(usize::try_from(listing.limit).unwrap_or(usize::MAX));
        let seen: Vec<JobId> = inspect.list(request).await?.iter().map(|record| record.job.id).collect();
        check_eq!(seen, expected, "the jobs of a list").about(Promise::PayloadFidelity)
    }

    /// Each queue with a job for these kinds must be named. One with a waiting job of another kind
    /// that is due need not, because any worker may have promoted that job.
    pub(super) async fn ready_queues(&self, kinds: &[&str]) -> CaseResult {
        let (now, kinds) = (self.kit.now(), kinds.iter().map(Kind::new).collect::<Result<Vec<_>, _>>()?);
        let queues = QUEUES.map(queue).into_iter().collect::<Result<Vec<QueueName>, _>>()?;
        let request = ReadyQueuesRequest::new(queues.clone(), kinds.clone()).at(now);
        let reply = self.kit.backend()?.ready_queues(request).await?;
        let has_job = |name: &QueueName| {
            let mut jobs = self.model.jobs.iter().filter(|job| job.spec.queue == *name);
            jobs.any(|job| job.can_be_claimed(now) && kinds.contains(&job.spec.kind))
        };
        let expected = queues.iter().filter(|name| !self.model.paused.contains(*name) && has_job(name));
        for name in expected {
            ensure_named(&reply.queues, name)?;
        }
        let left_out = queues.iter().filter(|name| !reply.queues.contains(name));
        let next = left_out.filter_map(|name| self.model.next_due(now, Some(name))).min();
        if let Some(due) = reply.next_due.filter(|_| !self.model.has_overdue(now)) {
            check_eq!(Some(due), next, "`next_due` of a look at the queues").about(Promise::NotBefore)?;
        }
        Ok(())
    }

    /// How the jobs ended.
    pub(super) async fn watch(&self, jobs: &[JobId]) -> CaseResult {
        let backend = self.kit.backend()?;
        let Some(watch) = backend.extensions().watch else { return Ok(()) };
        let seen = watch.watch(jobs).await?;
        ensure!(seen.len() == jobs.len(), "{} ends for {} jobs", seen.len(), jobs.len());
        for (id, seen) in jobs.iter().zip(seen) {
            let job = self.model.jobs.iter().find(|job| job.spec.id == *id);
            let expected = end(job, seen.as_ref());
            check_eq!(seen, expected, "how job {id} ended").about(Promise::ResultIffComplete)?;
        }
        Ok(())
    }
}

fn ensure_named(seen: &[QueueName], name: &QueueName) -> CaseResult {
    check_eq!(seen.contains(name), true, "whether a look names the queue {name}, and not only {seen:?}")
        .about(Promise::NoStarvation)
}

/// The expected end of a job. A text that the backend chooses is that of `seen`.
fn end(job: Option<&Job>, seen: Option<&JobEnd>) -> Option<JobEnd> {
    let Some(job) = job else { return Some(JobEnd::Gone) };
    let text = match &job.reason {
        Reason::Text(text) => Some(text.clone()),
        Reason::None => None,
        Reason::Any => match seen {
            Some(JobEnd::Dead { error }) => Some(error.clone()),
            Some(JobEnd::Cancelled { reason }) => reason.clone(),
            _ => None,
        },
    };
    match job.state {
        JobState::Completed => Some(JobEnd::Completed { result: job.result.clone() }),
        JobState::Dead => Some(JobEnd::Dead { error: text.unwrap_or_default() }),
        JobState::Cancelled => Some(JobEnd::Cancelled { reason: text }),
        _ => None,
    }
}
