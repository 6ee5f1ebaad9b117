//! Each list of each request may hold thousands of items. None may be cut.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    CancelReply, CancelRequest, Completion, HeartbeatRequest, InsertRequest, ListRequest, ProgressReport,
    Prune, RetryReply, RetryRequest, Settled, Verdict,
};
use queue_core::{JobId, JobSpec, JobState, Kind, Progress, QueueName};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete_with, retry};

cases! {
    Fast q05_a_request_of_ten_thousand_jobs_is_stored_whole,
    Fast q03_a_claim_of_ten_thousand_jobs_holds_each,
    Fast q04_ten_thousand_leases_are_settled_in_one_request,
    Fast q09_ten_thousand_jobs_are_cancelled_in_one_request,
    Fast q08_ten_thousand_jobs_are_retried_and_pruned [Manage],
    Fast q19_a_thousand_kinds_are_each_seen,
    Fast q17_hundreds_of_queues_are_paused [Manage],
    Fast q06_ten_thousand_follow_ups_are_stored [FollowUps],
    Fast q20_ten_thousand_jobs_are_read_in_pages_and_by_their_ids,
}

/// More than the parameters of a statement, the rows of a page or the items of a message in most
/// databases.
const MANY: usize = 10_001;
const LIMIT: u32 = 20_000;

/// Inserts many jobs of the kind `job`.
async fn many(kit: &Kit) -> anyhow::Result<Vec<JobId>> {
    kit.insert((0..MANY).map(|_| kit.spec("job")).collect()).await
}

/// Checks the states of these jobs, all of which must be equal.
async fn all_are(kit: &Kit, jobs: &[JobId], state: JobState) -> CaseResult {
    let backend = kit.backend()?;
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    let records = inspect.jobs(jobs).await?;
    ensure_eq!(records.len(), jobs.len(), "the number of records");
    let is_so = |record: &Option<_>| {
        record.as_ref().is_some_and(|record: &queue_core::JobRecord| record.state == state)
    };
    let wrong = records.iter().filter(|record| !is_so(record)).count();
    ensure!(wrong == 0, "{wrong} of {} jobs are not {state}", jobs.len());
    Ok(())
}

/// One request has batches of 1, 7,000 and 3,000 jobs, and is sent twice. Each job must be stored
/// once, and be known the second time.
async fn q05_a_request_of_ten_thousand_jobs_is_stored_whole(kit: &Kit) -> CaseResult {
    let batch = |many: usize| (0..many).map(|_| kit.spec("job").build()).collect::<Result<Vec<JobSpec>, _>>();
    let batches = vec![batch(1)?, batch(7000)?, batch(3000)?];
    let ids: BTreeSet<JobId> = batches.iter().flatten().map(|job| job.id).collect();
    for is_new in [true, false] {
        let request = InsertRequest::new(batches.clone()).at(kit.now());
        let replies = kit.backend()?.insert(request).await?.batches;
        ensure_eq!(replies.len(), 3, "the number of replies to three batches");
        for (reply, batch) in replies.into_iter().zip(&batches) {
            let reply = reply?;
            ensure_eq!(reply.len(), batch.len(), "the number of replies to a batch");
            let are_so =
                reply.iter().zip(batch).all(|(job, spec)| job.id == spec.id && job.is_new() == is_new);
            ensure!(are_so, "not each job of a batch of {} has the reply is_new = {is_new}", batch.len());
        }
        let stored: BTreeSet<JobId> = kit.stored().await?.jobs.into_iter().collect();
        ensure!(stored == ids, "{} of {} jobs are stored", stored.len(), ids.len());
    }
    Ok(())
}

/// One claim takes all jobs. It must return each in order, its leases must be listed, and the
/// heartbeat must count them. A rescue must take back all of them.
async fn q03_a_claim_of_ten_thousand_jobs_holds_each(kit: &Kit) -> CaseResult {
    let jobs = many(kit).await?;
    let worker = kit.worker().await?;
    let held = kit.claim(worker, LIMIT).await?;
    let claimed: Vec<JobId> = held.iter().map(|job| job.token.job).collect();
    ensure!(claimed == jobs, "the claim returned {} of {MANY} jobs, or not in order", claimed.len());
    let listed = kit.leases(worker, held[0].token.claim).await?;
    ensure!(listed == held, "the list of the leases has {} of {MANY}, or differs", listed.len());
    ensure_eq!(kit.heartbeat(worker).await?.leases, MANY as u64, "the number of leases in the heartbeat");
    kit.advance(EXPIRY);
    let mut rescued = 0;
    for _ in 0..20 {
        rescued += kit.rescue(4000).await?.rescued;
    }
    ensure_eq!(rescued, MANY as u64, "the number of leases rescued, 4,000 at a time");
    all_are(kit, &jobs, JobState::Ready).await
}

/// One heartbeat reports the progress of all leases, and one settle ends them: every third fails,
/// the others complete with results. Each reply must be `Done`, and each job as settled.
async fn q04_ten_thousand_leases_are_settled_in_one_request(kit: &Kit) -> CaseResult {
    many(kit).await?;
    let worker = kit.worker().await?;
    let held = kit.claim(worker, LIMIT).await?;
    let mut beat = HeartbeatRequest::new(worker).at(kit.now());
    let reports =
        (1..).zip(&held).map(|(done, job)| ProgressReport::new(job.token, Progress { done, total: 20_000 }));
    beat.progress.extend(reports);
    kit.backend()?.heartbeat(beat).await?;
    let last = kit.record(held[MANY - 1].token.job).await?;
    ensure_eq!(
        last.progress.map(|progress| progress.done),
        Some(MANY as u64),
        "the progress of the last job"
    );
    let verdict = |place: usize| match place % 3 {
        0 => retry("no", 60),
        _ => complete_with(place.to_string().as_bytes()),
    };
    let settlements = held.iter().enumerate().map(|(place, job)| (job.token, verdict(place))).collect();
    let answers = kit.settle(settlements).await?;
    let lost = answers.iter().filter(|answer| **answer != Settled::Done).count();
    ensure_eq!(lost, 0, "the number of settlements that are not done");
    let stored = kit.stored().await?;
    let failed = stored.live.iter().filter(|row| row.state == JobState::Retrying).count();
    ensure_eq!(
        (failed, stored.outcomes.len()),
        (MANY.div_ceil(3), MANY - MANY.div_ceil(3)),
        "failed and completed jobs"
    );
    let results: BTreeSet<_> = stored.outcomes.into_iter().filter_map(|row| row.result).collect();
    ensure_eq!(results.len(), MANY - MANY.div_ceil(3), "the number of different results");
    Ok(())
}

/// One request cancels jobs of which a part runs. Each reply must be at its place, and the worker
/// must learn of each running job.
async fn q09_ten_thousand_jobs_are_cancelled_in_one_request(kit: &Kit) -> CaseResult {
    let jobs = many(kit).await?;
    let worker = kit.worker().await?;
    kit.claim(worker, 4000).await?;
    let request = CancelRequest::new(jobs.clone()).signal_running().at(kit.now());
    let replies = kit.backend()?.cancel(request).await?;
    ensure_eq!(replies.len(), MANY, "the number of replies");
    let expected = |place: usize| if place < 4000 { CancelReply::Running } else { CancelReply::Cancelled };
    let wrong = replies.iter().enumerate().filter(|(place, reply)| **reply != expected(*place)).count();
    ensure_eq!(wrong, 0, "the number of wrong replies");
    all_are(kit, &jobs[4000..], JobState::Cancelled).await?;
    let cancels: BTreeSet<JobId> = kit.heartbeat(worker).await?.cancels.into_iter().collect();
    ensure!(
        cancels == jobs[..4000].iter().copied().collect(),
        "the heartbeat names {} of 4,000 cancels",
        cancels.len()
    );
    Ok(())
}

/// One request retries finished jobs, and prunes of many remove them after their second end.
async fn q08_ten_thousand_jobs_are_retried_and_pruned(kit: &Kit) -> CaseResult {
    let jobs = many(kit).await?;
    let cancel = || CancelRequest::new(jobs.clone()).at(kit.now());
    let backend = kit.backend()?;
    backend.cancel(cancel()).await?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let replies = manage.retry(RetryRequest::new(jobs.clone()).at(kit.now())).await?;
    let retried = replies.iter().filter(|reply| **reply == RetryReply::Retried).count();
    ensure_eq!((replies.len(), retried), (MANY, MANY), "the number of replies, and of jobs retried");
    all_are(kit, &jobs, JobState::Ready).await?;
    backend.cancel(cancel()).await?;
    kit.advance(Duration::from_secs(60));
    let none = Duration::ZERO;
    let prune = Prune::default().completed(none).cancelled(none).dead(none).idempotency_window(none);
    let mut pruned = 0;
    for _ in 0..40 {
        let some = kit.prune(prune.clone().limit(6000)).await?.pruned;
        ensure!(some <= 6000, "{some} jobs were pruned, more than the limit of 6,000");
        pruned += some;
    }
    ensure_eq!(pruned, MANY as u64, "the number of jobs pruned in 40 requests");
    ensure_eq!(kit.stored().await?.jobs.len(), 0, "the number of jobs left");
    Ok(())
}

/// A queue has one job of each of many kinds. All must be named as the next of their kinds, and one
/// claim of all kinds must take them.
async fn q19_a_thousand_kinds_are_each_seen(kit: &Kit) -> CaseResult {
    let (worker, backend) = (kit.worker().await?, kit.backend()?);
    let mut batch = Vec::new();
    for number in 0..1001 {
        let spec = kit.spec("job").build()?.kind(Kind::new(format!("kind-{number}"))?);
        kit.knows_kind(&spec.kind);
        batch.push(spec);
    }
    let jobs: Vec<JobId> = batch.iter().map(|spec| spec.id).collect();
    backend.insert(InsertRequest::new(vec![batch]).at(kit.now())).await?.batches.remove(0)?;
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    let next = inspect.next_ready(&[QueueName::default()]).await?;
    let named: BTreeSet<JobId> = next.iter().map(|next| next.job).collect();
    ensure_eq!(named, jobs.iter().copied().collect(), "the next job of each kind");
    ensure_eq!(inspect.next_ready(&[]).await?, [], "the next jobs of no queues");
    let claimed: Vec<JobId> = kit.claim(worker, LIMIT).await?.iter().map(|job| job.token.job).collect();
    ensure_eq!(claimed, jobs, "the jobs of a claim of all kinds");
    Ok(())
}

/// Many queues are paused. Each must be listed, and each must be paused.
async fn q17_hundreds_of_queues_are_paused(kit: &Kit) -> CaseResult {
    let (worker, backend) = (kit.worker().await?, kit.backend()?);
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let mut queues = BTreeSet::new();
    for number in 0..260 {
        queues.insert(QueueName::new(format!("queue-{number}"))?);
    }
    for queue in &queues {
        manage.pause(queue).await?;
    }
    ensure_eq!(manage.paused().await?.into_iter().collect::<BTreeSet<_>>(), queues, "the paused queues");
    let names = ["queue-259", "queue-26", "Queue-26", "queue"];
    kit.insert(names.map(|name| kit.spec("job").queue(name)).to_vec()).await?;
    for name in ["Queue-26", "queue"] {
        let taken = kit.claiming(worker, 9).queue(name).take().await?.jobs;
        ensure_eq!(taken.len(), 1, "the number of jobs of the queue {name}, which is not paused");
    }
    for name in ["queue-259", "queue-26"] {
        let taken = kit.claiming(worker, 9).queue(name).take().await?.jobs;
        ensure_eq!(taken, [], "the jobs of the paused queue {name}");
    }
    manage.resume(&QueueName::new("queue-26")?).await?;
    let taken = kit.claiming(worker, 9).queue("queue-26").take().await?.jobs;
    ensure_eq!(taken.len(), 1, "the number of jobs of the resumed queue");
    Ok(())
}

/// A job completes with an empty result and many follow-ups. All must be stored.
async fn q06_ten_thousand_follow_ups_are_stored(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(kit.worker().await?).await?.token;
    let follow_ups: Vec<JobSpec> =
        (0..MANY).map(|_| kit.spec("job").build()).collect::<queue_core::Result<_>>()?;
    let ids: Vec<JobId> = follow_ups.iter().map(|spec| spec.id).collect();
    let completion = Completion::new().result(Vec::new()).follow_ups(follow_ups);
    ensure_eq!(kit.settle_one(token, Verdict::Complete(completion)).await?, Settled::Done, "the reply");
    ensure_eq!(kit.record(id).await?.result, Some(Vec::new()), "the result");
    all_are(kit, &ids, JobState::Ready).await
}

/// Jobs of two kinds and queues are listed in pages of 999, all and filtered, and read by their ids
/// with unknown ones among them. Each must be there once, in order.
async fn q20_ten_thousand_jobs_are_read_in_pages_and_by_their_ids(kit: &Kit) -> CaseResult {
    let place = |place: usize| match place % 3 {
        0 => kit.spec("job"),
        1 => kit.spec("other").queue("other"),
        _ => kit.spec("job").queue("other"),
    };
    let jobs = kit.insert((0..MANY).map(place).collect()).await?;
    let other = crate::conformance::session::queue("other")?;
    let lists = [
        (ListRequest::new(999), 0..3),
        (ListRequest::new(LIMIT), 0..3),
        (ListRequest::new(999).queue(other.clone()), 1..3),
        (ListRequest::new(999).queue(other).kind(Kind::new("other")?), 1..2),
        (ListRequest::new(999).state(JobState::Ready), 0..3),
        (ListRequest::new(999).state(JobState::Running), 0..0),
    ];
    let backend = kit.backend()?;
    let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    for (request, places) in lists {
        let mut page = request.clone();
        let (mut listed, mut first) = (Vec::<JobId>::new(), 0);
        loop {
            let records = inspect.list(page.clone()).await?;
            let limit = request.limit as usize;
            ensure!(records.len() <= limit, "a page of {limit} jobs has {}", records.len());
            let Some(last) = records.last().map(|record| record.job.id) else { break };
            // Otherwise the pages would never end.
            ensure!(page.after < Some(last), "the page after {:?} ends with {last}", page.after);
            listed.extend(records.iter().map(|record| record.job.id));
            first = if first == 0 { records.len() } else { first };
            page = request.clone().after(last);
        }
        let is_cut = request.limit == LIMIT && first < MANY;
        ensure!(!is_cut, "a page of at most {LIMIT} of {MANY} jobs has {first}");
        let expected: Vec<JobId> = jobs
            .iter()
            .enumerate()
            .filter(|(place, _)| places.contains(&(place % 3)))
            .map(|(_, id)| *id)
            .collect();
        ensure!(
            listed == expected,
            "{request:?} lists {} jobs in pages, expected {}, in the order of their ids",
            listed.len(),
            expected.len()
        );
    }
    let unknown = kit.id_at(kit.now());
    let asked: Vec<JobId> = jobs.iter().rev().flat_map(|job| [*job, unknown]).collect();
    let records = inspect.jobs(&asked).await?;
    ensure_eq!(records.len(), asked.len(), "the number of records");
    let found = records.iter().map(|record| record.as_ref().map(|record| record.job.id));
    let expected = asked.iter().map(|id| (*id != unknown).then_some(*id));
    ensure!(found.eq(expected), "the records are not in the order of the ids");
    Ok(())
}
