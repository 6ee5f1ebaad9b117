//! Q15: unique keys as applications give them, checked before any backend.

use std::time::Duration;

use anyhow::ensure;
use queue_core::limits::MAX_UNIQUE_KEY_BYTES;
use queue_core::{Enqueuer as _, ErrorKind, Insertion, JobQueue, Unique};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::program::new_job;

cases! {
    Fast q15_a_request_returns_the_job_that_holds_its_key [UniqueKeys],
    Fast q15_a_key_that_cannot_be_stored_is_refused_by_name [UniqueKeys],
}

/// The second request must return the handle of the first job, which is not new.
async fn q15_a_request_returns_the_job_that_holds_its_key(kit: &Kit) -> CaseResult {
    let client = JobQueue::new(kit.backend()?);
    let hour = Duration::from_secs(3600);
    for unique in [Unique::key("a"), Unique::by(&(7, "x".repeat(500))), Unique::by(&7).per(hour).keep(hour)] {
        let first = client.enqueue(new_job("job", "{}")?).unique(unique.clone()).await?;
        let second = client.enqueue(new_job("job", "[]")?).unique(unique).await?;
        ensure!(first.is_new() && !second.is_new(), "is_new: {}, {}", first.is_new(), second.is_new());
        ensure_eq!(second.id(), first.id(), "the id of the second request");
    }
    Ok(())
}

/// Empty and long keys, and keys with control characters, are refused. The error must name the job
/// of the batch and the fault, and nothing may be stored.
async fn q15_a_key_that_cannot_be_stored_is_refused_by_name(kit: &Kit) -> CaseResult {
    let client = JobQueue::new(kit.backend()?);
    let long = "k".repeat(MAX_UNIQUE_KEY_BYTES + 1);
    for (key, fault) in [("", "is empty"), (&*long, "the limit is 255"), ("a\0b", "control character")] {
        let batch = vec![new_job("job", "{}")?, new_job("job", "{}")?.unique(Unique::key(key))];
        let error = fails_with(client.submit(batch).await, ErrorKind::Invalid)?.to_string();
        ensure!(error.contains(fault) && error.contains("number 2 of 2"), "the error is: {error}");
    }
    ensure_eq!(kit.stored().await?.jobs, [], "the stored jobs");
    let longest = Unique::key(&long[1..]);
    let stored = client.submit(vec![new_job("job", "{}")?.unique(longest)]).await?;
    ensure_eq!(stored[0].insertion, Insertion::New, "the reply for the longest key");
    Ok(())
}
