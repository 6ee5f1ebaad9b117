//! The times and wake-ups that replies announce, beside jobs that hide them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    MaintainRequest, ReadyQueuesRequest, RetryReply, SettleRequest, Settlement, Wakes,
};
use queue_core::testing::drop_after;
use queue_core::{JobState, Kind};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{queue, retry};
use crate::conformance::wakes::{announced, found};

cases! {
    Fast q04_a_dropped_failure_records_no_error_of_a_running_job,
    Fast q13_priorities_beyond_a_byte_are_in_order,
    Fast q13_an_early_job_of_an_urgent_level_hides_no_other,
    Fast q13_a_wake_up_of_a_retry_by_hand_comes_after_it [Manage],
    Fast q13_a_wake_up_of_a_resume_comes_after_it [Manage],
    Fast q13_a_wake_up_of_a_job_that_waits_comes_after_its_insert,
    Fast q14_a_job_that_waits_is_announced_to_the_microsecond,
    Fast q14_a_claim_promotes_a_thousand_and_says_that_more_are_due,
    Fast q14_upkeep_names_the_time_of_a_paused_queue [Manage],
    Fast q14_a_heartbeat_names_no_later_time_than_that_of_a_due_job,
    Fast q14_a_look_names_the_next_time_to_the_microsecond,
    Fast q19_a_look_names_the_queue_of_a_retry_that_is_due,
    Fast q19_the_next_job_of_a_kind_may_have_failed_before,
}

const SECOND: Duration = Duration::from_secs(1);

/// A failed attempt is settled, and the settle is dropped before each of its polls. While the job
/// is running, its attempt must have no error.
async fn q04_a_dropped_failure_records_no_error_of_a_running_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for polls in 0..1000 {
        let id = kit.insert_one(kit.spec("job").priority(i16::MAX)).await?;
        let token = kit.claim_one(worker).await?.token;
        let backend = kit.backend()?;
        let request = SettleRequest::new(worker, vec![Settlement::new(token, retry("failed", 60))]);
        let has_ended = drop_after(polls, backend.settle(request.at(kit.now()))).await.is_some();
        let record = kit.record(id).await?;
        let expected = usize::from(record.state != JobState::Running);
        ensure_eq!(record.errors.len(), expected, "the errors of a {} job after {polls} polls", record.state);
        if has_ended {
            return Ok(());
        }
    }
    anyhow::bail!("a settle does not return within 1000 polls")
}

/// Jobs of many priorities are inserted from the least to the most urgent.
async fn q13_priorities_beyond_a_byte_are_in_order(kit: &Kit) -> CaseResult {
    let priorities = [-32_768, -300, -256, -129, -128, -1, 0, 127, 128, 129, 200, 255, 256, 300, 32_767];
    for priority in priorities {
        kit.insert_one(kit.spec("job").priority(priority)).await?;
    }
    let claimed = kit.claim(kit.worker().await?, 99).await?;
    let seen: Vec<i16> = claimed.iter().map(|job| job.priority).collect();
    let expected: Vec<i16> = priorities.into_iter().rev().collect();
    ensure_eq!(seen, expected, "the priorities of the claimed jobs");
    Ok(())
}

/// An urgent job was promoted, and the clock is then put back before its time. It must not be
/// claimed, and must not hide a job of a lower priority.
async fn q13_an_early_job_of_an_urgent_level_hides_no_other(kit: &Kit) -> CaseResult {
    let start = kit.now();
    kit.insert_one(kit.spec("job").priority(5).run_at(start.saturating_add(SECOND * 10))).await?;
    kit.advance(SECOND * 10);
    kit.promote(9).await?;
    kit.set_clock(start.saturating_add(SECOND));
    let id = kit.insert_one(kit.spec("job")).await?;
    let claimed = kit.claim(kit.worker().await?, 9).await?;
    let seen: Vec<_> = claimed.iter().map(|job| job.token.job).collect();
    ensure_eq!(seen, [id], "the claimed jobs");
    Ok(())
}

/// A job is retried by hand while a task looks after each wake-up. It must see that the job is
/// ready.
async fn q13_a_wake_up_of_a_retry_by_hand_comes_after_it(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    for round in 0..5 {
        kit.cancel(id).await?;
        let mut receiver = kit.backend()?.subscribe();
        let handle = kit.handle();
        let woken = tokio::spawn(async move {
            let ready = async || Ok((handle.state(id).await? == JobState::Ready).then_some(()));
            found(&mut receiver, "a retry by hand", ready).await
        });
        ensure_eq!(kit.retry(id).await?, RetryReply::Retried, "the reply to a retry");
        woken.await?.with_context(|| format!("round {round}"))?;
    }
    Ok(())
}

/// A queue is resumed while a task claims after each wake-up. It must get the job.
async fn q13_a_wake_up_of_a_resume_comes_after_it(kit: &Kit) -> CaseResult {
    let (backend, default) = (kit.backend()?, queue("default")?);
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let worker = kit.worker().await?;
    for round in 0..5 {
        let id = kit.insert_one(kit.spec("job")).await?;
        manage.pause(&default).await?;
        let mut receiver = kit.backend()?.subscribe();
        let handle = kit.handle();
        let woken = tokio::spawn(async move {
            let claimed = async || Ok(handle.claim(worker, 1).await?.pop());
            found(&mut receiver, "a resume", claimed).await
        });
        manage.resume(&default).await?;
        let claimed = woken.await?.with_context(|| format!("round {round}"))?;
        ensure_eq!(claimed.token.job, id, "the job claimed after the wake-up of round {round}");
    }
    Ok(())
}

/// A job that waits is inserted while a task looks after each wake-up. It must find the job.
async fn q13_a_wake_up_of_a_job_that_waits_comes_after_its_insert(kit: &Kit) -> CaseResult {
    for round in 0..5 {
        let mut receiver = kit.backend()?.subscribe();
        let spec = kit.spec("job").run_at(kit.now().saturating_add(SECOND));
        let id = spec.clone().build()?.id;
        let handle = kit.handle();
        let woken = tokio::spawn(async move {
            found(&mut receiver, "an insert of a job that waits", async || handle.find(id).await).await
        });
        kit.insert_one(spec).await?;
        woken.await?.with_context(|| format!("round {round}"))?;
    }
    Ok(())
}

async fn q14_a_job_that_waits_is_announced_to_the_microsecond(kit: &Kit) -> CaseResult {
    for micros in [1_u64, 1_001, 999_999, 1_500_001] {
        let mut receiver = kit.backend()?.subscribe();
        let delay = Duration::from_micros(micros);
        kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(delay))).await?;
        let in_time = |wakes: &Wakes| wakes.due_in.is_some_and(|due_in| due_in <= delay);
        announced(&mut receiver, in_time).await.with_context(|| format!("a job in {delay:?}"))?;
    }
    Ok(())
}

/// 2,500 jobs become due. A claim must promote at least a thousand of them, and announce that more
/// are due until none is.
async fn q14_a_claim_promotes_a_thousand_and_says_that_more_are_due(kit: &Kit) -> CaseResult {
    let due = kit.now().saturating_add(SECOND);
    kit.insert((0..2500).map(|_| kit.spec("job").run_at(due)).collect()).await?;
    kit.advance(SECOND);
    let worker = kit.worker().await?;
    let (mut waiting, mut claims) = (2500, 0);
    while waiting > 0 {
        let reply = kit.claiming(worker, 1).take().await?;
        let rows = kit.stored().await?.live;
        let left = rows.iter().filter(|row| row.state == JobState::Scheduled).count();
        ensure!(waiting - left >= waiting.min(1000), "a claim promoted {} of {waiting}", waiting - left);
        if left > 0 {
            let next = reply.next_due.context("a claim that left due jobs returned no next time")?;
            ensure!(next < SECOND, "a claim that left {left} due jobs returned {next:?} as the next time");
        }
        (waiting, claims) = (left, claims + 1);
        ensure!(claims < 9, "nine claims promoted too few jobs");
    }
    Ok(())
}

/// The first waiting job is of a paused queue. Upkeep may name its time or none, but no later one.
async fn q14_upkeep_names_the_time_of_a_paused_queue(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    manage.pause(&queue("paused")?).await?;
    for (name, seconds) in [("paused", 5), ("default", 60)] {
        let at = kit.now().saturating_add(SECOND * seconds);
        kit.insert_one(kit.spec("job").queue(name).run_at(at)).await?;
    }
    for request in [MaintainRequest::promote(9), MaintainRequest::rescue(9)] {
        let next = kit.maintain(request).await?.next_due;
        ensure!(next.is_none_or(|next| next == SECOND * 5), "the next time is {next:?} instead of 5 s");
    }
    Ok(())
}

/// A job is due and was not promoted, and another waits. A heartbeat may name no time or zero.
async fn q14_a_heartbeat_names_no_later_time_than_that_of_a_due_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for seconds in [1, 60] {
        kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(SECOND * seconds))).await?;
    }
    kit.advance(SECOND * 2);
    let next = kit.heartbeat(worker).await?.next_due;
    ensure!(next.is_none_or(|next| next.is_zero()), "the next time is {next:?} although a job is due");
    Ok(())
}

async fn q14_a_look_names_the_next_time_to_the_microsecond(kit: &Kit) -> CaseResult {
    let delay = Duration::from_micros(1_500_001);
    kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(delay))).await?;
    let request = ReadyQueuesRequest::new(vec![queue("default")?], [Kind::new("job")?]).at(kit.now());
    let reply = kit.backend()?.ready_queues(request).await?;
    if reply.queues.is_empty() {
        ensure!(reply.next_due.is_none_or(|next| next == delay), "the next time is {:?}", reply.next_due);
    }
    Ok(())
}

async fn q19_a_look_names_the_queue_of_a_retry_that_is_due(kit: &Kit) -> CaseResult {
    kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, retry("failed", 5)).await?;
    kit.advance(SECOND * 5);
    for kind in ["job", "other"] {
        let queues = vec![queue("default")?];
        let request = ReadyQueuesRequest::new(queues.clone(), [Kind::new(kind)?]).at(kit.now());
        let reply = kit.backend()?.ready_queues(request).await?;
        ensure_eq!(reply.queues, queues, "the queues for the kind {kind}");
    }
    Ok(())
}

/// The only ready job of a kind has failed before. It must be named as the next of its kind.
async fn q19_the_next_job_of_a_kind_may_have_failed_before(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, retry("failed", 0)).await?;
    kit.promote(9).await?;
    let backend = Arc::clone(&kit.backend()?);
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    let next = inspect.next_ready(&[queue("default")?]).await?;
    ensure_eq!(next.iter().map(|next| next.job).collect::<Vec<_>>(), [id], "the next jobs");
    Ok(())
}
