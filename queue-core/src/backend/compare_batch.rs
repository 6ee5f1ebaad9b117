//! Comparison of a batch with the stored jobs, for a repeated insert.

use std::borrow::Borrow;

use crate::{Error, ErrorKind, Insertion, JobId, JobSpec, Timestamp};

/// Compares a batch with the stored jobs of the same ids, as
/// [`Backend::insert`](super::Backend::insert) requires.
///
/// `stored` returns the stored job of an id and the time of its insert, or `None`. It is called for
/// the jobs in order, until a job differs. The result is [`New`](Insertion::New) if no id is
/// stored. It is [`Known`](Insertion::Known) if all jobs are stored with the same content.
///
/// A storage that rounds durations must pass the rounded batch ([`JobSpec::in_whole_micros`]).
///
/// ```
/// use queue_core::backend::compare_batch;
/// use queue_core::{Error, Insertion, JobId, JobSpec, Kind, Payload, Timestamp};
///
/// let batch = [JobSpec::new(JobId::generate(), Kind::new("mail")?, Payload::json("{}")?)];
/// let mut stored = None;
/// let insertion = compare_batch(&batch, |_| Ok::<_, Error>(stored))?;
/// assert_eq!(insertion, Insertion::New);
///
/// stored = Some((&batch[0], Timestamp::now()));
/// let insertion = compare_batch(&batch, |_| Ok::<_, Error>(stored))?;
/// assert_eq!(insertion, Insertion::Known);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// - [`Conflict`](ErrorKind::Conflict) with the id if a stored job has other content, or if only a
///   part of the batch is stored.
/// - The errors of `stored`.
pub fn compare_batch<S, E>(
    batch: impl IntoIterator<Item = impl Borrow<JobSpec>>,
    mut stored: impl FnMut(JobId) -> Result<Option<(S, Timestamp)>, E>,
) -> Result<Insertion, E>
where
    S: Borrow<JobSpec>,
    E: From<Error>,
{
    let (mut known, mut is_part_missing) = (None, false);
    for job in batch {
        let job: &JobSpec = job.borrow();
        match stored(job.id)? {
            None => is_part_missing = true,
            Some((kept, created_at)) if job.is_same_as(kept.borrow(), created_at) => {
                known.get_or_insert(job.id);
            }
            Some(_) => return Err(conflict(job.id, "is stored already with other content").into()),
        }
    }
    match known {
        None => Ok(Insertion::New),
        Some(_) if !is_part_missing => Ok(Insertion::Known),
        Some(id) => Err(conflict(id, "is stored already, but others of its batch are not").into()),
    }
}

fn conflict(id: JobId, fault: &str) -> Error {
    let message = format!("the job {id} {fault}");
    Error::new(ErrorKind::Conflict, "enqueue jobs", message).with_jobs(vec![id])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Payload, Result};

    fn job(payload: &str) -> JobSpec {
        JobSpec::new(JobId::generate(), Kind::new("a").unwrap(), Payload::from_stored(payload))
    }

    fn compare(batch: &[JobSpec], stored: &[JobSpec]) -> Result<Insertion> {
        let now = Timestamp::UNIX_EPOCH;
        compare_batch(batch, |id| Ok(stored.iter().find(|job| job.id == id).map(|job| (job, now))))
    }

    #[test]
    fn batch_is_new_or_known_as_a_whole() {
        let batch = [job("1"), job("2")];
        assert_eq!(compare(&batch, &[]).unwrap(), Insertion::New);
        let stored = batch.clone().map(|job| job.run_at(Timestamp::UNIX_EPOCH));
        assert_eq!(compare(&batch, &stored).unwrap(), Insertion::Known);
    }

    #[test]
    fn conflict_names_the_job() {
        let (first, second) = (job("1"), job("2"));
        let kept = second.clone().run_at(Timestamp::UNIX_EPOCH);
        let id = kept.id;
        let batch = [first, second];
        let error = compare(&batch, std::slice::from_ref(&kept)).unwrap_err();
        assert_eq!((error.kind(), error.jobs()), (ErrorKind::Conflict, &[id][..]));
        assert!(error.to_string().ends_with("but others of its batch are not"), "{error}");
        let error = compare(&batch, &[kept.priority(9)]).unwrap_err();
        assert_eq!((error.kind(), error.jobs()), (ErrorKind::Conflict, &[id][..]));
        assert!(error.to_string().ends_with("with other content"), "{error}");
    }
}
