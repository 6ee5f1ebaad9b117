//! Q13: a claim with a cursor goes on where the last one ended, and what comes to stand behind it is
//! found in the ways that are stated.

use std::cmp::Reverse;
use std::time::Duration;

use anyhow::ensure;
use queue_core::JobId;
use queue_core::backend::{ClaimReply, ClaimedJob, Cursor, Wakes};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK, release, retry, snooze};

cases! {
    Fast q13_claims_with_a_cursor_follow_the_order_of_one_large,
    Fast q13_a_cursor_begins_behind_the_job_that_it_names,
    Fast q13_a_claim_from_the_head_finds_what_is_behind_the_cursor,
    Fast q13_a_rewound_cursor_finds_a_back_dated_job,
    Fast q13_looking_back_finds_what_came_late,
    Fast q13_a_level_that_the_cursor_does_not_name_is_seen_from_its_head,
    Fast q13_a_cursor_begins_behind_its_place_in_that_level_alone,
    Fast q13_a_wake_names_the_least_time_of_its_level,
    Fast q13_every_job_that_becomes_ready_is_told,
}

const SECOND: Duration = Duration::from_secs(1);

fn ids(reply: &ClaimReply) -> Vec<JobId> {
    reply.jobs.iter().map(|job: &ClaimedJob| job.token.job).collect()
}

/// Over three levels, with jobs that arrive in between at the end of each.
async fn q13_claims_with_a_cursor_follow_the_order_of_one_large(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut cursor = None;
    let mut waiting: Vec<(Reverse<i16>, JobId)> = Vec::new();
    for turn in 0..12 {
        kit.advance(TICK);
        if turn < 6 {
            let priorities = [2, 0, 1];
            let batch = priorities.map(|priority| kit.spec("job").priority(priority)).to_vec();
            waiting.extend(priorities.map(Reverse).into_iter().zip(kit.insert(batch).await?));
            // Ids and times grow with each other.
            waiting.sort();
        }
        let reply = kit.claiming(worker, 2).cursor(cursor).take().await?;
        let next: Vec<JobId> = waiting.drain(..waiting.len().min(2)).map(|(_, job)| job).collect();
        ensure_eq!(ids(&reply), next, "the jobs of claim {turn}");
        cursor = reply.cursor;
    }
    ensure!(waiting.is_empty(), "{} jobs were never claimed", waiting.len());
    Ok(())
}

/// A backend may have no use for cursors; one that has names the last job of each level, and looks
/// only behind it.
async fn q13_a_cursor_begins_behind_the_job_that_it_names(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert([1, 0, 0].map(|priority| kit.spec("job").priority(priority)).to_vec()).await?;
    let first = kit.claiming(worker, 2).take().await?;
    let Some(cursor) = first.cursor else { return Ok(()) };
    let named = [1, 0].map(|priority| cursor.position(priority).map(|(_, id)| id));
    ensure_eq!(named, [Some(jobs[0]), Some(jobs[1])], "the jobs that the cursor names");
    for job in first.jobs {
        kit.settle_one(job.token, release()).await?;
    }
    let reply = kit.claiming(worker, 5).cursor(Some(cursor)).take().await?;
    ensure_eq!(ids(&reply), [jobs[2]], "a claim behind the two jobs that were given back");
    Ok(())
}

/// Back-dated, released, retried, promoted: none is hidden from the head.
async fn q13_a_claim_from_the_head_finds_what_is_behind_the_cursor(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let start = kit.now();
    let batch = (0..3).map(|_| kit.spec("job")).chain([kit.spec("job").run_at(start.saturating_add(SECOND))]);
    let jobs = kit.insert(batch.collect()).await?;
    let first = kit.claiming(worker, 3).take().await?;
    kit.advance(SECOND * 10);
    let ahead = kit.insert_one(kit.spec("job")).await?;
    let reply = kit.claiming(worker, 5).cursor(first.cursor.clone()).take().await?;
    let promoted = ids(&reply);
    ensure!(promoted.contains(&ahead), "the cursor hides what is ahead of it");
    kit.settle_one(first.jobs[0].token, release()).await?;
    kit.settle_one(first.jobs[1].token, retry("failed", 0)).await?;
    let late = kit.insert_one(kit.spec("job").run_at(start)).await?;
    let head = kit.claiming(worker, 10).take().await?;
    let expected = [jobs[0], late, jobs[1]];
    ensure_eq!(ids(&head), expected, "the released, the back-dated and the retried job");
    let mut all = [promoted, ids(&head), ids(&first)].concat();
    all.sort();
    all.dedup();
    ensure_eq!(all.len(), 6, "jobs that were claimed");
    Ok(())
}

/// As a worker does when a wake-up names the time.
async fn q13_a_rewound_cursor_finds_a_back_dated_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for run_at in [kit.now(), kit.now().saturating_sub(SECOND), queue_core::Timestamp::UNIX_EPOCH] {
        let ahead = kit.insert_one(kit.spec("job")).await?;
        let reply = kit.claiming(worker, 1).take().await?;
        ensure_eq!(ids(&reply), [ahead], "the job that moves the cursor");
        let late = kit.insert_one(kit.spec("job").run_at(run_at)).await?;
        let mut cursor = reply.cursor.unwrap_or_default();
        cursor.rewind(0, run_at);
        let reply = kit.claiming(worker, 1).cursor(Some(cursor)).take().await?;
        ensure_eq!(ids(&reply), [late], "a claim with the cursor rewound to {run_at}");
    }
    Ok(())
}

/// A job that was given back, one that was rescued, and one that is back-dated, each by less than the cursor looks back.
async fn q13_looking_back_finds_what_came_late(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert(vec![kit.spec("job"), kit.spec("job")]).await?;
    let other = kit.claim(kit.worker().await?, 2).await?;
    kit.advance(EXPIRY);
    kit.heartbeat(worker).await?;
    let ahead = kit.insert_one(kit.spec("job")).await?;
    let reply = kit.claiming(worker, 5).take().await?;
    ensure_eq!(ids(&reply), [ahead], "the job that moves the cursor");
    kit.settle_one(other[0].token, release()).await?;
    kit.rescue(10).await?;
    let late = kit.insert_one(kit.spec("job").run_at(kit.now().saturating_sub(SECOND))).await?;
    let back = reply.cursor.map(|cursor| cursor.look_back(EXPIRY + SECOND));
    let reply = kit.claiming(worker, 5).cursor(back).take().await?;
    ensure_eq!(ids(&reply), [other[0].token.job, other[1].token.job, late], "released, rescued, late");
    Ok(())
}

/// An urgent job arrives, of a priority that was empty before.
async fn q13_a_level_that_the_cursor_does_not_name_is_seen_from_its_head(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert((0..4).map(|_| kit.spec("job")).collect()).await?;
    let reply = kit.claiming(worker, 2).take().await?;
    let long_ago = kit.now().saturating_sub(SECOND * 1000);
    let urgent = kit.insert_one(kit.spec("job").priority(9).run_at(long_ago)).await?;
    let idle = kit.insert_one(kit.spec("job").priority(-9).run_at(long_ago)).await?;
    let reply = kit.claiming(worker, 10).cursor(reply.cursor).take().await?;
    ensure_eq!(ids(&reply), [urgent, jobs[2], jobs[3], idle], "urgent, the rest of the level, idle");
    Ok(())
}

/// The levels above and below are begun at their heads.
async fn q13_a_cursor_begins_behind_its_place_in_that_level_alone(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert([2, 1, 1, 0].map(|priority| kit.spec("job").priority(priority)).to_vec()).await?;
    let mut cursor = Cursor::new();
    cursor.advance(1, (kit.now(), jobs[1]));
    let reply = kit.claiming(worker, 10).cursor(Some(cursor)).take().await?;
    // A backend without cursors looks at everything.
    let expected = if reply.cursor.is_some() { vec![jobs[0], jobs[2], jobs[3]] } else { jobs };
    ensure_eq!(ids(&reply), expected, "a claim with a cursor that names one level");
    Ok(())
}

/// Of a batch, and of several operations that nobody listened to.
async fn q13_a_wake_names_the_least_time_of_its_level(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    let at = |seconds| kit.now().saturating_sub(SECOND * seconds);
    for batch in [[5, 9, 7], [3, 4, 2]] {
        kit.insert(batch.map(|seconds| kit.spec("job").priority(4).run_at(at(seconds))).to_vec()).await?;
    }
    let mut least = None;
    while least.is_none_or(|least| least > at(9)) {
        let wakes = tokio::time::timeout(SECOND * 30, receiver.recv()).await?;
        if wakes.unknown {
            return Ok(());
        }
        least = wakes.ready.iter().filter(|hint| hint.priority == 4).map(|hint| hint.run_at).min();
    }
    ensure_eq!(least, Some(at(9)), "the least time that is told");
    Ok(())
}

/// By its level and a time that is not after its own, or by "something changed".
async fn q13_every_job_that_becomes_ready_is_told(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut receiver = kit.backend()?.subscribe();
    let run_at = kit.now();
    kit.insert_one(kit.spec("job").priority(4)).await?;
    told(&receiver.recv().await, run_at, "insert")?;
    for (what, verdict) in [("release", release()), ("snooze", snooze(0)), ("retry", retry("failed", 0))] {
        let token = kit.claim_one(worker).await?.token;
        receiver.take();
        kit.settle_one(token, verdict).await?;
        told(&receiver.recv().await, run_at, what)?;
    }
    kit.claim_one(worker).await?;
    receiver.take();
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    told(&receiver.recv().await, run_at, "rescue")
}

fn told(wakes: &Wakes, run_at: queue_core::Timestamp, what: &str) -> CaseResult {
    let is_told = wakes.ready.iter().any(|hint| hint.priority == 4 && hint.run_at <= run_at);
    ensure!(wakes.unknown || is_told, "the {what} is not told so that a cursor would find it: {wakes:?}");
    Ok(())
}
