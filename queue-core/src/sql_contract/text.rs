//! The JSON text of the SQL contract.

use std::time::Duration;

use serde::Serialize;

use super::{SqlCompletion, SqlWake};
use crate::{Attributes, Backoff, JobId, JobSpec, UniqueKey};

#[derive(Serialize)]
struct Request<'a> {
    version: u32,
    storage: Option<&'a str>,
    wake: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    completion: Option<Completion<'a>>,
    jobs: Vec<Job<'a>>,
}

#[derive(Serialize)]
struct Completion<'a> {
    job: String,
    claim: String,
    result: Option<&'a str>,
}

#[derive(Serialize)]
struct Job<'a> {
    id: String,
    kind: &'a str,
    payload: &'a str,
    queue: &'a str,
    priority: i16,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<String>,
    max_retries: u16,
    timeout: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff: Option<BackoffFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_keep: Option<f64>,
}

#[derive(Serialize)]
struct BackoffFields {
    base: f64,
    cap: f64,
    jitter: u8,
}

pub(super) fn write(
    jobs: &[JobSpec],
    completion: Option<&SqlCompletion>,
    storage: Option<&str>,
    wake: SqlWake,
) -> String {
    let completion = completion.map(|SqlCompletion { token, result }| Completion {
        job: hex(token.job.to_bytes()),
        claim: hex(token.claim.to_bytes()),
        result: result.as_deref(),
    });
    let jobs = jobs.iter().map(Job::new).collect();
    let request = Request { version: 1, storage, wake: wake == SqlWake::AtCommit, completion, jobs };
    // A struct of texts and numbers can always be written.
    serde_json::to_string(&request).unwrap_or_default()
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// The id as a UUID, which both databases read faster than a ULID.
fn uuid(id: JobId) -> String {
    let hex = hex(id.to_bytes());
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

impl<'a> Job<'a> {
    fn new(job: &'a JobSpec) -> Self {
        let seconds = |duration: Duration| duration.as_secs_f64();
        let backoff = |backoff: Backoff| BackoffFields {
            base: seconds(backoff.base()),
            cap: seconds(backoff.cap()),
            jitter: backoff.jitter(),
        };
        Self {
            id: uuid(job.id),
            kind: job.kind.as_str(),
            payload: job.payload.as_str(),
            queue: job.queue.as_str(),
            priority: job.priority,
            run_at: job.run_at.map(|time| time.to_string()),
            max_retries: job.max_retries,
            timeout: seconds(job.timeout),
            backoff: job.backoff.map(backoff),
            attributes: job.attributes.as_ref().map(Attributes::as_str),
            unique: job.unique.as_ref().map(UniqueKey::as_str),
            unique_keep: job.unique.as_ref().map(|key| seconds(key.keep())),
        }
    }
}
