//! Q16: enqueueing the same id again gives one job.

use std::time::Duration;

use anyhow::ensure;
use queue_core::{Attributes, Backoff, ErrorKind, Insertion, JobState, Kind, Payload, QueueName, Submitted};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{TICK, bury, cancelled, complete_with, retry};
use crate::conformance::spec::Spec;
use crate::conformance::wakes::announced_so_far;

cases! {
    Fast q16_the_same_job_again_is_known_in_every_state,
    Fast q16_other_content_in_any_field_is_a_conflict,
    Fast q16_attributes_are_not_compared,
    Fast q16_the_payload_is_compared_byte_for_byte,
    Fast q16_a_job_without_a_time_is_the_same_without_one,
    Fast q16_a_time_that_was_given_must_be_given_again,
    Fast q16_a_batch_is_known_if_every_job_of_it_is,
    Fast q16_a_known_job_keeps_its_time_and_wakes_nobody,
    Fast q16_a_job_is_known_when_the_storage_is_opened_again [Durable],
}

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn is_known(answers: &[Submitted]) -> bool {
    answers.iter().all(|answer| !answer.is_new())
}

/// Jobs of all seven states are inserted again with the same content. Each must be reported as
/// known and stay unchanged.
async fn q16_the_same_job_again_is_known_in_every_state(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut specs = vec![kit.spec("job").run_at(kit.now().saturating_add(SECOND * 100))];
    kit.insert(specs.clone()).await?;
    for verdict in [retry("failed", 50), complete_with(b"done"), bury("hopeless"), cancelled("not wanted")] {
        specs.push(kit.spec("job"));
        kit.insert(specs[specs.len() - 1..].to_vec()).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
    }
    specs.push(kit.spec("job"));
    kit.insert(specs[specs.len() - 1..].to_vec()).await?;
    kit.claim_one(worker).await?;
    specs.push(kit.spec("job"));
    kit.insert(specs[specs.len() - 1..].to_vec()).await?;
    kit.advance(SECOND);
    let mut states = Vec::new();
    for spec in specs {
        let id = spec.clone().build()?.id;
        let before = kit.record(id).await?;
        let answers = kit.try_insert(vec![spec]).await??;
        ensure_eq!(
            answers,
            [Submitted::new(id, Insertion::Known)],
            "the reply to the repeated insert of a {} job",
            before.state
        );
        ensure_eq!(kit.record(id).await?, before, "the {} job after the repeated insert", before.state);
        states.push(before.state);
    }
    states.sort();
    ensure_eq!(states.as_slice(), JobState::ALL, "the states that were tested");
    Ok(())
}

/// A repeated insert differs in one field. It must return a `Conflict` that names the id, and the
/// stored job must stay unchanged.
async fn q16_other_content_in_any_field_is_a_conflict(kit: &Kit) -> CaseResult {
    let past = kit.now().saturating_sub(SECOND);
    let long = |end: &str| Payload::json(format!("[\"{}{end}\"]", "x".repeat(9000)));
    let stored = kit.spec("job").priority(5).build()?.run_at(past).payload(long("a")?);
    kit.try_insert_exact(stored.clone()).await??;
    let before = kit.record(stored.id).await?;
    let backoff = |seconds| Backoff::new(SECOND * seconds, SECOND * 60).with_jitter(20);
    let others = [
        ("kind", stored.clone().kind(Kind::new("other")?)),
        ("payload", stored.clone().payload(Payload::json("[]")?)),
        ("payload", stored.clone().payload(long("b")?)),
        ("run_at", stored.clone().run_at(kit.now())),
        ("run_at", stored.clone().run_at(kit.now().saturating_add(SECOND))),
        ("run_at", stored.clone().run_at(past.saturating_add(TICK))),
        ("run_at", stored.clone().run_at(past.saturating_sub(TICK))),
        ("max_retries", stored.clone().max_retries(stored.max_retries + 1)),
        ("max_retries", stored.clone().max_retries(stored.max_retries + 256)),
        ("max_retries", stored.clone().max_retries(stored.max_retries - 1)),
        ("priority", stored.clone().priority(stored.priority - 1)),
        ("priority", stored.clone().priority(stored.priority + 1)),
        ("priority", stored.clone().priority(stored.priority + 256)),
        ("timeout", stored.clone().timeout(stored.timeout + SECOND)),
        ("timeout", stored.clone().timeout(stored.timeout + TICK)),
        ("queue", stored.clone().queue(QueueName::new("other")?)),
        ("queue", stored.clone().queue(QueueName::new("Default")?)),
        ("backoff", stored.clone().backoff(backoff(1))),
    ];
    for (field, other) in others {
        match kit.try_insert_exact(other).await? {
            Err(error) if error.kind() == ErrorKind::Conflict && error.jobs() == [stored.id] => {}
            answer => anyhow::bail!("an insert with another {field} under the same id returned {answer:?}"),
        }
        ensure_eq!(kit.record(stored.id).await?, before, "the job after an insert with another {field}");
    }
    let with_backoff = stored.id(kit.id_at(kit.now())).backoff(backoff(1));
    kit.try_insert_exact(with_backoff.clone()).await??;
    for other in [Some(backoff(2)), Some(backoff(1).with_jitter(21)), None] {
        let other = with_backoff.clone().backoff(other);
        fails_with(kit.try_insert_exact(other).await?, ErrorKind::Conflict)?;
    }
    ensure!(
        is_known(&kit.try_insert_exact(with_backoff).await??),
        "the same job with a backoff was inserted twice"
    );
    Ok(())
}

/// A repeated insert has other attributes. It must be reported as known, and the first attributes
/// must stay.
async fn q16_attributes_are_not_compared(kit: &Kit) -> CaseResult {
    let first = Attributes::json(r#"{"trace":1}"#)?;
    let spec = kit.spec("job").build()?.attributes(first.clone());
    kit.try_insert_exact(spec.clone()).await??;
    for other in [Some(Attributes::json(r#"{"trace":2}"#)?), None] {
        let answers = kit.try_insert_exact(spec.clone().attributes(other.clone())).await??;
        ensure!(is_known(&answers), "the same job with attributes {other:?} was inserted twice");
        ensure_eq!(kit.record(spec.id).await?.job.attributes.as_ref(), Some(&first), "the stored attributes");
    }
    Ok(())
}

/// A repeated insert has an equivalent JSON payload with other bytes. It must return `Conflict`,
/// because the stored payload could not be returned as submitted.
async fn q16_the_payload_is_compared_byte_for_byte(kit: &Kit) -> CaseResult {
    let spec = kit.spec("job").payload(r#"{"a":1,"b":"é"}"#);
    kit.insert(vec![spec.clone()]).await?;
    let others =
        [r#"{"b":"é","a":1}"#, r#"{"a": 1,"b":"é"}"#, r#"{"a":1.0,"b":"é"}"#, r#"{"a":1,"b":"\u00e9"}"#];
    for other in others {
        let error = kit.try_insert(vec![spec.clone().payload(other)]).await?;
        fails_with(error, ErrorKind::Conflict)?;
    }
    ensure!(is_known(&kit.try_insert(vec![spec]).await??), "the same payload was inserted twice");
    Ok(())
}

/// A job was inserted without `run_at`. A repeated insert must be known without a time at any later
/// moment, and with the assigned time. Any other time must return `Conflict`.
async fn q16_a_job_without_a_time_is_the_same_without_one(kit: &Kit) -> CaseResult {
    let spec = kit.spec("job");
    let inserted_at = kit.now();
    kit.insert(vec![spec.clone()]).await?;
    for wait in [Duration::ZERO, SECOND, SECOND * 3600] {
        let now = kit.advance(wait);
        ensure!(
            is_known(&kit.try_insert(vec![spec.clone()]).await??),
            "the insert without a time was not known at {now}"
        );
        let with_its_time = spec.clone().run_at(inserted_at);
        ensure!(
            is_known(&kit.try_insert(vec![with_its_time]).await??),
            "the insert with the assigned time was not known at {now}"
        );
    }
    let other = spec.run_at(inserted_at.saturating_add(SECOND));
    fails_with(kit.try_insert(vec![other]).await?, ErrorKind::Conflict)?;
    Ok(())
}

/// A job was inserted with a `run_at`. A repeated insert must be known only with this time, even
/// after a retry has moved `run_at`.
async fn q16_a_time_that_was_given_must_be_given_again(kit: &Kit) -> CaseResult {
    let run_at = kit.now().saturating_add(SECOND * 10);
    let spec = kit.spec("job").run_at(run_at);
    kit.insert(vec![spec.clone()]).await?;
    let without = Spec::new(spec.clone().build()?.id, "job");
    fails_with(kit.try_insert(vec![without.clone()]).await?, ErrorKind::Conflict)?;
    kit.set_clock(run_at);
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, retry("failed", 77)).await?;
    ensure!(
        is_known(&kit.try_insert(vec![spec.clone()]).await??),
        "the insert with the submitted time was not known"
    );
    fails_with(kit.try_insert(vec![without]).await?, ErrorKind::Conflict)?;
    let its_own = spec.run_at(run_at.saturating_add(SECOND * 77));
    fails_with(kit.try_insert(vec![its_own]).await?, ErrorKind::Conflict)?;
    Ok(())
}

/// Known jobs are inserted in another order, in part, and mixed from two batches. Each must be
/// known. A batch with one additional job must return `Conflict`.
async fn q16_a_batch_is_known_if_every_job_of_it_is(kit: &Kit) -> CaseResult {
    let first: Vec<Spec> = (0..3).map(|_| kit.spec("job")).collect();
    let second: Vec<Spec> = (0..2).map(|_| kit.spec("job")).collect();
    let jobs = [kit.insert(first.clone()).await?, kit.insert(second.clone()).await?].concat();
    let mixed = vec![second[1].clone(), first[2].clone(), first[0].clone()];
    let batches = [first.iter().rev().cloned().collect(), first[1..].to_vec(), mixed];
    for batch in batches {
        let ids: Vec<_> = batch.iter().cloned().map(Spec::build).collect::<queue_core::Result<_>>()?;
        let answers = kit.try_insert(batch).await??;
        ensure!(is_known(&answers), "known jobs were reported as new: {answers:?}");
        ensure!(
            answers.iter().zip(ids).all(|(answer, spec)| answer.id == spec.id),
            "the replies are not in the order of the batch: {answers:?}"
        );
    }
    let more = [first, vec![kit.spec("job")]].concat();
    fails_with(kit.try_insert(more).await?, ErrorKind::Conflict)?;
    ensure_eq!(kit.stored().await?.jobs, jobs, "the stored jobs");
    Ok(())
}

/// A scheduled job is inserted again when it is due. Its `run_at` must not change, and no
/// subscriber may be woken for it.
async fn q16_a_known_job_keeps_its_time_and_wakes_nobody(kit: &Kit) -> CaseResult {
    let run_at = kit.now().saturating_add(SECOND * 100);
    let spec = kit.spec("job").run_at(run_at);
    let id = kit.insert_one(spec.clone()).await?;
    kit.set_clock(run_at);
    let mut wakes = kit.backend()?.subscribe();
    kit.try_insert(vec![spec]).await??;
    let woken = announced_so_far(kit, &mut wakes).await?;
    // A new receiver may be woken with `unknown`, but not for a job.
    ensure!(
        woken.ready.is_empty() && woken.due_in.is_none(),
        "the insert of a known job woke a subscriber with {woken:?}"
    );
    ensure_eq!(kit.record(id).await?.run_at, run_at, "run_at");
    Ok(())
}

/// The handle is reopened before the enqueuer repeats its insert. The same content must be known,
/// other content must return `Conflict`.
async fn q16_a_job_is_known_when_the_storage_is_opened_again(kit: &Kit) -> CaseResult {
    let spec = kit.spec("job").payload("[1, 2]");
    let id = kit.insert_one(spec.clone()).await?;
    kit.reopen().await?;
    kit.advance(SECOND);
    ensure!(is_known(&kit.try_insert(vec![spec.clone()]).await??), "the same job was inserted twice");
    fails_with(kit.try_insert(vec![spec.payload("[1,2]")]).await?, ErrorKind::Conflict)?;
    ensure_eq!(kit.stored().await?.jobs, [id], "the stored jobs");
    Ok(())
}
