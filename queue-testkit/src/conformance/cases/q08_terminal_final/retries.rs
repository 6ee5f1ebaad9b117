//! Q8: a retry by hand makes a finished job ready again, with its history and its first budget.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{Prune, RetryReply, RetryRequest, Settled, Verdict};
use queue_core::{JobEnd, JobId, JobState, Token};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK, bury, cancelled, complete, complete_with, queue, retry};
use crate::conformance::wakes::{announced, announced_so_far};

cases! {
    Fast q08_a_retry_makes_a_finished_job_ready_as_it_was [Manage],
    Fast q08_a_retried_job_may_fail_as_often_as_at_first [Manage],
    Fast q08_a_retried_job_may_be_lost_as_often_as_at_first [Manage],
    Fast q08_a_retried_job_has_at_most_the_most_retries [Manage],
    Fast q08_a_retry_leaves_an_unfinished_job_alone [Manage],
    Fast q08_an_earlier_lease_has_no_power_over_a_retried_job [Manage],
    Fast q08_a_retry_answers_for_each_job_in_order [Manage],
    Fast q08_a_retry_wakes_workers [Manage],
    Fast q08_a_retried_job_is_kept_until_its_next_end_is_old [Manage],
    Fast q08_the_next_end_of_a_retried_job_is_announced [Manage, Watch],
    Fast q08_a_retry_is_as_durable_as_its_job [Manage, Durable],
}

const HOUR: Duration = Duration::from_secs(3600);

/// Fails once, then ends the job with this verdict on its second attempt. Returns the last token.
async fn ended(kit: &Kit, verdict: Verdict) -> anyhow::Result<Token> {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job").max_retries(2)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, retry("first", 0)).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.settle_one(token, verdict).await?;
    Ok(token)
}

/// A job that failed once is completed, buried or cancelled, and retried later. It must be ready
/// now, and its attempts and their errors must remain. Its end, its result and its reason must be
/// gone. Its next attempt must run as any other.
async fn q08_a_retry_makes_a_finished_job_ready_as_it_was(kit: &Kit) -> CaseResult {
    for verdict in [complete_with(b"old"), bury("hopeless"), cancelled("not wanted")] {
        let id = ended(kit, verdict.clone()).await?.job;
        let before = kit.record(id).await?;
        kit.advance(HOUR);
        ensure_eq!(kit.retry(id).await?, RetryReply::Retried, "the reply to a retry after {verdict:?}");
        let mut expected = before.clone();
        (expected.state, expected.run_at) = (JobState::Ready, kit.now());
        (expected.finished_at, expected.result, expected.error) = (None, None, None);
        ensure_eq!(kit.record(id).await?, expected, "the job after a retry after {verdict:?}");

        let worker = kit.worker().await?;
        let job = kit.claim_one(worker).await?;
        ensure_eq!((job.token.job, job.attempt), (id, 3), "the job and attempt of the next claim");
        kit.settle_one(job.token, complete_with(b"new")).await?;
        let record = kit.record(id).await?;
        let seen = (record.state, record.attempt, record.result.as_deref(), record.finished_at);
        let expected = (JobState::Completed, 3, Some(b"new".as_slice()), Some(kit.now()));
        ensure_eq!(seen, expected, "the state, attempt, result and end of the retried job");
        ensure_eq!(record.errors, before.errors, "the errors of the retried job");
    }
    Ok(())
}

/// A job has two retries. It fails until it is dead, three times, with two retries by hand. Each
/// time it must have three attempts, and only the last of them must be known as the last. All nine
/// errors must be there.
async fn q08_a_retried_job_may_fail_as_often_as_at_first(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").max_retries(2)).await?;
    for attempt in 1..=9 {
        let job = kit.claim_one(worker).await?;
        ensure_eq!(
            (job.attempt, job.max_retries, job.is_last_attempt()),
            (attempt, u16::try_from((attempt - 1) / 3 * 3 + 2)?, attempt % 3 == 0),
            "the attempt, the most retries, and whether it is the last"
        );
        ensure_eq!(
            kit.leases(worker, job.token.claim).await?,
            std::slice::from_ref(&job),
            "the leases of the claim"
        );
        kit.settle_one(job.token, retry(&format!("no {attempt}"), 0)).await?;
        if attempt % 3 == 0 {
            ensure_eq!(kit.state(id).await?, JobState::Dead, "the state after attempt {attempt}");
            ensure_eq!(kit.retry(id).await?, RetryReply::Retried, "the reply to a retry by hand");
        }
    }
    let errors = kit.record(id).await?.errors;
    let seen: Vec<(u32, String)> = errors.into_iter().map(|error| (error.attempt, error.error)).collect();
    let expected: Vec<_> = (1..=9).map(|attempt| (attempt, format!("no {attempt}"))).collect();
    ensure_eq!(seen, expected, "the attempts and errors of the job");
    Ok(())
}

/// A job has one retry, and each of its workers is lost. It must die by each second rescue, before
/// and after a retry by hand. A claim must count the last attempt as such.
async fn q08_a_retried_job_may_be_lost_as_often_as_at_first(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").max_retries(1)).await?;
    for attempt in 1..=4 {
        let worker = kit.worker().await?;
        let claim = kit.claiming(worker, 1).last_attempts(0).take().await?;
        let none = attempt % 2 == 0;
        ensure_eq!(claim.jobs.is_empty(), none, "whether attempt {attempt} is a last one");
        if none {
            kit.claim_one(worker).await?;
        }
        kit.advance(EXPIRY);
        let reply = kit.rescue(10).await?;
        ensure_eq!((reply.rescued, reply.died), (u64::from(!none), u64::from(none)), "rescued and dead jobs");
        if none {
            ensure_eq!(kit.state(id).await?, JobState::Dead, "the state after attempt {attempt}");
            ensure_eq!(kit.retry(id).await?, RetryReply::Retried, "the reply to a retry by hand");
        }
    }
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt, record.errors.len()), (JobState::Ready, 4, 4), "the job");
    Ok(())
}

/// A job with the greatest number of retries is retried by hand after an attempt. Its number must
/// not wrap around.
async fn q08_a_retried_job_has_at_most_the_most_retries(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for retries in [u16::MAX, u16::MAX - 1] {
        let id = kit.insert_one(kit.spec("job").max_retries(retries)).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, bury("hopeless")).await?;
        kit.retry(id).await?;
        let job = kit.claim_one(worker).await?;
        ensure_eq!((job.attempt, job.max_retries), (2, u16::MAX), "the attempt and the maximum of retries");
        kit.settle_one(job.token, complete()).await?;
    }
    Ok(())
}

/// Scheduled, ready, running and retrying jobs, and an unknown one, are retried by hand. The reply
/// must be the state, and nothing must change: also the cancel of the running job must remain.
async fn q08_a_retry_leaves_an_unfinished_job_alone(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let later = kit.now().saturating_add(HOUR);
    let failing = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, retry("no", 3600)).await?;
    let running = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.report_progress(worker, token, 50).await?;
    kit.cancel_running(running).await?;
    let jobs = [
        (failing, JobState::Retrying),
        (running, JobState::Running),
        (kit.insert_one(kit.spec("job")).await?, JobState::Ready),
        (kit.insert_one(kit.spec("job").run_at(later)).await?, JobState::Scheduled),
    ];
    kit.advance(TICK);
    for (id, state) in jobs {
        let before = kit.record(id).await?;
        ensure_eq!(kit.retry(id).await?, RetryReply::Unfinished(state), "the reply for a {state} job");
        ensure_eq!(kit.record(id).await?, before, "the {state} job after the retry");
    }
    ensure_eq!(kit.heartbeat(worker).await?.cancels, [running], "the cancels of the worker");
    let unknown = kit.id_at(kit.now());
    ensure_eq!(kit.retry(unknown).await?, RetryReply::NotFound, "the reply for an unknown job");
    ensure_eq!(kit.find(unknown).await?, None, "the unknown job");
    Ok(())
}

/// A job that a cancel has signalled ends, and is retried by hand. Neither a settle nor progress by
/// the earlier lease may touch it, also while the same worker runs it again. The cancel must be
/// forgotten.
async fn q08_an_earlier_lease_has_no_power_over_a_retried_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let old = kit.claim_one(worker).await?.token;
    kit.cancel_running(id).await?;
    let ends = [complete_with(b"old"), retry("x", 0), bury("x"), cancelled("not wanted")];
    kit.settle_one(old, cancelled("not wanted")).await?;
    ensure_eq!(kit.retry(id).await?, RetryReply::Retried, "the reply to the retry");
    for is_claimed in [false, true] {
        let new = if is_claimed { Some(kit.claim_one(worker).await?.token) } else { None };
        let before = kit.record(id).await?;
        for verdict in ends.clone() {
            ensure_eq!(
                kit.settle_one(old, verdict).await?,
                Settled::LeaseLost,
                "a settle with the old token"
            );
        }
        kit.report_progress(worker, old, 50).await?;
        ensure_eq!(kit.leases(worker, old.claim).await?, [], "the leases of the old claim");
        ensure_eq!(kit.heartbeat(worker).await?.cancels, [], "the cancels of the worker");
        ensure_eq!(kit.record(id).await?, before, "the job after operations with the old token");
        if let Some(new) = new {
            ensure_eq!(kit.settle_one(new, complete()).await?, Settled::Done, "a settle with the new token");
        }
    }
    Ok(())
}

/// One request names 150 jobs: finished, unfinished and unknown ones in turn. Each reply must be at
/// the place of its job.
async fn q08_a_retry_answers_for_each_job_in_order(kit: &Kit) -> CaseResult {
    let mut jobs: Vec<JobId> = kit.insert((0..100).map(|_| kit.spec("job")).collect()).await?;
    for id in jobs.iter().step_by(2) {
        kit.cancel(*id).await?;
    }
    jobs.extend((0..50).map(|_| kit.id_at(kit.now())));
    let many = jobs.len();
    // Neighbours are of different kinds.
    let jobs: Vec<JobId> = (0..many).map(|place| jobs[place * 47 % many]).collect();
    let mut expected = Vec::with_capacity(many);
    for id in &jobs {
        expected.push(match kit.find(*id).await?.map(|record| record.state) {
            None => RetryReply::NotFound,
            Some(state) if state.is_finished() => RetryReply::Retried,
            Some(state) => RetryReply::Unfinished(state),
        });
    }
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let request = RetryRequest::new(jobs).at(kit.now());
    ensure_eq!(manage.retry(request.clone()).await?, expected, "the replies to {many} jobs");
    let again = manage.retry(request).await?;
    let revived = again.iter().filter(|reply| **reply == RetryReply::Retried).count();
    ensure_eq!(revived, 0, "the number of jobs retried again");
    ensure_eq!(manage.retry(RetryRequest::new(Vec::new())).await?, [], "the replies to no jobs");
    ensure_eq!(kit.stored().await?.live.len(), 100, "the number of unfinished jobs");
    Ok(())
}

/// A cancelled job of a queue and priority of its own is retried. A wake-up must name
/// its queue, or an unknown change. A retry of an unfinished job must wake no worker.
async fn q08_a_retry_wakes_workers(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").queue("other").priority(7)).await?;
    kit.cancel(id).await?;
    let mut receiver = kit.backend()?.subscribe();
    announced_so_far(kit, &mut receiver).await?;
    ensure_eq!(kit.retry(id).await?, RetryReply::Retried, "the reply to the retry");
    let name = queue("other")?;
    let is_told = |wakes: &queue_core::backend::Wakes| {
        wakes.ready.iter().any(|hint| hint.queue == name && hint.priority == 7 && hint.due_in.is_zero())
    };
    announced(&mut receiver, is_told).await.context("the retry was not announced")?;
    announced_so_far(kit, &mut receiver).await?;
    ensure_eq!(
        kit.retry(id).await?,
        RetryReply::Unfinished(JobState::Ready),
        "the reply to a retry of the job that is ready"
    );
    let wakes = announced_so_far(kit, &mut receiver).await?;
    ensure!(!is_told(&wakes), "a retry of an unfinished job woke workers: {wakes:?}");
    Ok(())
}

/// A completed job is retried and pruned while it is unfinished, and after its second end. Only the
/// age of the second end may count.
async fn q08_a_retried_job_is_kept_until_its_next_end_is_old(kit: &Kit) -> CaseResult {
    let prune = || {
        let prune = Prune::default().completed(HOUR).cancelled(HOUR).dead(HOUR);
        prune.idempotency_window(Duration::ZERO).limit(100)
    };
    let id = ended(kit, complete()).await?.job;
    kit.advance(HOUR * 2);
    kit.retry(id).await?;
    ensure_eq!(kit.prune(prune()).await?.pruned, 0, "the number of jobs pruned while it is unfinished");
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete()).await?;
    kit.advance(HOUR);
    ensure_eq!(kit.prune(prune()).await?.pruned, 0, "the number of jobs pruned an hour after its end");
    kit.advance(TICK);
    ensure_eq!(kit.prune(prune()).await?.pruned, 1, "the number of jobs pruned one tick later");
    ensure_eq!(kit.find(id).await?, None, "the pruned job");
    Ok(())
}

/// A caller that watched a finished job watches it again after its retry. The job must be
/// unfinished, and its next end must be announced with the new result.
async fn q08_the_next_end_of_a_retried_job_is_announced(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    kit.watch(&[id]).await?;
    let worker = kit.worker().await?;
    kit.settle_one(kit.claim_one(worker).await?.token, complete_with(b"old")).await?;
    kit.retry(id).await?;
    let mut receiver = kit.backend()?.subscribe();
    ensure_eq!(kit.watch(&[id]).await?, [None], "the end of the retried job");
    kit.settle_one(kit.claim_one(worker).await?.token, complete_with(b"new")).await?;
    let is_told = |wakes: &queue_core::backend::Wakes| wakes.more_finished || wakes.finished.contains(&id);
    announced(&mut receiver, is_told).await.context("the second end was not announced")?;
    let end = JobEnd::Completed { result: Some(b"new".to_vec()) };
    ensure_eq!(kit.watch(&[id]).await?, [Some(end)], "the second end");
    Ok(())
}

/// A job is retried, and the storage is opened again. The job must be as before.
async fn q08_a_retry_is_as_durable_as_its_job(kit: &Kit) -> CaseResult {
    let id = ended(kit, bury("hopeless")).await?.job;
    kit.retry(id).await?;
    let before = kit.record(id).await?;
    kit.reopen().await?;
    ensure_eq!(kit.record(id).await?, before, "the job after the storage was opened again");
    let job = kit.claim_one(kit.worker().await?).await?;
    ensure_eq!((job.token.job, job.attempt, job.max_retries), (id, 3, 4), "the next claim");
    Ok(())
}
