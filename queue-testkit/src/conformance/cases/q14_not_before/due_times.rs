//! Q14: delays to the microsecond, and the time until the next job is due.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::Verdict;
use queue_core::{JobState, Timestamp};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{TICK, complete, retry};

cases! {
    Fast q14_a_delay_counts_each_microsecond,
    Fast q14_a_retry_without_a_delay_is_due_at_once,
    Fast q14_a_promotion_passes_jobs_that_are_not_due,
    Fast q14_a_promotion_counts_each_microsecond,
    Fast q14_a_snooze_counts_from_its_own_time,
    Fast q14_an_earlier_claim_of_a_later_time_starts_nothing_early,
    Fast q14_a_claim_names_the_next_job_of_its_queue,
    Fast q14_upkeep_names_the_next_job_of_all_queues,
    Fast q14_a_heartbeat_names_the_next_job_of_all_queues,
}

const SECOND: Duration = Duration::from_secs(1);
/// When the last of the [`waiting_jobs`] is due, in microseconds.
const LAST: u64 = 60_000_001;

/// Delays of retries and snoozes are longer or shorter than whole seconds and milliseconds by one
/// microsecond. Each job must be claimable at its own microsecond.
async fn q14_a_delay_counts_each_microsecond(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(SECOND * 1000).await?;
    for micros in [1, 999, 1_001, 999_999, 1_000_001] {
        let delay = Duration::from_micros(micros);
        for verdict in [Verdict::Retry { error: "failed".to_owned(), delay }, Verdict::Snooze { delay }] {
            let id = kit.insert_one(kit.spec("job")).await?;
            let waits = if matches!(verdict, Verdict::Snooze { .. }) {
                JobState::Scheduled
            } else {
                JobState::Retrying
            };
            kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
            ensure_eq!(kit.state(id).await?, waits, "the state for {micros} µs");
            kit.advance(delay - TICK);
            ensure_eq!(kit.claim(worker, 1).await?, [], "a claim one tick before {micros} µs");
            kit.advance(TICK);
            let job = kit.claim_one(worker).await?;
            ensure_eq!((job.token.job, job.run_at), (id, kit.now()), "the job claimed after {micros} µs");
            kit.settle_one(job.token, complete()).await?;
        }
    }
    Ok(())
}

/// A job fails with delay zero, behind one that waits longer. It must have the time of its failure,
/// and be claimed at once, after the other one.
async fn q14_a_retry_without_a_delay_is_due_at_once(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert(vec![kit.spec("job"), kit.spec("job")]).await?;
    let token = kit.claim_one(worker).await?.token;
    let now = kit.advance(TICK);
    kit.settle_one(token, retry("failed", 0)).await?;
    let record = kit.record(jobs[0]).await?;
    ensure_eq!((record.state, record.run_at), (JobState::Retrying, now), "the state and run_at");
    let next = kit.claim(worker, 9).await?;
    let seen: Vec<_> = next.iter().map(|job| (job.token.job, job.attempt)).collect();
    ensure_eq!(seen, [(jobs[1], 1), (jobs[0], 2)], "the jobs and attempts of the next claim");
    Ok(())
}

/// Ten waiting jobs are not due, and one with a later id and of a later queue is. A promotion with
/// limit 1 must find it.
async fn q14_a_promotion_passes_jobs_that_are_not_due(kit: &Kit) -> CaseResult {
    let at = |seconds: u32| kit.now().saturating_add(SECOND * seconds);
    let waiting: Vec<_> =
        (0..10).map(|index| kit.spec("job").queue("a").priority(9).run_at(at(10 + index))).collect();
    kit.insert(waiting).await?;
    let due = kit.insert_one(kit.spec("job").queue("b").run_at(at(5))).await?;
    kit.set_clock(at(5));
    ensure_eq!(kit.promote(1).await?.promoted, 1, "the number of jobs promoted with limit 1");
    ensure_eq!(kit.state(due).await?, JobState::Ready, "the state of the job that is due");
    Ok(())
}

/// A job is due within the present millisecond or second, but later. A promotion must leave it.
async fn q14_a_promotion_counts_each_microsecond(kit: &Kit) -> CaseResult {
    for micros in [1, 999, 1_001, 999_999, 1_000_001] {
        let id = kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(TICK * micros))).await?;
        kit.advance(TICK * (micros - 1));
        ensure_eq!(kit.promote(9).await?.promoted, 0, "the jobs promoted one tick before {micros} µs");
        kit.advance(TICK);
        ensure_eq!(kit.promote(9).await?.promoted, 1, "the jobs promoted after {micros} µs");
        kit.cancel(id).await?;
    }
    Ok(())
}

/// The clock goes back below the `run_at` of a running job, which is snoozed then. It must wait
/// from the time of the snooze.
async fn q14_a_snooze_counts_from_its_own_time(kit: &Kit) -> CaseResult {
    let (worker, start) = (kit.worker().await?, kit.now());
    let id = kit.insert_one(kit.spec("job").run_at(start.saturating_add(SECOND * 10))).await?;
    kit.advance(SECOND * 10);
    let token = kit.claim_one(worker).await?.token;
    kit.set_clock(start);
    kit.settle_one(token, Verdict::Snooze { delay: SECOND }).await?;
    ensure_eq!(kit.record(id).await?.run_at, start.saturating_add(SECOND), "`run_at` after the snooze");
    Ok(())
}

/// A worker whose clock is ahead claims first. A claim with an earlier clock must not take a job
/// that is due between the two.
async fn q14_an_earlier_claim_of_a_later_time_starts_nothing_early(kit: &Kit) -> CaseResult {
    let (worker, start) = (kit.worker().await?, kit.now());
    kit.knows_kind(&kit.spec("job").build()?.kind);
    kit.advance(SECOND * 20);
    ensure_eq!(kit.claim(worker, 1).await?, [], "the claim with the clock that is ahead");
    kit.set_clock(start);
    let due = start.saturating_add(SECOND * 10);
    let id = kit.insert_one(kit.spec("job").run_at(due)).await?;
    ensure_eq!(kit.claim(worker, 1).await?, [], "a claim at {start} of a job due at {due}");
    ensure_eq!(kit.state(id).await?, JobState::Scheduled, "the state of the job");
    Ok(())
}

/// Fails unless the time is unknown or that of the first job.
fn is_until(now: Timestamp, named: Option<Duration>, due: Timestamp, what: &str) -> CaseResult {
    ensure!(
        named.is_none_or(|named| named == now.until(due)),
        "{what} names {named:?}, but the first waiting job is due in {:?}",
        now.until(due)
    );
    Ok(())
}

/// Inserts a job per queue that waits, a failed one that waits for its next attempt, and one that
/// waits long. Returns the times at which the first three are due, in order. The failed one is in
/// the queue `b`.
async fn waiting_jobs(kit: &Kit) -> anyhow::Result<[Timestamp; 3]> {
    let at = |micros: u64| kit.now().saturating_add(Duration::from_micros(micros));
    let due = [at(1_500_001), at(2_000_000), at(2_000_001)];
    kit.insert_one(kit.spec("job").queue("c").priority(9).run_at(due[2])).await?;
    kit.insert_one(kit.spec("job").queue("c").run_at(at(LAST))).await?;
    kit.insert_one(kit.spec("job").queue("a").run_at(due[1])).await?;
    kit.insert_one(kit.spec("job").queue("b")).await?;
    let worker = kit.worker().await?;
    let failing = kit.claiming(worker, 1).queue("b").take().await?.jobs.remove(0);
    let delay = Duration::from_micros(1_500_001);
    kit.settle_one(failing.token, Verdict::Retry { error: "failed".to_owned(), delay }).await?;
    Ok(due)
}

/// Jobs wait in three queues. A claim may name the time of the first one of its own queue, and must
/// name no other.
async fn q14_a_claim_names_the_next_job_of_its_queue(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let due = waiting_jobs(kit).await?;
    for (queue, due) in [("a", due[1]), ("b", due[0]), ("c", due[2])] {
        let reply = kit.claiming(worker, 1).queue(queue).take().await?;
        ensure_eq!(reply.jobs, [], "the jobs of queue {queue}");
        is_until(kit.now(), reply.next_due, due, &format!("the claim from queue {queue}"))?;
    }
    let reply = kit.claiming(worker, 1).queue("empty").take().await?;
    ensure_eq!(reply.next_due, None, "`next_due` of a claim from an empty queue");
    Ok(())
}

/// Jobs wait in three queues. Upkeep may name the time of the first one, which is zero while more
/// jobs are due than it has promoted.
async fn q14_upkeep_names_the_next_job_of_all_queues(kit: &Kit) -> CaseResult {
    let due = waiting_jobs(kit).await?;
    is_until(kit.now(), kit.promote(1).await?.next_due, due[0], "the promotion of nothing")?;
    kit.set_clock(due[0]);
    is_until(kit.now(), kit.promote(1).await?.next_due, due[1], "the promotion of the first job")?;
    kit.set_clock(due[2]);
    is_until(kit.now(), kit.promote(1).await?.next_due, due[2], "the promotion of one of two jobs")?;
    let (reply, last) = (kit.promote(1).await?, Duration::from_micros(LAST - 2_000_001));
    is_until(kit.now(), reply.next_due, kit.now().saturating_add(last), "the promotion of the third job")?;
    kit.advance(last);
    let reply = kit.promote(1).await?;
    ensure_eq!((reply.promoted, reply.next_due), (1, None), "the reply to the promotion of the last job");
    Ok(())
}

/// Jobs wait in three queues. A heartbeat may name the time of the first one, and must name no
/// later time.
async fn q14_a_heartbeat_names_the_next_job_of_all_queues(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(SECOND * 1000).await?;
    let due = waiting_jobs(kit).await?;
    for next in due {
        is_until(kit.now(), kit.heartbeat(worker).await?.next_due, next, "the heartbeat")?;
        kit.set_clock(next);
        ensure_eq!(kit.promote(1).await?.promoted, 1, "the number of jobs promoted");
    }
    kit.advance(Duration::from_micros(LAST));
    kit.promote(1).await?;
    ensure_eq!(kit.heartbeat(worker).await?.next_due, None, "`next_due` without a waiting job");
    Ok(())
}
