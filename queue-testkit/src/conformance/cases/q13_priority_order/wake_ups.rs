//! Q13: workers are woken for each job that becomes ready, after it did.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{InsertRequest, MaintainRequest, RetryRequest, WakeReceiver, Wakes};
use queue_core::testing::drop_after;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{retry, snooze};
use crate::conformance::wakes::{announced, announced_so_far};

cases! {
    Fast q13_each_batch_of_a_request_wakes,
    Fast q13_each_receiver_is_woken,
    Fast q13_a_promotion_wakes,
    Fast q13_what_a_claim_promoted_and_left_wakes,
    Fast q13_a_promotion_wakes_with_the_times_of_its_jobs,
    Fast q13_upkeep_wakes_for_all_that_it_made_ready,
    Fast q13_a_job_that_waits_again_is_announced_with_its_delay,
    Fast q13_each_retried_job_wakes [Manage],
    Fast q13_what_the_claim_of_an_insert_took_wakes_nobody [InsertAndClaim],
    Fast q13_a_dropped_insert_that_stored_its_jobs_wakes,
}

const MINUTE: Duration = Duration::from_secs(60);

/// Fails unless wake-ups name ready jobs of all these priorities.
async fn is_woken(receiver: &mut WakeReceiver, priorities: &[i16], after: &str) -> CaseResult {
    let names = |wakes: &Wakes, priority| {
        wakes.ready.iter().any(|hint| hint.priority == priority && hint.due_in.is_zero())
    };
    let wakes = announced(receiver, |wakes| priorities.iter().all(|priority| names(wakes, *priority))).await;
    wakes.map(drop).with_context(|| format!("no wake-ups name the priorities {priorities:?} after {after}"))
}

/// One request has three batches of different priorities, of which the second is refused. Each
/// stored batch must wake.
async fn q13_each_batch_of_a_request_wakes(kit: &Kit) -> CaseResult {
    let stored = kit.spec("job").priority(1);
    kit.insert_one(stored.clone()).await?;
    let mut receiver = kit.backend()?.subscribe();
    let batches = vec![
        vec![kit.spec("job").priority(2)],
        vec![stored.payload("[\"other\"]"), kit.spec("job").priority(3)],
        vec![
            kit.spec("job").priority(4),
            kit.spec("job").priority(i16::MIN),
            kit.spec("job").priority(i16::MAX),
        ],
    ];
    let results = kit.insert_batches(batches).await?;
    let are_stored: Vec<bool> = results.iter().map(Result::is_ok).collect();
    ensure_eq!(are_stored, [true, false, true], "whether each batch was stored");
    is_woken(&mut receiver, &[2, 4, i16::MIN, i16::MAX], "the insert of three batches").await
}

/// Three receivers of one handle, and one of another handle. Each must be woken by each insert,
/// also after one of them was dropped.
async fn q13_each_receiver_is_woken(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let mut receivers = Vec::new();
    for handle in [&handles[0], &handles[0], &handles[1], &handles[0]] {
        receivers.push(handle.backend()?.subscribe());
    }
    for (round, priority) in (1_i16..).zip([3, 5, 7]) {
        handles[0].insert_one(kit.spec("job").priority(priority)).await?;
        for (number, receiver) in receivers.iter_mut().enumerate() {
            let after = format!("insert {round}, at receiver {number}");
            is_woken(receiver, &[priority], &after).await?;
        }
        receivers.remove(0);
    }
    Ok(())
}

/// Scheduled jobs of two priorities become due, and are promoted one by one. Workers must be woken
/// for both.
async fn q13_a_promotion_wakes(kit: &Kit) -> CaseResult {
    let soon = kit.now().saturating_add(MINUTE);
    kit.insert_one(kit.spec("job").priority(3).run_at(soon)).await?;
    kit.insert_one(kit.spec("job").priority(4).run_at(soon.saturating_add(MINUTE))).await?;
    kit.advance(MINUTE * 2);
    let mut receiver = kit.backend()?.subscribe();
    for _ in 0..2 {
        ensure_eq!(kit.promote(1).await?.promoted, 1, "the number of jobs promoted");
    }
    is_woken(&mut receiver, &[3, 4], "two promotions").await
}

/// Three scheduled jobs of a queue are due, and one of another queue. A claim of one job promotes
/// those of its queue at least, and takes one. Other workers must
/// be woken for the others: by this claim, or by the promotion of one that was left scheduled.
async fn q13_what_a_claim_promoted_and_left_wakes(kit: &Kit) -> CaseResult {
    let soon = kit.now().saturating_add(MINUTE);
    for priority in [9, 6, 3] {
        kit.insert_one(kit.spec("job").priority(priority).run_at(soon)).await?;
    }
    kit.insert_one(kit.spec("job").queue("other").priority(2).run_at(soon)).await?;
    kit.set_clock(soon);
    let mut receiver = kit.backend()?.subscribe();
    let taken = kit.claim(kit.worker().await?, 1).await?;
    ensure_eq!(taken.len(), 1, "the number of claimed jobs");
    kit.promote(9).await?;
    is_woken(&mut receiver, &[6, 3, 2], "a claim that took one of three due jobs").await
}

/// A scheduled and a failed job become due, and are promoted later. The wake-ups must name times
/// that are not after theirs, because a claim may start there.
async fn q13_a_promotion_wakes_with_the_times_of_its_jobs(kit: &Kit) -> CaseResult {
    let (worker, tick) = (kit.worker().await?, Duration::from_micros(1));
    kit.advance(tick);
    let soon = kit.now().saturating_add(MINUTE);
    kit.insert_one(kit.spec("job").priority(4)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 60)).await?;
    kit.insert_one(kit.spec("job").priority(3).run_at(soon)).await?;
    kit.advance(MINUTE * 2);
    let mut receiver = kit.backend()?.subscribe();
    kit.promote(9).await?;
    let names = |wakes: &Wakes, priority| {
        wakes.ready.iter().any(|hint| hint.priority == priority && hint.run_at <= soon)
    };
    announced(&mut receiver, |wakes| names(wakes, 3) && names(wakes, 4)).await?;
    Ok(())
}

/// One request promotes a job, and rescues the jobs of a dead worker and of an overdue lease. Each
/// must wake.
async fn q13_upkeep_wakes_for_all_that_it_made_ready(kit: &Kit) -> CaseResult {
    let live = kit.worker_expiring_after(MINUTE * 100).await?;
    for (priority, worker) in [(3, live), (5, kit.worker().await?)] {
        let timeout = MINUTE * u32::from(worker != live);
        kit.insert_one(kit.spec("job").priority(priority).timeout(timeout)).await?;
        ensure_eq!(kit.claim(worker, 1).await?.len(), 1, "the number of claimed jobs");
    }
    kit.insert_one(kit.spec("job").priority(7).run_at(kit.now().saturating_add(MINUTE))).await?;
    kit.advance(MINUTE);
    let mut receiver = kit.backend()?.subscribe();
    let mut upkeep = MaintainRequest::promote(9);
    upkeep.rescue = 9;
    let reply = kit.maintain(upkeep).await?;
    ensure_eq!((reply.promoted, reply.rescued), (1, 2), "the numbers of jobs promoted and rescued");
    is_woken(&mut receiver, &[3, 5, 7], "the promotion and the rescues").await
}

/// A job is snoozed and one fails, both with a delay. Their wake-ups must give the delay, and must
/// not say that they are ready.
async fn q13_a_job_that_waits_again_is_announced_with_its_delay(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for (delay, verdict) in [(60, snooze(60)), (30, retry("failed", 30))] {
        kit.insert_one(kit.spec("job")).await?;
        let token = kit.claim_one(worker).await?.token;
        let mut receiver = kit.backend()?.subscribe();
        kit.settle_one(token, verdict).await?;
        let wakes = announced_so_far(kit, &mut receiver).await?;
        let is_right = wakes.due_in.is_none_or(|due| due == Duration::from_secs(delay));
        ensure!(
            wakes.unknown || wakes.ready.is_empty() && is_right,
            "a job that waits {delay} s is announced as {wakes:?}"
        );
    }
    Ok(())
}

/// One request retries jobs of three priorities. Each must wake.
async fn q13_each_retried_job_wakes(kit: &Kit) -> CaseResult {
    let jobs = kit.insert([3, 5, 7].map(|priority| kit.spec("job").priority(priority)).to_vec()).await?;
    for job in &jobs {
        kit.cancel(*job).await?;
    }
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let mut receiver = backend.subscribe();
    manage.retry(RetryRequest::new(jobs).at(kit.now())).await?;
    is_woken(&mut receiver, &[3, 5, 7], "the retry of three jobs").await
}

/// An insert claims all of its jobs. No other worker may be woken for them.
async fn q13_what_the_claim_of_an_insert_took_wakes_nobody(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.knows_kind(&kit.spec("job").build()?.kind);
    let mut receiver = kit.backend()?.subscribe();
    let specs = vec![kit.spec("job"), kit.spec("job").priority(5)];
    let (_, claim) = kit.claiming(worker, 9).with_insert(specs).await?.done()?;
    let taken = claim.context("the claim was not made")??.jobs.len();
    let wakes = announced_so_far(kit, &mut receiver).await?;
    ensure!(
        taken < 2 || wakes.unknown || wakes.ready.is_empty(),
        "the insert has claimed its jobs, and they are announced as {wakes:?}"
    );
    Ok(())
}

/// An insert is dropped at each poll. If it has stored its jobs nevertheless, workers must be woken
/// for them.
async fn q13_a_dropped_insert_that_stored_its_jobs_wakes(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    for polls in 0..40 {
        let priority = i16::try_from(polls)? + 100;
        let mut receiver = backend.subscribe();
        let spec = kit.spec("job").priority(priority).build()?;
        kit.knows_kind(&spec.kind);
        let insert = backend.insert(InsertRequest::new(vec![vec![spec.clone()]]).at(kit.now()));
        let is_answered = drop_after(polls, insert).await.is_some();
        if is_answered || kit.find(spec.id).await?.is_some() {
            let after = format!("an insert that was dropped after {polls} polls");
            is_woken(&mut receiver, &[priority], &after).await?;
        }
        if is_answered {
            return Ok(());
        }
    }
    Ok(())
}
