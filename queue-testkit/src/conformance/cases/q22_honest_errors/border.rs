//! Q22: bad input from an application is refused with an error that names it, and none of it is
//! stored.

use std::sync::Arc;

use anyhow::ensure;
use queue_core::limits::{DEFAULT_MAX_PAYLOAD_BYTES, DEFAULT_MAX_RETRIES, MAX_JSON_DEPTH, MAX_NAME_BYTES};
use queue_core::{
    Enqueuer, EnqueuerExt as _, Error, ErrorKind, HandlerResult, JobContext, JobQueue, Limits, NewJob,
    Payload, Queue as _, QueueName, TaskOptions,
};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::program::new_job;

cases! {
    Fast q22_a_bad_name_is_refused_by_name,
    Fast q22_a_payload_over_the_limit_is_refused,
    Fast q22_what_is_not_json_is_refused,
    Fast q22_a_batch_with_one_bad_item_is_refused_whole,
    Fast q22_a_batch_over_the_limit_is_refused_whole,
    Fast q22_a_kind_without_a_handler_is_stored,
    Fast q22_a_kind_registered_twice_keeps_its_first_handler,
}

/// Checks that the error is `Invalid`, names the cause, and that no job was stored. The storage
/// must still work.
async fn refused<T: std::fmt::Debug>(
    kit: &Kit,
    answer: queue_core::Result<T>,
    name: &str,
) -> anyhow::Result<Error> {
    let error = fails_with(answer, ErrorKind::Invalid)?;
    ensure!(!error.is_retryable(), "the error is marked as retryable: {error}");
    ensure!(error.to_string().contains(name), "the error does not name `{name}`: {error}");
    nothing_stored(kit).await?;
    Ok(error)
}

async fn nothing_stored(kit: &Kit) -> CaseResult {
    ensure_eq!(kit.stored().await?.live, [], "the unfinished jobs");
    kit.works().await
}

/// A kind or queue name is empty, too long, or holds white space or control characters. The client
/// must refuse it.
async fn q22_a_bad_name_is_refused_by_name(kit: &Kit) -> CaseResult {
    let client = JobQueue::new(kit.backend()?);
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    for (name, fault) in
        [("", "empty"), (&long, "129 bytes"), ("send email", "send email"), ("a\0b", "a\\0b")]
    {
        refused(kit, Enqueuer::enqueue(&client, name, Payload::json("{}")?).await, fault).await?;
        refused(kit, Enqueuer::enqueue_batch(&client, name, vec![Payload::json("{}")?]).await, fault).await?;
        refused(kit, QueueName::new(name), fault).await?;
    }
    let longest = "x".repeat(MAX_NAME_BYTES);
    Enqueuer::enqueue(&client, &longest, Payload::json("{}")?).await?;
    Ok(())
}

/// A payload exceeds the limit by one byte. The client must refuse it, and accept a payload at the
/// limit.
async fn q22_a_payload_over_the_limit_is_refused(kit: &Kit) -> CaseResult {
    for limit in [DEFAULT_MAX_PAYLOAD_BYTES, 100] {
        let client = JobQueue::with_limits(kit.backend()?, Limits::default().payload_bytes(limit));
        let payload = |bytes: usize| Payload::json(format!("\"{}\"", "x".repeat(bytes - 2)));
        let error = Enqueuer::enqueue(&client, "large", payload(limit + 1)?).await;
        refused(kit, error, &(limit + 1).to_string()).await?;
        let id = Enqueuer::enqueue(&client, "large", payload(limit)?).await?;
        kit.cancel(id).await?;
    }
    Ok(())
}

/// A text is not JSON, is truncated or is nested too deep, or a value has no JSON form. The client
/// must refuse it.
async fn q22_what_is_not_json_is_refused(kit: &Kit) -> CaseResult {
    let client = JobQueue::new(kit.backend()?);
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    for text in ["", "{", "{}}", "{'a': 1}", "NaN", "01", "\"\u{1}\""] {
        refused(kit, Payload::json(text), "not JSON").await?;
    }
    refused(kit, Payload::from_bytes(vec![b'"', 0xff, b'"']), "UTF-8").await?;
    refused(kit, Payload::json(deep(MAX_JSON_DEPTH + 1)), "129 deep").await?;
    refused(kit, Payload::json(deep(100_000)), "deep").await?;
    let no_key = std::collections::BTreeMap::from([((1, 2), 3)]);
    refused(kit, client.enqueue_value("map", &no_key).await, "cannot be serialised").await?;
    Enqueuer::enqueue(&client, "deep", Payload::json(deep(MAX_JSON_DEPTH))?).await?;
    Ok(())
}

/// One item of a batch is too large, in each position. The client must refuse the batch with an
/// error that names the position.
async fn q22_a_batch_with_one_bad_item_is_refused_whole(kit: &Kit) -> CaseResult {
    let limits = Limits::default().payload_bytes(100);
    let client = JobQueue::with_limits(kit.backend()?, limits);
    for place in [0, 2, 4] {
        let mut batch = (0..5).map(|_| new_job("job", "{}")).collect::<queue_core::Result<Vec<NewJob>>>()?;
        batch[place] = new_job("fat", &format!("\"{}\"", "x".repeat(100)))?;
        let error = refused(kit, client.submit(batch).await, "fat").await?;
        let number = format!("number {} of 5", place + 1);
        ensure!(
            error.to_string().contains(&number),
            "the error does not name the position ({number}): {error}"
        );
    }
    Ok(())
}

/// A batch has one job more than the limit. The client must refuse it whole. An empty batch must
/// succeed with no ids.
async fn q22_a_batch_over_the_limit_is_refused_whole(kit: &Kit) -> CaseResult {
    let limits = Limits::default().batch_jobs(10);
    let client = JobQueue::with_limits(kit.backend()?, limits);
    let batch = |many: usize| vec![Payload::from_stored("{}"); many];
    refused(kit, Enqueuer::enqueue_batch(&client, "job", batch(11)).await, "11 jobs").await?;
    ensure_eq!(Enqueuer::enqueue_batch(&client, "job", Vec::new()).await?, [], "the ids of an empty batch");
    nothing_stored(kit).await?;
    ensure_eq!(
        Enqueuer::enqueue_batch(&client, "job", batch(10)).await?.len(),
        10,
        "the number of ids of a full batch"
    );
    Ok(())
}

/// A kind has no handler on this handle, because its workers run elsewhere. Its jobs must be stored
/// all the same, with the options of the library, beside those of a kind that has one.
async fn q22_a_kind_without_a_handler_is_stored(kit: &Kit) -> CaseResult {
    let mut queue = JobQueue::new(kit.backend()?);
    queue.handle("send", Arc::new(nothing), TaskOptions::new().priority(7))?;
    let jobs = queue.submit(vec![new_job("send", "{}")?, new_job("elsewhere", "{}")?]).await?;
    ensure_eq!(kit.record(jobs[0].id).await?.job.priority, 7, "the priority of the registration");
    let stored = kit.record(jobs[1].id).await?;
    ensure_eq!(stored.job.priority, 0, "the priority of the library");
    ensure_eq!(stored.job.max_retries, DEFAULT_MAX_RETRIES, "the retries of the library");
    Ok(())
}

async fn nothing(_: JobContext, _: Payload) -> HandlerResult {
    Ok(())
}

/// A kind is registered twice. The second call must return a `Conflict` that names it, and must not
/// change the first handler or its options.
async fn q22_a_kind_registered_twice_keeps_its_first_handler(kit: &Kit) -> CaseResult {
    let mut queue = JobQueue::new(kit.backend()?);
    queue.handle("send", Arc::new(nothing), TaskOptions::new().priority(7))?;
    let again = queue.handle("send", Arc::new(nothing), TaskOptions::new().priority(9));
    let error = fails_with(again, ErrorKind::Conflict)?;
    ensure!(error.to_string().contains("`send`"), "the error does not name the kind: {error}");
    let id = Enqueuer::enqueue(&queue, "send", Payload::json("{}")?).await?;
    ensure_eq!(kit.record(id).await?.job.priority, 7, "the priority of the first registration");
    kit.works().await
}
