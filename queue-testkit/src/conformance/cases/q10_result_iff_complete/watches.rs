//! Q10: how jobs ended, and the announcement of the ends of watched jobs.

use std::time::Duration;

use anyhow::ensure;
use queue_core::JobId;
use queue_core::backend::{JobEnd, Prune, WORKER_LOST_ERROR, WakeReceiver, Wakes};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{
    EXPIRY, GRACE, bury, cancelled, complete, complete_with, release, retry, snooze,
};
use crate::conformance::wakes::{announced, announced_so_far};

cases! {
    Fast q10_a_watch_returns_how_each_job_ended [Watch],
    Fast q10_a_watch_of_a_pruned_or_unknown_job_says_so [Watch],
    Fast q10_a_watched_end_is_announced [Watch],
    Fast q10_the_end_of_an_unwatched_job_is_not_announced [Watch],
    Fast q10_a_watched_job_releases_its_key [Watch, UniqueKeys],
    Fast q10_a_job_stays_watched_until_it_ends [Watch],
    Fast q10_a_watch_changes_no_job [Watch],
    Fast q10_a_thousand_watched_ends_are_announced [Watch],
    Fast q10_an_end_in_another_process_is_announced [Watch, MultiProcess],
}

const HOUR: Duration = Duration::from_secs(3600);

fn completed(result: Option<&[u8]>) -> Option<JobEnd> {
    Some(JobEnd::Completed { result: result.map(<[u8]>::to_vec) })
}

fn dead(error: &str) -> Option<JobEnd> {
    Some(JobEnd::Dead { error: error.to_owned() })
}

/// One watch names jobs of each state, and one of them twice.
async fn q10_a_watch_returns_how_each_job_ended(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut expected = Vec::new();
    for (verdict, end) in [
        (complete(), completed(None)),
        (complete_with(b""), completed(Some(b""))),
        (complete_with(b"\0\xff"), completed(Some(b"\0\xff"))),
        (bury("hopeless"), dead("hopeless")),
        (retry("failed", 0), dead("failed")),
        (cancelled("not wanted"), Some(JobEnd::Cancelled { reason: Some("not wanted".into()) })),
        (snooze(60), None),
        (release(), None),
    ] {
        let id = kit.insert_one(kit.spec("job").max_retries(0)).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
        expected.push((id, end));
    }
    kit.claim_one(worker).await?;
    let never_started = kit.insert_one(kit.spec("job")).await?;
    kit.cancel(never_started).await?;
    expected.push((never_started, Some(JobEnd::Cancelled { reason: None })));
    expected.push((kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(HOUR))).await?, None));
    expected.reverse();
    expected.push(expected[4].clone());
    let (ids, expected): (Vec<JobId>, Vec<_>) = expected.into_iter().unzip();
    for time in ["first", "second"] {
        ensure_eq!(kit.watch(&ids).await?, expected, "the ends of the {time} watch");
    }
    ensure_eq!(kit.watch(&[]).await?, [], "the ends of no jobs");
    Ok(())
}

async fn q10_a_watch_of_a_pruned_or_unknown_job_says_so(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let pruned = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, complete_with(b"done")).await?;
    ensure_eq!(kit.watch(&[pruned]).await?, [completed(Some(b"done"))], "the end before the prune");
    kit.advance(HOUR);
    let prune = Prune::default().completed(Duration::ZERO).idempotency_window(Duration::ZERO).limit(10);
    kit.prune(prune).await?;
    let unfinished = kit.insert_one(kit.spec("job")).await?;
    let ends = kit.watch(&[unfinished, pruned, JobId::generate()]).await?;
    ensure_eq!(ends, [None, Some(JobEnd::Gone), Some(JobEnd::Gone)], "the ends");
    Ok(())
}

/// Fails unless the end of this job was announced.
async fn was_announced(kit: &Kit, receiver: &mut WakeReceiver, id: JobId) -> CaseResult {
    let wakes = announced_so_far(kit, receiver).await?;
    ensure!(may_have_ended(&wakes, id), "the end of job {id} was announced as {wakes:?}");
    Ok(())
}

pub(super) fn may_have_ended(wakes: &Wakes, id: JobId) -> bool {
    wakes.unknown || wakes.more_finished || wakes.finished.contains(&id)
}

/// A watched job ends by each verdict, by a cancel, by a rescue, and by its deadline.
async fn q10_a_watched_end_is_announced(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut receiver = kit.backend()?.subscribe();
    for verdict in [complete_with(b"done"), bury("no"), retry("no", 0), cancelled("no")] {
        let id = kit.insert_one(kit.spec("job").max_retries(0)).await?;
        let token = kit.claim_one(worker).await?.token;
        ensure_eq!(kit.watch(&[id]).await?, [None], "the end of a running job");
        kit.settle_one(token, verdict).await?;
        was_announced(kit, &mut receiver, id).await?;
    }
    let cancelled = kit.insert_one(kit.spec("job")).await?;
    kit.watch(&[cancelled]).await?;
    kit.cancel(cancelled).await?;
    was_announced(kit, &mut receiver, cancelled).await?;

    let timeout = Duration::from_secs(1);
    let overdue = kit.insert_one(kit.spec("job").max_retries(0).timeout(timeout)).await?;
    kit.watch(&[overdue]).await?;
    kit.claim_one(kit.worker().await?).await?;
    for _ in 0..(timeout + GRACE).as_secs() / EXPIRY.as_secs() + 1 {
        kit.heartbeat(worker).await?;
        kit.advance(EXPIRY);
    }
    kit.rescue(10).await?;
    was_announced(kit, &mut receiver, overdue).await?;

    let lost = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    kit.watch(&[lost]).await?;
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    was_announced(kit, &mut receiver, lost).await?;
    ensure_eq!(kit.watch(&[lost]).await?, [dead(WORKER_LOST_ERROR)], "the end of the job of a lost worker");
    Ok(())
}

/// Two jobs end in one settle, and two by one cancel each. Only the watched ones may be announced,
/// and those only once.
async fn q10_the_end_of_an_unwatched_job_is_not_announced(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let ids = kit.insert((0..4).map(|_| kit.spec("job")).collect()).await?;
    kit.watch(&[ids[1], ids[3]]).await?;
    let mut receiver = kit.backend()?.subscribe();
    let jobs = kit.claim(worker, 2).await?;
    kit.settle(jobs.iter().map(|job| (job.token, complete_with(b"done"))).collect()).await?;
    kit.cancel(ids[2]).await?;
    kit.cancel(ids[3]).await?;
    let mut wakes = announced_so_far(kit, &mut receiver).await?;
    if wakes.unknown {
        // The ends may be announced once more after it.
        return Ok(());
    }
    wakes.finished.sort();
    ensure!(
        wakes.more_finished || wakes.finished == [ids[1], ids[3]],
        "the ends of {ids:?} were announced as {wakes:?}"
    );
    kit.settle(jobs.iter().map(|job| (job.token, complete_with(b"done"))).collect()).await?;
    let wakes = announced_so_far(kit, &mut receiver).await?;
    ensure!(wakes.unknown || wakes.finished.is_empty(), "repeated settles announced {wakes:?}");
    Ok(())
}

/// Two jobs with unique keys end, of which one is watched. Both must release their keys, and only
/// the end of the watched one may be announced.
async fn q10_a_watched_job_releases_its_key(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let plain = kit.insert_one(kit.spec("job").unique("plain")).await?;
    let watched = kit.insert_one(kit.spec("job").unique("watched")).await?;
    kit.watch(&[watched]).await?;
    let mut receiver = kit.backend()?.subscribe();
    let jobs = kit.claim(worker, 2).await?;
    kit.settle(jobs.iter().map(|job| (job.token, complete())).collect()).await?;
    let wakes = announced_so_far(kit, &mut receiver).await?;
    ensure!(
        wakes.unknown || wakes.more_finished || wakes.finished == [watched],
        "the ends of {plain} and {watched} were announced as {wakes:?}"
    );
    ensure_eq!(kit.stored().await?.unique_keys, [], "the keys that are held");
    Ok(())
}

/// A watched job is released, snoozed, retried and rescued before it completes.
async fn q10_a_job_stays_watched_until_it_ends(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    let id = kit.insert_one(kit.spec("job")).await?;
    kit.watch(&[id]).await?;
    for verdict in [release(), snooze(0), retry("failed", 0)] {
        let worker = kit.worker().await?;
        kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
    }
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    let wakes = announced_so_far(kit, &mut receiver).await?;
    ensure!(wakes.finished.is_empty(), "the end of an unfinished job was announced: {wakes:?}");
    let token = kit.claim_one(kit.worker().await?).await?.token;
    kit.settle_one(token, complete_with(b"done")).await?;
    was_announced(kit, &mut receiver, id).await?;
    ensure_eq!(kit.watch(&[id]).await?, [completed(Some(b"done"))], "the end");
    Ok(())
}

/// A ready, a waiting and a running job are watched. Their rows must be unchanged, and they must be
/// claimed and settled as without the watch.
async fn q10_a_watch_changes_no_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let running = kit.insert_one(kit.spec("job").priority(9)).await?;
    let token = kit.claim_one(worker).await?.token;
    let ready = kit.insert_one(kit.spec("job")).await?;
    let later = kit.now().saturating_add(HOUR);
    let waiting = kit.insert_one(kit.spec("job").run_at(later)).await?;
    let before = kit.stored().await?;
    kit.watch(&[running, ready, waiting]).await?;
    let after = kit.stored().await?;
    ensure_eq!((after.jobs, after.live), (before.jobs, before.live), "the rows after the watch");
    ensure_eq!(kit.claim_one(worker).await?.token.job, ready, "the job that was claimed");
    kit.settle_one(token, complete()).await?;
    kit.advance(HOUR);
    let worker = kit.worker().await?;
    ensure_eq!(kit.claim_one(worker).await?.token.job, waiting, "the job that was due");
    Ok(())
}

/// The names of all ends need not fit into an announcement, but then it must say so.
async fn q10_a_thousand_watched_ends_are_announced(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let ids = kit.insert((0..1000).map(|_| kit.spec("job")).collect()).await?;
    ensure_eq!(kit.watch(&ids).await?, vec![None; 1000], "the ends of unfinished jobs");
    let mut receiver = kit.backend()?.subscribe();
    let jobs = kit.claim(worker, 1000).await?;
    kit.settle(jobs.iter().map(|job| (job.token, complete())).collect()).await?;
    let is_all = |finished: &[JobId]| ids.iter().all(|id| finished.contains(id));
    announced(&mut receiver, |wakes| wakes.more_finished || is_all(&wakes.finished)).await?;
    ensure_eq!(kit.watch(&ids).await?, vec![completed(None); 1000], "the ends");
    Ok(())
}

/// A job is watched on one handle, and ends on another one: by a settle, a cancel and a rescue.
async fn q10_an_end_in_another_process_is_announced(kit: &Kit) -> CaseResult {
    let other = kit.open_second().await?;
    let mut receiver = other.backend()?.subscribe();
    let settled = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    other.watch(&[settled]).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete()).await?;
    announced(&mut receiver, |wakes| may_have_ended(wakes, settled)).await?;
    let cancelled = kit.insert_one(kit.spec("job")).await?;
    other.watch(&[cancelled]).await?;
    kit.cancel(cancelled).await?;
    announced(&mut receiver, |wakes| may_have_ended(wakes, cancelled)).await?;
    let lost = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    other.watch(&[lost]).await?;
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    announced(&mut receiver, |wakes| may_have_ended(wakes, lost)).await?;
    Ok(())
}
