//! Reads that leave out, mix up or reorder what operators asked for.

use async_trait::async_trait;
use queue_core::backend::{Inspect as _, JobRecord, ListRequest, NextReady};
use queue_core::{JobId, JobState, QueueName, Result};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q20 lists_jobs_of_every_state => Lists(Fault::State),
    Q20 lists_jobs_of_queues_with_a_longer_name => Lists(Fault::QueuePrefix),
    Q20 lists_jobs_of_kinds_in_another_case => Lists(Fault::KindCase),
    Q20 lists_no_cancelled_jobs => Lists(Fault::HidesCancelled),
    Q20 limits_a_list_before_its_filters => Lists(Fault::LimitFirst),
    Q20 lists_jobs_by_the_time_of_their_insert => Lists(Fault::ByTime),
    Q20 lists_jobs_without_their_errors => Lists(Fault::NoErrors),
    Q20 lists_jobs_without_their_results => Lists(Fault::NoResults),
    Q20 lists_jobs_without_their_progress => Lists(Fault::NoProgress),
    Q20 lists_nothing_for_a_great_limit => Lists(Fault::GreatLimit),
    Q20 lists_the_last_job_of_a_page_again => Lists(Fault::After),
    Q20 reads_each_job_of_a_request_once => ReadsOnce,
    Q20 reads_jobs_in_the_order_of_their_ids => ReadsInOrder,
    Q19 names_the_next_jobs_of_a_hundred_kinds => NamesHundred,
}

/// More than any case stores.
const ALL: u32 = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    State,
    QueuePrefix,
    KindCase,
    HidesCancelled,
    LimitFirst,
    ByTime,
    NoErrors,
    NoResults,
    NoProgress,
    GreatLimit,
    After,
}

/// Filters all jobs itself, with one fault.
struct Lists(Fault);

impl Lists {
    fn is_meant(&self, request: &ListRequest, record: &JobRecord) -> bool {
        let fault = self.0;
        let state = fault == Fault::State || request.state.is_none_or(|state| record.state == state);
        let queue = request.queue.as_ref().is_none_or(|queue| {
            let name = record.job.queue.as_str();
            *queue == record.job.queue || fault == Fault::QueuePrefix && name.starts_with(queue.as_str())
        });
        let kind = request.kind.as_ref().is_none_or(|kind| {
            let name = record.job.kind.as_str();
            *kind == record.job.kind || fault == Fault::KindCase && name.eq_ignore_ascii_case(kind.as_str())
        });
        let is_hidden =
            fault == Fault::HidesCancelled && request.state.is_none() && record.state == JobState::Cancelled;
        state && queue && kind && !is_hidden
    }

    fn change(&self, record: &mut JobRecord) {
        match self.0 {
            Fault::NoErrors => record.errors.clear(),
            Fault::NoResults => record.result = None,
            Fault::NoProgress => record.progress = None,
            _ => {}
        }
    }
}

#[async_trait]
impl Mutation for Lists {
    async fn list(&self, sound: &Sound, request: ListRequest) -> Result<Vec<JobRecord>> {
        sound.reached();
        if self.0 == Fault::GreatLimit && i32::try_from(request.limit).is_err() {
            return Ok(Vec::new());
        }
        let limit = request.limit as usize;
        let mut all = ListRequest::new(ALL);
        all.after = request.after.filter(|_| self.0 != Fault::After);
        let mut records = sound.backend.list(all).await?;
        if self.0 == Fault::After {
            records.retain(|record| request.after.is_none_or(|after| record.job.id >= after));
        }
        if self.0 == Fault::LimitFirst {
            records.truncate(limit);
        }
        records.retain(|record| self.is_meant(&request, record));
        if self.0 == Fault::ByTime {
            records.sort_by_key(|record| record.created_at);
        }
        records.truncate(limit);
        records.iter_mut().for_each(|record| self.change(record));
        Ok(records)
    }
}

struct ReadsOnce;

#[async_trait]
impl Mutation for ReadsOnce {
    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = sound.backend.jobs(ids).await?;
        for (place, id) in ids.iter().enumerate() {
            if ids[..place].contains(id) {
                sound.reached();
                records[place] = None;
            }
        }
        Ok(records)
    }
}

struct ReadsInOrder;

#[async_trait]
impl Mutation for ReadsInOrder {
    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut sorted = ids.to_vec();
        sorted.sort();
        if sorted != ids {
            sound.reached();
        }
        sound.backend.jobs(&sorted).await
    }
}

struct NamesHundred;

#[async_trait]
impl Mutation for NamesHundred {
    async fn next_ready(&self, sound: &Sound, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        let mut next = sound.backend.next_ready(queues).await?;
        if next.len() > 100 {
            sound.reached();
            next.truncate(100);
        }
        Ok(next)
    }
}
