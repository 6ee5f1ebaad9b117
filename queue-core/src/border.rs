//! The checks before a request reaches a backend. They are the same for all backends.

use std::collections::HashSet;

use crate::{
    Error, ErrorKind, JobId, JobSpec, Limits, NewJob, Prepared, Result, Submitted, TaskOptions, Timestamp,
};

/// Checks a batch, and fills in the options that its jobs do not set. `now` decides the period of a
/// unique key.
pub(crate) fn prepare<'a>(
    limits: &Limits,
    now: Timestamp,
    jobs: Vec<NewJob>,
    defaults: impl Fn(&NewJob) -> &'a TaskOptions,
) -> Result<Prepared> {
    resolve(limits, now, jobs, defaults).map(Prepared::new)
}

/// Stores a batch by `insert`, and adds the ids to an unknown outcome.
pub(crate) async fn submit<F>(
    batch: Prepared,
    insert: impl FnOnce(Vec<JobSpec>) -> F + Send,
) -> Result<Vec<Submitted>>
where
    F: Future<Output = Result<Vec<Result<Vec<Submitted>>>>> + Send,
{
    if batch.jobs().is_empty() {
        return Ok(Vec::new());
    }
    let ids = batch.ids();
    let outcome = match insert(batch.into_jobs()).await {
        Ok(mut batches) if batches.len() == 1 => batches.remove(0),
        Ok(batches) => {
            let message = format!("the backend returned {} results for 1 batch", batches.len());
            Err(Error::new(ErrorKind::UnknownOutcome, "enqueue jobs", message))
        }
        Err(error) => Err(error),
    };
    outcome.map_err(|error| match error.kind() {
        ErrorKind::UnknownOutcome => error.with_jobs(ids),
        _ => error,
    })
}

fn resolve<'a>(
    limits: &Limits,
    now: Timestamp,
    jobs: Vec<NewJob>,
    defaults: impl Fn(&NewJob) -> &'a TaskOptions,
) -> Result<Vec<JobSpec>> {
    let many = jobs.len();
    if many > limits.batch_jobs {
        let message = format!("the batch has {many} jobs, the limit is {}", limits.batch_jobs);
        return Err(Error::invalid("enqueue jobs", message));
    }
    let oldest = JobId::least_at(Timestamp::now().saturating_sub(limits.idempotency_window));
    let missing = jobs.iter().filter(|job| job.id.is_none()).count();
    let mut new_ids = JobId::generate_many(missing).into_iter();
    let mut given = HashSet::new();
    let mut specs = Vec::with_capacity(many);
    for (index, mut job) in jobs.into_iter().enumerate() {
        check(limits, &job, oldest).map_err(|fault| refuse(&job, index, many, &fault))?;
        let options = defaults(&job);
        let id = match job.id {
            Some(id) if !given.insert(id) => {
                return Err(refuse(&job, index, many, &format!("the id {id} is in the batch twice")));
            }
            Some(id) => id,
            None => new_ids.next().unwrap_or_else(JobId::generate),
        };
        let unique = match job.unique.take() {
            // A request that is repeated with its id must have the same key in the next period.
            Some(unique) => {
                let time = job.run_at.or_else(|| job.id.map(JobId::timestamp)).unwrap_or(now);
                Some(unique.resolve(time).map_err(|fault| refuse(&job, index, many, &fault))?)
            }
            None => None,
        };
        specs.push(job.resolve(id, unique, options));
    }
    Ok(specs)
}

fn check(limits: &Limits, job: &NewJob, oldest: JobId) -> Result<(), String> {
    let bytes = job.payload.as_bytes().len();
    if bytes > limits.payload_bytes {
        return Err(format!("the payload is {bytes} bytes, the limit is {}", limits.payload_bytes));
    }
    match job.id {
        Some(id) if id < oldest => Err(format!(
            "the id {id} is of {}, older than the idempotency window of {:?}",
            id.timestamp(),
            limits.idempotency_window
        )),
        _ => Ok(()),
    }
}

fn refuse(job: &NewJob, index: usize, many: usize, fault: &str) -> Error {
    let place = if many == 1 { String::new() } else { format!(" (number {} of {many})", index + 1) };
    Error::invalid(format!("enqueue a job of kind `{}`{place}", job.kind), fault)
}

/// Returns an error text as it is stored: NUL replaced, and cut between characters at `max_bytes`.
#[cfg(feature = "runtime")]
pub(crate) fn error_text(text: &str, max_bytes: usize) -> String {
    // Cut before and after, because the replacement of a NUL is longer than a NUL.
    let mut text = cut(text, max_bytes).replace('\0', "\u{fffd}");
    text.truncate(cut(&text, max_bytes).len());
    text
}

/// Cuts a text between characters.
#[cfg(feature = "runtime")]
fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(all(test, feature = "runtime"))]
mod tests {
    use super::*;

    #[test]
    fn error_text_is_cut_between_characters() {
        assert_eq!(error_text("aéb", 2), "a");
        assert_eq!(error_text("a\0b", 100), "a\u{fffd}b");
        assert_eq!(error_text("\0\0\0\0", 8), "\u{fffd}\u{fffd}");
    }
}
