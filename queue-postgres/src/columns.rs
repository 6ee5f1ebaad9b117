//! The parameters of an insert: the jobs by column.

use queue_core::{Backoff, JobSpec, Timestamp, saturating_micros};
use serde_json::{Map, Value};

use crate::connections::Parameter;
use crate::types::{Id, Interval, Time};

pub(crate) struct Columns<'a> {
    now: Option<Time>,
    ids: Vec<Id>,
    kinds: Vec<&'a str>,
    queues: Vec<&'a str>,
    priorities: Vec<i16>,
    run_ats: Vec<Option<Time>>,
    max_retries: Vec<i32>,
    timeouts: Vec<Interval>,
    backoff_bases: Vec<Option<Interval>>,
    backoff_caps: Vec<Option<Interval>>,
    backoff_jitters: Vec<Option<i16>>,
    payloads: Vec<&'a str>,
    more: Vec<Option<String>>,
}

/// The object of a job in `p_more`: the fields that few jobs have.
fn more(job: &JobSpec) -> Option<String> {
    if job.attributes.is_none() && job.unique.is_none() {
        return None;
    }
    let mut fields = Map::new();
    if let Some(attributes) = &job.attributes {
        fields.insert("attributes".to_owned(), attributes.as_str().into());
    }
    if let Some(unique) = &job.unique {
        fields.insert("unique_key".to_owned(), unique.as_str().into());
        fields.insert("unique_keep".to_owned(), saturating_micros(unique.keep()).into());
    }
    Some(Value::Object(fields).to_string())
}

/// The size of a job's texts in bytes, by which lists of jobs are limited.
pub(crate) fn bytes(job: &JobSpec) -> usize {
    let attributes = job.attributes.as_ref().map_or(0, |attributes| attributes.as_str().len());
    job.payload.as_bytes().len() + attributes
}

impl<'a> Columns<'a> {
    pub(crate) fn of(now: Option<Timestamp>, jobs: impl Iterator<Item = &'a JobSpec> + Clone) -> Self {
        let backoff = |part: fn(&Backoff) -> Interval| {
            jobs.clone().map(|job| job.backoff.as_ref().map(part)).collect::<Vec<_>>()
        };
        Self {
            now: now.map(Time),
            ids: jobs.clone().map(|job| job.id.into()).collect(),
            kinds: jobs.clone().map(|job| job.kind.as_str()).collect(),
            queues: jobs.clone().map(|job| job.queue.as_str()).collect(),
            priorities: jobs.clone().map(|job| job.priority).collect(),
            run_ats: jobs.clone().map(|job| job.run_at.map(Time)).collect(),
            max_retries: jobs.clone().map(|job| job.max_retries.into()).collect(),
            timeouts: jobs.clone().map(|job| Interval(job.timeout)).collect(),
            backoff_bases: backoff(|backoff| Interval(backoff.base())),
            backoff_caps: backoff(|backoff| Interval(backoff.cap())),
            backoff_jitters: jobs
                .clone()
                .map(|job| job.backoff.map(|backoff| backoff.jitter().into()))
                .collect(),
            payloads: jobs.clone().map(|job| job.payload.as_str()).collect(),
            more: if jobs.clone().any(|job| job.attributes.is_some() || job.unique.is_some()) {
                jobs.map(more).collect()
            } else {
                Vec::new()
            },
        }
    }

    pub(crate) fn parameters(&self) -> [Parameter<'_>; 13] {
        [
            &self.now,
            &self.ids,
            &self.kinds,
            &self.queues,
            &self.priorities,
            &self.run_ats,
            &self.max_retries,
            &self.timeouts,
            &self.backoff_bases,
            &self.backoff_caps,
            &self.backoff_jitters,
            &self.payloads,
            &self.more,
        ]
    }
}
