//! Q17: no job of a paused queue is claimed after pause returned, and no other queue is affected.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::JobState;
use queue_core::backend::{Backend, CancelReply, Manage};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete, queue, retry};
use crate::conformance::wakes::next;

cases! {
    Fast q17_a_paused_queue_gives_nothing_and_the_others_go_on [Manage],
    Fast q17_a_resumed_queue_gives_all_in_order [Manage],
    Fast q17_pausing_and_resuming_twice_changes_nothing [Manage],
    Fast q17_jobs_of_a_paused_queue_live_on_in_every_other_way [Manage],
    Fast q17_resuming_wakes_whoever_waits [Manage],
    Fast q17_resuming_wakes_for_what_became_due_meanwhile [Manage],
    Fast q17_a_pause_outlives_the_handle [Manage, Durable],
    Fast q17_a_pause_holds_for_every_handle [Manage, MultiProcess],
}

pub(super) fn manage(backend: &dyn Backend) -> anyhow::Result<&dyn Manage> {
    backend.extensions().manage.context("the backend offers no `manage`")
}

/// Two of four queues are paused, one of them before it has jobs. A claim from them must return
/// nothing, and claims from the others must succeed.
async fn q17_a_paused_queue_gives_nothing_and_the_others_go_on(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let backend = kit.backend()?;
    let manage = manage(&*backend)?;
    for name in ["mail", "empty"] {
        manage.pause(&queue(name)?).await?;
    }
    let specs = ["mail", "other", "empty", "default"].map(|name| kit.spec("job").queue(name));
    let jobs = kit.insert(specs.to_vec()).await?;
    for (name, expected) in
        [("mail", None), ("other", Some(jobs[1])), ("empty", None), ("default", Some(jobs[3]))]
    {
        let reply = kit.claiming(worker, 5).queue(name).take().await?;
        let taken: Vec<_> = reply.jobs.iter().map(|job| job.token.job).collect();
        ensure_eq!(taken, expected.into_iter().collect::<Vec<_>>(), "the jobs of a claim from `{name}`");
    }
    ensure_eq!(manage.paused().await?, [queue("empty")?, queue("mail")?], "the paused queues");
    Ok(())
}

/// A queue is paused with ready and scheduled jobs, and more are inserted. After the resume a claim
/// must return all in claim order.
async fn q17_a_resumed_queue_gives_all_in_order(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let backend = kit.backend()?;
    let manage = manage(&*backend)?;
    let soon = kit.now().saturating_add(Duration::from_secs(1));
    let before = kit.insert(vec![kit.spec("job"), kit.spec("job").run_at(soon)]).await?;
    manage.pause(&queue("default")?).await?;
    let meanwhile = kit.insert(vec![kit.spec("job"), kit.spec("job").priority(5)]).await?;
    kit.advance(Duration::from_secs(2));
    ensure!(kit.claim(worker, 10).await?.is_empty(), "a claim from a paused queue returned a job");
    manage.resume(&queue("default")?).await?;
    let taken: Vec<_> = kit.claim(worker, 10).await?.iter().map(|job| job.token.job).collect();
    ensure_eq!(
        taken,
        [meanwhile[1], before[0], meanwhile[0], before[1]],
        "the jobs of a claim after the resume"
    );
    ensure_eq!(manage.paused().await?, [], "the paused queues");
    Ok(())
}

/// An operator pauses and resumes a queue twice each. The second call must change nothing.
async fn q17_pausing_and_resuming_twice_changes_nothing(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let backend = kit.backend()?;
    let manage = manage(&*backend)?;
    let default = queue("default")?;
    manage.resume(&default).await?;
    manage.pause(&default).await?;
    manage.pause(&default).await?;
    ensure_eq!(manage.paused().await?, std::slice::from_ref(&default), "the paused queues");
    kit.insert_one(kit.spec("job")).await?;
    manage.resume(&default).await?;
    manage.resume(&default).await?;
    kit.claim_one(worker).await?;
    Ok(())
}

/// A queue with running and waiting jobs is paused. Settles, heartbeats, cancels, promotions and
/// rescues must still work.
async fn q17_jobs_of_a_paused_queue_live_on_in_every_other_way(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert((0..4).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(worker, 3).await?;
    let backend = kit.backend()?;
    manage(&*backend)?.pause(&queue("default")?).await?;
    let soon = kit.now().saturating_add(EXPIRY / 2);
    let scheduled = kit.insert_one(kit.spec("job").run_at(soon)).await?;
    kit.settle_one(held[0].token, complete()).await?;
    kit.settle_one(held[1].token, retry("failed", 0)).await?;
    kit.heartbeat(worker).await?;
    ensure_eq!(kit.cancel(jobs[3]).await?, CancelReply::Cancelled, "the reply to a cancel of a waiting job");
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(10).await?.rescued, 1, "the number of leases rescued");
    ensure_eq!(kit.promote(10).await?.promoted, 2, "the number of jobs promoted");
    ensure_eq!(kit.state(scheduled).await?, JobState::Ready, "the state of the job that became due");
    let states = [JobState::Completed, JobState::Ready, JobState::Ready, JobState::Cancelled];
    for (job, state) in jobs.into_iter().zip(states) {
        ensure_eq!(kit.state(job).await?, state, "the state of job {job}");
    }
    Ok(())
}

/// A queue with a ready job is resumed. A subscriber must be woken, so that an idle worker does not
/// wait for its next poll.
async fn q17_resuming_wakes_whoever_waits(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage = manage(&*backend)?;
    manage.pause(&queue("default")?).await?;
    kit.insert_one(kit.spec("job")).await?;
    let mut receiver = backend.subscribe();
    manage.resume(&queue("default")?).await?;
    let wakes = next(&mut receiver, "the resume").await?;
    ensure!(wakes.unknown || !wakes.ready.is_empty(), "the resume woke no worker: {wakes:?}");
    Ok(())
}

/// A job of a paused queue becomes due. The resume must wake.
async fn q17_resuming_wakes_for_what_became_due_meanwhile(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage = manage(&*backend)?;
    let soon = kit.now().saturating_add(Duration::from_secs(5));
    let id = kit.insert_one(kit.spec("job").run_at(soon)).await?;
    manage.pause(&queue("default")?).await?;
    kit.set_clock(soon);
    let mut receiver = backend.subscribe();
    manage.resume(&queue("default")?).await?;
    let wakes = next(&mut receiver, "the resume").await?;
    ensure!(wakes.unknown || !wakes.ready.is_empty(), "the resume woke no worker: {wakes:?}");
    ensure_eq!(kit.claim_one(kit.worker().await?).await?.token.job, id, "the job of the next claim");
    Ok(())
}

/// A queue is paused and the handle is reopened. The queue must still be paused.
async fn q17_a_pause_outlives_the_handle(kit: &Kit) -> CaseResult {
    manage(&*kit.backend()?)?.pause(&queue("default")?).await?;
    kit.insert_one(kit.spec("job")).await?;
    kit.reopen().await?;
    let worker = kit.worker().await?;
    ensure!(
        kit.claim(worker, 5).await?.is_empty(),
        "a claim from a paused queue returned a job after a reopen"
    );
    ensure_eq!(manage(&*kit.backend()?)?.paused().await?, [queue("default")?], "the paused queues");
    Ok(())
}

/// One handle pauses a queue. A claim of another handle must return nothing from it, and the other
/// handle may resume it.
async fn q17_a_pause_holds_for_every_handle(kit: &Kit) -> CaseResult {
    let second = kit.open_second().await?;
    let worker = second.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    manage(&*kit.backend()?)?.pause(&queue("default")?).await?;
    ensure!(
        second.claim(worker, 5).await?.is_empty(),
        "a claim from a queue that another handle paused returned a job"
    );
    manage(&*second.backend()?)?.resume(&queue("default")?).await?;
    kit.claim_one(kit.worker().await?).await?;
    Ok(())
}
