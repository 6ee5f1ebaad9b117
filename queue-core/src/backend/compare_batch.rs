//! Comparison of a batch with the stored jobs, for a repeated insert.

use std::borrow::Borrow;

use crate::{Error, ErrorKind, Insertion, JobId, JobSpec, Timestamp};

/// Compares a batch with the stored jobs of the same ids, as
/// [`Backend::insert`](super::Backend::insert) requires.
///
/// `stored` returns the stored job of an id and the time of its insert, or `None`. It is called for
/// the jobs in order, until a job differs. The result has one entry per job:
/// [`Known`](Insertion::Known) if the job is stored with the same content, else
/// [`New`](Insertion::New). The jobs without a unique key are all known or all new. A new job with
/// a key may still be a duplicate.
///
/// A storage that rounds durations must pass the rounded batch ([`JobSpec::in_whole_micros`]).
///
/// ```
/// use queue_core::backend::compare_batch;
/// use queue_core::{Error, Insertion, JobId, JobSpec, Kind, Payload, Timestamp};
///
/// let batch = [JobSpec::new(JobId::generate(), Kind::new("mail")?, Payload::json("{}")?)];
/// let mut stored = None;
/// let insertions = compare_batch(&batch, |_| Ok::<_, Error>(stored))?;
/// assert_eq!(insertions, [Insertion::New]);
///
/// stored = Some((&batch[0], Timestamp::now()));
/// let insertions = compare_batch(&batch, |_| Ok::<_, Error>(stored))?;
/// assert_eq!(insertions, [Insertion::Known]);
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
) -> Result<Vec<Insertion>, E>
where
    S: Borrow<JobSpec>,
    E: From<Error>,
{
    let mut insertions = Vec::new();
    let (mut known, mut is_part_missing) = (None, false);
    for job in batch {
        let job: &JobSpec = job.borrow();
        match stored(job.id)? {
            None => {
                is_part_missing |= job.unique.is_none();
                insertions.push(Insertion::New);
            }
            Some((kept, created_at)) if job.is_same_as(kept.borrow(), created_at) => {
                known.get_or_insert(job.id);
                insertions.push(Insertion::Known);
            }
            Some(_) => return Err(conflict(job.id, "is stored already with other content").into()),
        }
    }
    match known {
        Some(id) if is_part_missing => {
            Err(conflict(id, "is stored already, but others of its batch are not").into())
        }
        _ => Ok(insertions),
    }
}

fn conflict(id: JobId, fault: &str) -> Error {
    let message = format!("the job {id} {fault}");
    Error::new(ErrorKind::Conflict, "enqueue jobs", message).with_jobs(vec![id])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Kind, Payload, Result, UniqueKey};

    fn job(payload: &str) -> JobSpec {
        JobSpec::new(JobId::generate(), Kind::new("a").unwrap(), Payload::from_stored(payload))
    }

    fn compare(batch: &[JobSpec], stored: &[JobSpec]) -> Result<Vec<Insertion>> {
        let now = Timestamp::UNIX_EPOCH;
        compare_batch(batch, |id| Ok(stored.iter().find(|job| job.id == id).map(|job| (job, now))))
    }

    #[test]
    fn batch_is_new_or_known_as_a_whole() {
        let batch = [job("1"), job("2")];
        assert_eq!(compare(&batch, &[]).unwrap(), [Insertion::New; 2]);
        let stored = batch.clone().map(|job| job.run_at(Timestamp::UNIX_EPOCH));
        assert_eq!(compare(&batch, &stored).unwrap(), [Insertion::Known; 2]);
    }

    #[test]
    fn missing_job_with_a_key_is_new_beside_known_ones() {
        let key = UniqueKey::new("k", Duration::ZERO).unwrap();
        let batch = [job("1"), job("2").unique(key)];
        let first = batch[0].clone().run_at(Timestamp::UNIX_EPOCH);
        let second = batch[1].clone().run_at(Timestamp::UNIX_EPOCH);
        assert_eq!(compare(&batch, &[first]).unwrap(), [Insertion::Known, Insertion::New]);
        let error = compare(&batch, &[second]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
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
