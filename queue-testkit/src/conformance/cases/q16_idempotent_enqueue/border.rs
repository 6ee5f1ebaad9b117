//! Q16: ids chosen by the application, as the client checks them before any backend.

use std::time::Duration;

use anyhow::ensure;
use queue_core::{
    Backoff, Enqueuer as _, ErrorKind, Insertion, JobId, JobQueue, Limits, NewJob, QueueName, Submitted,
    Timestamp,
};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::program::new_job;

cases! {
    Fast q16_an_enqueue_of_unknown_outcome_can_be_repeated,
    Fast q16_every_choice_of_a_job_is_known_again,
    Fast q16_an_id_older_than_the_window_is_refused,
    Fast q16_an_id_that_stands_twice_in_a_batch_is_refused,
}

fn with_ids(ids: &[JobId]) -> queue_core::Result<Vec<NewJob>> {
    ids.iter().map(|id| Ok(new_job("job", "{}")?.id(*id))).collect()
}

/// A client submits the same batch with the same ids three times. The first reply must be new and
/// the later ones known. Other content must return a `Conflict` that names the id.
async fn q16_an_enqueue_of_unknown_outcome_can_be_repeated(kit: &Kit) -> CaseResult {
    let client = JobQueue::new(kit.backend()?);
    let ids = JobId::generate_many(5);
    for time in 0..3 {
        let answers = client.submit(with_ids(&ids)?).await?;
        let expected: Vec<_> = ids
            .iter()
            .map(|&id| Submitted::new(id, if time == 0 { Insertion::New } else { Insertion::Known }))
            .collect();
        ensure_eq!(answers, expected, "the replies to submit {time}");
    }
    let other = vec![new_job("job", "[]")?.id(ids[0])];
    let error = fails_with(client.submit(other).await, ErrorKind::Conflict)?;
    ensure_eq!(error.jobs(), [ids[0]], "the jobs that the error names");
    ensure_eq!(kit.stored().await?.jobs, ids, "the stored jobs");
    Ok(())
}

/// Jobs use the extreme values of each field, and durations with nanoseconds. A repeated submit
/// must be known, because rounding must give the same value each time.
async fn q16_every_choice_of_a_job_is_known_again(kit: &Kit) -> CaseResult {
    let client = JobQueue::new(kit.backend()?);
    let nanos = Duration::from_nanos(1_234_567_891);
    let job = new_job("job", "{}")?;
    let jobs = [
        job.clone().priority(i16::MIN).max_retries(u16::MAX),
        job.clone().priority(i16::MAX).max_retries(0),
        job.clone().queue(QueueName::new("q".repeat(128))?).run_at(Timestamp::MAX),
        job.clone().run_at(Timestamp::UNIX_EPOCH),
        job.clone().timeout(Duration::ZERO),
        job.clone().timeout(nanos),
        job.clone().timeout(Duration::MAX),
        job.clone().backoff(Backoff::new(nanos, nanos * 3).with_jitter(33)),
        job.backoff(Backoff::new(Duration::MAX, Duration::MAX).with_jitter(100)),
    ];
    for (index, job) in jobs.into_iter().enumerate() {
        let job = job.id(JobId::generate());
        for time in 0..2 {
            let answers = client.submit(vec![job.clone()]).await;
            let answers = answers.map_err(|error| anyhow::anyhow!("job {index}, submit {time}: {error}"))?;
            ensure_eq!(answers[0].is_new(), time == 0, "job {index}, whether submit {time} inserted it");
        }
    }
    Ok(())
}

/// An id is older than the idempotency window, so its job may have been pruned. The client must
/// refuse it with `Invalid` and accept an id just within the window.
async fn q16_an_id_older_than_the_window_is_refused(kit: &Kit) -> CaseResult {
    const MINUTE: Duration = Duration::from_secs(60);
    let of_age = |age: Duration, number: u8| {
        let mut bytes = JobId::least_at(Timestamp::now().saturating_sub(age)).to_bytes();
        bytes[15] = number;
        JobId::from_bytes(bytes)
    };
    let default = Limits::default();
    let short = Limits::default().idempotency_window(MINUTE * 10);
    for (limits, number) in [(default, 1), (short, 2)] {
        let window = limits.idempotency_window;
        let client = JobQueue::with_limits(kit.backend()?, limits);
        let (young, old) = (of_age(window - MINUTE, number), of_age(window + MINUTE, number));
        ensure!(
            client.submit(with_ids(&[young])?).await?[0].is_new(),
            "an id within {window:?} was reported as known"
        );
        let before = kit.stored().await?.jobs;
        let error = client.submit(with_ids(&[JobId::generate(), old])?).await;
        let error = fails_with(error, ErrorKind::Invalid)?;
        ensure!(error.to_string().contains(&old.to_string()), "the error does not name {old}: {error}");
        ensure_eq!(kit.stored().await?.jobs, before, "the stored jobs after an id older than {window:?}");
    }
    Ok(())
}

/// An id occurs twice in a batch, with the same or other content. The client must refuse the batch,
/// and no job may be stored.
async fn q16_an_id_that_stands_twice_in_a_batch_is_refused(kit: &Kit) -> CaseResult {
    let client = JobQueue::new(kit.backend()?);
    let ids = JobId::generate_many(3);
    let mut same = with_ids(&ids)?;
    same.push(same[1].clone());
    let mut other = with_ids(&ids)?;
    other.push(new_job("other", "{}")?.id(ids[1]));
    for batch in [same, other] {
        let error = fails_with(client.submit(batch).await, ErrorKind::Invalid)?;
        ensure!(error.to_string().contains(&ids[1].to_string()), "the error does not name the id: {error}");
        ensure_eq!(kit.stored().await?.jobs, [], "the stored jobs");
    }
    ensure!(
        client.submit(with_ids(&ids)?).await?.iter().all(|job| job.is_new()),
        "a job of the refused batches was stored"
    );
    Ok(())
}
