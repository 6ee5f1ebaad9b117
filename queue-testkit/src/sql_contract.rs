//! Test vectors of the SQL contract (`docs/sql-contract.md`), for every database that offers it.
//!
//! The vectors are in `sql_contract/vectors.json`, for implementations in other languages.

use queue_core::JobId;
use queue_core::backend::{JobRecord, Stored};
use queue_core::limits::DEFAULT_MAX_PAYLOAD_BYTES;
use serde::Deserialize;
use serde_json::{Value, json};

const VECTORS: &str = include_str!("sql_contract/vectors.json");

/// A database with the SQL contract. Its methods block.
pub trait SqlStorage {
    /// Removes all jobs and unique keys.
    fn clear(&self);

    /// Enqueues by the SQL of the contract, in a transaction of its own. Returns the id and the
    /// `insertion` of each job, in the order of the request, or the text of the database's error.
    fn enqueue(&self, request: &str) -> Result<Vec<(JobId, String)>, String>;

    /// Reads jobs by a handle on the same storage.
    fn jobs(&self, ids: &[JobId]) -> queue_core::Result<Vec<Option<JobRecord>>>;

    /// Reads the raw rows by a handle on the same storage.
    fn stored(&self) -> queue_core::Result<Stored>;
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    #[serde(default)]
    before: Vec<String>,
    request: String,
    #[serde(default)]
    stored: Vec<Value>,
    fault: Option<String>,
}

/// Runs all vectors.
///
/// # Errors
/// Lists the vectors that failed, and why.
pub fn check(storage: &dyn SqlStorage) -> Result<(), String> {
    let mut vectors: Vec<Vector> = serde_json::from_str(VECTORS).map_err(|error| error.to_string())?;
    vectors.push(too_large());
    let faults = vectors.iter().filter_map(|vector| {
        check_one(storage, vector).err().map(|fault| format!("{}: {fault}", vector.name))
    });
    let faults: Vec<String> = faults.collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// Not in the file, because it is large.
fn too_large() -> Vector {
    let payload = format!("\"{}\"", "x".repeat(DEFAULT_MAX_PAYLOAD_BYTES - 1));
    Vector {
        name: "a payload beyond 1 MiB".to_owned(),
        before: Vec::new(),
        request: json!([{ "kind": "a", "payload": payload }]).to_string(),
        stored: Vec::new(),
        fault: Some("\"payload\" is larger than 1 MiB".to_owned()),
    }
}

fn check_one(storage: &dyn SqlStorage, vector: &Vector) -> Result<(), String> {
    storage.clear();
    for request in &vector.before {
        storage.enqueue(request).map_err(|error| format!("the request before it failed: {error}"))?;
    }
    let before = stored(storage)?;
    match (storage.enqueue(&vector.request), &vector.fault) {
        (Err(error), Some(fault)) if error.contains(fault.as_str()) => {
            let after = stored(storage)?;
            let rows = |all: &Stored| (all.jobs.len(), all.live.len(), all.unique_keys.len());
            if rows(&after) == rows(&before) {
                Ok(())
            } else {
                Err("it failed and stored something".to_owned())
            }
        }
        (Err(error), _) => Err(format!("it failed: {error}")),
        (Ok(replies), Some(_)) => Err(format!("it did not fail, but returned {replies:?}")),
        (Ok(replies), None) => check_stored(storage, vector, &replies),
    }
}

fn stored(storage: &dyn SqlStorage) -> Result<Stored, String> {
    storage.stored().map_err(|error| error.to_string())
}

fn check_stored(
    storage: &dyn SqlStorage,
    vector: &Vector,
    replies: &[(JobId, String)],
) -> Result<(), String> {
    let ids: Vec<JobId> = replies.iter().map(|(id, _)| *id).collect();
    let records = storage.jobs(&ids).map_err(|error| error.to_string())?;
    if replies.len() != vector.stored.len() {
        return Err(format!("it returned {} jobs instead of {}", replies.len(), vector.stored.len()));
    }
    for ((record, (id, insertion)), expected) in records.into_iter().zip(replies).zip(&vector.stored) {
        let record = record.ok_or_else(|| format!("the job {id} does not exist"))?;
        let seen = seen(&record, insertion);
        let differs = |field: &&String| seen.get(field.as_str()) != expected.get(field.as_str());
        if let Some(field) = expected.as_object().into_iter().flatten().map(|(field, _)| field).find(differs)
        {
            let (seen, expected) = (&seen[field], &expected[field]);
            return Err(format!("`{field}` of job {id} is {seen}, expected {expected}"));
        }
    }
    Ok(())
}

/// The fields of a stored job in the form of the vectors.
fn seen(record: &JobRecord, insertion: &str) -> Value {
    let job = &record.job;
    let run_at = match job.run_at {
        Some(time) if time == record.created_at => "now".to_owned(),
        Some(time) => time.to_string(),
        None => String::new(),
    };
    let backoff = job
        .backoff
        .map(|backoff| json!([backoff.base().as_secs_f64(), backoff.cap().as_secs_f64(), backoff.jitter()]));
    json!({
        "insertion": insertion,
        "id": job.id,
        "kind": job.kind.as_str(),
        "payload": job.payload.as_str(),
        "queue": job.queue.as_str(),
        "priority": job.priority,
        "run_at": run_at,
        "max_retries": job.max_retries,
        "timeout": job.timeout.as_secs_f64(),
        "backoff": backoff,
        "attributes": job.attributes.as_ref().map(queue_core::Attributes::as_str),
        "unique": job.unique.as_ref().map(queue_core::UniqueKey::as_str),
        "unique_keep": job.unique.as_ref().map(|key| key.keep().as_secs_f64()),
    })
}
