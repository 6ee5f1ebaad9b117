//! Job records as JSON, for HTTP interfaces and logs of operators.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::backend::{AttemptError, JobRecord};
use crate::{Backoff, JobId, JobState, Timestamp};

/// Ids are ULID texts, times are RFC 3339 texts, and durations are seconds. Payload, attributes and
/// result are nested JSON. A stored text that is not JSON becomes a string; a result that is not
/// UTF-8 becomes a string with replacement characters.
///
/// ```
/// use queue_core::backend::JobRecord;
/// use queue_core::{JobSpec, JobState, Payload, Timestamp};
///
/// let id = "01HZX3KJ5ZZZZZZZZZZZZZZZZZ".parse()?;
/// let job = JobSpec::new(id, "greet".parse()?, Payload::json("[1]")?);
/// let record = JobRecord::new(job, Timestamp::UNIX_EPOCH, JobState::Ready, Timestamp::UNIX_EPOCH);
/// let json = serde_json::to_string(&record).unwrap();
/// assert!(json.starts_with(r#"{"id":"01HZX3KJ5ZZZZZZZZZZZZZZZZZ","kind":"greet""#));
/// assert!(json.contains(r#""state":"ready","payload":[1]"#));
/// # Ok::<(), queue_core::Error>(())
/// ```
impl Serialize for JobRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Record::new(self).serialize(serializer)
    }
}

#[derive(Serialize)]
struct Record<'a> {
    id: JobId,
    kind: &'a str,
    queue: &'a str,
    priority: i16,
    state: JobState,
    payload: Json<'a>,
    attributes: Option<Json<'a>>,
    unique_key: Option<&'a str>,
    attempt: u32,
    max_retries: u16,
    timeout_seconds: f64,
    backoff: Option<BackoffJson>,
    created_at: String,
    run_at: String,
    finished_at: Option<String>,
    progress: Option<ProgressJson>,
    result: Option<Json<'a>>,
    error: Option<&'a str>,
    errors: Vec<ErrorJson<'a>>,
}

impl<'a> Record<'a> {
    fn new(record: &'a JobRecord) -> Self {
        let job = &record.job;
        let progress =
            |progress: &crate::Progress| ProgressJson { done: progress.done, total: progress.total };
        Self {
            id: job.id,
            kind: job.kind.as_str(),
            queue: job.queue.as_str(),
            priority: job.priority,
            state: record.state,
            payload: Json(job.payload.as_bytes()),
            attributes: job.attributes.as_ref().map(|attributes| Json(attributes.as_str().as_bytes())),
            unique_key: job.unique.as_ref().map(crate::UniqueKey::as_str),
            attempt: record.attempt,
            max_retries: job.max_retries,
            timeout_seconds: job.timeout.as_secs_f64(),
            backoff: job.backoff.map(BackoffJson::new),
            created_at: record.created_at.to_string(),
            run_at: record.run_at.to_string(),
            finished_at: record.finished_at.as_ref().map(Timestamp::to_string),
            progress: record.progress.as_ref().map(progress),
            result: record.result.as_deref().map(Json),
            error: record.error.as_deref(),
            errors: record.errors.iter().map(ErrorJson::new).collect(),
        }
    }
}

/// A text that is probably JSON.
struct Json<'a>(&'a [u8]);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_slice::<&RawValue>(self.0) {
            Ok(json) => json.serialize(serializer),
            Err(_) => serializer.serialize_str(&String::from_utf8_lossy(self.0)),
        }
    }
}

#[derive(Serialize)]
struct BackoffJson {
    base_seconds: f64,
    cap_seconds: f64,
    jitter_percent: u8,
}

impl BackoffJson {
    fn new(backoff: Backoff) -> Self {
        Self {
            base_seconds: backoff.base().as_secs_f64(),
            cap_seconds: backoff.cap().as_secs_f64(),
            jitter_percent: backoff.jitter(),
        }
    }
}

#[derive(Serialize)]
struct ProgressJson {
    done: u64,
    total: u64,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    attempt: u32,
    at: String,
    error: &'a str,
    duration_seconds: Option<f64>,
    worker: Option<String>,
}

impl<'a> ErrorJson<'a> {
    fn new(error: &'a AttemptError) -> Self {
        Self {
            attempt: error.attempt,
            at: error.at.to_string(),
            error: &error.error,
            duration_seconds: error.duration.map(|duration| duration.as_secs_f64()),
            worker: error.worker.map(|worker| worker.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::{JobSpec, Payload, WorkerId};

    #[test]
    fn record_with_damaged_texts_is_written() {
        let job = JobSpec::new(JobId::generate(), "greet".parse().unwrap(), Payload::from_stored("{broken"))
            .backoff(Backoff::default());
        let at = Timestamp::from_micros(1_500_000).unwrap();
        let failed = AttemptError::new(2, at, "bang")
            .duration(Some(Duration::from_millis(250)))
            .worker(Some(WorkerId::from_bytes([0; 16])));
        let record = JobRecord::new(job, at, JobState::Dead, at)
            .finished_at(Some(at))
            .result(Some(b"\xff".to_vec()))
            .errors(vec![AttemptError::new(1, at, "boom"), failed]);
        let written: Value = serde_json::to_value(&record).unwrap();
        assert_eq!(written["payload"], json!("{broken"));
        assert_eq!(written["result"], json!("\u{fffd}"));
        assert_eq!(written["finished_at"], json!("1970-01-01T00:00:01.500000Z"));
        assert_eq!(
            written["errors"],
            json!([
                {
                    "attempt": 1, "at": "1970-01-01T00:00:01.500000Z", "error": "boom",
                    "duration_seconds": null, "worker": null,
                },
                {
                    "attempt": 2, "at": "1970-01-01T00:00:01.500000Z", "error": "bang",
                    "duration_seconds": 0.25, "worker": "00000000000000000000000000",
                },
            ])
        );
        assert_eq!(written["attributes"], Value::Null);
    }
}
